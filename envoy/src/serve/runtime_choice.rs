//! What runs the filter: `--runtime`, or what is best on this machine.

use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};

use super::envoy_binary::{EnvoyBinary, INSTALL};
use super::runtime_folder::RuntimeFolder;
use crate::cli::RuntimeChoice;
use crate::render::Runtime;
use crate::support::command_error::CommandError;
use crate::support::embedded_filter;
use crate::support::messages::message;

/// The first Envoy with the module's version of the ABI, 0.2.
const OLDEST_WITH_MODULE: (u32, u32) = (1, 40);
/// The last one: an Envoy loads modules of its own ABI and of the one before.
const NEWEST: (u32, u32) = (1, 41);

/// What a choice depends on.
#[derive(Debug)]
struct Facts<'a> {
    /// Whether this program has the module inside.
    has_module: bool,
    /// Envoy's, if it prints one.
    version: Option<(u32, u32)>,
    /// The name of this Envoy for messages.
    envoy: &'a str,
    /// The folder for the library, if no file in it may be executed.
    noexec: Option<&'a Path>,
}

/// The runtime for this Envoy, with the library in this folder.
pub(crate) fn choose(
    choice: RuntimeChoice,
    envoy: &EnvoyBinary,
    folder: &RuntimeFolder,
) -> Result<Runtime, CommandError> {
    let (title, parent) = (envoy.title(), std::env::temp_dir());
    let facts = Facts {
        has_module: embedded_filter::module().is_some(),
        version: envoy.version(),
        envoy: &title,
        noexec: is_noexec(folder.path()).then_some(&parent),
    };
    let (runtime, note) = of(choice, &facts).map_err(CommandError::Io)?;
    if let Some(note) = note {
        message!("note: {note}");
    }
    Ok(runtime)
}

/// The runtime, and what would make it a better one.
fn of(choice: RuntimeChoice, facts: &Facts<'_>) -> Result<(Runtime, Option<String>), String> {
    let is_known = facts.version.is_some_and(|version| (OLDEST_WITH_MODULE..=NEWEST).contains(&version));
    match choice {
        RuntimeChoice::Wasm => Ok((Runtime::Wasm, None)),
        RuntimeChoice::Module => refusal(facts).map_or(Ok((Runtime::Module, None)), Err),
        RuntimeChoice::Auto if !facts.has_module || !is_known => Ok((Runtime::Wasm, None)),
        RuntimeChoice::Auto => Ok(facts.noexec.map_or((Runtime::Module, None), |folder| {
            (
                Runtime::Wasm,
                Some(format!("the filter runs in WebAssembly, which takes more CPU: {}", noexec(folder))),
            )
        })),
    }
}

/// Why the module cannot run. A newer Envoy, or one of unknown version, is given the benefit of the
/// doubt.
fn refusal(facts: &Facts<'_>) -> Option<String> {
    if !facts.has_module {
        return Some(
            "--runtime module: built without the module: run `make build`, or use --runtime wasm".to_owned(),
        );
    }
    if facts.version.is_some_and(|version| version < OLDEST_WITH_MODULE) {
        let (major, minor) = OLDEST_WITH_MODULE;
        return Some(format!(
            "--runtime module: {} is too old, {major}.{minor} or newer is needed: {INSTALL}, or use --runtime wasm",
            facts.envoy
        ));
    }
    facts.noexec.map(|folder| format!("--runtime module: {}, or use --runtime wasm", noexec(folder)))
}

fn noexec(folder: &Path) -> String {
    format!(
        "{} is mounted noexec, and Envoy loads no library from there; mount it with exec, or set TMPDIR to another folder",
        folder.display()
    )
}

/// Whether no file in this folder may be executed, nor loaded as a library.
fn is_noexec(folder: &Path) -> bool {
    statvfs(folder).is_ok_and(|found| found.flags().contains(FsFlags::ST_NOEXEC))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(version: Option<(u32, u32)>) -> Facts<'static> {
        Facts { has_module: true, version, envoy: "/usr/bin/envoy (Envoy 1.39.3)", noexec: None }
    }

    fn auto(facts: &Facts<'_>) -> Runtime {
        of(RuntimeChoice::Auto, facts).unwrap().0
    }

    #[test]
    fn the_module_runs_on_each_envoy_with_its_abi_or_the_next() {
        for (version, expected) in [
            (Some((1, 37)), Runtime::Wasm),
            (Some((1, 39)), Runtime::Wasm),
            (Some((1, 40)), Runtime::Module),
            (Some((1, 41)), Runtime::Module),
            (Some((1, 42)), Runtime::Wasm),
            (Some((2, 0)), Runtime::Wasm),
            (None, Runtime::Wasm),
        ] {
            assert_eq!(auto(&facts(version)), expected, "{version:?}");
        }
    }

    #[test]
    fn a_program_without_the_module_runs_webassembly() {
        assert_eq!(auto(&Facts { has_module: false, ..facts(Some((1, 40))) }), Runtime::Wasm);
    }

    #[test]
    fn where_no_library_can_be_loaded_webassembly_runs_with_a_note() {
        let facts = Facts { noexec: Some(Path::new("/tmp")), ..facts(Some((1, 40))) };
        let (runtime, note) = of(RuntimeChoice::Auto, &facts).unwrap();
        assert_eq!(runtime, Runtime::Wasm);
        assert!(note.unwrap().contains("/tmp is mounted noexec"));
    }

    #[test]
    fn webassembly_runs_on_each_envoy_if_it_is_asked_for() {
        for version in [Some((1, 37)), Some((1, 40)), None] {
            assert_eq!(of(RuntimeChoice::Wasm, &facts(version)), Ok((Runtime::Wasm, None)));
        }
    }

    #[test]
    fn a_module_that_is_asked_for_runs_or_is_refused_with_advice() {
        let of = |facts: &Facts<'_>| of(RuntimeChoice::Module, facts).map(|(runtime, _)| runtime);
        for version in [Some((1, 40)), Some((1, 42)), None] {
            assert_eq!(of(&facts(version)), Ok(Runtime::Module));
        }
        let newest = facts(Some((1, 40)));
        for (facts, reason) in [
            (Facts { has_module: false, ..facts(Some((1, 40))) }, "built without the module"),
            (facts(Some((1, 39))), "/usr/bin/envoy (Envoy 1.39.3) is too old, 1.40 or newer is needed"),
            (Facts { noexec: Some(Path::new("/tmp")), ..newest }, "mounted noexec"),
        ] {
            let refusal = of(&facts).unwrap_err();
            assert!(refusal.contains(reason) && refusal.ends_with("or use --runtime wasm"), "{refusal}");
        }
    }
}
