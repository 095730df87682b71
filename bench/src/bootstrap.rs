//! Envoy's bootstraps: the provider, plain Envoy, and the two hops that the product is made of.

use std::path::Path;

use serde_json::{Value, json};

use crate::provider::{ADDRESSES, completion};

/// The header that names one of many clusters.
pub const CLUSTER: &str = "x-cluster";

/// Beyond the largest body of the bench.
const MOST_BYTES: u32 = 1 << 20;

/// Answers every request with the same chat completion.
///
/// The buffer filter makes it read the whole request first: a response that is sent before the end
/// of the request closes the connection, and then every request costs a new one.
pub fn provider(port: u16, admin_port: u16) -> Value {
    let route = json!({
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": completion()}},
        "response_headers_to_add": [{
            "header": {"key": "content-type", "value": "application/json"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }],
    });
    let buffer = json!({"name": "envoy.filters.http.buffer", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
        "max_request_bytes": MOST_BYTES,
    }});
    let mut listener = listener(address(ADDRESSES[0], port), &route, vec![buffer]);
    listener["additional_addresses"] =
        ADDRESSES[1..].iter().map(|ip| json!({"address": address(ip, port)["address"]})).collect();
    json!({
        "admin": address(ADDRESSES[0], admin_port),
        "static_resources": {"listeners": [listener]},
    })
}

/// One listener, one route, one cluster, and on the listener a filter of this file if there is one.
pub fn one_hop(port: u16, provider: u16, filter: Option<&Path>) -> Value {
    let edge = listener(address(ADDRESSES[0], port), &route("provider"), filters(filter));
    json!({"static_resources": {"listeners": [edge], "clusters": [providers(provider)]}})
}

/// The same with so many clusters, of which a header names one, as the product's filter does.
pub fn many_clusters(port: u16, provider: u16, count: usize) -> Value {
    let addresses = ADDRESSES.iter().cycle().map(|ip| address(ip, provider)["address"].clone());
    let clusters: Vec<_> =
        (0..count).zip(addresses).map(|(n, address)| cluster(&format!("d{n}"), &[address])).collect();
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster_header": CLUSTER, "timeout": "0s"}});
    let edge = listener(address(ADDRESSES[0], port), &route, vec![]);
    json!({"static_resources": {"listeners": [edge], "clusters": clusters}})
}

/// An edge listener, and an internal listener that leads to the provider, as the product has them.
pub fn two_hops(port: u16, provider: u16, filter: Option<&Path>) -> Value {
    let edge = listener(address(ADDRESSES[0], port), &route("attempts"), vec![]);
    let mut inner = listener(json!({"internal_listener": {}}), &route("provider"), filters(filter));
    inner["name"] = json!("attempts");
    let mut attempts =
        cluster("attempts", &[json!({"envoy_internal_address": {"server_listener_name": "attempts"}})]);
    attempts["transport_socket"] = json!({"name": "envoy.transport_sockets.internal_upstream", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
        "transport_socket": {"name": "envoy.transport_sockets.raw_buffer", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
        }},
    }});
    json!({
        "bootstrap_extensions": [{"name": "envoy.bootstrap.internal_listener", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
        }}],
        "static_resources": {"listeners": [edge, inner], "clusters": [attempts, providers(provider)]},
    })
}

fn filters(wasm: Option<&Path>) -> Vec<Value> {
    let filter = |file: &Path| {
        json!({"name": "empty", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "empty",
                "allow_on_headers_stop_iteration": true,
                "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": file}}},
            },
        }})
    };
    wasm.map(filter).into_iter().collect()
}

fn listener(mut listener: Value, route: &Value, mut filters: Vec<Value>) -> Value {
    filters.push(json!({"name": "envoy.filters.http.router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
    }}));
    listener["filter_chains"] = json!([{"filters": [{"name": "http", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": filters,
    }}]}]);
    listener
}

fn route(cluster: &str) -> Value {
    json!({"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}})
}

fn address(ip: &str, port: u16) -> Value {
    json!({"address": {"socket_address": {"address": ip, "port_value": port}}})
}

fn providers(port: u16) -> Value {
    let addresses: Vec<_> = ADDRESSES.iter().map(|ip| address(ip, port)["address"].clone()).collect();
    cluster("provider", &addresses)
}

fn cluster(name: &str, addresses: &[Value]) -> Value {
    let endpoints: Vec<_> =
        addresses.iter().map(|address| json!({"endpoint": {"address": address}})).collect();
    json!({
        "name": name,
        // As in the product: no breaker opens.
        "circuit_breakers": {"thresholds": [
            {"max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000},
        ]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    })
}
