//! Models that no endpoint serves in OpenAI's format, and prefixes with which LiteLLM chooses another one.

use crate::diagnostics::report::ADVISES;
use crate::providers::resolve::ResolveError;
use crate::providers::table::{Protocol, Provider};

const NOT_TRANSLATED: &str = "and nothing is translated here";

/// Whether requests for a model can be passed on as they are. `written` is what follows the provider's prefix.
pub fn check(provider: &Provider, written: &str) -> Result<(), ResolveError> {
    if let Some(name) = written.strip_prefix("responses/") {
        return Err(ResolveError::unsupported(
            format!(
                "asks LiteLLM to turn chat requests into requests of the Responses API, {NOT_TRANSLATED}"
            ),
            format!("write {}/{name}: requests to /v1/responses reach it as they are", provider.name),
        ));
    }
    match provider.protocol {
        Protocol::Cohere if written.starts_with("rerank-") => Ok(()),
        Protocol::Cohere | Protocol::Native => Err(native(provider, written)),
        Protocol::VertexAi => vertex(written),
        Protocol::Bedrock => bedrock(written),
        Protocol::AzureAi => azure_ai(written),
        _ => Ok(()),
    }
}

fn native(provider: &Provider, name: &str) -> ResolveError {
    let advice = match provider.name {
        _ if !ADVISES => String::new(),
        "vllm" => format!("write hosted_vllm/{name} with the api_base of a vLLM server"),
        "openai_like" | "custom" => format!("write openai/{name}"),
        "cohere" | "cohere_chat" => format!(
            "write openai/{name} with api_base https://api.cohere.ai/compatibility/v1, where Cohere speaks OpenAI's format"
        ),
        "huggingface" => format!(
            "write openai/{name} with api_base https://router.huggingface.co/v1, where Hugging Face speaks OpenAI's format"
        ),
        _ => "put an OpenAI-compatible server in front of it, and write openai/name with its api_base"
            .to_owned(),
    };
    ResolveError::unsupported(
        format!("{} speaks a format of its own, {NOT_TRANSLATED}", provider.name),
        advice,
    )
}

/// The endpoint serves Gemini and open models; models of partners and endpoints of one's own have routes of theirs.
fn vertex(name: &str) -> Result<(), ResolveError> {
    const ROUTES: [&str; 6] = ["openai/", "gemini/", "gemma/", "bge/", "agent_engine/", "search_api"];
    const PARTNERS: [&str; 5] = ["mistral", "ministral", "codestral", "jamba", "ai21"];
    let begins = |with: &[&str]| with.iter().any(|beginning| name.starts_with(beginning));
    if name.starts_with("claude") || name.starts_with("anthropic/") {
        let advice = "write anthropic/name with an Anthropic key";
        return Err(ResolveError::unsupported(
            "Claude is not served by Vertex AI's OpenAI-compatible endpoint",
            advice,
        ));
    }
    let is_endpoint = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    if is_endpoint || begins(&ROUTES) || begins(&PARTNERS) {
        let advice =
            "put an OpenAI-compatible server in front of it, and write openai/name with its api_base";
        return Err(ResolveError::unsupported(
            format!("this model is not served by Vertex AI's OpenAI-compatible endpoint, {NOT_TRANSLATED}"),
            advice,
        ));
    }
    Ok(())
}

fn bedrock(written: &str) -> Result<(), ResolveError> {
    const VENDORS: [&str; 10] = [
        "anthropic.",
        "amazon.",
        "meta.",
        "cohere.",
        "ai21.",
        "stability.",
        "luma.",
        "writer.",
        "twelvelabs.",
        "arn:",
    ];
    const ROUTES: [&str; 6] = ["agent/", "agentcore/", "async_invoke/", "mantle/", "nova/", "nova-2/"];
    let names_arn = written.contains("arn:aws");
    let name = written.rsplit('/').next().unwrap_or(written);
    let bare = ["us.", "eu.", "apac.", "global."].iter().find_map(|region| name.strip_prefix(region));
    let bare = bare.unwrap_or(name);
    let is_vendors = VENDORS.iter().any(|prefix| bare.starts_with(prefix));
    if names_arn || is_vendors || ROUTES.iter().any(|route| written.starts_with(route)) {
        return Err(ResolveError::unsupported(
            format!("this model is not served by Bedrock's OpenAI-compatible endpoint, {NOT_TRANSLATED}"),
            "use an open-weight model of Bedrock, such as bedrock/openai.gpt-oss-120b-1:0, or the vendor's own API",
        ));
    }
    Ok(())
}

fn azure_ai(name: &str) -> Result<(), ResolveError> {
    const OTHERS: [&str; 4] = ["claude", "agents/", "doc-intelligence/", "flux"];
    if OTHERS.iter().any(|beginning| name.to_ascii_lowercase().starts_with(beginning)) {
        return Err(ResolveError::unsupported(
            format!("Azure AI serves this in a format of its own, {NOT_TRANSLATED}"),
            "use a model that Azure AI serves in OpenAI's format, or the vendor's own API",
        ));
    }
    Ok(())
}

/// The region in `us-west-2/openai.gpt-oss-120b-1:0`.
pub fn region_of(written: &str) -> Option<&str> {
    written.split('/').find(|part| {
        let ends = part.bytes().last().is_some_and(|byte| byte.is_ascii_digit());
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        ends && part.bytes().all(is_plain) && part.split('-').count() >= 3 && part.find('-') == Some(2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::table;

    fn is_served(model: &str) -> bool {
        let (provider, name) = model.split_once('/').unwrap();
        check(table::find(provider).unwrap(), name).is_ok()
    }

    #[test]
    fn models_with_a_format_of_their_own_are_known() {
        for model in [
            "openai/responses/gpt-5",
            "azure/responses/my-gpt5",
            "sagemaker/endpoint",
            "vertex_ai/claude-sonnet-4",
            "vertex_ai/openai/1234567890",
            "vertex_ai/1234567890",
            "vertex_ai/mistral-large@2411",
            "bedrock/converse/us.anthropic.claude-sonnet-4",
            "bedrock/arn:aws:bedrock:us-east-1:1:imported-model/abc",
            "bedrock/openai/arn:aws:bedrock:us-east-1:1:imported-model/abc",
            "bedrock/agent/A/B",
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
            "bedrock/converse/openai.gpt-oss-120b-1:0",
            "bedrock/us-west-2/openai.gpt-oss-120b-1:0",
            "azure_ai/mistral",
        ] {
            assert!(is_served(model), "{model}");
        }
    }

    #[test]
    fn a_region_may_stand_in_the_model() {
        assert_eq!(region_of("us-west-2/openai.gpt-oss-120b-1:0"), Some("us-west-2"));
        assert_eq!(region_of("converse/us-gov-west-1/x"), Some("us-gov-west-1"));
        assert_eq!(region_of("openai.gpt-oss-120b-1:0"), None);
        assert_eq!(region_of("qwen-2-5"), None);
    }
}
