//! What the configuration file does not say.

use std::net::SocketAddr;

/// Addresses and files of the machine that Envoy runs on.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address for clients.
    pub listen: SocketAddr,
    /// Envoy's admin port, on loopback.
    pub admin_port: u16,
    /// The address for metrics, if another machine reads them.
    pub metrics: Option<SocketAddr>,
    /// The path of the filter for Envoy.
    pub filter: String,
    /// The PEM file with the system's CAs.
    pub system_cas: String,
    /// The Unix socket to Redis; unused without one in the configuration.
    pub redis_socket: String,
}
