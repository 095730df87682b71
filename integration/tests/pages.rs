//! Pages that name tests name tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

const PAGES: [&str; 1] = ["docs/RELIABILITY.md"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `file::test` and `router/file::test` between backticks.
fn named_tests(page: &str) -> Vec<(&str, &str)> {
    let spans = page.split('`').skip(1).step_by(2);
    let of_a_name = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
    spans
        .filter_map(|span| span.split_once("::"))
        .filter(|(file, test)| {
            file.chars().all(|char| of_a_name(char) || char == '/') && test.chars().all(of_a_name)
        })
        .collect()
}

/// Whether the file has such a function, or gives the name to a macro that makes it.
fn exists(file: &str, test: &str) -> bool {
    let path = match file.strip_prefix("router/") {
        Some(file) => format!("router/tests/{file}.rs"),
        None => format!("integration/tests/{file}.rs"),
    };
    let text = fs::read_to_string(repository().join(path)).unwrap_or_default();
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    text.contains(&format!("fn {test}("))
        || (text.contains("fn $name()") && text.split(|char| !is_word(char)).any(|word| word == test))
}

#[test]
fn every_test_that_a_page_names_exists() {
    for page in PAGES {
        let text = fs::read_to_string(repository().join(page)).expect("the page");
        let tests = named_tests(&text);
        assert!(tests.len() >= 20, "{page} names {} tests", tests.len());
        let missing: Vec<_> = tests.iter().filter(|(file, test)| !exists(file, test)).collect();
        assert!(missing.is_empty(), "{page} names tests that do not exist: {missing:?}");
    }
}

#[test]
fn a_test_that_does_not_exist_is_found_out() {
    assert!(exists("reload", "under_load_no_request_and_no_stream_notices"));
    assert!(exists("fleet_faults", "redis_may_freeze"));
    assert!(!exists("fleet_faults", "redis_may_freez"));
    assert!(!exists("nowhere", "redis_may_freeze"));
    assert_eq!(
        named_tests("`a::b` or `router/c::d_1`, and not `Config::new` or `a_file.rs`"),
        [("a", "b"), ("router/c", "d_1")]
    );
}
