//! No text makes the reader panic, and every result keeps the contract of `read`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "helpers of a test"
)]

use std::fs;
use std::path::Path;

use llm_balancer_config::{Severity, read};

fn texts() -> Vec<Vec<u8>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut files = Vec::new();
    for directory in ["cases", "good"] {
        let entries = fs::read_dir(tests.join(directory)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some()));
    }
    files.sort();
    files.retain(|path| path.extension().unwrap() == "yaml");
    files.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Reads the bytes as a file. Every second variable is set.
fn survives(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let env = |name: &str| name.len().is_multiple_of(2).then(|| format!("value-{name}"));
    let reading = read("config.yaml", &text, &env);
    let refused = reading.findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(reading.config.is_none(), refused, "{text}");
    for finding in &reading.findings {
        assert!(finding.line >= 1 && finding.line <= text.lines().count() + 2, "{finding}\n{text}");
        // What was expected is advice enough.
        let advises = !finding.advice.is_empty() || finding.message.starts_with("expected ");
        assert!(!finding.path.is_empty() && advises, "{finding}");
    }
}

#[test]
fn a_file_cut_off_anywhere_is_read_or_has_an_error() {
    for text in texts() {
        for end in 0..text.len() {
            survives(&text[..end]);
        }
    }
}

#[test]
fn a_flipped_byte_anywhere_is_survived() {
    // One flip turns letters and YAML into other ASCII, the other leaves ASCII; eleven keeps the
    // positions moving.
    for (turn, text) in texts().into_iter().enumerate() {
        for position in (turn % 11..text.len()).step_by(11) {
            for flip in [0x1a, 0xa0] {
                let mut text = text.clone();
                text[position] ^= flip;
                survives(&text);
            }
        }
    }
}

#[test]
fn characters_that_mean_something_to_yaml_are_survived_anywhere() {
    const CHARACTERS: &[u8] = b":{}[]-&*!|>'\"%@`#,?\n\t\\\0";
    for (turn, text) in texts().into_iter().enumerate() {
        for position in (turn % 13..text.len()).step_by(13) {
            let mut text = text.clone();
            text[position] = CHARACTERS[(position + turn) % CHARACTERS.len()];
            survives(&text);
        }
    }
}

#[test]
fn depth_and_repetition_are_bounded() {
    survives("[".repeat(100_000).as_bytes());
    survives("a: ".repeat(10_000).as_bytes());
    survives("- ".repeat(100_000).as_bytes());
    survives(format!("{}x", "a:\n ".repeat(1000)).as_bytes());
    let deep: String = (0..300).map(|depth| format!("{}k:\n", " ".repeat(depth))).collect();
    survives(deep.as_bytes());
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let previous = format!("*a{}, ", level - 1).repeat(10);
        laughs.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
    }
    survives(laughs.as_bytes());
    survives(b"a: &a [*a]\nb: &b {c: *b}\n");
}
