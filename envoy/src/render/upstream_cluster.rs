//! What is on the other side of a cluster: how its name is resolved, and what makes its certificate good.

use std::net::IpAddr;

use llm_balancer_config::Tls;
use serde_json::{Value, json};

use super::message::{open_breakers, typed, with};

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

/// Whether a host has to be looked up.
pub(super) fn is_name(host: &str) -> bool {
    host.parse::<IpAddr>().is_err()
}

/// How a name becomes addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// One endpoint with all addresses, IPv4 and IPv6, raced: content delivery networks answer with other ones each time,
    /// and connections stay when they do. `localhost` too, where a server often listens on one of its two addresses only.
    Logical,
    /// Each address a host of its own, connections spread over all: a headless service names its replicas.
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

/// The transport socket, where there is TLS. `alpn` is what is to be spoken inside of it, if servers ask.
pub(super) fn transport_socket(host: &str, tls: &Tls, system_cas: &str, alpn: Option<&str>) -> Option<Value> {
    let validation = match tls {
        Tls::Off => return None,
        Tls::Unverified => None,
        Tls::SystemCas => Some(validation(host, system_cas)),
        Tls::CaFile(file) => Some(validation(host, file)),
    };
    let context = json!({
        // Envoy's clients stop at TLS 1.2 unless they are told.
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
    });
    let context = with(context, "alpn_protocols", alpn.map(|protocol| json!([protocol])));
    let context = json!({"common_tls_context": with(context, "validation_context", validation)});
    // An address is no server name.
    let sni = is_name(host).then(|| host.into());
    Some(json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            with(context, "sni", sni),
        ),
    }))
}

/// A certificate of one of these CAs, for exactly this host.
fn validation(host: &str, cas: &str) -> Value {
    let san_type = if is_name(host) { "DNS" } else { "IP_ADDRESS" };
    json!({
        "trusted_ca": {"filename": cas},
        "match_typed_subject_alt_names": [{"san_type": san_type, "matcher": {"exact": host}}],
    })
}
