//! `llm-balancer`: serve, check or render a configuration.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use llm_balancer::cli::{Cli, Color, Command};
use llm_balancer::failure::Failure;
use llm_balancer::findings::RED;
use llm_balancer::{check, health, rendered, serve};

fn main() -> ExitCode {
    let cli = Cli::parse();
    paint(cli.color);
    let done = match (&cli.command, &cli.serve) {
        (Some(Command::Serve(args)), _) | (None, Some(args)) => serve::serve(args),
        (Some(Command::Check(args)), _) => check::check(args),
        (Some(Command::Health(args)), _) => health::health(args),
        (Some(Command::Render(args)), _) => rendered::render(args),
        (Some(Command::Completions(args)), _) => {
            clap_complete::generate(args.shell, &mut Cli::command(), "llm-balancer", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        (None, None) => Err(Failure::Usage("give a --config FILE; --help tells more".to_owned())),
    };
    done.unwrap_or_else(|failure| {
        anstream::eprintln!("{RED}llm-balancer{RED:#}: {failure}");
        failure.exit_code()
    })
}

/// What standard output and standard error are told about colours from here on.
fn paint(color: Color) {
    let choice = match color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}
