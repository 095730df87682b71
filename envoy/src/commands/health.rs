//! `health`: asks a balancer whether it is alive, for images without another HTTP client.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::HealthArgs;
use crate::support::command_error::CommandError;
use crate::support::http_client::agent;

/// The answer needs no provider, so a healthy balancer gives it at once.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Exit code 0 if the balancer answers 200.
pub(super) fn health(args: &HealthArgs) -> Result<ExitCode, CommandError> {
    let address = SocketAddr::new(args.host, args.port);
    let answer = agent(TIMEOUT).get(format!("http://{address}/health/liveliness")).call();
    let answer = answer.map_err(|error| {
        CommandError::Io(format!(
            "no answer from {address}: {error}; serve prints the address for clients, --host and --port name another"
        ))
    })?;
    match answer.status().as_u16() {
        200 => Ok(ExitCode::SUCCESS),
        status => Err(CommandError::Io(format!("{address} answers with status {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn an_address_where_nothing_answers_is_an_error_with_advice() {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let failed = health(&HealthArgs { host: Ipv4Addr::LOCALHOST.into(), port });
        let Err(CommandError::Io(message)) = failed else { panic!("{failed:?}") };
        let advice = "; serve prints the address for clients, --host and --port name another";
        let start = format!("no answer from 127.0.0.1:{port}: ");
        assert!(message.starts_with(&start) && message.ends_with(advice), "{message}");
    }
}
