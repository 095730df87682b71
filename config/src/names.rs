//! Names that the generator writes into Envoy's configuration and the filter relies on at run time.

/// Request header that the edge sets to an id of its own making, whatever the client sent: the same for every attempt of
/// one request.
pub const STREAM_ID: &str = "x-request-id";
/// Request header set by the edge: 1 for the first attempt, 2 for the next.
pub const ATTEMPT_COUNT: &str = "x-envoy-attempt-count";
/// Response header with which the filter asks the edge for another attempt; never reaches a client.
pub const RETRY: &str = "x-llm-retry";
/// Response header that Envoy adds to its own answer where the connection to the provider is older than the request: then
/// the provider may have closed it for being idle. Never reaches a client.
pub const REUSED: &str = "x-llm-reused";
/// Request header with which the filter names the cluster of the deployment it chose.
pub const CLUSTER: &str = "x-llm-cluster";
/// The internal listener that runs the filter once per attempt, and the cluster that leads to it.
pub const ATTEMPTS: &str = "attempts";
/// The listener on a Unix socket that turns a POST's body into bytes for Redis, and the answer's bytes into a body; the
/// cluster that leads to it is the one to call.
pub const REDIS_HOP: &str = "redis-hop";
/// The cluster that leads from there to Redis itself.
pub const REDIS: &str = "redis";
/// What the names of the listener and the cluster begin with that lead through a forward proxy.
pub const FORWARD_PROXY: &str = "forward-proxy";
/// Variable of Envoy's environment with the `proxy-authorization` of the proxy that leads to https providers.
pub const HTTPS_PROXY_AUTHORIZATION: &str = "LLM_BALANCER_HTTPS_PROXY_AUTHORIZATION";
/// The same for the proxy that leads to http providers.
pub const HTTP_PROXY_AUTHORIZATION: &str = "LLM_BALANCER_HTTP_PROXY_AUTHORIZATION";
/// Name, root id and VM id of the filter.
pub const FILTER: &str = "llm-balancer";
/// Root id of the filter in the last configuration that an instance is given, in which it says goodbye to the others.
pub const DEREGISTER: &str = "llm-balancer-deregister";
/// The filter's root id where it runs once per request on somebody else's listener, and not once per attempt behind our edge.
pub const SINGLE_HOP: &str = "llm-balancer/single-hop";
/// What the names of our metrics begin with.
pub const METRIC_PREFIX: &str = "llm_balancer_";
/// The labels of our metrics. They stand in a metric's name, `;label=value` each, until Envoy takes them apart.
pub const METRIC_LABELS: [&str; 11] = [
    "group",
    "deployment",
    "outcome",
    "status",
    "reason",
    "type",
    "target",
    "model",
    "api_base",
    "mode",
    "class",
];
/// What the filter calls the line for the access log, which it writes as a filter state object of this name.
pub const ACCESS_LOG_ENTRY: &str = "llm_balancer_access_log_entry";
/// Request header with which the edge tells the filter where the client is.
pub const CLIENT: &str = "x-llm-client";
