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
        | "use_litellm_proxy"
        | "use_chat_completions_api"
        | "configurable_clientside_auth_params"
        | "model_list"
        | "routing_strategy"
        | "silent_model"
        | "max_budget"
        | "budget_duration"
        | "itpm"
        | "otpm"
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
        | "client_id"
        | "client_secret"
        | "tenant_id"
        | "deployment_id"
        | "model_id"
        | "specific_deployment"
        | "ssl_verify"
        | "user_config" => true,
        _ => ["aws_", "vertex_"].iter().any(|prefix| key.starts_with(prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::route::{MODEL_ROUTES, RESPONSES};

    #[test]
    fn what_litellm_keeps_to_itself_is_reserved_and_what_servers_take_is_not() {
        let [chat, ..] = MODEL_ROUTES;
        for name in [
            "metadata", "no-log", "langfuse_secret_key", "aws_session_token", "client_secret",
            "mock_response", "litellm_session_id", "enable_prompt_caching", "base_url", "max_budget",
        ] {
            assert!(is_reserved(name, chat), "{name}");
        }
        for name in [
            "messages", "top_k", "chat_template_kwargs", "milvus_collection", "s3_uri", "azure_search",
            "data_sources", "cache_salt", "guided_json", "provider", "system_prompt",
        ] {
            assert!(!is_reserved(name, chat), "{name}");
        }
        let responses = MODEL_ROUTES.into_iter().find(|route| route.suffix == RESPONSES).unwrap();
        assert!(!is_reserved("metadata", responses));
    }
}
