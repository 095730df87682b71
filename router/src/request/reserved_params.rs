//! Members of a body that no provider gets: those for the router, and those that only the
//! configuration may set (BEHAVIOUR 9.3).

use llm_balancer_config::is_litellms_own;

use crate::http::route::ModelRoute;

/// Whether a member is for the router or LiteLLM's own, so that the provider does not get it.
pub fn is_reserved(key: &str, route: ModelRoute) -> bool {
    match key {
        // What most bodies have, so that they need not be compared with all of the rest.
        "messages"
        | "model"
        | "stream"
        | "stream_options"
        | "temperature"
        | "max_tokens"
        | "max_completion_tokens"
        | "tools"
        | "tool_choice"
        | "top_p"
        | "input"
        | "instructions"
        | "reasoning"
        | "reasoning_effort"
        | "response_format"
        | "stop"
        | "store"
        | "user" => false,
        "metadata" => !route.keeps_metadata,
        // What the router reads, and other settings of a deployment.
        "tags"
        | "fallbacks"
        | "context_window_fallbacks"
        | "content_policy_fallbacks"
        | "disable_fallbacks"
        | "num_retries"
        | "max_retries"
        | "timeout"
        | "request_timeout"
        | "stream_timeout"
        | "cache"
        | "guardrails"
        | "priority"
        | "rpm"
        | "tpm"
        | "weight"
        | "order"
        | "drop_params"
        | "additional_drop_params"
        | "allowed_openai_params"
        | "extra_headers"
        | "extra_body"
        | "model_info"
        | "base_model"
        | "max_parallel_requests"
        | "merge_reasoning_content_in_choices"
        | "tag_regex"
        | "region_name"
        | "prompt_id"
        | "use_in_pass_through"
        | "cooldown_time" => true,
        _ => is_operators(key) || is_litellms_own(key),
    }
}

/// Whether a member sets the address or the credentials of a deployment, which only the
/// configuration may.
pub fn is_operators(key: &str) -> bool {
    match key {
        "api_key"
        | "api_base"
        | "base_url"
        | "api_version"
        | "custom_llm_provider"
        | "organization"
        | "headers"
        | "azure_ad_token"
        | "deployment_id"
        | "model_id"
        | "specific_deployment"
        | "ssl_verify"
        | "user_config" => true,
        _ => ["aws_", "vertex_"].iter().any(|prefix| key.starts_with(prefix)),
    }
}
