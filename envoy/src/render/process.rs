//! The bootstrap around listeners and clusters: the admin port, memory, DNS, and which statistics
//! are kept.

use std::net::SocketAddr;

use clap::ValueEnum;
use llm_balancer_config::{Config, names};
use serde_json::{Value, json};

use super::dynamic_module;
use super::message::{socket_address, typed, with};

/// The way of a request's first attempt. Later ones always take two hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Hops {
    /// From the edge straight to the deployment (docs/decisions/one-hop.md).
    #[value(name = "1")]
    One,
    /// Through the internal listener, as every other attempt (docs/decisions/two-hops.md).
    #[value(name = "2")]
    Two,
}

/// What runs the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// WebAssembly.
    Wasm,
    /// Envoy itself: the filter is a native library (docs/decisions/dynamic-module.md).
    Module,
}

impl Runtime {
    /// How Envoy's names of the filter's metrics begin.
    fn namespace(self) -> &'static str {
        match self {
            Self::Wasm => "wasmcustom.",
            Self::Module => "dynamicmodulescustom.",
        }
    }

    /// Envoy's name of one of the filter's metrics, up to its labels.
    pub(crate) fn metric(self, name: &str) -> String {
        format!("{}{}{name}", self.namespace(), names::METRIC_PREFIX)
    }
}

/// Where Envoy has the filter from.
#[derive(Clone, Debug)]
pub enum FilterSource {
    /// A library, which Envoy finds in the folders of `dynamic_module::SEARCH_PATH`.
    Module,
    /// Files in WebAssembly.
    Wasm {
        /// The path of the filter for Envoy.
        filter: String,
        /// Envoy's data source of the filter that holds responses.
        hold: Value,
    },
}

/// Addresses and files of the machine that Envoy runs on.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address for clients.
    pub listen: SocketAddr,
    /// Envoy's admin port, on loopback.
    pub admin_port: u16,
    /// The address for the status page and the metrics, if there is one.
    pub metrics: Option<SocketAddr>,
    /// The filter.
    pub filter: FilterSource,
    /// The way of first attempts.
    pub hops: Hops,
    /// The PEM file with the system's CAs.
    pub system_cas: String,
    /// The Unix socket to Redis. A reload may add the first Redis.
    pub redis_socket: String,
    /// How many reloads have changed the forward proxy for https.
    pub proxy_changes: u32,
    /// Connections of clients at most.
    pub max_connections: u32,
}

impl Options {
    /// More clients than one machine serves. Without a limit Envoy logs a warning at every start.
    pub const MAX_CONNECTIONS: u32 = 100_000;

    /// For tests: every file has a name, and there is no port for metrics.
    pub fn example() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 4000).into(),
            admin_port: 9901,
            metrics: None,
            filter: FilterSource::Wasm {
                filter: "filter.wasm".to_owned(),
                hold: json!({"filename": names::HOLD_FILE}),
            },
            hops: Hops::One,
            system_cas: "ca.pem".to_owned(),
            redis_socket: "redis.sock".to_owned(),
            proxy_changes: 0,
            max_connections: Self::MAX_CONNECTIONS,
        }
    }

    /// What runs the filter.
    pub(crate) fn runtime(&self) -> Runtime {
        match self.filter {
            FilterSource::Module => Runtime::Module,
            FilterSource::Wasm { .. } => Runtime::Wasm,
        }
    }
}

/// The bootstrap without listeners and clusters. `admin_paths` are all that the admin port answers;
/// `None` for everything.
pub(super) fn process(config: &Config, options: &Options, admin_paths: Option<Value>) -> Value {
    let admin = json!({"address": socket_address("127.0.0.1", options.admin_port)});
    let process = json!({
        "node": {"id": names::FILTER, "cluster": names::FILTER},
        "admin": with(admin, "allow_paths", admin_paths),
        "bootstrap_extensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": typed("envoy.extensions.bootstrap.internal_listener.v3.InternalListener", json!({})),
        }],
        "typed_dns_resolver_config": dns_resolver(),
        "overload_manager": overload_manager(options.max_connections),
        "memory_allocator_manager": memory_allocator_manager(),
        "stats_config": stats_config(config, options.runtime()),
    });
    let runtime = (options.runtime() == Runtime::Module).then(dynamic_module::layered_runtime);
    with(process, "layered_runtime", runtime)
}

