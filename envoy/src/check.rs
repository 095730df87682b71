//! `check`: everything found in a configuration, all at once.

use std::process::ExitCode;

use crate::cli::Check;
use crate::configuration;
use crate::failure::Failure;
use crate::findings::{self, BOLD, GREEN, RED};

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
    let count = config.deployments.len();
    let skipped = match config.skipped.len() {
        0 => String::new(),
        names => format!(", {names} names skipped"),
    };
    anstream::println!("{BOLD}{name}{BOLD:#}: {GREEN}usable{GREEN:#}, {count} deployments{skipped}");
    Ok(ExitCode::SUCCESS)
}
