//! The bootstrap: two listeners, the filter between them, and a cluster for each place that a deployment is served from;
//! a third listener where there is Redis, another one where metrics are asked for.
//!
//! ```text
//! client ── edge ── cluster "attempts" ── listener "attempts" ── the deployment's cluster ── provider
//!           replays the body when the     the filter decides
//!           filter asks for a retry       for this attempt
//! ```

use std::net::SocketAddr;

use llm_balancer_config::{Config, names};
use serde_json::{Value, json};

mod attempts;
mod deployment;
mod dynamic;
mod edge;
pub mod envoy_gateway;
mod errors;
pub mod forward_proxy;
pub mod istio;
pub mod kubernetes;
mod metrics;
mod provider_headers;
mod redis;
mod single_hop;
mod upstream;
mod yaml;

pub use dynamic::{Files, Resources, live_bootstrap, readiness_refused};
pub use yaml::{to_documents, to_yaml};

/// What the configuration file leaves open: the machine that it runs on.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients come in.
    pub listen: SocketAddr,
    /// Envoy's admin port, on loopback.
    pub admin_port: u16,
    /// Where metrics can be had from elsewhere.
    pub metrics: Option<SocketAddr>,
    /// The file that holds the filter, as Envoy finds it.
    pub filter: String,
    /// The PEM file with the system's CAs.
    pub system_cas: String,
    /// The Unix socket on the way to Redis, used where the configuration names one.
    pub redis_socket: String,
}

/// The bootstrap for a configuration and the text that it was read from, which the filter reads again.
pub fn bootstrap(config: &Config, text: &str, options: &Options) -> Value {
    let routes = edge::routes(config, names::ATTEMPTS);
    let mut listeners = vec![edge::listener(options.listen, ("route_config", routes))];
    listeners.extend(behind(names::ATTEMPTS, config, text, options));
    let mut clusters = clusters(names::ATTEMPTS, config, options);
    metrics::add(options, &mut listeners, &mut clusters);
    let resources = json!({"listeners": listeners, "clusters": clusters});
    with(around(config, options), "static_resources", resources)
}

/// All clusters; `attempts` is the name of the one that leads to the filter.
fn clusters(attempts: &str, config: &Config, options: &Options) -> Vec<Value> {
    let mut clusters = vec![attempts::cluster(attempts)];
    clusters.extend(config.deployments.iter().map(|deployment| {
        deployment::cluster(deployment, config.proxies.of(&deployment.endpoint), &options.system_cas)
    }));
    clusters.extend(forward_proxy::cluster(config, &options.system_cas));
    if let Some(redis) = &config.redis {
        clusters.extend(redis::clusters(redis, &options.redis_socket, &options.system_cas));
    }
    clusters
}

/// The listeners behind the edge.
fn behind(attempts: &str, config: &Config, text: &str, options: &Options) -> Vec<Value> {
    let attempts = attempts::listener(attempts, config, text, &options.filter);
    let redis = config.redis.as_ref().map(|_| redis::listener(&options.redis_socket));
    [attempts].into_iter().chain(redis).chain(forward_proxy::listener(config)).collect()
}

/// The bootstrap without what requests pass through.
fn around(config: &Config, options: &Options) -> Value {
    json!({
        "node": {"id": names::FILTER, "cluster": names::FILTER},
        "admin": {"address": socket_address("127.0.0.1", options.admin_port)},
        "bootstrap_extensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": typed("envoy.extensions.bootstrap.internal_listener.v3.InternalListener", json!({})),
        }],
        "typed_dns_resolver_config": dns_resolver(),
        "overload_manager": overload_manager(),
        "memory_allocator_manager": memory_allocator_manager(),
        "stats_config": stats_config(config),
    })
}

/// By itself Envoy keeps what it has ever needed: a body of 60 MB leaves 170 MB behind, free and never used again.
fn memory_allocator_manager() -> Value {
    json!({"bytes_to_release": BYTES_TO_RELEASE, "memory_release_interval": "1s"})
}

/// Each second. The allocator itself keeps what the last minutes needed, so a busy process does not lose what it needs again at once;
/// the peak of one large body is gone after five minutes.
const BYTES_TO_RELEASE: u64 = 16 * 1024 * 1024;

/// More clients than one machine serves: without a number Envoy warns at every start.
const MAX_CLIENT_CONNECTIONS: u32 = 100_000;

fn overload_manager() -> Value {
    json!({"resource_monitors": [{
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": typed(
            "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            json!({"max_active_downstream_connections": MAX_CLIENT_CONNECTIONS}),
        ),
    }]})
}

/// Envoy starts when every name has been looked up, so that the first request finds a provider. Name servers that do not
/// answer delay that by five seconds with these numbers; with the defaults they would by more than a minute.
fn dns_resolver() -> Value {
    json!({
        "name": "envoy.network.dns_resolver.cares",
        "typed_config": typed(
            "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            json!({"query_timeout_seconds": 1, "query_tries": 2}),
        ),
    })
}

