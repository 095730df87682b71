//! A provider to try things on: `fake-provider --port 8100` answers as OpenAI would, for any deployment named by the first segment of the path.

use std::process::ExitCode;
use std::time::Duration;

use llm_balancer_integration::{Answer, Provider};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = match arguments.as_slice() {
        [] => Some(8100),
        [flag, port] if flag == "--port" => port.parse().ok(),
        _ => None,
    };
    let Some(port) = port else {
        eprintln!("usage: fake-provider [--port 8100]");
        return ExitCode::from(2);
    };
    // As long as a small model takes to begin, and then about thirty words a second.
    let answer = Answer::ok().events(12).after(Duration::from_millis(40)).every(Duration::from_millis(30));
    let provider = match Provider::serve(port, answer).await {
        Ok(provider) => provider,
        Err(error) => {
            eprintln!("fake-provider: port {port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!(
        "fake-provider: {}/<deployment>/v1 speaks OpenAI, {}/<deployment> speaks Azure",
        provider.origin(),
        provider.origin()
    );
    let _ = tokio::signal::ctrl_c().await;
    ExitCode::SUCCESS
}
