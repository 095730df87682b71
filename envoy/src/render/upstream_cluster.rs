//! What clusters share: one endpoint, timeouts, DNS and TLS.

use std::net::IpAddr;

use llm_balancer_config::{Endpoint, Scheme, Tls};
use serde_json::{Value, json};

use super::message::{self, http1_of_provider, load_assignment, open_breakers, socket_address, typed, with};

/// To the provider's own address.
pub(super) fn direct(name: &str, endpoint: &Endpoint, system_cas: &str) -> Value {
    let address = socket_address(&endpoint.host, endpoint.port);
    let cluster = at(name, message::endpoint(address), http1_of_provider(IDLE_TIMEOUT));
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
    let plain = endpoint.scheme() == Scheme::Http && !endpoint.host.eq_ignore_ascii_case("localhost");
    Some(if plain { Lookup::Strict } else { Lookup::Logical })
}

/// A cluster with one endpoint.
pub(super) fn at(name: &str, endpoint: Value, protocol: Value) -> Value {
    json!({
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
        "load_assignment": load_assignment(name, endpoint),
        "circuit_breakers": open_breakers(),
        "typed_extension_protocol_options": protocol,
    })
}

/// Detects a dead connection during a long answer within two minutes instead of two hours.
pub(super) fn tcp_keepalive() -> Value {
    json!({"tcp_keepalive": {"keepalive_time": 60, "keepalive_interval": 20, "keepalive_probes": 3}})
}

/// Time for three SYNs (1 s and 2 s apart) and a slow TLS handshake.
const CONNECT_TIMEOUT: &str = "5s";

/// Below the idle timeouts of load balancers before providers (60 s and up), so that Envoy closes
/// first.
pub(super) const IDLE_TIMEOUT: &str = "50s";

/// Whether a host needs DNS.
pub(super) fn is_name(host: &str) -> bool {
    host.parse::<IpAddr>().is_err()
}

/// How DNS answers become endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// One endpoint with all addresses, IPv4 and IPv6, raced. Connections survive when the answer
    /// changes, as those of content delivery networks do. For `localhost` too: many servers listen
    /// on one of its two addresses only.
    Logical,
    /// One endpoint per address: connections spread over the replicas of a headless service.
    Strict,
}

impl Lookup {
    pub(super) fn cluster_type(self) -> Value {
        let (one_endpoint, family) = match self {
            Self::Logical => (true, "ALL"),
            Self::Strict => (false, "V4_PREFERRED"),
        };
        json!({
            "name": "envoy.clusters.dns",
            "typed_config": typed("envoy.extensions.clusters.dns.v3.DnsCluster", json!({
                "all_addresses_in_single_endpoint": one_endpoint,
                "dns_lookup_family": family,
                "respect_dns_ttl": true,
                "dns_failure_refresh_rate": {"base_interval": "0.5s", "max_interval": "5s"},
            })),
        })
    }
}

/// The transport socket, if there is TLS. `alpn` is the protocol to offer.
pub(super) fn transport_socket(host: &str, tls: &Tls, system_cas: &str, alpn: Option<&str>) -> Option<Value> {
    // DNS is asked for the name as it is written; neither SNI (RFC 6066) nor certificates have the dot at
    // its end.
    let host = host.strip_suffix('.').unwrap_or(host);
    let validation = match tls {
        Tls::Off => return None,
        Tls::Unverified => None,
        Tls::SystemCas => Some(validation(host, system_cas)),
        Tls::CaFile(file) => Some(validation(host, file)),
    };
    let context = json!({
        // Envoy's default maximum for upstreams is TLS 1.2.
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
    });
    let context = with(context, "alpn_protocols", alpn.map(|protocol| json!([protocol])));
    let context = json!({"common_tls_context": with(context, "validation_context", validation)});
    // SNI holds names only (RFC 6066).
    let sni = is_name(host).then(|| host.into());
    Some(json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            with(context, "sni", sni),
        ),
    }))
}

/// Requires a certificate of one of these CAs for exactly this host.
fn validation(host: &str, cas: &str) -> Value {
    // Envoy compares an address as text, in its canonical form (RFC 5952).
    let (san_type, exact) = match host.parse::<IpAddr>() {
        Ok(address) => ("IP_ADDRESS", address.to_string()),
        Err(_) => ("DNS", host.to_owned()),
    };
    json!({
        "trusted_ca": {"filename": cas},
        "match_typed_subject_alt_names": [{"san_type": san_type, "matcher": {"exact": exact}}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_tls_has_no_dot_at_its_end() {
        let socket = |host| transport_socket(host, &Tls::SystemCas, "cas.pem", None).unwrap();
        assert_eq!(socket("vllm.default.svc.cluster.local."), socket("vllm.default.svc.cluster.local"));
        assert_ne!(socket("a.example"), socket("b.example"));
    }

    #[test]
    fn an_address_is_compared_as_certificates_have_it() {
        let socket = |host| transport_socket(host, &Tls::SystemCas, "cas.pem", None).unwrap();
        assert_eq!(socket("2001:DB8:0:0::0:1"), socket("2001:db8::1"));
    }
}
