//! Where clients may come in: everywhere with a key, on this machine only without.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use llm_balancer_config::Config;

use crate::cli::Listen;
use crate::support::failure::Failure;

/// The address for clients. Nobody opens a port without a key to other machines by accident.
pub fn address(listen: &Listen, config: &Config) -> Result<SocketAddr, Failure> {
    let guarded = config.server.master_key.is_some();
    let host = match listen.host {
        Some(host) if guarded || listen.insecure_no_auth || host.is_loopback() => host,
        Some(host) => {
            return Err(Failure::Usage(format!(
                "--host {host} lets other machines in, and the file sets no general_settings.master_key: set one, or add --insecure-no-auth"
            )));
        }
        None if guarded => Ipv4Addr::UNSPECIFIED.into(),
        None => Ipv4Addr::LOCALHOST.into(),
    };
    Ok(SocketAddr::new(host, listen.port))
}

/// The address for metrics, if there is a port for them: where clients come in, too.
pub fn metrics(listen: &Listen, clients: SocketAddr) -> Option<SocketAddr> {
    listen.metrics_port.map(|port| SocketAddr::new(clients.ip(), port))
}

/// The same address as a client on this machine reaches it.
pub fn from_here(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => address,
        IpAddr::V4(_) => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(_) => (std::net::Ipv6Addr::LOCALHOST, address.port()).into(),
    }
}
