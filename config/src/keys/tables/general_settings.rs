//! `general_settings`.

use crate::keys::phrases::{
    ALERT_ON_METRICS, CHECK_ELSEWHERE, HEALTH, LOG_LEVEL, NO_DATABASE, NO_QUEUE, NO_UI, NO_USERS, NO_VAULT,
    REMOVE, USE_ENVIRONMENT,
};
use crate::keys::support::{Key, Table, applied, budget, ignored, refused, without_ignored};

/// Keys of `general_settings`.
pub(crate) const GENERAL_SETTINGS: Table =
    Table { name: "general_settings", keys: without_ignored!(KEYS), open: false };

const FILE_ONLY: &str = "the file is the whole configuration; protect the gateway with master_key";
const SPEND: &str = "has no effect: spend is not tracked";
const ALERTS: &str = "has no effect: no alerts are sent";
const OPEN_DOOR: &str = "unsupported authentication: the gateway would be open without it";
const USE_MASTER_KEY: &str = "use master_key, or authenticate in front of this gateway";

const KEYS: &[Key] = &[
    ignored("admission_queue_timeout_seconds", NO_QUEUE, REMOVE),
    ignored("alert_to_webhook_url", ALERTS, ALERT_ON_METRICS),
    ignored("alert_types", ALERTS, ALERT_ON_METRICS),
    ignored("alerting", ALERTS, ALERT_ON_METRICS),
    ignored("alerting_args", ALERTS, ALERT_ON_METRICS),
    ignored("alerting_threshold", ALERTS, ALERT_ON_METRICS),
    refused(
        "allow_client_side_credentials",
        "unsupported: credentials of clients never reach a provider",
        "put the credentials in the file",
    ),
    ignored("allow_requests_on_db_unavailable", NO_DATABASE, FILE_ONLY),
    refused("allowed_file_extensions", "unsupported: uploads would pass unchecked", CHECK_ELSEWHERE),
    refused("allowed_ips", OPEN_DOOR, "allow addresses in a firewall or a network policy"),
    refused("allowed_routes", OPEN_DOOR, "allow paths in a gateway in front"),
    applied(
        "always_include_stream_usage",
        "`true`: streams of chats and completions end with their usage, unless the request sets `stream_options.include_usage`",
    ),
    ignored("background_health_checks", HEALTH, REMOVE),
    refused("blocked_file_extensions", "unsupported: uploads would pass unchecked", CHECK_ELSEWHERE),
    budget("budget_duration"),
    ignored("cancel_on_disconnect", "has no effect: requests end when the client disconnects", REMOVE),
    refused(
        "completion_model",
        "replacing the model of every request is not supported",
        "use router_settings.model_group_alias",
    ),
    applied(
        "coordination_redis",
        "the Redis in which instances share what they count, with the keys of cache_params, unless router_settings has one",
    ),
    refused("custom_auth", OPEN_DOOR, USE_MASTER_KEY),
    refused("custom_auth_run_common_checks", OPEN_DOOR, USE_MASTER_KEY),
    refused("custom_key_generate", OPEN_DOOR, USE_MASTER_KEY),
    ignored("custom_ui_sso_sign_in_handler", NO_UI, REMOVE),
    applied("dangerously_allow_mock_testing_request_params", "`false` rejects mock_testing_ members"),
    ignored(
        "dangerously_permit_weak_or_unset_master_key",
        "has no effect: a weak key is a warning, and without a key the gateway listens on loopback only",
        "set a long random master_key",
    ),
    ignored("database_args", NO_DATABASE, FILE_ONLY),
    ignored("database_connect_timeout", NO_DATABASE, FILE_ONLY),
    ignored("database_connection_pool_limit", NO_DATABASE, FILE_ONLY),
    ignored("database_connection_timeout", NO_DATABASE, FILE_ONLY),
    ignored("database_type", NO_DATABASE, FILE_ONLY),
    ignored("database_url", NO_DATABASE, FILE_ONLY),
    ignored("debug", "has no effect", LOG_LEVEL),
    ignored("disable_adding_master_key_hash_to_db", NO_DATABASE, REMOVE),
    ignored("disable_error_logs", SPEND, REMOVE),
    ignored("disable_master_key_return", NO_DATABASE, REMOVE),
    ignored("disable_prisma_schema_update", NO_DATABASE, REMOVE),
    ignored("disable_reset_budget", NO_DATABASE, REMOVE),
    ignored(
        "disable_retry_on_max_parallel_request_limit_error",
        "has no effect: a deployment at its limit is not selected",
        REMOVE,
    ),
    ignored("disable_spend_logs", SPEND, REMOVE),
    ignored("drop_params", "has no effect here, as in LiteLLM", "move it to litellm_settings"),
    refused("enable_jwt_auth", OPEN_DOOR, "verify tokens in front of this gateway"),
    refused("enable_oauth2_auth", OPEN_DOOR, "verify tokens in front of this gateway"),
    refused("enable_oauth2_proxy_auth", OPEN_DOOR, "verify tokens in front of this gateway"),
    ignored(
        "enforce_user_param",
        "has no effect: requests are not required to name a user",
        "require it in front of this gateway",
    ),
    ignored(
        "enforced_params",
        "has no effect: no parameters are required",
        "require them in front of this gateway",
    ),
    applied(
        "forward_client_headers_to_llm_api",
        "x- headers of clients reach the provider, but none with a key, no x-request-id, and none that begins \
         with x-litellm-, x-llm-, x-envoy-, x-forwarded- or x-stainless-",
    ),
    refused(
        "forward_llm_provider_auth_headers",
        "unsupported: credentials of clients never reach a provider",
        "put the credentials in the file",
    ),
    ignored("forward_openai_org_id", "has no effect", "set organization in litellm_params"),
    refused(
        "global_max_parallel_requests",
        "limiting requests in flight over all models is not supported",
        "use max_parallel_requests of the deployments",
    ),
    ignored("health_check_concurrency", HEALTH, REMOVE),
    ignored("health_check_details", HEALTH, REMOVE),
    ignored("health_check_interval", HEALTH, REMOVE),
    ignored("infer_model_from_keys", "has no effect: /v1/models lists the groups of the file", REMOVE),
    refused("key_management_settings", NO_VAULT, USE_ENVIRONMENT),
    refused("key_management_system", NO_VAULT, USE_ENVIRONMENT),
    refused("litellm_jwtauth", OPEN_DOOR, "verify tokens in front of this gateway"),
    applied("litellm_key_header_name", "one more header for the key of clients"),
    applied("master_key", "required on all routes but liveliness and readiness; LITELLM_MASTER_KEY if unset"),
    budget("max_budget"),
    refused(
        "max_in_flight_requests_per_worker",
        "limiting requests in flight over all models is not supported",
        "use max_parallel_requests of the deployments",
    ),
    refused(
        "max_parallel_requests",
        "limiting requests in flight per key is not supported",
        "use max_parallel_requests of the deployments",
    ),
    ignored("max_queued_requests_per_worker", "has no effect: requests are not queued", REMOVE),
    applied("max_request_size_mb", "as llm_balancer.max_body_mb, which overrides it"),
    ignored("max_response_size_mb", "has no effect: responses are not limited", REMOVE),
    ignored("maximum_spend_logs_retention_period", SPEND, REMOVE),
    ignored("model_list_healthy_only", HEALTH, REMOVE),
    ignored("otel", "has no effect: no traces are exported", REMOVE),
    ignored(
        "pass_through_endpoints",
        "has no effect: only OpenAI's routes are served",
        "call those providers directly, or route them in front of this gateway",
    ),
    ignored("proxy_batch_polling_interval", SPEND, REMOVE),
    ignored("proxy_batch_write_at", SPEND, REMOVE),
    ignored("proxy_budget_rescheduler_max_time", SPEND, REMOVE),
    ignored("proxy_budget_rescheduler_min_time", SPEND, REMOVE),
    applied("redis_db", "used as router_settings.redis_db, with a warning"),
    applied("redis_host", "used as router_settings.redis_host, with a warning"),
    applied("redis_password", "used as router_settings.redis_password, with a warning"),
    applied("redis_port", "used as router_settings.redis_port, with a warning"),
    applied("redis_ssl", "used as router_settings.redis_ssl, with a warning"),
    applied("redis_ssl_ca_certs", "used as router_settings.redis_ssl_ca_certs, with a warning"),
    applied("redis_ssl_cert_reqs", "used as router_settings.redis_ssl_cert_reqs, with a warning"),
    applied("redis_url", "used as router_settings.redis_url, with a warning"),
    applied("redis_username", "used as router_settings.redis_username, with a warning"),
    refused(
        "reject_clientside_metadata_tags",
        "unsupported: the gateway routes by the tags of clients",
        "remove the tags in front of this gateway",
    ),
    applied("request_timeout", "used as litellm_settings.request_timeout, with a warning"),
    ignored(
        "return_wildcard_routes",
        "has no effect here",
        "add ?return_wildcard_routes=true to the URL of the listing",
    ),
    ignored("role_permissions", "has no effect: only LiteLLM's JWT authentication applies them", REMOVE),
    ignored("spend_logs_metadata_fields", SPEND, REMOVE),
    ignored("store_model_in_db", NO_DATABASE, FILE_ONLY),
    ignored("store_prompts_in_spend_logs", SPEND, REMOVE),
    ignored("ui_access_mode", NO_UI, REMOVE),
    ignored("use_azure_key_vault", NO_VAULT, USE_ENVIRONMENT),
    ignored("use_client_credentials_pass_through_routes", "has no effect: no pass-through routes", REMOVE),
    ignored("use_google_kms", NO_VAULT, USE_ENVIRONMENT),
    ignored("use_redis_transaction_buffer", NO_DATABASE, REMOVE),
    ignored("use_x_forwarded_for", "has no effect: client addresses are not used", REMOVE),
    ignored("user_api_key_cache_ttl", NO_DATABASE, REMOVE),
    ignored("user_header_mappings", NO_USERS, REMOVE),
    ignored("user_header_name", NO_USERS, REMOVE),
];
