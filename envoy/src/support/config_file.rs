//! The configuration file, with its includes and the findings about it.

use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

use llm_balancer_config::{Config, Loaded, load};

use crate::support::colors;
use crate::support::failure::Failure;

/// What another content changes, of the file at the end of all links; `None` where there is none.
pub type Sign = Option<(u64, u64, u64, i64, i64)>;

/// As the file is now.
pub fn sign(file: &Path) -> Sign {
    // A pipe changes while it is read, and has nothing more to say.
    let data = fs::metadata(file).ok().filter(fs::Metadata::is_file)?;
    // ctime changes with every write and rename, and cannot be set back.
    Some((data.dev(), data.ino(), data.size(), data.ctime(), data.ctime_nsec()))
}

/// A configuration that was looked for.
#[derive(Debug)]
pub struct Read {
    /// What was found.
    pub loaded: Loaded,
    /// Where: the file itself, and all that it includes, as each was just before it was read.
    pub files: Vec<(PathBuf, Sign)>,
}

/// Reads a file and what it includes.
pub fn read(path: &Path) -> Result<Read, Failure> {
    let name = path.to_string_lossy();
    // Before it is read: whatever is written later shows.
    let main = sign(path);
    // An include that cannot be read is a finding, with its place; the file itself has none.
    let bytes = fs::read(path).map_err(|error| Failure::Usage(format!("cannot read {name}: {error}")))?;
    let files = RefCell::new(Vec::new());
    // Read once: a pipe has nothing to say the second time.
    let text = |file: &str| {
        let own = file == name;
        let sign = if own { main } else { sign(Path::new(file)) };
        files.borrow_mut().push((PathBuf::from(file), sign));
        match own {
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
    /// Where it was found, and how that looked just before.
    pub files: Vec<(PathBuf, Sign)>,
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
            anstream::eprintln!("{}", colors::painted(finding));
        }
        let warnings = reading.findings.len();
        reading.config.map(|config| Usable { config, text, files, warnings }).ok_or(Failure::Refused)
    }
}
