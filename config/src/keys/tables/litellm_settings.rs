//! `litellm_settings`.

use crate::keys::support::{Key, Table, applied, budget, ignored, refused};

/// Keys of `litellm_settings`.
pub(crate) const LITELLM_SETTINGS: Table = Table { name: "litellm_settings", keys: KEYS, open: false };

const METRICS: &str = "metrics are at /stats/prometheus of Envoy's admin port";
const CALLBACK: &str = "has no effect: callbacks of LiteLLM do not run here";
const CACHE: &str = "has no effect: responses are not cached";
const IN_FRONT: &str = "put a cache in front";
const PASSED: &str = "has no effect: requests and responses are passed on unchanged";
const LOGS: &str = "has no effect";
const LOG_LEVEL: &str = "use --log-level";
const KEYS_TEAMS: &str = "has no effect: no keys, users or teams";
const REMOVE: &str = "remove it";

const KEYS: &[Key] = &[
    ignored("add_function_to_prompt", PASSED, REMOVE),
    ignored("add_user_information_to_llm_headers", KEYS_TEAMS, REMOVE),
    ignored("aiohttp_trust_env", LOGS, REMOVE),
    applied("allowed_fails", "as router_settings.allowed_fails, which overrides it"),
    refused("api_key", "one key for all deployments is not supported", "set the api_key of each deployment"),
    ignored("audit_log_callbacks", CALLBACK, METRICS),
    refused("banned_keywords_list", "unsupported: requests would pass unchecked", "check them elsewhere"),
    refused("blocked_user_list", "unsupported: blocked users would be served", "block them elsewhere"),
    budget("budget_duration"),
    ignored("cache", CACHE, IN_FRONT),
    applied(
        "cache_params",
        "with `cache: true` and type redis: the address of Redis, unless router_settings has one; responses are not cached",
    ),
    ignored("caching", CACHE, IN_FRONT),
    applied(
        "callbacks",
        "none runs; those that alter requests are refused, those that observe are ignored with a warning",
    ),
    applied("content_policy_fallbacks", "as router_settings.content_policy_fallbacks, which override it"),
    applied("context_window_fallbacks", "as router_settings.context_window_fallbacks, which override it"),
    ignored("cooldown_time", "has no effect here, as in LiteLLM", "move it to router_settings"),
    ignored("cost_discount_config", "has no effect: costs are not tracked", REMOVE),
    ignored("custom_prometheus_metadata_labels", CALLBACK, METRICS),
    ignored("custom_prometheus_tags", CALLBACK, METRICS),
    refused(
        "custom_provider_map",
        "providers in Python are not supported",
        "put an OpenAI-compatible server in front of it, and write openai/<name> with its api_base",
    ),
    ignored("datadog_params", CALLBACK, METRICS),
    applied("default_fallbacks", "as router_settings.default_fallbacks, which override it"),
    ignored("default_in_memory_ttl", CACHE, IN_FRONT),
    ignored("default_internal_user_params", KEYS_TEAMS, REMOVE),
    ignored("default_key_generate_params", KEYS_TEAMS, REMOVE),
    ignored("default_max_internal_user_budget", KEYS_TEAMS, REMOVE),
    ignored("default_redis_batch_cache_expiry", CACHE, IN_FRONT),
    ignored("default_redis_ttl", CACHE, IN_FRONT),
    ignored("default_team_settings", KEYS_TEAMS, REMOVE),
    ignored("disable_add_transform_inline_image_block", PASSED, REMOVE),
    ignored("disable_aiohttp_transport", LOGS, REMOVE),
    applied("disable_aiohttp_trust_env", "`true` disables the forward proxies of the environment"),
    ignored("disable_end_user_cost_tracking", "has no effect: costs are not tracked", REMOVE),
    ignored("disable_stop_sequence_limit", PASSED, REMOVE),
    ignored(
        "drop_params",
        "has no effect: requests are passed on unchanged",
        "list members to remove in a deployment's additional_drop_params",
    ),
    ignored(
        "enable_json_schema_validation",
        "has no effect: responses are not validated",
        "let the client validate them",
    ),
    ignored("enable_preview_features", LOGS, REMOVE),
    ignored("expose_router_debug_in_errors", LOGS, REMOVE),
    ignored("extra_spend_tag_headers", "has no effect: costs are not tracked", REMOVE),
    applied("failure_callback", "as callbacks"),
    applied("fallbacks", "as router_settings.fallbacks, which override it"),
    ignored("force_ipv4", "has no effect: Envoy uses the addresses from DNS", REMOVE),
    ignored(
        "forward_traceparent_to_llm_provider",
        "has no effect: headers of clients are not passed on",
        "set general_settings.forward_client_headers_to_llm_api for x- headers",
    ),
    refused("guardrails", "unsupported: requests and responses would pass unchecked", "check them elsewhere"),
    ignored("include_cost_in_streaming_usage", PASSED, REMOVE),
    applied("input_callback", "as callbacks"),
    ignored("json_logs", "has no effect: Envoy writes the log", REMOVE),
    ignored("langfuse_default_tags", CALLBACK, METRICS),
    ignored("langsmith_batch_size", CALLBACK, METRICS),
    ignored("log_raw_request_response", LOGS, LOG_LEVEL),
    applied("master_key", "used as general_settings.master_key, with a warning"),
    budget("max_budget"),
    budget("max_end_user_budget"),
    applied("max_fallbacks", "as router_settings.max_fallbacks, which overrides it"),
    budget("max_internal_user_budget"),
    budget("max_user_budget"),
    ignored("model_alias_map", "has no effect here", "use router_settings.model_group_alias"),
    applied("model_group_alias", "as router_settings.model_group_alias, with a warning"),
    ignored(
        "model_group_settings",
        "has no effect: headers are forwarded for all groups or none",
        "use general_settings.forward_client_headers_to_llm_api",
    ),
    ignored("modify_params", PASSED, REMOVE),
    applied("num_retries", "as router_settings.num_retries, which overrides it"),
    refused("output_parse_pii", "unsupported: personal data would not be masked", "mask it elsewhere"),
    refused("post_call_rules", "unsupported: responses would pass unchecked", "check them elsewhere"),
    refused("pre_call_rules", "unsupported: requests would pass unchecked", "check them elsewhere"),
    refused(
        "presidio_ad_hoc_recognizers",
        "unsupported: personal data would not be masked",
        "mask it elsewhere",
    ),
    ignored("priority_reservation", "has no effect: requests have no priorities", REMOVE),
    ignored("prometheus_initialize_budget_metrics", CALLBACK, METRICS),
    ignored("prometheus_metrics_config", CALLBACK, METRICS),
    ignored("public_model_groups", LOGS, REMOVE),
    ignored("redact_messages_in_exceptions", "has no effect: messages are not logged", REMOVE),
    ignored("redact_user_api_key_info", KEYS_TEAMS, REMOVE),
    applied("request_timeout", "seconds per attempt; overrides router_settings.timeout"),
    ignored(
        "require_auth_for_metrics_endpoint",
        "has no effect: metrics are on the admin port, on loopback only",
        REMOVE,
    ),
    ignored("return_response_headers", LOGS, REMOVE),
    ignored("s3_callback_params", CALLBACK, METRICS),
    applied("service_callback", "as callbacks"),
    ignored("set_verbose", LOGS, LOG_LEVEL),
    applied("ssl_certificate", "refused: client certificates are not supported"),
    applied("ssl_verify", "for deployments without their own"),
    ignored("store_audit_logs", LOGS, LOG_LEVEL),
    applied("success_callback", "as callbacks"),
    ignored("suppress_debug_info", LOGS, LOG_LEVEL),
    ignored("telemetry", "has no effect: no telemetry is sent", REMOVE),
    ignored("turn_off_message_logging", "has no effect: messages are not logged", REMOVE),
    ignored("upperbound_key_generate_params", KEYS_TEAMS, REMOVE),
    ignored("use_aiohttp_transport", LOGS, REMOVE),
];
