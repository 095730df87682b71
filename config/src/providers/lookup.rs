//! The provider of a name or an address.

use super::base_url;
use super::provider::{Protocol, Provider};
use super::table::{FURTHER_BASES, PROVIDERS};

/// The provider of that name.
pub(super) fn find(name: &str) -> Option<&'static Provider> {
    let found = PROVIDERS.binary_search_by(|provider| provider.name.cmp(name)).ok()?;
    PROVIDERS.get(found)
}

/// The names of all providers.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().map(|provider| provider.name)
}

/// The provider with this base, which may end in a route: LiteLLM uses it for models without
/// provider.
pub(super) fn at_base(api_base: &str) -> Option<&'static Provider> {
    let mut base = base_url::parse(api_base).ok()?;
    base.trim_route(Protocol::OpenAi);
    let wanted = format!("{}{}", base.authority(), base.path);
    let is_wanted = |address: &str| address.eq_ignore_ascii_case(&wanted);
    let own = |provider: &&Provider| provider.base.split_once("://").is_some_and(|(_, base)| is_wanted(base));
    let further = || FURTHER_BASES.iter().find(|(base, _)| is_wanted(base));
    PROVIDERS.iter().find(own).or_else(|| find(further()?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_base_can_be_used() {
        assert!(PROVIDERS.is_sorted_by(|a, b| a.name < b.name));
        for provider in PROVIDERS.iter().filter(|provider| !provider.base.is_empty()) {
            let base = crate::providers::base_url::parse(provider.base).ok().unwrap();
            assert_eq!(base.display_url(), provider.base);
        }
    }

    #[test]
    fn variables_follow_the_name_unless_litellm_has_others() {
        assert_eq!(find("nano-gpt").unwrap().key_variables(), ["NANOGPT_API_KEY"]);
        assert_eq!(find("groq").unwrap().key_variables(), ["GROQ_API_KEY"]);
        assert_eq!(find("openai").unwrap().base_variables(), ["OPENAI_BASE_URL", "OPENAI_API_BASE"]);
        assert!(find("vertex_ai").unwrap().key_variables().is_empty());
    }

    #[test]
    fn a_known_address_names_its_provider() {
        assert_eq!(at_base("https://api.groq.com/openai/v1/").unwrap().name, "groq");
        assert_eq!(at_base("https://api.together.xyz/v1").unwrap().name, "together_ai");
        assert_eq!(at_base("https://API.deepseek.com/v1/chat/completions").unwrap().name, "deepseek");
        assert_eq!(at_base("https://api.perplexity.ai/").unwrap().name, "perplexity");
        assert!(at_base("https://example.com/v1").is_none());
        assert!(at_base("https://api.groq.com:444/openai/v1").is_none());
        assert!(FURTHER_BASES.iter().all(|(_, name)| find(name).is_some()));
    }
}
