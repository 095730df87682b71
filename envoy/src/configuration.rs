//! The configuration file, with its includes and the findings about it.

use std::path::Path;
use std::{env, fs};

use llm_balancer_config::{Config, Loaded, load};

use crate::failure::Failure;

/// Reads a file and what it includes.
pub fn read(path: &Path) -> Result<Loaded, Failure> {
    let name = path.to_string_lossy();
    // An include that cannot be read is a finding, with its place; the file itself has none.
    let bytes = fs::read(path).map_err(|error| Failure::Usage(format!("cannot read {name}: {error}")))?;
    // Read once: a pipe has nothing to say the second time.
    let text = |file: &str| match file == name {
        true => String::from_utf8(bytes.clone()).map_err(|error| error.to_string()),
        false => fs::read_to_string(file).map_err(|error| error.to_string()),
    };
    Ok(load(&name, &text, &|name| env::var(name).ok()))
}

/// The configuration and its text, or a refusal; what was found goes to standard error either way.
pub fn usable(path: &Path) -> Result<(Config, String), Failure> {
    let Loaded { reading, text } = read(path)?;
    for finding in &reading.findings {
        eprintln!("{finding}");
    }
    reading.config.map(|config| (config, text)).ok_or(Failure::Refused)
}
