//! The listener for whoever watches from elsewhere: metrics and readiness, handed on from the admin port.
//!
//! The admin port itself stays on loopback, because whoever reaches it can change Envoy, and end it.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use super::message::{
    http_connection_manager, http1, listener_address, open_breakers, router, socket_address,
};
use super::options::Options;

/// The listener's name, its statistics' prefix, and the cluster behind it.
const METRICS: &str = "metrics";

/// Ten thousand deployments take a second or two.
const TIMEOUT: &str = "10s";

/// What may be asked for, and how the admin port calls it. Prometheus asks for `/metrics` where it is told nothing else.
const PATHS: &[(&str, &str)] =
    &[("/metrics", "/stats/prometheus"), ("/stats/prometheus", "/stats/prometheus"), ("/ready", "/ready")];

/// The listener and the cluster behind it, if they are asked for. They stay as they are, whatever becomes of the configuration.
pub(super) fn add(options: &Options, listeners: &mut Vec<Value>, clusters: &mut Vec<Value>) {
    if let Some(listen) = options.metrics {
        listeners.push(listener(listen));
        clusters.push(cluster(options.admin_port));
    }
}

fn listener(listen: SocketAddr) -> Value {
    json!({
        "name": METRICS,
        "address": listener_address(listen),
        // It is asked now and then, and must not take connections from clients.
        "ignore_global_conn_limit": true,
        "filter_chains": http_connection_manager(json!({
            "stat_prefix": METRICS,
            "generate_request_id": false,
            "request_headers_timeout": TIMEOUT,
            "request_timeout": TIMEOUT,
            "route_config": {"name": METRICS, "virtual_hosts": [{
                "name": METRICS,
                "domains": ["*"],
                "routes": PATHS.iter().map(|(path, admin)| route(path, admin)).collect::<Vec<_>>(),
            }]},
            "http_filters": [router()],
        })),
    })
}

/// Exactly this path, and to read only: a POST is what changes Envoy.
fn route(path: &str, admin: &str) -> Value {
    let get = json!([{"name": ":method", "string_match": {"exact": "GET"}}]);
    json!({
        "match": {"path": path, "headers": get},
        "route": {"cluster": METRICS, "timeout": TIMEOUT, "prefix_rewrite": admin},
    })
}

fn cluster(admin_port: u16) -> Value {
    let admin = socket_address(&Ipv4Addr::LOCALHOST.to_string(), admin_port);
    json!({
        "name": METRICS,
        "connect_timeout": "1s",
        "circuit_breakers": open_breakers(),
        "typed_extension_protocol_options": http1("60s"),
        "load_assignment": {
            "cluster_name": METRICS,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": admin}}]}],
        },
    })
}