/// Which statistics are kept, and how ours are told apart.
fn stats_config(config: &Config) -> Value {
    // Tokens and seconds of an LLM: from a cached answer to a reasoning model that thinks for ten minutes. Milliseconds.
    const BUCKETS: [u32; 17] = [
        5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000,
        600_000,
    ];
    let tag = |label: &&str| {
        // The prefix up to the first dot lets Envoy skip this for all other statistics.
        json!({"tag_name": label, "regex": format!("^wasmcustom\\..*?(;{label}=([^;]*))")})
    };
    json!({
        "stats_matcher": {"inclusion_list": {"patterns": kept_stats(config)}},
        "stats_tags": names::METRIC_LABELS.iter().map(tag).collect::<Vec<_>>(),
        "histogram_bucket_settings": [{
            "match": {"prefix": format!("wasmcustom.{}", names::METRIC_PREFIX)},
            "buckets": BUCKETS,
        }],
    })
}

/// Above so many deployments their clusters go without statistics, which took most of the start at 10,000.
const MOST_WITH_STATS: usize = 1_000;

/// All about Envoy and the two listeners; of a provider's cluster, which has some hundred statistics, only what tells
/// how it is connected.
fn kept_stats(config: &Config) -> Vec<Value> {
    let attempts = format!("cluster.{}.", names::ATTEMPTS);
    let prefixes = [
        "cluster_manager.",
        "http.",
        "listener.",
        "listener_manager.",
        "server.",
        "wasm.",
        "wasmcustom.",
        &attempts,
    ];
    let mut patterns: Vec<_> = prefixes.iter().map(|prefix| json!({"prefix": prefix})).collect();
    if config.deployments.len() <= MOST_WITH_STATS {
        patterns.extend(CLUSTER_STATS.iter().map(|suffix| json!({"suffix": suffix})));
    }
    patterns
}

const CLUSTER_STATS: &[&str] = &[
    ".membership_healthy",
    ".ssl.connection_error",
    ".ssl.fail_verify_error",
    ".ssl.fail_verify_san",
    ".update_failure",
    ".upstream_cx_active",
    ".upstream_cx_connect_fail",
    ".upstream_cx_total",
    ".upstream_rq_active",
    ".upstream_rq_pending_active",
];

/// A message of Envoy's with its type, which goes first.
fn typed(name: &str, message: Value) -> Value {
    let mut all = serde_json::Map::new();
    all.insert("@type".into(), format!("type.googleapis.com/{name}").into());
    if let Value::Object(members) = message {
        all.extend(members);
    }
    Value::Object(all)
}

/// A message with one more field, if there is something to put into it.
fn with(mut message: Value, field: &str, value: impl Into<Option<Value>>) -> Value {
    if let (Value::Object(members), Some(value)) = (&mut message, value.into()) {
        members.insert(field.to_owned(), value);
    }
    message
}

fn socket_address(host: &str, port: u16) -> Value {
    json!({"socket_address": {"address": host, "port_value": port}})
}

/// Where a listener listens. `--host ::` means every address, as it does elsewhere.
fn listener_address(listen: SocketAddr) -> Value {
    let address = json!({"address": listen.ip().to_string(), "port_value": listen.port()});
    let every = (listen.is_ipv6() && listen.ip().is_unspecified()).then_some(Value::Bool(true));
    json!({"socket_address": with(address, "ipv4_compat", every)})
}

/// A listener's one filter chain, which speaks HTTP.
fn http_connection_manager(manager: Value) -> Value {
    const TYPE: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let name = "envoy.filters.network.http_connection_manager";
    json!([{"filters": [{"name": name, "typed_config": typed(TYPE, manager)}]}])
}

/// The last HTTP filter; it tells nobody what it knows about the upstream.
fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": typed("envoy.extensions.filters.http.router.v3.Router", json!({"suppress_envoy_headers": true})),
    })
}

/// HTTP/1.1 to the upstream, idle connections closed after this long.
fn http1(idle_timeout: &str) -> Value {
    http1_options(idle_timeout, json!({}), None)
}

/// The same with further options, and with filters on the way out.
fn http1_options(idle_timeout: &str, options: Value, filters: Option<Value>) -> Value {
    const TYPE: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let protocol = json!({
        "common_http_protocol_options": {"idle_timeout": idle_timeout},
        "explicit_http_config": {"http_protocol_options": options},
    });
    json!({TYPE: typed(TYPE, with(protocol, "http_filters", filters))})
}

/// Out of the way: how much a deployment may have in flight is the filter's to decide, and a breaker's 503 would
/// count as the provider's failure. (The default of 3 retries at a time failed 88 % of the requests of 32 clients.)
fn open_breakers() -> Value {
    const OPEN: u32 = 1_000_000;
    json!({"thresholds": [{
        "max_connections": OPEN,
        "max_pending_requests": OPEN,
        "max_requests": OPEN,
        "max_retries": OPEN,
    }]})
}
