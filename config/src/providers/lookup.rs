//! The provider of a name or an address.

use super::provider::Provider;
use super::table::PROVIDERS;

/// The provider of that name.
pub(super) fn find(name: &str) -> Option<&'static Provider> {
    let found = PROVIDERS.binary_search_by(|provider| provider.name.cmp(name)).ok()?;
    PROVIDERS.get(found)
}

/// The names of all providers.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().map(|provider| provider.name)
}

/// The provider with this base: LiteLLM uses it for models without provider.
pub(super) fn at_base(api_base: &str) -> Option<&'static Provider> {
    let bare =
        |url: &str| url.trim_end_matches('/').split_once("://").map(|(_, rest)| rest.to_ascii_lowercase());
    let wanted = bare(api_base)?;
    PROVIDERS.iter().find(|provider| bare(provider.base).is_some_and(|base| base == wanted))
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
        assert!(at_base("https://example.com/v1").is_none());
    }
}
