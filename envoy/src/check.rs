//! `check`: everything found in a configuration, all at once.

use std::process::ExitCode;

use crate::cli::Check;
use crate::configuration;
use crate::failure::Failure;

/// Prints the findings to standard output; the exit code says whether the file can be used.
pub fn check(args: &Check) -> Result<ExitCode, Failure> {
    let reading = configuration::read(&args.config)?.reading;
    for finding in &reading.findings {
        println!("{finding}");
    }
    let name = args.config.display();
    let Some(config) = reading.config else {
        println!("{name}: refused");
        return Ok(Failure::Refused.exit_code());
    };
    println!("{name}: usable, {} deployments", config.deployments.len());
    Ok(ExitCode::SUCCESS)
}
