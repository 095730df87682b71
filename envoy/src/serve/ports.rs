//! Checks that ports are free before Envoy starts, which would share them with another Envoy
//! without a word.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::support::command_error::CommandError;

/// Where Envoy is going to listen. All were free when this was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) clients: SocketAddr,
    /// On loopback.
    pub(crate) admin: u16,
    /// The status page and the metrics.
    pub(crate) metrics: SocketAddr,
}

/// Binds each address and releases it. Port 0 stands for any free port. Without an address for
/// metrics, they have the next port after the admin port's on loopback, or any if that one is in
/// use. The error names the port that is in use.
pub(crate) fn free(
    clients: SocketAddr,
    admin: u16,
    metrics: Option<SocketAddr>,
) -> Result<Ports, CommandError> {
    let metrics_port = metrics.map(|address| address.port());
    let chosen =
        [("--port", Some(clients.port())), ("--admin-port", Some(admin)), ("--metrics-port", metrics_port)];
    refuse_repeated(&chosen)?;
    // Released together, so that none is found twice.
    let (_clients, clients) = bind(clients, "--port")?;
    let (_admin, admin) = bind((Ipv4Addr::LOCALHOST, admin).into(), "--admin-port")?;
    let (_metrics, metrics) = match metrics {
        Some(address) => bind(address, "--metrics-port")?,
        None => beside(admin)?,
    };
    Ok(Ports { clients, admin: admin.port(), metrics })
}

/// An error about two options that name the same port, whose addresses may overlap.
fn refuse_repeated(chosen: &[(&str, Option<u16>)]) -> Result<(), CommandError> {
    for (index, (option, port)) in chosen.iter().enumerate() {
        let earlier = chosen.iter().take(index).find(|(_, other)| other == port);
        if let (Some(port @ 1..), Some((other, _))) = (port, earlier) {
            return Err(CommandError::Usage(format!(
                "{other} and {option} both name port {port}: choose another one"
            )));
        }
    }
    Ok(())
}

fn beside(admin: SocketAddr) -> Result<(TcpListener, SocketAddr), CommandError> {
    let port = |port| bind((Ipv4Addr::LOCALHOST, port).into(), "--metrics-port");
    port(admin.port().wrapping_add(1)).or_else(|_| port(0))
}

fn bind(address: SocketAddr, option: &str) -> Result<(TcpListener, SocketAddr), CommandError> {
    let bound = TcpListener::bind(address).and_then(|it| it.local_addr().map(|address| (it, address)));
    bound.map_err(|error| {
        let port = address.port();
        CommandError::Io(match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!(
                    "port {port} is in use: stop the process that listens on it, or choose another {option}"
                )
            }
            _ => format!("cannot listen on {address}: {error}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "127.0.0.1:0";

    #[test]
    fn a_taken_port_is_named_with_the_option_that_chooses_another() {
        let holder = TcpListener::bind(ANY).unwrap();
        let taken = holder.local_addr().unwrap();
        let message = format!(
            "port {} is in use: stop the process that listens on it, or choose another",
            taken.port()
        );
        let error = free(ANY.parse().unwrap(), taken.port(), None).unwrap_err();
        assert_eq!(error, CommandError::Io(format!("{message} --admin-port")));
        let error = free(taken, 0, None).unwrap_err();
        assert_eq!(error, CommandError::Io(format!("{message} --port")));
        let error = free(ANY.parse().unwrap(), 0, Some(taken)).unwrap_err();
        assert_eq!(error, CommandError::Io(format!("{message} --metrics-port")));
    }

    #[test]
    fn port_0_is_any_free_port() {
        let ports = free(ANY.parse().unwrap(), 0, None).unwrap();
        assert_ne!(ports.clients.port(), 0);
        assert_ne!(ports.clients.port(), ports.admin);
    }

    #[test]
    fn the_status_page_is_beside_the_admin_port_or_where_there_is_room() {
        // The kernel gives most even ports to connections, so an odd one has a free neighbour.
        let admin = (11_001..).step_by(2).find(|port| {
            let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            free(*port) && free(port + 1)
        });
        let admin = admin.unwrap();
        let beside = SocketAddr::from((Ipv4Addr::LOCALHOST, admin + 1));
        assert_eq!(free(ANY.parse().unwrap(), admin, None).unwrap().metrics, beside);
        let _holder = TcpListener::bind(beside).unwrap();
        let elsewhere = free(ANY.parse().unwrap(), admin, None).unwrap().metrics;
        assert!(elsewhere.ip().is_loopback() && elsewhere != beside && elsewhere.port() != 0);
    }

    #[test]
    fn the_same_port_twice_is_an_error_that_names_both_options() {
        let clients = free(ANY.parse().unwrap(), 0, None).unwrap().clients;
        let port = clients.port();
        let error = |options: &str| {
            let message = format!("{options} both name port {port}: choose another one");
            Err(CommandError::Usage(message))
        };
        assert_eq!(free(clients, port, None), error("--port and --admin-port"));
        assert_eq!(free(clients, 0, Some(clients)), error("--port and --metrics-port"));
        let any = ANY.parse().unwrap();
        assert_eq!(free(any, port, Some(clients)), error("--admin-port and --metrics-port"));
        assert!(free(any, 0, Some(any)).is_ok(), "0 is any free port");
    }
}
