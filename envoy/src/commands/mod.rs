//! One module for each command.

use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, Parser};

use crate::cli::{Cli, Command};
use crate::support::colors::RED;
use crate::support::command_error::CommandError;
use crate::support::messages::message;
use crate::support::standard_output::print_file;

mod check;
mod health;
mod render;
mod serve;
mod status;

/// Runs the command of this process's command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    paint(cli.color);
    let done = match (&cli.command, &cli.serve) {
        (Some(Command::Serve(args)), _) | (None, Some(args)) => serve::serve(args),
        (Some(Command::Check(args)), _) => check::check(args),
        (Some(Command::Health(args)), _) => health::health(args),
        (Some(Command::Status(args)), _) => status::status(args),
        (Some(Command::Render(args)), _) => render::render(args),
        (Some(Command::Completions(args)), _) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "llm-balancer", &mut script);
            print_file(&script).map(|_| ExitCode::SUCCESS)
        }
        (None, None) => {
            Err(CommandError::Usage("--config FILE is missing; --help lists the options".to_owned()))
        }
    };
    done.unwrap_or_else(|failure| {
        message!("{RED}llm-balancer{RED:#}: {failure}");
        failure.exit_code()
    })
}

/// Applies `--color` to standard output and standard error.
fn paint(color: ColorChoice) {
    let choice = match color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}
