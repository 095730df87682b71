//! `check`: prints all findings about a configuration.

use std::process::ExitCode;

use crate::cli::CheckArgs;
use crate::support::colors::{self, BOLD, GREEN, RED};
use crate::support::config_file::ConfigFile;
use crate::support::environment_notes;
use crate::support::failure::Failure;
use crate::support::listing::counted;

/// Prints to standard output. Exit code 0 if the configuration is usable.
pub(super) fn check(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let reading = ConfigFile::read(&args.config)?.loaded.reading;
    for finding in &reading.findings {
        anstream::println!("{}", colors::colored(finding));
    }
    let name = args.config.display();
    let Some(config) = reading.config else {
        anstream::println!("{BOLD}{name}{BOLD:#}: {RED}refused{RED:#}");
        return Ok(Failure::Refused.exit_code());
    };
    let variables = environment_notes::variables(&reading.variables);
    let proxies = environment_notes::proxies(&config);
    for remark in variables.into_iter().chain(proxies).chain(environment_notes::cas(&config)) {
        anstream::println!("{BOLD}{name}{BOLD:#}: note: {remark}");
    }
    let deployments = counted(config.deployments.len(), "deployment");
    let skipped = match config.skipped.len() {
        0 => String::new(),
        names => format!(", {} skipped", counted(names, "name")),
    };
    anstream::println!("{BOLD}{name}{BOLD:#}: {GREEN}usable{GREEN:#}, {deployments}{skipped}");
    Ok(ExitCode::SUCCESS)
}
