//! `llm-balancer`: serve, check or render a configuration.

use std::process::ExitCode;

fn main() -> ExitCode {
    llm_balancer::run()
}
