//! `general_settings`.

use crate::keys::support::{Key, Table, applied, ignored, refused};

/// Keys of `general_settings`.
pub const GENERAL_SETTINGS: Table = Table { name: "general_settings", keys: KEYS, open: false };

const DATABASE: &str = "has no effect: there is no database, so no keys, users, teams or models are stored, and spend is not kept";
const FILE_ONLY: &str = "the file is the whole configuration; guard the gateway with master_key";
const SPEND: &str = "has no effect: spend is not kept";
const REQUEST_LOG: &str = "remove it";
const HEALTH: &str = "has no effect: deployments are judged by the answers to real requests";
const ALERTS: &str = "has no effect: no alerts are sent";
const ON_METRICS: &str = "alert on Envoy's metrics at /stats/prometheus of the admin port";
const UI: &str = "has no effect: there is no user interface";
const REMOVE: &str = "remove it";
const OPEN_DOOR: &str = "guards the gateway in a way that is not served, and it would stand open";
const USE_MASTER_KEY: &str = "use master_key, or authenticate in front of this gateway";

const KEYS: &[Key] = &[
    ignored("admission_queue_timeout_seconds", "has no effect: requests do not queue", REMOVE),
    ignored("alert_to_webhook_url", ALERTS, ON_METRICS),
    ignored("alert_types", ALERTS, ON_METRICS),
    ignored("alerting", ALERTS, ON_METRICS),
    ignored("alerting_args", ALERTS, ON_METRICS),
    ignored("alerting_threshold", ALERTS, ON_METRICS),
    refused(
        "allow_client_side_credentials",
        "lets clients choose credentials, and theirs never reach a provider here",
        "put the credentials in the file",
    ),
    ignored("allow_requests_on_db_unavailable", DATABASE, FILE_ONLY),
    refused(
        "allowed_file_extensions",
        "turns uploads away, which this gateway would pass on",
        "check them elsewhere",
    ),
    refused("allowed_ips", OPEN_DOOR, "allow addresses in a firewall or a network policy"),
    refused("allowed_routes", OPEN_DOOR, "allow paths in a gateway in front"),
    ignored("background_health_checks", HEALTH, REMOVE),
    refused(
        "blocked_file_extensions",
        "turns uploads away, which this gateway would pass on",
        "check them elsewhere",
    ),
    refused(
        "budget_duration",
        "is a budget, which is not kept here",
        "set the budget at the provider, and remove the key",
    ),
    ignored("cancel_on_disconnect", "has no effect: a request ends when its client is gone", REMOVE),
    refused(
        "completion_model",
        "replaces the model of every request, which is not served",
        "use router_settings.model_group_alias",
    ),
    ignored("coordination_redis", "has no effect here", "give redis_url in router_settings"),
    refused("custom_auth", OPEN_DOOR, USE_MASTER_KEY),
    refused("custom_auth_run_common_checks", OPEN_DOOR, USE_MASTER_KEY),
    refused("custom_key_generate", OPEN_DOOR, USE_MASTER_KEY),
    ignored("custom_ui_sso_sign_in_handler", UI, REMOVE),
    applied(
        "dangerously_allow_mock_testing_request_params",
        "`false` refuses mock_testing_ members of requests",
    ),
    ignored(
        "dangerously_permit_weak_or_unset_master_key",
        "has no effect: a weak key is warned about, and no key means loopback only",
        "set a master_key that nobody can guess",
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
        "has no effect: a full deployment is passed over",
        REMOVE,
    ),
    ignored("disable_spend_logs", SPEND, REQUEST_LOG),
    ignored(
        "drop_params",
        "drops nothing: requests are passed on as they come",
        "name members to remove in a deployment's additional_drop_params",
    ),
    refused("enable_jwt_auth", OPEN_DOOR, "verify tokens in front of this gateway"),
    refused("enable_oauth2_auth", OPEN_DOOR, "verify tokens in front of this gateway"),
    refused("enable_oauth2_proxy_auth", OPEN_DOOR, "verify tokens in front of this gateway"),
    ignored(
        "enforce_user_param",
        "has no effect: requests need no user",
        "ask for it in front of this gateway",
    ),
    ignored(
        "enforced_params",
        "has no effect: parameters are not asked for",
        "ask for them in front of this gateway",
    ),
    applied("forward_client_headers_to_llm_api", "clients' x- headers reach the provider"),
    ignored("forward_openai_org_id", "has no effect", "set organization in litellm_params"),
    refused(
        "global_max_parallel_requests",
        "limits requests in flight over all models, which is not served",
        "use max_parallel_requests of the deployments",
    ),
    ignored("health_check_concurrency", HEALTH, REMOVE),
    ignored("health_check_details", HEALTH, REMOVE),
    ignored("health_check_interval", HEALTH, REMOVE),
    ignored("infer_model_from_keys", "has no effect: /v1/models shows the file's groups", REMOVE),
    refused(
        "key_management_settings",
        "reads secrets from a vault, which is not served",
        "put the secrets into the environment",
    ),
    refused(
        "key_management_system",
        "reads secrets from a vault, which is not served",
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
        "guards every route but liveliness and readiness; LITELLM_MASTER_KEY where nothing is set",
    ),
    refused(
        "max_budget",
        "is a budget, which is not kept here",
        "set the budget at the provider, and remove the key",
    ),
    refused(
        "max_parallel_requests",
        "limits requests in flight of each key, and there are no keys here",
        "use max_parallel_requests of the deployments",
    ),
    applied("max_request_size_mb", "as llm_balancer.max_body_mb, which goes first"),
    ignored("max_response_size_mb", "has no effect: answers are not limited", REMOVE),
    ignored("maximum_spend_logs_retention_period", SPEND, REQUEST_LOG),
    ignored("model_list_healthy_only", HEALTH, REMOVE),
    ignored("otel", "has no effect: no traces are sent", REQUEST_LOG),
    ignored(
        "pass_through_endpoints",
        "has no effect: only OpenAI's routes are served",
        "call those providers directly, or route them in front of this gateway",
    ),
    ignored("proxy_batch_polling_interval", SPEND, REMOVE),
    ignored("proxy_batch_write_at", SPEND, REQUEST_LOG),
    ignored("proxy_budget_rescheduler_max_time", SPEND, REMOVE),
    ignored("proxy_budget_rescheduler_min_time", SPEND, REMOVE),
    applied("redis_db", "taken for router_settings.redis_db, with a warning"),
    applied("redis_host", "taken for router_settings.redis_host, with a warning"),
    applied("redis_password", "taken for router_settings.redis_password, with a warning"),
    applied("redis_port", "taken for router_settings.redis_port, with a warning"),
    applied("redis_ssl", "taken for router_settings.redis_ssl, with a warning"),
    applied("redis_ssl_ca_certs", "taken for router_settings.redis_ssl_ca_certs, with a warning"),
    applied("redis_ssl_cert_reqs", "taken for router_settings.redis_ssl_cert_reqs, with a warning"),
    applied("redis_url", "taken for router_settings.redis_url, with a warning"),
    applied("redis_username", "taken for router_settings.redis_username, with a warning"),
    refused(
        "reject_clientside_metadata_tags",
        "turns requests with tags of their own away, which this gateway would serve by those tags",
        "remove the tags in front of this gateway",
    ),
    applied("request_timeout", "taken for litellm_settings.request_timeout, with a warning"),
    ignored("return_wildcard_routes", "has no effect: listings show the file's groups", REMOVE),
    ignored("spend_logs_metadata_fields", SPEND, REQUEST_LOG),
    ignored("store_model_in_db", DATABASE, FILE_ONLY),
    ignored("store_prompts_in_spend_logs", SPEND, REQUEST_LOG),
    ignored("ui_access_mode", UI, REMOVE),
    ignored(
        "use_azure_key_vault",
        "reads secrets from a vault, which is not served",
        "put the secrets into the environment",
    ),
    ignored(
        "use_client_credentials_pass_through_routes",
        "has no effect: only OpenAI's routes are served",
        REMOVE,
    ),
    ignored(
        "use_google_kms",
        "reads secrets from a vault, which is not served",
        "put the secrets into the environment",
    ),
    ignored("use_redis_transaction_buffer", DATABASE, REMOVE),
    ignored("use_x_forwarded_for", "has no effect: addresses are not looked at", REMOVE),
    ignored("user_api_key_cache_ttl", DATABASE, REMOVE),
    ignored("user_header_mappings", "has no effect: there are no users here", REMOVE),
    ignored("user_header_name", "has no effect: there are no users here", REMOVE),
];
