//! The configuration file with its includes, and when each was last written.

use std::cell::{Cell, RefCell};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use llm_balancer_config::{Config, Finding, Loaded, load};

use super::colors;
use super::command_error::CommandError;
use crate::support::messages::message;

/// Differs when a file's content differs: device, inode, size and ctime of the file at the end of
/// all links. ctime changes with every write and rename, and cannot be set back. `None` for what is
/// not a regular file: a pipe has no later content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileStamp(Option<(u64, u64, u64, i64, i64)>);

impl FileStamp {
    /// The file's stamp now.
    pub(crate) fn of(file: &Path) -> Self {
        let data = fs::metadata(file).ok().filter(fs::Metadata::is_file);
        Self(data.map(|data| (data.dev(), data.ino(), data.size(), data.ctime(), data.ctime_nsec())))
    }
}

/// A configuration that was read, acceptable or not.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    /// What the files say, with the findings about it.
    pub(crate) loaded: Loaded,
    /// The file and its includes, each with its stamp from just before it was read.
    pub(crate) files: Vec<(PathBuf, FileStamp)>,
    /// An include could not be read, and that is one of the findings.
    pub(crate) lacks_include: bool,
}

/// The file of `--config` cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// `cannot read config.yaml: Permission denied (os error 13)`
    pub(crate) message: String,
    /// For who has written the command line.
    advice: &'static str,
}

impl From<Unreadable> for CommandError {
    fn from(Unreadable { message, advice }: Unreadable) -> Self {
        Self::Usage(format!("{message}; {advice}"))
    }
}

impl ConfigFile {
    /// Reads a file and its includes. An include that cannot be read is a finding; an error is
    /// about the file itself.
    pub(crate) fn read(path: &Path) -> Result<Self, Unreadable> {
        let name = path.to_string_lossy();
        // Before reading, so that a write in between counts as a change.
        let stamp = FileStamp::of(path);
        // Read once, because a pipe has no content the second time.
        let bytes = fs::read(path).map_err(|error| cannot_read(path, &error))?;
        let (files, lacks_include) = (RefCell::new(Vec::new()), Cell::new(false));
        let text = |file: &str| {
            let is_main = file == name;
            let stamp = if is_main { stamp } else { FileStamp::of(Path::new(file)) };
            files.borrow_mut().push((PathBuf::from(file), stamp));
            if is_main {
                String::from_utf8(bytes.clone()).map_err(io::Error::other)
            } else {
                fs::read_to_string(file).inspect_err(|_| lacks_include.set(true))
            }
        };
        let loaded = load(&name, &text, &|name| env::var(name).ok());
        Ok(Self { loaded, files: files.into_inner(), lacks_include: lacks_include.get() })
    }

    /// Prints the findings to standard error. An error if the configuration is refused.
    pub(crate) fn accept(self) -> Result<LoadedConfig, CommandError> {
        print(&self.loaded.reading.findings);
        self.accept_silently()
    }

    /// The same without findings.
    pub(crate) fn accept_silently(self) -> Result<LoadedConfig, CommandError> {
        let Loaded { reading, text, parsed } = self.loaded;
        let config = reading.config.ok_or(CommandError::Refused)?;
        Ok(LoadedConfig { config, text, parsed })
    }
}

/// Prints findings to standard error.
pub(crate) fn print(findings: &[Finding]) {
    for finding in findings {
        message!("{}", colors::colored(finding));
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> Unreadable {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "this user needs the right to read it",
        io::ErrorKind::IsADirectory => "--config needs the file in it",
        _ => "--config needs the path of LiteLLM's configuration file",
    };
    Unreadable { message: format!("cannot read {}: {error}", path.display()), advice }
}

/// A configuration that can be served.
#[derive(Debug)]
pub(crate) struct LoadedConfig {
    pub(crate) config: Config,
    /// The file with its includes.
    pub(crate) text: String,
    /// The same after parsing.
    pub(crate) parsed: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_with_advice() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("config.yaml");
        for (path, advice) in [
            (missing.as_path(), "; --config needs the path of LiteLLM's configuration file"),
            (dir.path(), "; --config needs the file in it"),
        ] {
            let failed = ConfigFile::read(path).map_err(CommandError::from);
            let Err(CommandError::Usage(message)) = failed else { panic!("read {path:?}") };
            let start = format!("cannot read {}: ", path.display());
            assert!(message.starts_with(&start) && message.ends_with(advice), "{message}");
        }
    }
}
