//! `health`: a look from beside the balancer, for images that hold no other client.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::HealthArgs;
use crate::support::failure::Failure;

/// It answers at once or it is in trouble: the answer needs no provider.
const PATIENCE: Duration = Duration::from_secs(2);

/// Success if the balancer answers.
pub fn health(args: &HealthArgs) -> Result<ExitCode, Failure> {
    let address = SocketAddr::new(args.host, args.port);
    let answer = ask(address).map_err(|error| Failure::Io(format!("no answer from {address}: {error}")))?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::Io(format!("{address} answers {}", answer.lines().next().unwrap_or_default())))
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(REQUEST)?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

const REQUEST: &[u8] =
    b"GET /health/liveliness HTTP/1.1\r\nhost: localhost\r\nuser-agent: llm-balancer\r\nconnection: close\r\n\r\n";
