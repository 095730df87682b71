//! Which parameters of the file a request gets. Most files have those of chats, and providers refuse
//! them on other routes, so LiteLLM sends what the route has (`responses/utils.py`,
//! `AnthropicMessagesRequestOptionalParams`). What the client sends goes anywhere, and so does
//! `extra_body`, but to where tokens are counted or a conversation is compacted.

use llm_balancer_config::{Deployment, is_openais};

use crate::http::route::{COMPACT, COUNT_TOKENS, INPUT_TOKENS, MESSAGES, ModelRoute, RESPONSES};

/// Two names of one parameter, the older one first; OpenAI refuses both lengths together.
pub(super) const SPELLINGS: [[&str; 2]; 2] =
    [["max_tokens", "max_completion_tokens"], ["seed", "random_seed"]];

/// Parameters for which `extra_body` overrides the client: what LiteLLM knows as OpenAI's
/// (`DEFAULT_CHAT_COMPLETION_PARAM_VALUES`). Of all others, such as vLLM's `chat_template_kwargs`, the
/// client's are sent.
const OPENAIS: &[&str] = &[
    "audio", "context_management", "frequency_penalty", "function_call", "functions", "logit_bias",
    "logprobs", "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "n",
    "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_retention",
    "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store",
    "stream", "stream_options", "temperature", "thinking", "tool_choice", "tools", "top_logprobs", "top_p",
    "user", "verbosity", "web_search_options",
];

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

/// OpenAI refuses others where it compacts a conversation or counts an input, in `extra_body` too.
const OF_COMPACTIONS: &[&str] = &[
    "instructions", "previous_response_id", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "service_tier",
];

const OF_INPUTS: &[&str] = &[
    "conversation", "instructions", "parallel_tool_calls", "previous_response_id", "reasoning", "text",
    "tool_choice", "tools", "truncation",
];

/// Whether a member of `extra_body` fits a route.
pub(super) fn may_be_extra(route: ModelRoute, key: &str) -> bool {
    match route.suffix {
        COUNT_TOKENS | INPUT_TOKENS | COMPACT => fits(route, key),
        _ => true,
    }
}

/// Whether a member of `extra_body` overrides the client's.
pub(super) fn overrides_clients(key: &str) -> bool {
    OPENAIS.contains(&key)
}

/// Whether a client's `priority` is for LiteLLM's queue, which chats and completions have there and
/// none has here, rather than for the server's. OpenAI and other services refuse it.
pub(super) fn is_for_a_queue(route: ModelRoute, deployment: &Deployment) -> bool {
    let is_a_server = match &*deployment.provider {
        "hosted_vllm" | "litellm_proxy" => true,
        "openai" | "text-completion-openai" => !is_openais(&deployment.endpoint.host),
        _ => false,
    };
    matches!(route.suffix, "/chat/completions" | "/completions") && !is_a_server
}

/// All names of a parameter.
pub(super) fn spellings(key: &str) -> impl Iterator<Item = &str> {
    let others = SPELLINGS.iter().filter(move |both| both.contains(&key)).flatten();
    std::iter::once(key).chain(others.copied())
}

/// Whether the file has a parameter under its newer name, too, which is the one that counts.
pub(super) fn has_newer_name(deployment: &Deployment, key: &str) -> bool {
    let has = |name| deployment.defaults.iter().any(|member| member.key == name);
    SPELLINGS.iter().any(|[old, new]| key == *old && has(*new))
}

/// Whether a parameter of the file fits a route.
pub(super) fn fits(route: ModelRoute, key: &str) -> bool {
    match route.suffix {
        COUNT_TOKENS => COUNTED.contains(&key),
        MESSAGES => OF_MESSAGES.contains(&key),
        RESPONSES => OF_RESPONSES.contains(&key),
        COMPACT => OF_COMPACTIONS.contains(&key),
        INPUT_TOKENS => OF_INPUTS.contains(&key),
        _ => true,
    }
}

/// The `reasoning` of a response, from the file's `reasoning_effort`, if the file has no other.
pub(super) fn reasoning(route: ModelRoute, deployment: &Deployment) -> Option<String> {
    let mut of_file = deployment.defaults.iter().chain(&deployment.extra_body);
    if !matches!(route.suffix, RESPONSES | INPUT_TOKENS) || of_file.any(|member| member.key == "reasoning") {
        return None;
    }
    let effort = &deployment.defaults.iter().find(|member| member.key == "reasoning_effort")?.json;
    Some(if effort.starts_with('{') { effort.clone() } else { ["{\"effort\":", effort, "}"].concat() })
}
