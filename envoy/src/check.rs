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
    let remarks =
        surroundings::variables(&reading.variables).into_iter().chain(surroundings::proxies(&config));
    for remark in remarks {
        anstream::println!("{BOLD}{name}{BOLD:#}: note: {remark}");
    }
    let count = config.deployments.len();
    let skipped = match config.skipped.len() {
        0 => String::new(),
        names => format!(", {names} names skipped"),
    };
    anstream::println!("{BOLD}{name}{BOLD:#}: {GREEN}usable{GREEN:#}, {count} deployments{skipped}");
    Ok(ExitCode::SUCCESS)
}
