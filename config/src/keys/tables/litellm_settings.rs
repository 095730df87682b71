//! `litellm_settings`.

use crate::keys::support::{Key, Table, applied, ignored, refused};

/// Keys of `litellm_settings`.
pub const LITELLM_SETTINGS: Table = Table { name: "litellm_settings", keys: KEYS, open: false };

const BUDGET: &str = "is a budget, which is not kept here";
const AT_PROVIDER: &str = "set the budget at the provider, and remove the key";
const METRICS: &str = "Envoy's metrics are at /stats/prometheus of the admin port";
const CALLBACK: &str = "has no effect: LiteLLM's callbacks do not run here";
const CACHE: &str = "has no effect: answers are not cached";
const IN_FRONT: &str = "put a cache in front";
const PASSED: &str = "has no effect: requests and answers are passed on as they come";
const LOGS: &str = "has no effect";
const LOG_LEVEL: &str = "use --log-level";
const KEYS_TEAMS: &str = "has no effect: there are no keys, users or teams here";
const REMOVE: &str = "remove it";

const KEYS: &[Key] = &[
    ignored("add_function_to_prompt", PASSED, REMOVE),
    ignored("add_user_information_to_llm_headers", KEYS_TEAMS, REMOVE),
    ignored("aiohttp_trust_env", LOGS, REMOVE),
    applied("allowed_fails", "as router_settings.allowed_fails, which goes first"),
    refused(
        "api_key",
        "is one key for all deployments, which is not served",
        "give each deployment its api_key",
    ),
    ignored("audit_log_callbacks", CALLBACK, METRICS),
    refused(
        "banned_keywords_list",
        "checks requests, which this gateway would pass unchecked",
        "check them elsewhere",
    ),
    refused(
        "blocked_user_list",
        "turns users away, which this gateway would serve",
        "turn them away elsewhere",
    ),
    refused("budget_duration", BUDGET, AT_PROVIDER),
    ignored("cache", CACHE, IN_FRONT),
    applied(
        "cache_params",
        "with `cache: true` and type redis, where Redis is if router_settings do not say so; answers are not cached",
    ),
    ignored("caching", CACHE, IN_FRONT),
    applied(
        "callbacks",
        "none runs; those that alter requests are refused, those that observe are warned about",
    ),
    applied("content_policy_fallbacks", "as router_settings.content_policy_fallbacks, which go first"),
    applied("context_window_fallbacks", "as router_settings.context_window_fallbacks, which go first"),
    ignored("cooldown_time", "has no effect here, as in LiteLLM", "it belongs in router_settings"),
    ignored("cost_discount_config", "has no effect: money is not counted here", REMOVE),
    ignored("custom_prometheus_metadata_labels", CALLBACK, METRICS),
    ignored("custom_prometheus_tags", CALLBACK, METRICS),
    refused(
        "custom_provider_map",
        "calls Python for a provider, which is not served",
        "put an OpenAI-compatible server in front of it, and write openai/<name> with its api_base",
    ),
    ignored("datadog_params", CALLBACK, METRICS),
    applied("default_fallbacks", "as router_settings.default_fallbacks, which go first"),
    ignored("default_in_memory_ttl", CACHE, IN_FRONT),
    ignored("default_internal_user_params", KEYS_TEAMS, REMOVE),
    ignored("default_key_generate_params", KEYS_TEAMS, REMOVE),
    ignored("default_max_internal_user_budget", KEYS_TEAMS, REMOVE),
    ignored("default_redis_batch_cache_expiry", CACHE, IN_FRONT),
    ignored("default_redis_ttl", CACHE, IN_FRONT),
    ignored("default_team_settings", KEYS_TEAMS, REMOVE),
    ignored("disable_add_transform_inline_image_block", PASSED, REMOVE),
    ignored("disable_aiohttp_transport", LOGS, REMOVE),
    applied(
        "disable_aiohttp_trust_env",
        "`true`: the forward proxies that the environment names are not used",
    ),
    ignored("disable_end_user_cost_tracking", "has no effect: money is not counted here", REMOVE),
    ignored("disable_stop_sequence_limit", PASSED, REMOVE),
    ignored(
        "drop_params",
        "drops nothing: requests are passed on as they come",
        "name members to remove in a deployment's additional_drop_params",
    ),
    ignored(
        "enable_json_schema_validation",
        "has no effect: answers are not checked against schemas",
        "let the client check them",
    ),
    ignored("enable_preview_features", LOGS, REMOVE),
    ignored("expose_router_debug_in_errors", LOGS, REMOVE),
    ignored("extra_spend_tag_headers", "has no effect: money is not counted here", REMOVE),
    applied("failure_callback", "as callbacks"),
    applied("fallbacks", "as router_settings.fallbacks, which go first"),
    ignored("force_ipv4", "has no effect: Envoy uses what DNS gives", REMOVE),
    ignored(
        "forward_traceparent_to_llm_provider",
        "has no effect: clients' headers are not passed on",
        "general_settings.forward_client_headers_to_llm_api passes x- headers on",
    ),
    refused(
        "guardrails",
        "checks requests or answers, which this gateway would pass unchecked",
        "check them elsewhere",
    ),
    ignored("include_cost_in_streaming_usage", PASSED, REMOVE),
    applied("input_callback", "as callbacks"),
    ignored("json_logs", "has no effect: the log is Envoy's", REMOVE),
    ignored("langfuse_default_tags", CALLBACK, METRICS),
    ignored("langsmith_batch_size", CALLBACK, METRICS),
    ignored("log_raw_request_response", LOGS, LOG_LEVEL),
    applied("master_key", "taken for general_settings.master_key, with a warning"),
    refused("max_budget", BUDGET, AT_PROVIDER),
    refused("max_end_user_budget", BUDGET, AT_PROVIDER),
    applied("max_fallbacks", "as router_settings.max_fallbacks, which goes first"),
    refused("max_internal_user_budget", BUDGET, AT_PROVIDER),
    refused("max_user_budget", BUDGET, AT_PROVIDER),
    ignored(
        "model_alias_map",
        "has no effect here",
        "router_settings.model_group_alias gives groups other names",
    ),
    applied("model_group_alias", "as router_settings.model_group_alias, with a warning"),
    ignored(
        "model_group_settings",
        "has no effect: headers are forwarded for all groups or none",
        "use general_settings.forward_client_headers_to_llm_api",
    ),
    ignored("modify_params", PASSED, REMOVE),
    applied("num_retries", "as router_settings.num_retries, which goes first"),
    refused("output_parse_pii", "masks personal data, which this gateway would pass on", "mask it elsewhere"),
    refused(
        "post_call_rules",
        "runs Python on answers, which this gateway would pass unchecked",
        "check them elsewhere",
    ),
    refused(
        "pre_call_rules",
        "runs Python on requests, which this gateway would pass unchecked",
        "check them elsewhere",
    ),
    refused(
        "presidio_ad_hoc_recognizers",
        "masks personal data, which this gateway would pass on",
        "mask it elsewhere",
    ),
    ignored("priority_reservation", "has no effect: requests have no priorities here", REMOVE),
    ignored("prometheus_initialize_budget_metrics", CALLBACK, METRICS),
    ignored("prometheus_metrics_config", CALLBACK, METRICS),
    ignored("public_model_groups", LOGS, REMOVE),
    ignored("redact_messages_in_exceptions", "has no effect: messages are not logged", REMOVE),
    ignored("redact_user_api_key_info", KEYS_TEAMS, REMOVE),
    applied("request_timeout", "seconds an attempt may take, before router_settings.timeout"),
    ignored(
        "require_auth_for_metrics_endpoint",
        "has no effect: metrics are on the admin port, which is on loopback",
        REMOVE,
    ),
    ignored("return_response_headers", LOGS, REMOVE),
    ignored("s3_callback_params", CALLBACK, METRICS),
    applied("service_callback", "as callbacks"),
    ignored("set_verbose", LOGS, LOG_LEVEL),
    applied("ssl_certificate", "refused: client certificates are not served"),
    applied("ssl_verify", "for deployments that do not say themselves"),
    ignored("store_audit_logs", LOGS, LOG_LEVEL),
    applied("success_callback", "as callbacks"),
    ignored("suppress_debug_info", LOGS, LOG_LEVEL),
    ignored("telemetry", "has no effect: nothing is sent home", REMOVE),
    ignored("turn_off_message_logging", "has no effect: messages are not logged", REMOVE),
    ignored("upperbound_key_generate_params", KEYS_TEAMS, REMOVE),
    ignored("use_aiohttp_transport", LOGS, REMOVE),
];
