//! Ports that are taken: Envoy would share them silently with another Envoy, or fail in words of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::failure::Failure;

/// Both ports, held until Envoy takes them over. Port 0 stands for any free one.
#[derive(Debug)]
pub struct Ports {
    clients: TcpListener,
    admin: TcpListener,
}

/// Takes both ports, or says which of them is taken.
pub fn reserve(clients: SocketAddr, admin_port: u16) -> Result<Ports, Failure> {
    let admin = (Ipv4Addr::LOCALHOST, admin_port).into();
    Ok(Ports { clients: bind(clients, "--port")?, admin: bind(admin, "--admin-port")? })
}

impl Ports {
    /// Where clients come in.
    pub fn clients(&self) -> Result<SocketAddr, Failure> {
        address(&self.clients)
    }

    /// Envoy's admin port.
    pub fn admin(&self) -> Result<SocketAddr, Failure> {
        address(&self.admin)
    }
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::Machine(format!("a port without an address: {error}")))
}

fn bind(address: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        Failure::Machine(match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!(
                    "port {} is in use: stop what listens there, or choose another {option}",
                    address.port()
                )
            }
            _ => format!("cannot listen on {address}: {error}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_the_option_that_chooses_another() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let holder = TcpListener::bind(taken).unwrap();
        let Err(Failure::Machine(message)) = reserve("127.0.0.1:0".parse().unwrap(), taken.port()) else {
            panic!("a taken port was reserved");
        };
        assert!(message.contains(&format!("port {} is in use", taken.port())), "{message}");
        assert!(message.contains("--admin-port"), "{message}");
        drop(holder);
    }

    #[test]
    fn port_0_is_any_free_port() {
        let ports = reserve("127.0.0.1:0".parse().unwrap(), 0).unwrap();
        assert_ne!(ports.clients().unwrap().port(), 0);
        assert_ne!(ports.clients().unwrap().port(), ports.admin().unwrap().port());
    }
}
