//! Models that their provider does not serve in OpenAI's format.

use super::context::ResolveError;
use super::native::unserved;
use super::provider::{Protocol, Provider};

const IN_FRONT: &str =
    "put an OpenAI-compatible server in front of it, and write openai/name with its api_base";

/// Whether requests for a model can be passed on unchanged. `written` is its name without the
/// provider.
pub(super) fn check(provider: &Provider, written: &str) -> Result<(), ResolveError> {
    if let Some(name) = written.strip_prefix("responses/") {
        return Err(ResolveError::unsupported(
            "translating chat requests to the Responses API is not supported",
            format!("write {}/{name}, and let clients use /v1/responses", provider.name),
        ));
    }
    match provider.protocol {
        Protocol::OpenAi if provider.name == "perplexity" && written.starts_with("preset/") => {
            Err(ResolveError::unsupported(
                "a preset in place of a model is not supported",
                "name a model, such as perplexity/openai/gpt-5.2",
            ))
        }
        Protocol::HuggingFace if written.starts_with("http") => Err(ResolveError::unsupported(
            "a URL as the model's name is not supported",
            "write the URL as api_base, and huggingface/name",
        )),
        Protocol::Native => Err(unserved(provider.name, written)),
        Protocol::VertexAi => vertex(written),
        Protocol::Bedrock => bedrock(written),
        Protocol::AzureAi => azure_ai(written),
        _ => Ok(()),
    }
}

/// The endpoint serves Gemini and open models. Models of partners and own endpoints have other
/// routes.
fn vertex(name: &str) -> Result<(), ResolveError> {
    const ROUTES: [&str; 5] = ["gemini/", "gemma/", "bge/", "agent_engine/", "search_api"];
    const PARTNERS: [&str; 5] = ["mistral", "ministral", "codestral", "jamba", "ai21"];
    let begins = |with: &[&str]| with.iter().any(|beginning| name.starts_with(beginning));
    if name.starts_with("claude") || name.starts_with("anthropic/") {
        return Err(ResolveError::unsupported(
            "Vertex AI's OpenAI-compatible endpoint does not serve Claude",
            "write anthropic/name with an Anthropic key",
        ));
    }
    // `openai/gpt-oss-120b-maas` is a model, and `openai/123` an endpoint of one's own.
    let id = name.strip_prefix("openai/").unwrap_or(name);
    let is_endpoint = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    if is_endpoint || begins(&ROUTES) || begins(&PARTNERS) {
        return Err(ResolveError::unsupported(
            "Vertex AI's OpenAI-compatible endpoint does not serve this model",
            IN_FRONT,
        ));
    }
    Ok(())
}

/// Whether Vertex AI serves the model in the location `global` alone, by LiteLLM's table.
pub(super) fn is_in_global_alone(name: &str) -> bool {
    const NAMES: [&str; 7] = [
        "deepseek-ai/deepseek-v3.2", "deepseek-ai/deepseek-v4", "google/gemma-4-26b", "lyria-3-",
        "qwen/qwen3-coder-480b", "qwen/qwen3-next-80b", "zai-org/glm-",
    ];
    NAMES.iter().any(|beginning| name.starts_with(beginning))
}

fn bedrock(written: &str) -> Result<(), ResolveError> {
    const VENDORS: [&str; 10] = [
        "anthropic.", "amazon.", "meta.", "cohere.", "ai21.", "stability.", "luma.", "writer.",
        "twelvelabs.", "arn:",
    ];
    const ROUTES: [&str; 6] = ["agent/", "agentcore/", "async_invoke/", "mantle/", "nova/", "nova-2/"];
    let names_arn = written.contains("arn:aws");
    let name = written.rsplit('/').next().unwrap_or(written);
    // A profile of several regions has one more part in front: `us.`, `jp.`, `us-gov.`
    let behind = name.split_once('.').map_or("", |(_, behind)| behind);
    let is_vendors = VENDORS.iter().any(|prefix| name.starts_with(prefix) || behind.starts_with(prefix));
    if names_arn || is_vendors || ROUTES.iter().any(|route| written.starts_with(route)) {
        return Err(ResolveError::unsupported(
            "Bedrock's OpenAI-compatible endpoint does not serve this model",
            "use an open-weight model of Bedrock, such as bedrock/openai.gpt-oss-120b-1:0, or the vendor's own API",
        ));
    }
    Ok(())
}

fn azure_ai(name: &str) -> Result<(), ResolveError> {
    const OTHERS: [&str; 3] = ["agents/", "doc-intelligence/", "flux"];
    if name.to_ascii_lowercase().starts_with("claude") {
        return Err(ResolveError::unsupported(
            "Azure AI serves Claude by Anthropic's API alone",
            "add llm_balancer: {wire: anthropic}, and let clients use /v1/messages",
        ));
    }
    if OTHERS.iter().any(|beginning| name.to_ascii_lowercase().starts_with(beginning)) {
        return Err(ResolveError::unsupported(
            "Azure AI does not serve this model in OpenAI's format",
            "use a model that Azure AI serves in OpenAI's format, or the vendor's own API",
        ));
    }
    Ok(())
}

/// The region in `us-west-2/openai.gpt-oss-120b-1:0`.
pub(super) fn region_of(written: &str) -> Option<&str> {
    written.split('/').find(|part| {
        let ends = part.bytes().last().is_some_and(|byte| byte.is_ascii_digit());
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        ends && part.bytes().all(is_plain) && part.split('-').count() >= 3 && part.find('-') == Some(2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::lookup;

    fn is_served(model: &str) -> bool {
        let (provider, name) = model.split_once('/').unwrap();
        check(lookup::find(provider).unwrap(), name).is_ok()
    }

    #[test]
    fn models_without_openais_format_are_unsupported() {
        for model in [
            "openai/responses/gpt-5",
            "azure/responses/my-gpt5",
            "sagemaker/endpoint",
            "vertex_ai/claude-sonnet-4",
            "vertex_ai/openai/1234567890",
            "vertex_ai/1234567890",
            "vertex_ai/mistral-large@2411",
            "bedrock/converse/us.anthropic.claude-sonnet-4",
            "bedrock/jp.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "bedrock/us-gov.amazon.nova-pro-v1:0",
            "bedrock/arn:aws:bedrock:us-east-1:1:imported-model/abc",
            "bedrock/openai/arn:aws:bedrock:us-east-1:1:imported-model/abc",
            "bedrock/agent/A/B",
            "perplexity/preset/pro-search",
            "azure_ai/claude-opus-4",
        ] {
            assert!(!is_served(model), "{model}");
        }
        for model in [
            "openai/gpt-5",
            "openai/chat/model",
            "azure/gpt5_series/my-gpt5",
            "vertex_ai/gemini-2.5-pro",
            "vertex_ai/meta/llama-4",
            "vertex_ai/openai/gpt-oss-120b-maas",
            "bedrock/converse/openai.gpt-oss-120b-1:0",
            "bedrock/us-west-2/openai.gpt-oss-120b-1:0",
            "azure_ai/mistral",
        ] {
            assert!(is_served(model), "{model}");
        }
    }

    #[test]
    fn a_model_may_contain_a_region() {
        assert_eq!(region_of("us-west-2/openai.gpt-oss-120b-1:0"), Some("us-west-2"));
        assert_eq!(region_of("converse/us-gov-west-1/x"), Some("us-gov-west-1"));
        assert_eq!(region_of("openai.gpt-oss-120b-1:0"), None);
        assert_eq!(region_of("qwen-2-5"), None);
    }
}
