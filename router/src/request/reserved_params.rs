//! Members of a body that no provider gets: those for the router, and those that only the
//! configuration may set (BEHAVIOUR 9.3).

use llm_balancer_config::is_litellms_own_member;

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
        // What the router reads.
        "fallbacks"
        | "context_window_fallbacks"
        | "content_policy_fallbacks"
        | "disable_fallbacks"
        | "model_list"
        | "routing_strategy" => true,
        _ => is_operators(key) || is_litellms_own_member(key),
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
            "metadata",
            "no-log",
            "langfuse_secret_key",
            "aws_session_token",
            "client_secret",
            "mock_response",
            "litellm_session_id",
            "enable_prompt_caching",
            "base_url",
            "max_budget",
            "tags",
            "timeout",
            "rpm",
            "extra_body",
            "fallbacks",
            "keepalive_seconds",
            "timeout_by_service_tier",
            "allow_client_keepalive_override",
            "stream_timeout_by_service_tier",
            "enable_tag_filtering",
            "id",
            "dd_api_key",
            "dd_site",
            "gcs_bucket_name",
            "gcs_path_service_account",
            "s3_secret_access_key",
            "s3_output_bucket_name",
            "azure_password",
            "azure_ad_token_provider",
            "signoz_ingestion_key",
            "weave_project_id",
            "bedrock_tags",
            "default_api_key_rpm_limit",
            "hf_model_name",
            "max_file_size_mb",
            "regional_endpoint_uplift_multiplier",
        ] {
            assert!(is_reserved(name, chat), "{name}");
        }
        for name in [
            "messages", "top_k", "chat_template_kwargs", "milvus_collection", "s3_uri", "azure_search",
            "data_sources", "cache_salt", "guided_json", "provider", "system_prompt", "ids", "image",
            "prompt", "file", "max_price", "cache_control", "s3_url", "encoding_format", "priority",
        ] {
            assert!(!is_reserved(name, chat), "{name}");
        }
        for price in [
            "input_cost_per_token",
            "output_cost_per_second_1080p",
            "cost_per_query",
            "cache_read_input_token_cost_flex",
            "cache_creation_input_audio_token_cost",
            "search_context_cost_per_query",
        ] {
            assert!(is_reserved(price, chat), "{price}");
        }
        let responses = MODEL_ROUTES.into_iter().find(|route| route.suffix == RESPONSES).unwrap();
        assert!(!is_reserved("metadata", responses));
    }
}
