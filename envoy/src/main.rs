//! `llm-balancer`: serve, check or render a configuration.

use std::process::ExitCode;

use clap::Parser;
use llm_balancer::cli::{Cli, Command};
use llm_balancer::{check, health, rendered, serve};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match (&cli.command, &cli.serve) {
        (Some(Command::Serve(args)), _) | (None, Some(args)) => serve::serve(args),
        (Some(Command::Check(args)), _) => check::check(args),
        (Some(Command::Health(args)), _) => health::health(args),
        (Some(Command::Render(args)), _) => rendered::render(args),
        // clap prints its help for an empty command line.
        (None, None) => Ok(ExitCode::from(2)),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("llm-balancer: {failure}");
        failure.exit_code()
    })
}
