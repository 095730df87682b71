//! Which parameters of the file a request gets. Most files have those of chats, and providers refuse
//! them on other routes, so LiteLLM sends what the route has (`responses/utils.py`,
//! `AnthropicMessagesRequestOptionalParams`). What the client sends, and `extra_body`, goes anywhere.

use llm_balancer_config::Deployment;

use crate::http::route::{COUNT_TOKENS, MESSAGES, ModelRoute};

/// Anthropic refuses others where it only counts them, in `extra_body` too.
const COUNTED: &[&str] = &["system", "thinking", "tool_choice", "tools"];

const OF_MESSAGES: &[&str] = &[
    "cache_control", "compaction", "container", "context_management", "inference_geo", "max_tokens",
    "mcp_servers", "metadata", "output_config", "output_format", "safeguards", "speed", "stop_sequences",
    "stream", "system", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p",
];

const OF_RESPONSES: &[&str] = &[
    "background", "context_management", "include", "instructions", "max_output_tokens", "max_tool_calls",
    "metadata", "parallel_tool_calls", "partial_images", "previous_response_id", "prompt",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier",
    "service_tier", "store", "stream", "stream_options", "temperature", "text", "tool_choice", "tools",
    "top_logprobs", "top_p", "truncation", "user",
];

/// Whether a member of `extra_body` fits a route.
pub(super) fn may_be_extra(route: ModelRoute, key: &str) -> bool {
    route.suffix != COUNT_TOKENS || COUNTED.contains(&key)
}

/// Whether a parameter of the file fits a route.
pub(super) fn fits(route: ModelRoute, key: &str) -> bool {
    match route.suffix {
        COUNT_TOKENS => COUNTED.contains(&key),
        MESSAGES => OF_MESSAGES.contains(&key),
        _ => !route.makes_responses() || OF_RESPONSES.contains(&key),
    }
}

/// The `reasoning` of a response, from the file's `reasoning_effort`, if the file has no other.
pub(super) fn reasoning(route: ModelRoute, deployment: &Deployment) -> Option<String> {
    let mut of_file = deployment.defaults.iter().chain(&deployment.extra_body);
    if !route.makes_responses() || of_file.any(|member| member.key == "reasoning") {
        return None;
    }
    let effort = &deployment.defaults.iter().find(|member| member.key == "reasoning_effort")?.json;
    Some(if effort.starts_with('{') { effort.clone() } else { ["{\"effort\":", effort, "}"].concat() })
}
