//! The cluster of a deployment, direct or through a forward proxy.

use llm_balancer_config::{Deployment, Endpoint, Proxy, Tls};
use serde_json::{Value, json};

use super::forward_proxy;
use super::message::{http1, socket_address, with};
use super::upstream_cluster::{IDLE_TIMEOUT, Lookup, at, is_name, tcp_keepalive, transport_socket};

/// One for each deployment (docs/decisions/one-cluster-per-deployment.md).
pub(super) fn cluster(deployment: &Deployment, proxy: Option<&Proxy>, system_cas: &str) -> Value {
    let Deployment { cluster: name, endpoint, .. } = deployment;
    match proxy {
        Some(proxy) => forward_proxy::deployment(name, endpoint, proxy, system_cas),
        None => direct(name, endpoint, system_cas),
    }
}

/// To the provider's own address.
fn direct(name: &str, endpoint: &Endpoint, system_cas: &str) -> Value {
    let address = socket_address(&endpoint.host, endpoint.port);
    let cluster = at(name, &json!({"endpoint": {"address": address}}), http1(IDLE_TIMEOUT));
    let cluster = with(cluster, "upstream_connection_options", tcp_keepalive());
    // An IP address needs no DNS.
    let cluster = with(cluster, "cluster_type", lookup(endpoint).map(Lookup::cluster_type));
    let socket = transport_socket(&endpoint.host, &endpoint.tls, system_cas, Some("http/1.1"));
    with(cluster, "transport_socket", socket)
}

/// `None` for an IP address.
fn lookup(endpoint: &Endpoint) -> Option<Lookup> {
    if !is_name(&endpoint.host) {
        return None;
    }
    let plain = endpoint.tls == Tls::Off && !endpoint.host.eq_ignore_ascii_case("localhost");
    Some(if plain { Lookup::Strict } else { Lookup::Logical })
}
