//! Names that the generator writes into Envoy's configuration and the filter uses at run time.

/// Bytes of the name of a model at most, in the file and in requests: response headers repeat it, and
/// must leave room for others.
pub const MAX_MODEL_NAME: usize = 1024;
/// Request header with an id that the edge makes up, the same for every attempt of a request.
/// Replaces what the client sent.
pub const STREAM_ID: &str = "x-request-id";
/// Request header that the edge sets: 1 for the first attempt, 2 for the next.
pub const ATTEMPT_COUNT: &str = "x-envoy-attempt-count";
/// Response header with which the filter asks the edge for another attempt. Never reaches a client.
pub const RETRY: &str = "x-llm-retry";
/// Response header of Envoy's own responses if the connection to the provider is older than the
/// request: the provider may have closed it as idle. Never reaches a client.
pub const REUSED: &str = "x-llm-reused";
/// Request header in which Envoy finds how long an attempt may take, in milliseconds. Envoy removes
/// what a client sends.
pub const TIMEOUT: &str = "x-envoy-upstream-rq-timeout-ms";
/// The same of a stream: how long its response headers may take.
pub const FIRST_BYTE_TIMEOUT: &str = "x-envoy-upstream-rq-per-try-timeout-ms";
/// Request header with the cluster of the selected deployment.
pub const CLUSTER: &str = "x-llm-cluster";
/// The internal listener that runs the filter once per attempt, and the cluster that leads to it.
pub const ATTEMPTS: &str = "attempts";
/// The listener on a Unix socket that sends the body of a POST to Redis and returns the replies as
/// a body, and the cluster that leads to it.
pub const REDIS_HOP: &str = "redis-hop";
/// The path there of calls that wait for other instances.
pub const REDIS_WAIT: &str = "/wait";
/// The cluster of Redis itself.
pub const REDIS: &str = "redis";
/// Prefix of listener and cluster of a forward proxy.
pub const FORWARD_PROXY: &str = "forward-proxy";
/// Variable of Envoy's environment with the `proxy-authorization` of the proxy for https providers.
pub const HTTPS_PROXY_AUTHORIZATION: &str = "LLM_BALANCER_HTTPS_PROXY_AUTHORIZATION";
/// The same of the proxy for http providers.
pub const HTTP_PROXY_AUTHORIZATION: &str = "LLM_BALANCER_HTTP_PROXY_AUTHORIZATION";
/// Name, root id and VM id of the filter.
pub const FILTER: &str = "llm-balancer";
/// Root id of the filter in the last configuration of an instance, which deregisters it from the
/// fleet.
pub const DEREGISTER: &str = "llm-balancer-deregister";
/// Prefix of the root id of a filter that sets gauges by its configuration, and serves no request. A
/// number follows, which differs with every configuration.
pub const GAUGES: &str = "llm-balancer/gauges/";
/// Root id of the filter on a listener without our edge: it runs once per request, not per attempt.
pub const SINGLE_HOP: &str = "llm-balancer/single-hop";
/// Prefix of the root id of the filter on the edge, which sends a first attempt straight to its
/// deployment. The name of the cluster for later attempts follows: `llm-balancer/edge/attempts-2`.
pub const EDGE: &str = "llm-balancer/edge/";
/// Name, root id and VM id of the upstream filter of the edge's router, which holds a response until
/// there is something of its body.
pub const HOLD: &str = "llm-balancer-hold";
/// File with the module of [`HOLD`].
pub const HOLD_FILE: &str = "hold.wasm";
/// Path under which Envoy sends a request through the edge again, whose first attempt failed.
pub const NEXT_ATTEMPT_PATH: &str = "/llm-balancer/next-attempt";
/// Filter state object with the id of a request whose first attempt failed, and the request header
/// that carries it through the edge again.
pub const NEXT_ATTEMPT: &str = "x-llm-next-attempt";
/// Prefix of the metrics.
pub const METRIC_PREFIX: &str = "llm_balancer_";
/// Counter of seconds in which a worker kept a replaced configuration for requests that began with
/// it.
pub const REPLACED_SECONDS: &str = "replaced_configuration_seconds_total";
/// Counter: 1 when this instance has been removed from Redis, or Redis did not answer.
pub const DEREGISTERED: &str = "deregistered_total";
/// Counter of panics in a dynamic module: of what a fault of the filter ended.
pub const PANICS: &str = "panics_total";
/// Gauge: 1, with the version of the filter as a label.
pub const BUILD_INFO: &str = "build_info";
/// Gauge: 1 while the newest version of the files is served, else 0.
pub const RELOAD_SUCCESSFUL: &str = "config_last_reload_successful";
/// Gauge: when the files were last read and served, in seconds since the Unix epoch.
pub const RELOAD_SUCCESS_TIME: &str = "config_last_reload_success_timestamp_seconds";
/// Gauge: 1 while the newest version of the files is not served, with the reason and the place of the
/// first error as labels.
pub const RELOAD_ERROR: &str = "config_reload_error_info";
/// Labels of the metrics. The name of a metric contains `;label=value` for each, which Envoy splits
/// off.
pub const METRIC_LABELS: [&str; 14] = [
    "group", "deployment", "outcome", "status", "reason", "type", "target", "model", "api_base", "mode",
    "class", "weight", "version", "location",
];
/// Filter state object with the access log entry of a request.
pub const ACCESS_LOG_ENTRY: &str = "llm_balancer_access_log_entry";
/// Request header with the client's address, which the edge sets for the filter.
pub const CLIENT: &str = "x-llm-client";
/// Name of the filter as a dynamic module of Envoy: the library is `lib<name>.so`.
pub const MODULE: &str = "llm_balancer_filter";
/// The cluster of the dynamic module, without hosts: through it the module has the workers' threads.
pub const MODULE_WORKERS: &str = "llm-balancer-workers";
