//! The cluster that leads to a deployment: its address, how names are resolved, and what makes its certificate good.

use std::net::IpAddr;

use llm_balancer_config::{Deployment, Endpoint, Tls};
use serde_json::{Value, json};

use super::{http1, open_breakers, socket_address, typed, with};

/// One for each deployment (docs/decisions/one-cluster-per-deployment.md).
pub(super) fn cluster(deployment: &Deployment, system_cas: &str) -> Value {
    let Deployment { cluster: name, endpoint, .. } = deployment;
    let address = socket_address(&endpoint.host, endpoint.port);
    let cluster = json!({
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "circuit_breakers": open_breakers(),
        "typed_extension_protocol_options": http1(IDLE_TIMEOUT),
        // A connection that died silently during a long answer is noticed within two minutes, not two hours.
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 60, "keepalive_interval": 20, "keepalive_probes": 3},
        },
    });
    // Without one, the address is an IP address.
    let cluster = with(cluster, "cluster_type", Lookup::of(endpoint).map(Lookup::cluster_type));
    with(cluster, "transport_socket", tls(endpoint, system_cas))
}

/// Long enough for three SYNs (1 s and 2 s apart) and a slow TLS handshake; the next deployment is waiting.
const CONNECT_TIMEOUT: &str = "5s";

/// Below the idle timeouts of load balancers in front of providers (60 s and up), so that they rarely close first.
const IDLE_TIMEOUT: &str = "50s";

fn is_name(endpoint: &Endpoint) -> bool {
    endpoint.host.parse::<IpAddr>().is_err()
}

/// How a name becomes addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lookup {
    /// One endpoint with all addresses, IPv4 and IPv6, raced: content delivery networks answer with other ones each time,
    /// and connections stay when they do. `localhost` too, where a server often listens on one of its two addresses only.
    Logical,
    /// Each address a host of its own, connections spread over all: a headless service names its replicas.
    Strict,
}

impl Lookup {
    /// `None`: an IP address needs none.
    fn of(endpoint: &Endpoint) -> Option<Self> {
        if !is_name(endpoint) {
            return None;
        }
        let plain = endpoint.tls == Tls::Off && !endpoint.host.eq_ignore_ascii_case("localhost");
        Some(if plain { Self::Strict } else { Self::Logical })
    }

    fn cluster_type(self) -> Value {
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

/// The transport socket, for https.
fn tls(endpoint: &Endpoint, system_cas: &str) -> Option<Value> {
    let validation = match &endpoint.tls {
        Tls::Off => return None,
        Tls::Unverified => None,
        Tls::SystemCas => Some(validation(endpoint, system_cas)),
        Tls::CaFile(file) => Some(validation(endpoint, file)),
    };
    let context = json!({
        // Envoy's clients stop at TLS 1.2 unless they are told.
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": ["http/1.1"],
    });
    let context = json!({"common_tls_context": with(context, "validation_context", validation)});
    // An address is no server name.
    let sni = is_name(endpoint).then(|| endpoint.host.as_str().into());
    Some(json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            with(context, "sni", sni),
        ),
    }))
}

/// A certificate of one of these CAs, for exactly this host.
fn validation(endpoint: &Endpoint, cas: &str) -> Value {
    let san_type = if is_name(endpoint) { "DNS" } else { "IP_ADDRESS" };
    json!({
        "trusted_ca": {"filename": cas},
        "match_typed_subject_alt_names": [{"san_type": san_type, "matcher": {"exact": endpoint.host}}],
    })
}
