//! Where Envoy listens: on every address with a master key, on loopback without one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use llm_balancer_config::Config;

use super::command_error::CommandError;
use crate::cli::ListenArgs;

/// The address for clients. An error if it opens a port without a master key to other machines.
pub(crate) fn address(listen: &ListenArgs, config: &Config) -> Result<SocketAddr, CommandError> {
    let guarded = config.server.master_key.is_some();
    let host = match listen.host {
        Some(host) if guarded || listen.insecure_no_auth || host.is_loopback() => host,
        Some(host) => return Err(no_key(&format!("--host {host}"))),
        None if guarded => Ipv4Addr::UNSPECIFIED.into(),
        None => Ipv4Addr::LOCALHOST.into(),
    };
    Ok(SocketAddr::new(host, listen.port()))
}

/// The error for a port without a master key that other machines can reach.
pub(crate) fn no_key(what: &str) -> CommandError {
    CommandError::Usage(format!(
        "{what} is open to other machines and general_settings.master_key is not set: set it, or add --insecure-no-auth"
    ))
}

/// The address for metrics, if there is a port for them: the host is that for clients.
pub(crate) fn metrics(listen: &ListenArgs, clients: SocketAddr) -> Option<SocketAddr> {
    listen.metrics_port.map(|port| SocketAddr::new(clients.ip(), port))
}

/// The address by which a client on this machine reaches the listener.
pub(crate) fn from_here(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => address,
        IpAddr::V4(_) => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(_) => (Ipv6Addr::LOCALHOST, address.port()).into(),
    }
}
