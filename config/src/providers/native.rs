//! Providers whose models cannot be written with their prefix, and what to write instead.

use super::context::ResolveError;
use crate::diagnostics::ADVISES;

/// A provider that is known and not served. `name` is the model's without the provider.
pub(super) fn unserved(provider: &str, name: &str) -> ResolveError {
    let (message, advice) = match provider {
        _ if !ADVISES => (format!("the format of {provider} is not supported"), String::new()),
        "auto_router" => {
            let message = "choosing the model by the content of the request is not supported";
            return ResolveError::unsupported(message, "name the model in the request");
        }
        "dotprompt" => return stored_prompt(name),
        _ => match served_elsewhere(provider, name) {
            Some(advice) => {
                (format!("the prefix {provider}/ is not supported, the API behind it is"), advice)
            }
            None => (format!("the format of {provider} is not supported"), in_front(provider, name)),
        },
    };
    ResolveError::unsupported(message, advice)
}

/// A model whose prompt LiteLLM gets from a store.
pub(super) fn stored_prompt(name: &str) -> ResolveError {
    let advice =
        if ADVISES { format!("write openai/{name}, or another provider's model") } else { String::new() };
    ResolveError::unsupported("stored prompts are not supported", advice)
}

fn in_front(provider: &str, name: &str) -> String {
    if provider == "custom" {
        return format!("write openai/{name}");
    }
    format!("put an OpenAI-compatible server in front of it, and write openai/{name} with its api_base")
}

/// What to write for a provider that speaks OpenAI's format, or Anthropic's, at an address that
/// LiteLLM makes up.
fn served_elsewhere(provider: &str, name: &str) -> Option<String> {
    let is_claude = name.to_ascii_lowercase().contains("claude");
    let (name, base, further) = match provider {
        "bedrock_mantle" if is_claude => {
            (last(name), "https://bedrock-mantle.<region>.api.aws/anthropic", MESSAGES)
        }
        "bedrock_mantle" => {
            let name = last(name);
            let base = if is_below_openai(name) {
                "https://bedrock-mantle.<region>.api.aws/openai/v1"
            } else {
                "https://bedrock-mantle.<region>.api.aws/v1"
            };
            (name, base, ", and a Bedrock API key as api_key")
        }
        "snowflake" if is_claude => {
            (name, "https://<account>.snowflakecomputing.com/api/v2/cortex", MESSAGES)
        }
        "snowflake" => (
            name,
            "https://<account>.snowflakecomputing.com/api/v2/cortex/v1",
            ", extra_headers {X-Snowflake-Authorization-Token-Type: PROGRAMMATIC_ACCESS_TOKEN}, and the \
             token without pat/ as api_key",
        ),
        "datarobot" => (name, "https://app.datarobot.com/api/v2/genai/llmgw", ""),
        "ragflow" => (last(name), "http://<host>/api/v1/chats_openai/<chat>", ""),
        "oobabooga" => (name, "http://<host>:5000/v1", ""),
        "openai_like" => return Some(format!("write openai/{name}")),
        "vllm" => return Some(format!("write hosted_vllm/{name} with the api_base of a vLLM server")),
        "text-completion-inception" => {
            return Some(format!(
                "write text-completion-openai/{name} with api_base: https://api.inceptionlabs.ai/v1/fim"
            ));
        }
        _ => return None,
    };
    Some(format!("write openai/{name} with api_base: {base}{further}"))
}

const MESSAGES: &str = ", and llm_balancer: {wire: anthropic}";

/// `openai.gpt-oss-120b` of `us-west-2/openai.gpt-oss-120b`.
fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Bedrock's models with `use_openai_responses_path` in LiteLLM's table.
fn is_below_openai(name: &str) -> bool {
    const BEGINNINGS: [&str; 3] = ["openai.gpt-", "google.gemma-4", "xai.grok-4"];
    !name.starts_with("openai.gpt-oss") && BEGINNINGS.iter().any(|with| name.starts_with(with))
}

/// Whether a prefix is another provider of LiteLLM 1.109.1 (`LlmProviders`), which is not in the table
/// of those that can be served: an agent, a search, a store of vectors. The filter does not know them:
/// all it would say is another reason.
pub(super) fn is_another(prefix: &str) -> bool {
    const NAMES: [&str; 46] = [
        "a2a", "agentcore", "apiserpent", "aws_textract", "bespoke", "bing_grounding", "brave", "cursor",
        "databricks_agent", "dataforseo", "duckduckgo", "e2b", "eu_jev", "exa_ai", "fastcrw", "firecrawl",
        "google_pse", "langflow", "laya", "linkup", "litellm_agent", "manus", "microsoft_365_copilot",
        "milvus", "mongodb", "nace", "nimble", "oobabooga", "opensandbox", "opensearch", "parallel_ai",
        "pg_vector", "reducto", "s3_vectors", "sagemaker_nova", "searchapi", "searxng", "serper",
        "strands_decider", "tavily", "text-completion-inception", "tinyfish", "transcribe", "typesafe",
        "valkey", "you_com",
    ];
    ADVISES && NAMES.contains(&prefix)
}

/// The provider that people mean by a name that is none of LiteLLM's.
pub(super) fn meant(prefix: &str) -> Option<&'static str> {
    let provider = match prefix {
        _ if !ADVISES => return None,
        "fireworks" => "fireworks_ai",
        "google" => "gemini",
        "kimi" => "moonshot",
        "nvidia" => "nvidia_nim",
        "together" | "togetherai" => "together_ai",
        "vertex" => "vertex_ai",
        "zhipu" | "zhipuai" => "zai",
        _ => return None,
    };
    Some(provider)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::lookup;

    #[test]
    fn no_provider_is_both_served_and_not() {
        for name in ["a2a", "cursor", "manus", "oobabooga", "you_com", "valkey"] {
            assert!(is_another(name) && lookup::find(name).is_none(), "{name}");
        }
        assert!(!is_another("groq") && !is_another("nonsense"));
        for prefix in ["nvidia", "zhipu", "google", "together"] {
            assert!(lookup::find(prefix).is_none());
            assert!(lookup::find(meant(prefix).unwrap()).is_some(), "{prefix}");
        }
    }
}
