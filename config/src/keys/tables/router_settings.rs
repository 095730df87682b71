//! `router_settings`.

use crate::keys::phrases::{
    ALERT_ON_METRICS, ALL_UNCHECKED, CACHE_IN_FRONT, CHECK_ELSEWHERE, HEALTH, LOG_LEVEL, NO_CACHE, NO_QUEUE,
    REMOVE,
};
use crate::keys::support::{Key, Table, applied, budget, ignored, refused, without_ignored};

/// Keys of `router_settings`.
pub(crate) const ROUTER_SETTINGS: Table =
    Table { name: "router_settings", keys: without_ignored!(KEYS), open: false };

const ONE_SERVER: &str = "remove it, and set redis_host to one server";

const KEYS: &[Key] = &[
    ignored("alerting_config", "has no effect: no alerts are sent", ALERT_ON_METRICS),
    applied(
        "allowed_fails",
        "failures within one cooldown_time that are allowed before a deployment cools down; if unset, LiteLLM's default rule: a 429 where the group has other deployments, or more than half of a minute's requests failed",
    ),
    applied("allowed_fails_policy", "the same by class of failure"),
    ignored("assistants_config", "has no effect: not supported", REMOVE),
    ignored("background_health_check_model_groups", HEALTH, REMOVE),
    budget("budget_duration"),
    ignored("cache_kwargs", NO_CACHE, CACHE_IN_FRONT),
    ignored("cache_responses", NO_CACHE, CACHE_IN_FRONT),
    ignored("caching_groups", NO_CACHE, CACHE_IN_FRONT),
    ignored("client_ttl", "has no effect: Envoy manages connections", REMOVE),
    applied("content_policy_fallbacks", "fallbacks after a content policy violation"),
    applied("context_window_fallbacks", "fallbacks after a prompt that is too long"),
    applied("cooldown_time", "seconds of cooldown; 5 if unset"),
    ignored("debug_level", "has no effect", LOG_LEVEL),
    applied("default_fallbacks", "fallbacks of groups without their own"),
    applied("default_litellm_params", "request parameters of deployments that do not set them"),
    applied("default_max_parallel_requests", "limit of requests in flight for deployments without their own"),
    ignored("default_priority", NO_QUEUE, REMOVE),
    ignored(
        "deployment_affinity_ttl_seconds",
        "has no effect: sessions and callers are not stored, and do not expire",
        REMOVE,
    ),
    applied("disable_cooldowns", "disables cooldowns"),
    ignored(
        "enable_cooldowns",
        "has no effect: cooldowns are always enabled",
        "remove it; disable_cooldowns disables them",
    ),
    ignored("enable_health_check_routing", HEALTH, REMOVE),
    ignored("enable_load_balancing", "has no effect: load balancing is always enabled", REMOVE),
    ignored("enable_loadbalancing", "has no effect: load balancing is always enabled", REMOVE),
    ignored(
        "enable_mid_stream_fallback_continuation",
        "has no effect: an interrupted stream is not continued",
        "let the client retry",
    ),
    applied(
        "enable_pre_call_checks",
        "prompts go only to deployments whose model_info.max_input_tokens they fit into",
    ),
    applied("enable_tag_filtering", "requests with tags go to deployments with those tags"),
    ignored("enable_weighted_failover", "has no effect: retries prefer untried deployments", REMOVE),
    ignored("fallback_on_unsupported_params", "has no effect: parameters are not checked", REMOVE),
    applied(
        "fallbacks",
        "groups to try when one cannot serve; `{model: group, temperature: 0}` also changes the request",
    ),
    refused("guardrail_list", ALL_UNCHECKED, CHECK_ELSEWHERE),
    ignored("health_check_ignore_transient_errors", HEALTH, REMOVE),
    ignored("health_check_staleness_threshold", HEALTH, REMOVE),
    ignored(
        "ignore_invalid_deployments",
        "has no effect here",
        "set llm_balancer: {unsupported_deployments: skip}",
    ),
    applied("master_key", "used as general_settings.master_key, with a warning"),
    budget("max_budget"),
    applied("max_fallbacks", "depth of fallbacks of fallbacks; 5 if unset"),
    applied("model_group_affinity_config", "optional_pre_call_checks of single groups"),
    applied("model_group_alias", "other names for groups"),
    applied(
        "model_group_retry_policy",
        "retries by class of failure, for single names: of the requested name, else of its group",
    ),
    applied("num_retries", "retries after the first attempt; 3 if unset"),
    applied(
        "optional_pre_call_checks",
        "`session_affinity`, `deployment_affinity`, `prompt_caching`: requests of one session, one caller or one prompt go to the same deployment; `enforce_model_rate_limits` is always enabled",
    ),
    refused("plugins", "Python in the router is not supported", REMOVE),
    ignored("polling_interval", NO_QUEUE, REMOVE),
    budget("provider_budget_config"),
    applied("redis_db", "number of the Redis database; 0 if unset"),
    applied("redis_host", "host of the Redis in which instances share what they count"),
    applied("redis_password", "its password"),
    applied("redis_port", "its port; 6379 if unset"),
    applied("redis_ssl", "whether to connect with TLS, verified"),
    applied("redis_ssl_ca_certs", "PEM file with the CA of its certificate; the system's CAs if unset"),
    applied("redis_ssl_cert_reqs", "`none` disables verification, with a warning"),
    refused("redis_startup_nodes", "Redis Cluster is not supported", ONE_SERVER),
    applied("redis_url", "all of that in one URL, `rediss://` with TLS; overrides redis_host"),
    applied("redis_username", "its user"),
    applied("retry_after", "shortest wait before a retry, in seconds, where a retry waits"),
    applied("retry_policy", "retries by class of failure"),
    ignored("router_general_settings", "has no effect: only models of the file are served", REMOVE),
    applied(
        "routing_groups",
        "groups with their own strategy or priorities, which clients can request together",
    ),
    applied("routing_strategy", "how a deployment is selected; simple-shuffle if unset"),
    applied("routing_strategy_args", "ttl, lowest_latency_buffer, max_latency_list_size"),
    ignored("search_tools", "has no effect: not supported", REMOVE),
    refused("sentinel_nodes", "Redis Sentinel is not supported", ONE_SERVER),
    ignored(
        "session_affinity_repin_on_failover",
        "has no effect: a session returns to its deployment as soon as that may serve",
        REMOVE,
    ),
    ignored("set_verbose", "has no effect", LOG_LEVEL),
    applied("stream_timeout", "seconds to the headers of a stream, and between its bytes"),
    applied("tag_filtering_match_any", "one common tag is enough (the default)"),
    applied("tag_routing_prefix", "prefix to remove from the tags of requests"),
    applied("timeout", "seconds per attempt; litellm_settings.request_timeout overrides it"),
];
