//! The folders of this crate depend on each other in one direction.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// From top to bottom. A folder may use those below it.
const FOLDERS: [&str; 17] = [
    "stream", "router", "telemetry", "select", "fleet", "attempt", "models", "affinity", "upstream",
    "failure", "strategy", "state", "request", "http", "outcome", "hash", "random",
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn floor(module: &str) -> Option<usize> {
    FOLDERS.iter().position(|folder| *folder == module)
}

/// The modules that a file's code uses, without its tests and comments.
fn used(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code = code.split("#[cfg(test)]\n#[allow").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    let names = lines.flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>());
    names
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned())
        .collect()
}

#[test]
fn a_folder_uses_only_those_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut upward = Vec::new();
    for path in files(&src) {
        let file = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let own = file.split('/').next().unwrap().trim_end_matches(".rs");
        if own == "lib" || file.ends_with("tests.rs") {
            continue;
        }
        let own = floor(own).unwrap_or_else(|| panic!("{own} has no floor"));
        let text = fs::read_to_string(&path).unwrap();
        let above = used(&text).into_iter().filter(|module| floor(module).is_some_and(|floor| floor < own));
        upward.extend(above.map(|module| format!("{file} uses {module}")));
    }
    assert!(upward.is_empty(), "{upward:#?}");
}
