//! Pages that name things of this repository: what they name exists, and what has to be on them is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Pages with a test in each row, and more than how many tests they name.
const TESTED: [(&str, usize); 2] = [("docs/SECURITY.md", 80), ("docs/RELIABILITY.md", 40)];
const DECISIONS: &str = "docs/decisions";
const DEPENDENCIES: &str = "docs/decisions/dependencies.md";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of a row of a table; none for other lines, and for the line below the head.
fn cells(line: &str) -> Vec<&str> {
    let inside =
        line.strip_prefix('|').and_then(|rest| rest.trim_end().strip_suffix('|')).unwrap_or_default();
    if inside.is_empty() || inside.starts_with("---") {
        return Vec::new();
    }
    inside.split('|').map(str::trim).collect()
}

/// Links whose text is code: ``[`name`](path)``.
fn links(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split("[`").skip(1);
    parts
        .filter_map(|part| part.split_once("`]("))
        .filter_map(|(name, rest)| Some((name, rest.split_once(')')?.0)))
        .collect()
}

/// Whether a source has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let is_named =
        |line: &str| line.strip_prefix("async ").unwrap_or(line).starts_with(&format!("fn {name}("));
    lines.iter().enumerate().filter(|(_, line)| is_named(line)).any(|(place, _)| {
        let above =
            lines.iter().take(place).rev().take_while(|line| line.starts_with('#') || line.starts_with("//"));
        above.into_iter().any(|line| line.starts_with("#[") && line.contains("test"))
    })
}

/// What is wrong with a page that has a test for each threat or promise: rows without one, and tests
/// that do not exist.
fn faults(page: &str, source: impl Fn(&str) -> String) -> Vec<String> {
    let mut faults = Vec::new();
    let mut has_tests = false;
    for line in page.lines() {
        let cells = cells(line);
        let Some(last) = cells.last() else {
            has_tests &= line.starts_with('|');
            continue;
        };
        if *last == "test" {
            has_tests = true;
            continue;
        }
        if !has_tests {
            continue;
        }
        let tests = links(last);
        if tests.is_empty() {
            faults.push(format!("no test: {line}"));
        }
        for (name, path) in tests {
            if !has_test(&source(path), name) {
                faults.push(format!("{path} has no test {name}"));
            }
        }
    }
    faults
}

#[test]
fn every_threat_and_every_promise_has_a_test_that_exists() {
    for (path, at_least) in TESTED {
        let page = read(path);
        let faults =
            faults(&page, |path| fs::read_to_string(root().join("docs").join(path)).unwrap_or_default());
        assert!(faults.is_empty(), "{path}:\n{}", faults.join("\n"));
        assert!(links(&page).len() > at_least, "{path}: {} tests", links(&page).len());
    }
}

#[test]
fn a_row_without_a_test_is_found() {
    let source = |path: &str| match path {
        "a.rs" => "/// It works.\n#[tokio::test]\nasync fn it_works() {}\nfn helper() {}\n".to_owned(),
        _ => String::new(),
    };
    let page = |row: &str| {
        format!("| threat | test |\n|---|---|\n| x | {row} |\n\n| other | table |\n|---|---|\n| y | z |\n")
    };
    assert_eq!(faults(&page("[`it_works`](a.rs)"), source), [""; 0]);
    for row in ["", "`it_works`", "[`helper`](a.rs)", "[`it_work`](a.rs)", "[`it_works`](b.rs)"] {
        assert_eq!(faults(&page(row), source).len(), 1, "{row}");
    }
}

#[test]
fn the_index_lists_every_decision_once() {
    let files = fs::read_dir(root().join(DECISIONS)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<_> = names.filter(|name| name.ends_with(".md") && name != "README.md").collect();
    pages.sort();
    let index = read(format!("{DECISIONS}/README.md"));
    let entries = index.lines().filter_map(|line| line.strip_prefix("- ["));
    let mut listed: Vec<_> =
        entries.filter_map(|entry| Some(entry.split_once("](")?.1.split_once("): ")?.0.to_owned())).collect();
    listed.sort();
    assert_eq!(listed, pages);
}

/// Direct dependencies of the workspace's packages, with the versions in use.
fn direct_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--no-deps"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let dependencies = packages.flat_map(|package| package["dependencies"].as_array().unwrap());
    let foreign = dependencies.filter(|dependency| dependency["path"].is_null());
    let locked = read("Cargo.lock");
    foreign
        .map(|dependency| {
            let name = dependency["name"].as_str().unwrap();
            let entry = format!("name = \"{name}\"\nversion = \"");
            let versions = locked.split(&entry).skip(1).filter_map(|rest| rest.split('"').next());
            (name.to_owned(), versions.map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn every_dependency_has_a_reason_and_every_reason_a_dependency() {
    let page = read(DEPENDENCIES);
    let dependencies = direct_dependencies();
    assert!(dependencies.len() > 30, "{dependencies:?}");
    for name in dependencies.keys() {
        assert!(page.contains(&format!("`{name}`")), "{DEPENDENCIES} has no reason for {name}");
    }
    for row in page.lines().map(cells).filter(|cells| cells.len() == 5) {
        // The first table has the package in front, the others the crate that uses it.
        let is_first = row[0].starts_with('`') && !row[1].starts_with('`');
        let named = if is_first { row[0] } else { row[1] };
        for name in named.split('`').skip(1).step_by(2) {
            let is_used = dependencies.contains_key(name);
            assert!(is_used || row[1] == "no", "{DEPENDENCIES} has a reason for {name}, which nothing uses");
        }
    }
}

#[test]
fn the_versions_of_dependencies_are_those_in_use() {
    let page = read(DEPENDENCIES);
    let dependencies = direct_dependencies();
    let mut compared = 0;
    for row in page.lines().map(cells).filter(|cells| cells.len() == 5 && cells[1].starts_with('`')) {
        let names = row[1].split('`').skip(1).step_by(2);
        for (name, version) in names.zip(row[2].split(", ")) {
            let version = version.split(' ').next().unwrap_or_default();
            let used = &dependencies[name];
            assert!(used.contains(version), "{DEPENDENCIES}: {name} {version}, and {used:?} is in use");
            compared += 1;
        }
    }
    assert!(compared > 25, "{compared}");
}