/// Without this, Envoy never returns freed memory: a body of 60 MB leaves 170 MB of it.
fn memory_allocator_manager() -> Value {
    json!({"bytes_to_release": BYTES_TO_RELEASE, "memory_release_interval": "1s"})
}

/// Per second. The allocator keeps what the last minutes needed, so a busy process loses nothing
/// that it needs again; the peak of one large body is returned after five minutes.
const BYTES_TO_RELEASE: u64 = 16 * 1024 * 1024;

fn overload_manager(max_connections: u32) -> Value {
    json!({"resource_monitors": [{
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": typed(
            "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            json!({"max_active_downstream_connections": max_connections}),
        ),
    }]})
}

/// Envoy listens after the first DNS lookup of every name. Dead name servers delay that by five
/// seconds with these numbers, and by more than a minute with Envoy's defaults
/// (docs/decisions/names-of-providers.md).
fn dns_resolver() -> Value {
    json!({
        "name": "envoy.network.dns_resolver.cares",
        "typed_config": typed(
            "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            json!({"query_timeout_seconds": 1, "query_tries": 2}),
        ),
    })
}

/// Which statistics Envoy keeps, and how labels are taken from the names of ours. A module's metrics
/// have labels apart from their names.
fn stats_config(config: &Config, runtime: Runtime) -> Value {
    // Milliseconds: from a cached answer to a reasoning model that takes ten minutes.
    const BUCKETS: [u32; 17] = [
        5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000,
        600_000,
    ];
    let tag = |label: &&str| {
        // The literal prefix lets Envoy skip the expression for all other statistics. That of a label
        // of one metric ends early for the other metrics.
        let metric = match *label {
            "version" => names::BUILD_INFO,
            "location" => names::RELOAD_ERROR,
            _ => "",
        };
        let metric =
            if metric.is_empty() { String::new() } else { format!("{}{metric}", names::METRIC_PREFIX) };
        json!({"tag_name": label, "regex": format!("^wasmcustom\\.{metric}.*?(;{label}=([^;]*))")})
    };
    let tags = (runtime == Runtime::Wasm).then(|| names::METRIC_LABELS.iter().map(tag).collect());
    let matcher = json!({"inclusion_list": {"patterns": kept_stats(config, runtime)}});
    let stats = with(json!({"stats_matcher": matcher}), "stats_tags", tags.map(Value::Array));
    let buckets = json!([{"match": {"prefix": runtime.metric("")}, "buckets": BUCKETS}]);
    with(stats, "histogram_bucket_settings", buckets)
}

/// With more deployments their clusters have no statistics, which took most of the start at 10,000.
const MAX_WITH_STATS: usize = 1_000;

/// Everything about Envoy and its listeners. Of the hundred statistics of a provider's cluster,
/// those about connections.
fn kept_stats(config: &Config, runtime: Runtime) -> Vec<Value> {
    let attempts = format!("cluster.{}.", names::ATTEMPTS);
    let prefixes = [
        "cluster_manager.", "extension_config_discovery.", "http.", "listener.", "listener_manager.",
        "server.",
    ];
    let of_vms = (runtime == Runtime::Wasm).then_some("wasm.");
    let prefixes = prefixes.into_iter().chain(of_vms).chain([runtime.namespace(), &attempts]);
    let mut patterns: Vec<_> = prefixes.map(|prefix| json!({"prefix": prefix})).collect();
    if config.deployments.len() <= MAX_WITH_STATS {
        patterns.extend(CLUSTER_STATS.iter().map(|suffix| json!({"suffix": suffix})));
    }
    patterns
}

const CLUSTER_STATS: &[&str] = &[
    ".membership_healthy", ".ssl.connection_error", ".ssl.fail_verify_error", ".ssl.fail_verify_san",
    ".update_failure", ".upstream_cx_active", ".upstream_cx_connect_fail", ".upstream_cx_total",
    ".upstream_rq_active", ".upstream_rq_pending_active",
];
