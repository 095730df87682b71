//! One file for each mistake, beside everything that is printed about it.
//!
//! `UPDATE=1 cargo test -p llm-balancer-config --test cases` rewrites what is printed; read the
//! difference before you keep it. A first line `# env: NAME=value OTHER=value` sets the environment
//! of a case; `\n`, `\r`, `\t` and `\s` (a blank) in a value are what they stand for.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "helpers of a test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use llm_balancer_config::{Reading, Severity, load};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn stems(directory: &Path, extension: &str) -> BTreeSet<String> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let of_kind = paths.filter(|path| path.extension().is_some_and(|found| found == extension));
    of_kind.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Reads a file of a directory under its bare name, in the environment that its first line sets.
fn read(directory: &Path, name: &str) -> Reading {
    let text = fs::read_to_string(directory.join(name)).unwrap();
    let env: BTreeMap<&str, &str> = text
        .lines()
        .next()
        .and_then(|line| line.trim_start_matches('\u{feff}').strip_prefix("# env: "))
        .map(|pairs| pairs.split_whitespace().map(|pair| pair.split_once('=').unwrap()).collect())
        .unwrap_or_default();
    let read_file =
        |path: &str| fs::read_to_string(directory.join(path)).map_err(|error| io::Error::from(error.kind()));
    load(name, &read_file, &|variable| env.get(variable).map(|value| unescaped(value))).reading
}

fn unescaped(value: &str) -> String {
    let escapes = [("\\n", "\n"), ("\\r", "\r"), ("\\t", "\t"), ("\\s", " ")];
    escapes.iter().fold(value.to_owned(), |text, (escape, char)| text.replace(escape, char))
}

fn printed(reading: &Reading) -> String {
    reading.findings.iter().map(|finding| format!("{finding}\n")).collect()
}

/// The lines of both, marked where they differ.
fn difference(expected: &str, actual: &str) -> String {
    let mut lines = Vec::new();
    let count = expected.lines().count().max(actual.lines().count());
    for index in 0..count {
        match (expected.lines().nth(index), actual.lines().nth(index)) {
            (Some(left), Some(right)) if left == right => lines.push(format!("  {left}")),
            (left, right) => {
                lines.extend(left.map(|line| format!("- {line}")));
                lines.extend(right.map(|line| format!("+ {line}")));
            }
        }
    }
    lines.join("\n")
}

#[test]
fn every_mistake_has_the_findings_of_its_case() {
    let cases = directory("cases");
    let names = stems(&cases, "yaml");
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for name in &names {
        let reading = read(&cases, &format!("{name}.yaml"));
        let refused = reading.findings.iter().any(|finding| finding.severity == Severity::Error);
        assert_eq!(
            reading.config.is_none(),
            refused,
            "{name}: a configuration exactly if nothing is refused"
        );
        let actual = printed(&reading);
        assert!(!actual.is_empty(), "{name}: a case without a finding is none");
        let path = cases.join(format!("{name}.txt"));
        if update {
            fs::write(&path, &actual).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if expected != actual {
            wrong.push(format!("{name}:\n{}", difference(&expected, &actual)));
        }
    }
    assert!(wrong.is_empty(), "UPDATE=1 rewrites these\n\n{}", wrong.join("\n\n"));
    let orphans: Vec<_> = stems(&cases, "txt").difference(&names).cloned().collect();
    assert!(orphans.is_empty(), "texts without a case: {orphans:?}");
    assert!(names.len() >= 45, "{} cases", names.len());
}

#[test]
fn files_such_as_people_write_are_accepted() {
    let good = directory("good");
    let names = stems(&good, "yaml");
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let reading = read(&good, &format!("{name}.yaml"));
        assert!(reading.config.is_some(), "{name}:\n{}", printed(&reading));
    }
}

/// The tables of the page are those of the program.
#[test]
fn the_page_has_the_tables_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let mut page = fs::read_to_string(&path).unwrap();
    for (name, table) in llm_balancer_config::documented_tables() {
        let (begin, end) = (format!("<!-- keys of {name} -->\n"), format!("<!-- end of {name} -->"));
        let start = page.find(&begin).unwrap_or_else(|| panic!("no table of {name}")) + begin.len();
        let length = page[start..].find(&end).unwrap_or_else(|| panic!("no end of the table of {name}"));
        if std::env::var_os("UPDATE").is_some() {
            page.replace_range(start..start + length, &table);
            fs::write(&path, &page).unwrap();
        } else {
            assert_eq!(&page[start..start + length], table, "{name}: UPDATE=1 rewrites the page");
        }
    }
}
