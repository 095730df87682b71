//! The configuration file, with its includes and the findings about it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::{env, fs};

use llm_balancer_config::{Config, Loaded, load};

use crate::failure::Failure;
use crate::findings;

/// A configuration that was looked for.
#[derive(Debug)]
pub struct Read {
    /// What was found.
    pub loaded: Loaded,
    /// Where: the file itself, and all that it includes.
    pub files: Vec<PathBuf>,
}

/// Reads a file and what it includes.
pub fn read(path: &Path) -> Result<Read, Failure> {
    let name = path.to_string_lossy();
    // An include that cannot be read is a finding, with its place; the file itself has none.
    let bytes = fs::read(path).map_err(|error| Failure::Usage(format!("cannot read {name}: {error}")))?;
    let files = RefCell::new(Vec::new());
    // Read once: a pipe has nothing to say the second time.
    let text = |file: &str| {
        files.borrow_mut().push(PathBuf::from(file));
        match file == name {
            true => String::from_utf8(bytes.clone()).map_err(|error| error.to_string()),
            false => fs::read_to_string(file).map_err(|error| error.to_string()),
        }
    };
    let loaded = load(&name, &text, &|name| env::var(name).ok());
    Ok(Read { loaded, files: files.into_inner() })
}

/// A configuration that can be served.
#[derive(Debug)]
pub struct Usable {
    /// As it is understood.
    pub config: Config,
    /// As it is written.
    pub text: String,
    /// Where it was found.
    pub files: Vec<PathBuf>,
    /// How many warnings there are about it.
    pub warnings: usize,
}

/// The configuration, or a refusal; what was found goes to standard error either way.
pub fn usable(path: &Path) -> Result<Usable, Failure> {
    read(path)?.usable()
}

impl Read {
    /// The same for one that was read already.
    pub fn usable(self) -> Result<Usable, Failure> {
        let Self { loaded: Loaded { reading, text }, files } = self;
        for finding in &reading.findings {
            anstream::eprintln!("{}", findings::painted(finding));
        }
        let warnings = reading.findings.len();
        reading.config.map(|config| Usable { config, text, files, warnings }).ok_or(Failure::Refused)
    }
}
