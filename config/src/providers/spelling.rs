//! How providers spell the names of models, where LiteLLM's differ.

/// A provider's name for a model without stars. `name` is the model's without the provider.
pub fn upstream_name(provider: &str, name: &str) -> String {
    match provider {
        // Models for embeddings, such as `nomic-ai/nomic-embed-text-v1.5`, and Whisper have no account.
        "fireworks_ai" if !name.contains(['/', '#']) && !name.starts_with("whisper-") => {
            format!("accounts/fireworks/models/{name}")
        }
        // OpenRouter's own models keep their prefix: `openrouter/auto`.
        "openrouter" if !name.contains('/') => format!("openrouter/{name}"),
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
        _ => name.to_owned(),
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
