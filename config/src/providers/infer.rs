//! The provider of a model whose name has no provider prefix.

use super::chat_params::is_o_series;
use super::lookup;
use super::provider::Provider;

/// A requested model as a provider knows it: without the provider's prefix. `None` if it belongs to
/// another provider, by its prefix or by its family.
pub fn name_at<'m>(provider: &str, model: &'m str) -> Option<&'m str> {
    let own = lookup::find(provider)?;
    let inferred = || Some((lookup::find(infer_provider(model)?)?, model));
    let Some((found, bare)) = prefixed(model).or_else(inferred) else { return Some(model) };
    // OpenAI has another name for its text completions.
    let is_own = found.name == own.name || (found.base == own.base && !own.base.is_empty());
    is_own.then_some(bare)
}

/// A model's name without its provider: `gpt-4` of `openai/gpt-4`. `None` if it has no known
/// provider.
fn without_provider(model: &str) -> Option<&str> {
    prefixed(model).map(|(_, bare)| bare)
}

/// Whether two names differ by the provider only: `gpt-4` and `openai/gpt-4`.
pub fn are_related(one: &str, other: &str) -> bool {
    without_provider(one) == Some(other) || without_provider(other) == Some(one)
}

/// The provider that a model's name begins with, and the rest. `None` if it has no known provider.
pub(super) fn prefixed(model: &str) -> Option<(&'static Provider, &str)> {
    let (provider, bare) = model.split_once('/')?;
    Some((lookup::find(provider)?, bare))
}

/// LiteLLM's name of the provider of a model without prefix: `openai` for `gpt-4o`.
///
/// LiteLLM looks the name up in its list of models. Here the families decide, so new models are
/// known too.
pub fn infer_provider(model: &str) -> Option<&'static str> {
    if model == "*" {
        return Some("openai");
    }
    if model.contains('/') {
        return None;
    }
    let base = model.strip_prefix("ft:").unwrap_or(model);
    let has = |prefixes: &[&str]| prefixes.iter().any(|prefix| base.starts_with(prefix));
    if has(&["gpt-3.5-turbo-instruct", "davinci-002", "babbage-002", "text-davinci", "code-davinci"]) {
        return Some("text-completion-openai");
    }
    if has(OPENAI) || is_o_series(base) {
        return Some("openai");
    }
    if has(&["claude-"]) {
        return Some("anthropic");
    }
    // LiteLLM sends Gemini models without prefix to Vertex AI, and gemini/<name> to AI Studio.
    if has(&["gemini-"]) {
        return Some("vertex_ai");
    }
    if has(&["command-", "embed-", "rerank-", "c4ai-"]) {
        return Some("cohere");
    }
    if has(&["deepseek-"]) {
        return Some("deepseek");
    }
    None
}

const OPENAI: &[&str] = &[
    "gpt-", "chatgpt-", "chat-latest", "text-embedding-3", "text-embedding-ada", "dall-e", "whisper-",
    "tts-", "omni-moderation", "text-moderation", "codex-", "computer-use-preview", "sora-",
];

#[cfg(test)]
mod tests {
    use super::{infer_provider, name_at, without_provider};

    #[test]
    fn families_of_models_name_their_provider() {
        let rows = [
            ("gpt-4o", Some("openai")),
            ("gpt-image-1", Some("openai")),
            ("ft:gpt-4o-mini:acme::7p4lURel", Some("openai")),
            ("o1", Some("openai")),
            ("o3-mini", Some("openai")),
            ("olmo-7b", None),
            ("chatgpt-4o-latest", Some("openai")),
            ("text-embedding-3-small", Some("openai")),
            ("text-embedding-004", None),
            ("gpt-3.5-turbo-instruct", Some("text-completion-openai")),
            ("davinci-002", Some("text-completion-openai")),
            ("claude-sonnet-4-5", Some("anthropic")),
            ("gemini-2.5-pro", Some("vertex_ai")),
            ("*", Some("openai")),
            ("openai/gpt-4o", None),
            ("nosuchprovider-x", None),
        ];
        for (model, provider) in rows {
            assert_eq!(infer_provider(model), provider, "{model}");
        }
    }

    #[test]
    fn a_requested_model_belongs_to_its_provider() {
        let rows = [
            ("gpt-4o", Some("gpt-4o")),
            ("openai/gpt-4o", Some("gpt-4o")),
            ("custom_openai/m", Some("m")),
            ("gpt-3.5-turbo-instruct", Some("gpt-3.5-turbo-instruct")),
            ("unheard-of", Some("unheard-of")),
            ("team/m", Some("team/m")),
            ("anthropic/claude-sonnet-4-5", None),
            ("claude-sonnet-4-5", None),
        ];
        for (model, name) in rows {
            assert_eq!(name_at("openai", model), name, "{model}");
        }
        assert_eq!(name_at("hosted_vllm", "azure/m"), None, "neither has an address of its own");
    }

    #[test]
    fn a_known_provider_is_removed_from_a_model() {
        assert_eq!(without_provider("openai/gpt-4"), Some("gpt-4"));
        assert_eq!(without_provider("openrouter/meta/llama"), Some("meta/llama"));
        assert_eq!(without_provider("team/gpt-4"), None);
        assert_eq!(without_provider("gpt-4"), None);
    }
}
