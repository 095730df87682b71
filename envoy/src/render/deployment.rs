//! The cluster that leads to a deployment.

use llm_balancer_config::{Deployment, Endpoint, Proxy, Tls};
use serde_json::{Value, json};

use super::upstream::{Lookup, is_name, transport_socket};
use super::{forward_proxy, http1, open_breakers, socket_address, with};

/// One for each deployment (docs/decisions/one-cluster-per-deployment.md).
pub(super) fn cluster(deployment: &Deployment, proxy: Option<&Proxy>, system_cas: &str) -> Value {
    let Deployment { cluster: name, endpoint, .. } = deployment;
    match proxy {
        Some(proxy) => forward_proxy::deployment(name, endpoint, proxy, system_cas),
        None => direct(name, endpoint, system_cas),
    }
}

/// The address is the provider's own.
fn direct(name: &str, endpoint: &Endpoint, system_cas: &str) -> Value {
    let address = socket_address(&endpoint.host, endpoint.port);
    let cluster = at(name, &json!({"endpoint": {"address": address}}), http1(IDLE_TIMEOUT));
    let cluster = with(cluster, "upstream_connection_options", tcp_keepalive());
    // Without one, the address is an IP address.
    let cluster = with(cluster, "cluster_type", lookup(endpoint).map(Lookup::cluster_type));
    let socket = transport_socket(&endpoint.host, &endpoint.tls, system_cas, Some("http/1.1"));
    with(cluster, "transport_socket", socket)
}

/// A cluster with this one endpoint.
pub(super) fn at(name: &str, endpoint: &Value, protocol: Value) -> Value {
    json!({
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": open_breakers(),
        "typed_extension_protocol_options": protocol,
    })
}

/// A connection that died silently during a long answer is noticed within two minutes, not two hours.
pub(super) fn tcp_keepalive() -> Value {
    json!({"tcp_keepalive": {"keepalive_time": 60, "keepalive_interval": 20, "keepalive_probes": 3}})
}

/// Long enough for three SYNs (1 s and 2 s apart) and a slow TLS handshake; the next deployment is waiting.
const CONNECT_TIMEOUT: &str = "5s";

/// Below the idle timeouts of load balancers in front of providers (60 s and up), so that they rarely close first.
pub(super) const IDLE_TIMEOUT: &str = "50s";

/// `None`: an IP address needs none.
fn lookup(endpoint: &Endpoint) -> Option<Lookup> {
    if !is_name(&endpoint.host) {
        return None;
    }
    let plain = endpoint.tls == Tls::Off && !endpoint.host.eq_ignore_ascii_case("localhost");
    Some(if plain { Lookup::Strict } else { Lookup::Logical })
}
