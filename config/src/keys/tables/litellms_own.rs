//! Names that LiteLLM keeps for itself wherever it finds them, in `litellm_params` and in a request.

use super::LITELLM_PARAMS;

/// Whether a member of a client's body stays here (`all_litellm_params` of LiteLLM 1.106): a key of
/// `litellm_params`, a price, or a setting of one of LiteLLM's other features. `metadata` is a key of
/// `litellm_params` that some providers take.
pub fn is_litellms_own_member(name: &str) -> bool {
    // Names are short: not worth the search that `contains` prepares.
    let is_price = || name.as_bytes().windows(PRICE.len()).any(|part| part == PRICE);
    is_litellms_own(name)
        || LITELLM_PARAMS.find(name).is_some()
        || name == "id"
        || begins_with(name, &BEGINNINGS_OF_MEMBERS)
        || is_price()
}

/// Whether a parameter of this name stays here wherever it comes from: a setting of one of LiteLLM's
/// other features, or one by which it makes its request. Prices and the keys of `litellm_params` are
/// not among them.
fn is_litellms_own(name: &str) -> bool {
    begins_with(name, &BEGINNINGS) || NAMES.binary_search(&name).is_ok()
}

/// The same for a key of `litellm_params`, where more beginnings can only be LiteLLM's.
pub(crate) fn is_litellms_own_key(name: &str) -> bool {
    is_litellms_own(name) || begins_with(name, &BEGINNINGS_OF_KEYS)
}

fn begins_with(name: &str, beginnings: &[&str]) -> bool {
    let first = name.as_bytes().first();
    beginnings.iter().any(|with| with.as_bytes().first() == first && name.starts_with(with))
}

const BEGINNINGS: [&str; 20] = [
    "_agentic_loop_", "_code_interpreter_", "_litellm_", "_websearch_", "adaptive_router_",
    "anthropic_federation_", "anthropic_identity_", "anthropic_issuer_", "anthropic_keycloak_", "arize_",
    "auto_router_", "aws_", "complexity_router_", "langfuse_", "langsmith_", "litellm_", "mock_", "posthog_",
    "quality_router_", "vertex_",
];

const BEGINNINGS_OF_KEYS: [&str; 11] = [
    "azure_", "bedrock_", "dd_", "gcs_", "milvus_", "regional_", "s3_", "signoz_", "token_exchange_",
    "valkey_", "weave_",
];

/// Part of the names of prices.
const PRICE: &[u8] = b"cost_per_";

/// Of members, which servers have more of: `azure_search`, `s3_uri`.
const BEGINNINGS_OF_MEMBERS: [&str; 22] = [
    "azure_ad_", "bedrock_tags", "cache_creation_input_", "cache_read_input_", "dd_agent_", "dd_api_key",
    "dd_site", "default_api_key_", "enable_tag_filtering", "gcs_bucket_", "gcs_path_", "regional_endpoint_",
    "regional_processing_", "s3_access_", "s3_bucket_", "s3_encryption_", "s3_endpoint_",
    "s3_output_bucket_", "s3_region_", "s3_secret_", "signoz_", "weave_project_",
];

/// Sorted.
const NAMES: &[&str] = &[
    "_context_compaction_state",
    "_headroom_interception_converted_stream",
    "_router_weights",
    "acompletion",
    "aembedding",
    "aimg_generation",
    "allm_passthrough_route",
    "allowed_model_region",
    "anthropic_disable_workload_identity_federation",
    "anthropic_organization_id",
    "anthropic_service_account_id",
    "assistant_continue_message",
    "async_call",
    "atext_completion",
    "attempted_targets",
    "azure",
    "bos_token",
    "bucket_name",
    "cache_key",
    "caching",
    "caching_groups",
    "client",
    "client_side_timeout",
    "complete_response",
    "completion_call_id",
    "context_window_fallback_dict",
    "custom_prompt_dict",
    "data_residency",
    "default_headers",
    "disable_add_transform_inline_image_block",
    "enable_json_schema_validation",
    "enable_prompt_caching",
    "ensure_alternating_roles",
    "eos_token",
    "fallback_depth",
    "fastest_response",
    "final_prompt_value",
    "fireworks_forward_user_id",
    "force_timeout",
    "humanloop_api_key",
    "log_client_error_tracebacks",
    "logger_fn",
    "max_agentic_loops",
    "max_fallbacks",
    "model_alias_map",
    "model_config",
    "model_file_id_mapping",
    "model_list",
    "newrelic_api_key",
    "newrelic_region",
    "no-log",
    "openai_identity_provider_id",
    "openai_identity_token_file",
    "openai_service_account_id",
    "output_vector_size",
    "policies",
    "preset_cache_key",
    "prompt_environment",
    "prompt_label",
    "prompt_variables",
    "prompt_version",
    "provider_affinity_header",
    "provider_specific_header",
    "proxy_server_request",
    "retry_policy",
    "retry_strategy",
    "roles",
    "rust",
    "search_tool_name",
    "secret_fields",
    "self",
    "shared_session",
    "stream_chunk_size",
    "stream_response",
    "supports_system_message",
    "text_completion",
    "tiered_pricing",
    "ttl",
    "turn_off_message_logging",
    "use_client",
    "use_xai_oauth",
    "user_continue_message",
    "vector_store_id",
    "verbose",
    "wandb_api_key",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_and_none_has_a_beginning_of_its_kind() {
        assert!(NAMES.is_sorted_by(|a, b| a < b));
        for name in NAMES {
            assert!(!begins_with(name, &BEGINNINGS) && !begins_with(name, &BEGINNINGS_OF_KEYS), "{name}");
        }
    }
}
