//! `router_settings`.

use crate::keys::support::{Key, Table, applied, ignored, refused};

/// Keys of `router_settings`.
pub const ROUTER_SETTINGS: Table = Table { name: "router_settings", keys: KEYS, open: false };

const AFFINITY: &str = "has no effect: requests of one session may go to different deployments";
const ONE: &str = "give the group a single deployment where that matters";
const CACHE: &str = "has no effect: answers are not cached";
const HEALTH: &str = "has no effect: deployments are judged by the answers to real requests";
const REMOVE: &str = "remove it";

const KEYS: &[Key] = &[
    ignored(
        "alerting_config",
        "has no effect: no alerts are sent",
        "alert on the metrics at /stats/prometheus of the admin port",
    ),
    applied(
        "allowed_fails",
        "failures within one cooldown_time before a deployment cools down; unset, LiteLLM's default rule: a 429 among siblings, or most of a minute's requests failed",
    ),
    applied("allowed_fails_policy", "the same by kind of failure"),
    ignored("assistants_config", "is no feature of this gateway", REMOVE),
    ignored("background_health_check_model_groups", HEALTH, REMOVE),
    refused(
        "budget_duration",
        "is a budget, which is not kept here",
        "set the budget at the provider, and remove the key",
    ),
    ignored("cache_kwargs", CACHE, "put a cache in front"),
    ignored("cache_responses", CACHE, "put a cache in front"),
    ignored("caching_groups", CACHE, "put a cache in front"),
    ignored("client_ttl", "has no effect: Envoy keeps the connections", REMOVE),
    applied("content_policy_fallbacks", "fallbacks after a content policy's refusal"),
    applied("context_window_fallbacks", "fallbacks after a prompt that is too long"),
    applied("cooldown_time", "seconds a deployment cools down; 5 where nothing is set"),
    ignored("debug_level", "has no effect", "use --log-level"),
    applied("default_fallbacks", "fallbacks of every group that has none of its own"),
    applied("default_litellm_params", "request parameters of every deployment that does not set them"),
    applied("default_max_parallel_requests", "requests in flight of every deployment that sets no number"),
    ignored("default_priority", "has no effect: requests do not queue", REMOVE),
    ignored("deployment_affinity_ttl_seconds", AFFINITY, ONE),
    applied("disable_cooldowns", "no deployment cools down"),
    ignored(
        "enable_cooldowns",
        "has no effect: deployments cool down anyhow",
        "remove it; disable_cooldowns turns that off",
    ),
    ignored("enable_health_check_routing", HEALTH, REMOVE),
    ignored("enable_load_balancing", "has no effect: requests are spread anyhow", REMOVE),
    ignored("enable_loadbalancing", "has no effect: requests are spread anyhow", REMOVE),
    ignored(
        "enable_mid_stream_fallback_continuation",
        "has no effect: a stream that broke is not continued",
        "let the client ask again",
    ),
    ignored(
        "enable_pre_call_checks",
        "has no effect: prompts are not measured against context windows before they are sent",
        "use context_window_fallbacks; rpm and tpm need no such switch here",
    ),
    applied("enable_tag_filtering", "requests with tags go to deployments with those tags"),
    ignored(
        "enable_weighted_failover",
        "has no effect: a retry takes an untried deployment first anyhow",
        REMOVE,
    ),
    ignored(
        "fallback_on_unsupported_params",
        "has no effect: no parameter is checked before it is sent",
        REMOVE,
    ),
    applied(
        "fallbacks",
        "groups to try when one cannot serve; `{model: group, temperature: 0}` changes the request on the way",
    ),
    refused(
        "guardrail_list",
        "checks requests or answers, which this gateway would pass unchecked",
        "check them elsewhere",
    ),
    ignored("health_check_ignore_transient_errors", HEALTH, REMOVE),
    ignored("health_check_staleness_threshold", HEALTH, REMOVE),
    applied("master_key", "taken for general_settings.master_key, with a warning"),
    refused(
        "max_budget",
        "is a budget, which is not kept here",
        "set the budget at the provider, and remove the key",
    ),
    applied("max_fallbacks", "how deep fallbacks of fallbacks go; 5 where nothing is set"),
    ignored("model_group_affinity_config", AFFINITY, ONE),
    applied("model_group_alias", "other names of groups"),
    applied("model_group_retry_policy", "retries by kind of failure, for single groups"),
    applied("num_retries", "retries after the first attempt; 3 where nothing is set"),
    applied(
        "optional_pre_call_checks",
        "enforce_model_rate_limits is always on; other checks have no effect",
    ),
    refused("plugins", "runs Python in the router, which is not served", "remove it"),
    ignored("polling_interval", "has no effect: requests do not queue", REMOVE),
    refused(
        "provider_budget_config",
        "is a budget, which is not kept here",
        "set the budget at the provider, and remove the key",
    ),
    applied("redis_db", "number of the Redis database; 0 where nothing is set"),
    applied("redis_host", "Redis for what several instances share"),
    applied("redis_password", "its password"),
    applied("redis_port", "its port; 6379 where nothing is set"),
    applied("redis_ssl", "whether it is reached by TLS, verified"),
    applied(
        "redis_ssl_ca_certs",
        "PEM file with the CA of its certificate; the system's where nothing is set",
    ),
    applied("redis_ssl_cert_reqs", "`none` leaves it unverified, with a warning"),
    refused(
        "redis_startup_nodes",
        "is a Redis Cluster, which is not served",
        "name one server as redis_host",
    ),
    applied("redis_url", "all of that in one, `rediss://` with TLS; goes before redis_host"),
    applied("redis_username", "its user"),
    applied("retry_after", "shortest wait in seconds before a retry that has to wait"),
    applied("retry_policy", "retries by kind of failure"),
    applied(
        "routing_groups",
        "groups with a strategy of their own, or with priorities, which can also be asked for together",
    ),
    applied("routing_strategy", "simple-shuffle where nothing is set"),
    applied("routing_strategy_args", "ttl, lowest_latency_buffer, max_latency_list_size"),
    ignored("search_tools", "is no feature of this gateway", REMOVE),
    refused(
        "sentinel_nodes",
        "finds Redis through Sentinel, which is not served",
        "name one server as redis_host",
    ),
    ignored("session_affinity_repin_on_failover", AFFINITY, ONE),
    ignored("set_verbose", "has no effect", "use --log-level"),
    applied("stream_timeout", "seconds to the headers of a stream, and between its bytes"),
    applied("tag_filtering_match_any", "one common tag is enough; the default"),
    applied("tag_routing_prefix", "taken off the tags of requests that begin with it"),
    applied("timeout", "seconds an attempt may take; litellm_settings.request_timeout goes first"),
];
