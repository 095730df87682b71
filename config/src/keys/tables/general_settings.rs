//! `general_settings`.

use crate::keys::support::{Key, Table, applied, budget, ignored, refused};

/// Keys of `general_settings`.
pub(crate) const GENERAL_SETTINGS: Table = Table { name: "general_settings", keys: KEYS, open: false };

const DATABASE: &str =
    "has no effect: no database, so no keys, users, teams or models are stored, and spend is not tracked";
const FILE_ONLY: &str = "the file is the whole configuration; protect the gateway with master_key";
const SPEND: &str = "has no effect: spend is not tracked";
const REQUEST_LOG: &str = "remove it";
const HEALTH: &str = "has no effect: the health of a deployment is known from the responses to real requests";
const ALERTS: &str = "has no effect: no alerts are sent";
const ON_METRICS: &str = "alert on the metrics at /stats/prometheus of Envoy's admin port";
const UI: &str = "has no effect: no user interface";
const REMOVE: &str = "remove it";
const OPEN_DOOR: &str = "unsupported authentication: the gateway would be open without it";
const USE_MASTER_KEY: &str = "use master_key, or authenticate in front of this gateway";

const KEYS: &[Key] = &[
    ignored("admission_queue_timeout_seconds", "has no effect: requests are not queued", REMOVE),
    ignored("alert_to_webhook_url", ALERTS, ON_METRICS),
    ignored("alert_types", ALERTS, ON_METRICS),
    ignored("alerting", ALERTS, ON_METRICS),
    ignored("alerting_args", ALERTS, ON_METRICS),
    ignored("alerting_threshold", ALERTS, ON_METRICS),
    refused(
        "allow_client_side_credentials",
        "unsupported: credentials of clients never reach a provider",
        "put the credentials in the file",
    ),
    ignored("allow_requests_on_db_unavailable", DATABASE, FILE_ONLY),
    refused("allowed_file_extensions", "unsupported: uploads would pass unchecked", "check them elsewhere"),
    refused("allowed_ips", OPEN_DOOR, "allow addresses in a firewall or a network policy"),
    refused("allowed_routes", OPEN_DOOR, "allow paths in a gateway in front"),
    ignored("background_health_checks", HEALTH, REMOVE),
    refused("blocked_file_extensions", "unsupported: uploads would pass unchecked", "check them elsewhere"),
    budget("budget_duration"),
    ignored(
        "cancel_on_disconnect",
        "has no effect: a request always ends when its client disconnects",
        REMOVE,
    ),
    refused(
        "completion_model",
        "replacing the model of every request is not supported",
        "use router_settings.model_group_alias",
    ),
    ignored("coordination_redis", "has no effect here", "set redis_url in router_settings"),
    refused("custom_auth", OPEN_DOOR, USE_MASTER_KEY),
    refused("custom_auth_run_common_checks", OPEN_DOOR, USE_MASTER_KEY),
    refused("custom_key_generate", OPEN_DOOR, USE_MASTER_KEY),
    ignored("custom_ui_sso_sign_in_handler", UI, REMOVE),
    applied(
        "dangerously_allow_mock_testing_request_params",
        "`false` rejects mock_testing_ members of requests",
    ),
    ignored(
        "dangerously_permit_weak_or_unset_master_key",
        "has no effect: a weak key is a warning, and without a key the gateway listens on loopback only",
        "set a long random master_key",
    ),
    ignored("database_args", DATABASE, FILE_ONLY),
    ignored("database_connect_timeout", DATABASE, FILE_ONLY),
    ignored("database_connection_pool_limit", DATABASE, FILE_ONLY),
    ignored("database_connection_timeout", DATABASE, FILE_ONLY),
    ignored("database_type", DATABASE, FILE_ONLY),
    ignored("database_url", DATABASE, FILE_ONLY),
    ignored("debug", "has no effect", "use --log-level"),
    ignored("disable_adding_master_key_hash_to_db", DATABASE, REMOVE),
    ignored("disable_error_logs", SPEND, REQUEST_LOG),
    ignored("disable_master_key_return", DATABASE, REMOVE),
    ignored("disable_prisma_schema_update", DATABASE, REMOVE),
    ignored("disable_reset_budget", DATABASE, REMOVE),
    ignored(
        "disable_retry_on_max_parallel_request_limit_error",
        "has no effect: a deployment at its limit is not selected",
        REMOVE,
    ),
    ignored("disable_spend_logs", SPEND, REQUEST_LOG),
    ignored(
        "drop_params",
        "has no effect: requests are passed on unchanged",
        "list members to remove in a deployment's additional_drop_params",
    ),
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
    applied("forward_client_headers_to_llm_api", "x- headers of clients reach the provider"),
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
    refused(
        "key_management_settings",
        "reading secrets from a vault is not supported",
        "put the secrets into the environment",
    ),
    refused(
        "key_management_system",
        "reading secrets from a vault is not supported",
        "put the secrets into the environment",
    ),
    refused("litellm_jwtauth", OPEN_DOOR, "verify tokens in front of this gateway"),
    ignored(
        "litellm_key_header_name",
        "has no effect: authorization, x-api-key and api-key are read",
        "send the key in one of those headers",
    ),
    applied(
        "master_key",
        "required on every route but liveliness and readiness; LITELLM_MASTER_KEY if unset",
    ),
    budget("max_budget"),
    refused(
        "max_parallel_requests",
        "limiting requests in flight per key is not supported",
        "use max_parallel_requests of the deployments",
    ),
    applied("max_request_size_mb", "as llm_balancer.max_body_mb, which overrides it"),
    ignored("max_response_size_mb", "has no effect: responses are not limited", REMOVE),
    ignored("maximum_spend_logs_retention_period", SPEND, REQUEST_LOG),
    ignored("model_list_healthy_only", HEALTH, REMOVE),
    ignored("otel", "has no effect: no traces are exported", REQUEST_LOG),
    ignored(
        "pass_through_endpoints",
        "has no effect: only OpenAI's routes are served",
        "call those providers directly, or route them in front of this gateway",
    ),
    ignored("proxy_batch_polling_interval", SPEND, REMOVE),
    ignored("proxy_batch_write_at", SPEND, REQUEST_LOG),
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
    ignored("return_wildcard_routes", "has no effect: listings show the groups of the file", REMOVE),
    ignored("spend_logs_metadata_fields", SPEND, REQUEST_LOG),
    ignored("store_model_in_db", DATABASE, FILE_ONLY),
    ignored("store_prompts_in_spend_logs", SPEND, REQUEST_LOG),
    ignored("ui_access_mode", UI, REMOVE),
    ignored(
        "use_azure_key_vault",
        "reading secrets from a vault is not supported",
        "put the secrets into the environment",
    ),
    ignored(
        "use_client_credentials_pass_through_routes",
        "has no effect: only OpenAI's routes are served",
        REMOVE,
    ),
    ignored(
        "use_google_kms",
        "reading secrets from a vault is not supported",
        "put the secrets into the environment",
    ),
    ignored("use_redis_transaction_buffer", DATABASE, REMOVE),
    ignored("use_x_forwarded_for", "has no effect: client addresses are not used", REMOVE),
    ignored("user_api_key_cache_ttl", DATABASE, REMOVE),
    ignored("user_header_mappings", "has no effect: no users", REMOVE),
    ignored("user_header_name", "has no effect: no users", REMOVE),
];
