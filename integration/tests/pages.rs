//! Pages that name tests name tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/RELIABILITY.md";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// Links to a source whose text is code: the name of a test, and the path.
fn named_tests(page: &str) -> Vec<(&str, &str)> {
    let links = page.split("[`").skip(1).filter_map(|link| link.split_once("`]("));
    let links = links.filter_map(|(name, rest)| Some((name, rest.split_once(')')?.0)));
    links.filter(|(_, path)| path.ends_with(".rs")).collect()
}

fn exists(name: &str, path: &str) -> bool {
    let source = fs::read_to_string(docs().join(path)).unwrap_or_default();
    source.contains(&format!("fn {name}("))
}

#[test]
fn every_promise_has_a_test_that_exists() {
    let page = fs::read_to_string(docs().join("..").join(PAGE)).expect("the page");
    let tests = named_tests(&page);
    assert!(tests.len() > 40, "{PAGE} names {} tests", tests.len());
    let missing: Vec<_> = tests.iter().filter(|(name, path)| !exists(name, path)).collect();
    assert!(missing.is_empty(), "{PAGE} names tests that do not exist: {missing:?}");
    let rows = page.split("| promise | test |").skip(1).flat_map(|table| {
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        rows.filter(|row| named_tests(row).is_empty())
    });
    assert_eq!(rows.collect::<Vec<_>>(), [""; 0], "promises without a test");
}

#[test]
fn a_test_that_does_not_exist_is_found_out() {
    let path = "../integration/tests/reload.rs";
    assert!(exists("under_load_no_request_and_no_stream_notices", path));
    assert!(!exists("under_load_no_request_and_no_stream_notice", path));
    assert!(!exists("under_load_no_request_and_no_stream_notices", "../nowhere.rs"));
    let text = "[`a_test`](../a.rs), not [`a`](b.md), not [words](../a.rs)";
    assert_eq!(named_tests(text), [("a_test", "../a.rs")]);
}
