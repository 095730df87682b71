//! What the configuration file leaves open.

use std::net::SocketAddr;

/// What the configuration file leaves open: the machine that it runs on.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients come in.
    pub listen: SocketAddr,
    /// Envoy's admin port, on loopback.
    pub admin_port: u16,
    /// Where metrics can be had from elsewhere.
    pub metrics: Option<SocketAddr>,
    /// The file that holds the filter, as Envoy finds it.
    pub filter: String,
    /// The PEM file with the system's CAs.
    pub system_cas: String,
    /// The Unix socket on the way to Redis, used where the configuration names one.
    pub redis_socket: String,
}
