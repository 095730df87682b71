//! The listener for the status page, metrics and health, a narrow way to the admin port.
//!
//! The admin port itself stays on loopback: a client of it can change and end Envoy.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use super::message::{
    endpoint, http_connection_manager, http1, listener_address, load_assignment, open_breakers, overwrite,
    router, socket_address,
};
use super::process::Options;
use crate::page;
use crate::support::version;

/// Name of the listener, of its statistics and of its cluster.
const METRICS: &str = "metrics";

/// The metrics of ten thousand deployments take two seconds.
const TIMEOUT: &str = "10s";

/// Paths, and those of the admin port. `/metrics` is Prometheus' default.
const PATHS: &[(&str, &str)] =
    &[("/metrics", "/stats/prometheus"), ("/stats/prometheus", "/stats/prometheus"), ("/ready", "/ready")];

/// What says that the process lives, as on the port for clients, which resets connections above their
/// limit: a restart would end all requests of a balancer that is merely full.
const LIVELINESS: &[&str] = &["/health/liveliness", "/health/liveness"];
const ALIVE: &str = "\"I'm alive!\"";

/// How a client on this machine names it.
const LOOPBACK: &[&str] = &["localhost", "127.0.0.1", "[::1]"];
const OTHER_NAME: &str =
    "This port is open to this machine alone: use localhost, 127.0.0.1 or [::1] as the host.\n";

/// Adds the listener and its cluster if `options` has an address. A reload does not change them.
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
        // Monitoring must work when clients use up the limit.
        "ignore_global_conn_limit": true,
        "filter_chains": http_connection_manager(json!({
            "stat_prefix": METRICS,
            "generate_request_id": false,
            "request_headers_timeout": TIMEOUT,
            "request_timeout": TIMEOUT,
            "route_config": {
                "name": METRICS,
                "max_direct_response_body_size_bytes": page::HTML.len(),
                "ignore_port_in_host_matching": true,
                "response_headers_to_add": [overwrite(version::HEADER, version::VERSION)],
                "virtual_hosts": virtual_hosts(listen),
            },
            "http_filters": [router()],
        })),
    })
}

/// On loopback only for its own names: a web page elsewhere can have a name that leads to loopback
/// (DNS rebinding), and would read the answers as its own.
fn virtual_hosts(listen: SocketAddr) -> Vec<Value> {
    if !listen.ip().is_loopback() {
        return vec![json!({"name": METRICS, "domains": ["*"], "routes": routes()})];
    }
    let mut names = LOOPBACK.to_vec();
    let address = listen.ip().to_string();
    if listen.is_ipv4() && !names.contains(&address.as_str()) {
        names.push(&address);
    }
    let refused = json!({
        "match": {"prefix": "/"},
        "direct_response": {"status": 403, "body": {"inline_string": OTHER_NAME}},
    });
    vec![
        json!({"name": METRICS, "domains": names, "routes": routes()}),
        json!({"name": "other-names", "domains": ["*"], "routes": [refused]}),
    ]
}

fn routes() -> Vec<Value> {
    let liveliness = LIVELINESS.iter().copied().map(liveliness);
    [page_route()]
        .into_iter()
        .chain(PATHS.iter().map(|(path, admin)| route(path, admin)))
        .chain(liveliness)
        .collect()
}

/// The status page, which reads `/stats/prometheus` beside it.
fn page_route() -> Value {
    let headers: Vec<_> = page::headers().iter().map(|(name, value)| overwrite(name, value)).collect();
    json!({
        "match": get("/"),
        "direct_response": {"status": 200, "body": {"inline_string": page::HTML}},
        "response_headers_to_add": headers,
    })
}

fn liveliness(path: &str) -> Value {
    json!({
        "match": get(path),
        "direct_response": {"status": 200, "body": {"inline_string": ALIVE}},
        "response_headers_to_add": [overwrite("content-type", "application/json")],
    })
}

fn route(path: &str, admin: &str) -> Value {
    json!({
        "match": get(path),
        "route": {"cluster": METRICS, "timeout": TIMEOUT, "prefix_rewrite": admin},
    })
}

/// Matches this path and GET only: a POST would change Envoy.
fn get(path: &str) -> Value {
    json!({"path": path, "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]})
}

fn cluster(admin_port: u16) -> Value {
    let admin = socket_address(&Ipv4Addr::LOCALHOST.to_string(), admin_port);
    json!({
        "name": METRICS,
        "connect_timeout": "1s",
        "circuit_breakers": open_breakers(),
        "typed_extension_protocol_options": http1("60s"),
        "load_assignment": load_assignment(METRICS, endpoint(admin)),
    })
}
