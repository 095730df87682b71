//! `check`: everything found in a configuration, all at once.

use std::process::ExitCode;

use crate::cli::Check;
use crate::configuration;
use crate::failure::Failure;
use crate::findings::{self, BOLD, GREEN, RED};
use crate::surroundings;

/// Prints the findings to standard output; the exit code says whether the file can be used.
pub fn check(args: &Check) -> Result<ExitCode, Failure> {
    let reading = configuration::read(&args.config)?.loaded.reading;
    for finding in &reading.findings {
        anstream::println!("{}", findings::painted(finding));
    }
    let name = args.config.display();
    let Some(config) = reading.config else {
        anstream::println!("{BOLD}{name}{BOLD:#}: {RED}refused{RED:#}");
        return Ok(Failure::Refused.exit_code());
    };
    let variables = surroundings::variables(&reading.variables);
    let proxies = surroundings::proxies(&config);
    for remark in variables.into_iter().chain(proxies).chain(surroundings::cas(&config)) {
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
