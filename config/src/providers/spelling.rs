//! How providers spell the names of models, where LiteLLM's differ.

/// A provider's name for a model without stars. `name` is the model's without the provider.
pub fn upstream_name(provider: &str, name: &str) -> String {
    match provider {
        "fireworks_ai" => format!("{}{name}", before_fireworks(name)),
        // OpenRouter's own models keep their prefix. Other names without an owner are sent alone.
        "openrouter" if matches!(name, "auto" | "free") => format!("openrouter/{name}"),
        "vertex_ai" if !name.contains('/') => format!("google/{name}"),
        // Prefixes that select a format in LiteLLM.
        "azure" => without_prefix(name, &["o_series/", "gpt5_series/"]).to_owned(),
        "azure_ai" => without_prefix(name, &["model_router/"]).to_owned(),
        "bedrock" => {
            let name = without_prefix(name, &["converse/", "invoke/"]);
            name.rsplit_once('/').map_or(name, |(_, last)| last).to_owned()
        }
        // LiteLLM sends Cohere's requests by these.
        "cohere" | "cohere_chat" => without_prefix(name, &["v1/", "v2/"]).to_owned(),
        "clarifai" => clarifai_url(name).unwrap_or_else(|| name.to_owned()),
        _ => name.to_owned(),
    }
}

/// Clarifai knows its models by the URLs of their pages; LiteLLM writes `user.app.model`.
fn clarifai_url(name: &str) -> Option<String> {
    let (user, rest) = name.split_once('.')?;
    let (app, model) = rest.split_once('.')?;
    let is_name = !name.contains('/') && !model.contains('.');
    is_name.then(|| format!("https://clarifai.com/{user}/{app}/models/{model}"))
}

/// What Fireworks' names have in front. Models for chats and rerankings are known by their names:
/// those for embeddings and Whisper have no account.
fn before_fireworks(name: &str) -> &'static str {
    const WHOLE: [&str; 5] = ["accounts/", "FW-", "whisper-", "thenlper/", "WhereIsAI/"];
    let begins = |with: &[&str]| with.iter().any(|start| name.starts_with(start));
    if begins(&WHOLE) || name.contains('#') || name.contains("embed") {
        ""
    } else if name.contains("rerank") {
        if begins(&["fireworks/"]) { "" } else { "fireworks/" }
    } else if begins(&["routers/", "models/"]) {
        "accounts/fireworks/"
    } else if name.ends_with("-fast")
        || matches!(name, "auto" | "auto-instant" | "firerouter")
        || begins(&["firerouter/"])
    {
        "accounts/fireworks/routers/"
    } else {
        "accounts/fireworks/models/"
    }
}

/// The name at Hugging Face's router, which has the provider at the end; LiteLLM has
/// `provider/owner/model`.
pub fn router_name(name: &str) -> String {
    match name.split_once('/') {
        Some((provider, model)) if !provider.is_empty() && model.contains('/') => {
            format!("{model}:{provider}")
        }
        _ => name.to_owned(),
    }
}

fn without_prefix<'n>(name: &'n str, prefixes: &[&str]) -> &'n str {
    prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clarifai_gets_the_url_of_a_model() {
        let sent = upstream_name("clarifai", "openai.chat-completion.gpt-4o");
        assert_eq!(sent, "https://clarifai.com/openai/chat-completion/models/gpt-4o");
        for name in ["gpt-4o", "a.b", "a.b.c.d", "https://www.clarifai.com/openai/app/models/m"] {
            assert_eq!(upstream_name("clarifai", name), name);
        }
    }

    #[test]
    fn openrouter_gets_its_own_models_with_their_prefix() {
        for (name, sent) in [
            ("auto", "openrouter/auto"),
            ("free", "openrouter/free"),
            ("openrouter/auto", "openrouter/auto"),
            ("gpt-3.5-turbo", "gpt-3.5-turbo"),
            ("meta-llama/llama-3", "meta-llama/llama-3"),
        ] {
            assert_eq!(upstream_name("openrouter", name), sent);
        }
    }

    #[test]
    fn fireworks_gets_the_names_that_litellm_sends() {
        for (name, sent) in [
            ("llama-v3", "accounts/fireworks/models/llama-v3"),
            ("yi/yi-large", "accounts/fireworks/models/yi/yi-large"),
            ("models/x", "accounts/fireworks/models/x"),
            ("routers/x", "accounts/fireworks/routers/x"),
            ("auto", "accounts/fireworks/routers/auto"),
            ("glm-5p2-fast", "accounts/fireworks/routers/glm-5p2-fast"),
            ("firerouter/auto", "accounts/fireworks/routers/firerouter/auto"),
            ("accounts/me/models/x", "accounts/me/models/x"),
            ("x#me/deployment", "x#me/deployment"),
            ("FW-GLM-5", "FW-GLM-5"),
            ("qwen3-embedding-8b", "qwen3-embedding-8b"),
            ("thenlper/gte-base", "thenlper/gte-base"),
            ("whisper-v3", "whisper-v3"),
            ("qwen3-reranker-8b", "fireworks/qwen3-reranker-8b"),
            ("fireworks/qwen3-reranker-8b", "fireworks/qwen3-reranker-8b"),
        ] {
            assert_eq!(upstream_name("fireworks_ai", name), sent, "{name}");
        }
    }
}
