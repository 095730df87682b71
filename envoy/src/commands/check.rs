//! `check`: everything found in a configuration, all at once.

use std::process::ExitCode;

use crate::cli::Check;
use crate::support::colors::{self, BOLD, GREEN, RED};
use crate::support::failure::Failure;
use crate::support::{config_file, environment};

/// Prints the findings to standard output; the exit code says whether the file can be used.
pub fn check(args: &Check) -> Result<ExitCode, Failure> {
    let reading = config_file::read(&args.config)?.loaded.reading;
    for finding in &reading.findings {
        anstream::println!("{}", colors::painted(finding));
    }
    let name = args.config.display();
    let Some(config) = reading.config else {
        anstream::println!("{BOLD}{name}{BOLD:#}: {RED}refused{RED:#}");
        return Ok(Failure::Refused.exit_code());
    };
    let variables = environment::variables(&reading.variables);
    let proxies = environment::proxies(&config);
    for remark in variables.into_iter().chain(proxies).chain(environment::cas(&config)) {
        anstream::println!("{BOLD}{name}{BOLD:#}: note: {remark}");
    }
    let count = config.deployments.len();
    let deployments = if count == 1 { "deployment" } else { "deployments" };
    let skipped = match config.skipped.len() {
        0 => String::new(),
        1 => ", 1 name skipped".to_owned(),
        names => format!(", {names} names skipped"),
    };
    anstream::println!("{BOLD}{name}{BOLD:#}: {GREEN}usable{GREEN:#}, {count} {deployments}{skipped}");
    Ok(ExitCode::SUCCESS)
}
