//! `check`: prints all findings about a configuration.

use std::process::ExitCode;

use crate::cli::CheckArgs;
use crate::support::colors::{self, BOLD, GREEN, RED};
use crate::support::command_error::CommandError;
use crate::support::config_file::ConfigFile;
use crate::support::environment_notes;
use crate::support::listing::counted;
use crate::support::standard_output::print;

/// Prints to standard output. Exit code 0 if the configuration is usable.
pub(super) fn check(args: &CheckArgs) -> Result<ExitCode, CommandError> {
    let reading = ConfigFile::read(&args.config)?.loaded.reading;
    let mut lines: Vec<String> = reading.findings.iter().map(colors::colored).collect();
    let name = args.config.display();
    let Some(config) = reading.config else {
        lines.push(format!("{BOLD}{name}{BOLD:#}: {RED}refused{RED:#}"));
        print_lines(&lines)?;
        return Ok(CommandError::Refused.exit_code());
    };
    let variables = environment_notes::variables(&reading.variables);
    let proxies = environment_notes::proxies(&config);
    for remark in variables.into_iter().chain(proxies).chain(environment_notes::cas(&config)) {
        lines.push(format!("{BOLD}{name}{BOLD:#}: note: {remark}"));
    }
    let deployments = counted(config.deployments.len(), "deployment");
    let skipped = match config.skipped_deployments {
        0 => String::new(),
        count => format!(", {count} skipped"),
    };
    lines.push(format!("{BOLD}{name}{BOLD:#}: {GREEN}usable{GREEN:#}, {deployments}{skipped}"));
    print_lines(&lines)?;
    Ok(ExitCode::SUCCESS)
}

fn print_lines(lines: &[String]) -> Result<bool, CommandError> {
    print(&format!("{}\n", lines.join("\n")))
}
