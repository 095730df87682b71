//! A provider to try things on: `fake-provider --port 8100` answers as OpenAI and Anthropic would, for any
//! deployment named by the first segment of the path.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use fake_provider::{Answer, Provider};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let Some(address) = address() else {
        eprintln!("usage: fake-provider [--host 127.0.0.1] [--port 8100]");
        return ExitCode::from(2);
    };
    // As long as a small model takes to begin, and then about thirty words a second.
    let answer = Answer::ok().events(12).after(Duration::from_millis(40)).every(Duration::from_millis(30));
    let _provider = match Provider::serve(address, answer).await {
        Ok(provider) => provider,
        Err(error) => {
            eprintln!("fake-provider: {address}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!(
        "fake-provider: http://{address}/<deployment>/v1 speaks OpenAI and Anthropic, http://{address}/<deployment> speaks Azure"
    );
    // The first process of a container is not ended by a signal that it does not ask for.
    let Ok(mut terminated) = signal(SignalKind::terminate()) else { return ExitCode::FAILURE };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
    ExitCode::SUCCESS
}

/// From the command line, if that can be understood.
fn address() -> Option<SocketAddr> {
    let (mut host, mut port) = (IpAddr::from(Ipv4Addr::LOCALHOST), 8100);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next()?;
        match flag.as_str() {
            "--host" => host = value.parse().ok()?,
            "--port" => port = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(SocketAddr::new(host, port))
}
