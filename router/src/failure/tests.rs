//! Error bodies of real providers, each with its class: `router/tests/failures/errors.jsonl`.
//!
//! A line has `provider`, `status`, `route`, `wildcard`, `body` (JSON, or a string for a body that
//! is not) and `class`; `added` where the balancer had added `stream_options`.

use serde_json::Value;

use super::{ErrorClass, ProviderError, classify};
use crate::upstream::response_check::FalseSuccess;
use crate::upstream::response_check::tests::checked_failure;

const ERRORS: &str = include_str!("../../tests/failures/errors.jsonl");

struct Row {
    line: Value,
    body: Vec<u8>,
}

fn rows() -> Vec<Row> {
    let row = |text: &str| {
        let line: Value = serde_json::from_str(text).expect("a line is JSON");
        let body = match &line["body"] {
            Value::String(text) => text.clone().into_bytes(),
            body => body.to_string().into_bytes(),
        };
        Row { line, body }
    };
    ERRORS.lines().map(row).collect()
}

impl Row {
    fn class_of(&self, status: u16, body: &[u8]) -> ErrorClass {
        classify(&ProviderError {
            status,
            body,
            error_type: None,
            has_retry_after: false,
            is_wildcard: self.line["wildcard"].as_bool().unwrap(),
            model: "",
            adds_stream_options: self.line["added"].as_bool().unwrap_or_default(),
        })
        .class
    }

    /// What is classified of the body: under a status of success, what the check of responses leaves.
    fn classified_body(&self) -> Vec<u8> {
        match self.status() {
            200 => {
                let FalseSuccess { body, original, .. } = checked_failure(&self.body);
                original.unwrap_or(body).into_bytes()
            }
            _ => self.body.clone(),
        }
    }

    fn status(&self) -> u16 {
        self.line["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap()
    }
}

#[test]
fn every_providers_errors_are_told_apart() {
    let rows = rows();
    assert!(rows.len() > 200, "{}", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let class = row.class_of(row.status(), &row.classified_body()).name();
            (row.line["class"] != class).then(|| format!("{class} instead of {}", row.line))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn every_class_that_a_body_can_have_is_in_the_file() {
    for class in ErrorClass::ALL.into_iter().filter(|class| *class != ErrorClass::ClientTimeout) {
        assert!(rows().iter().any(|row| row.line["class"] == class.name()), "{}", class.name());
    }
}

#[test]
fn a_body_that_is_cut_off_or_damaged_has_a_class_by_its_status() {
    for row in rows() {
        let of_status = row.class_of(row.status(), b"");
        for end in 0..row.body.len() {
            let cut = row.class_of(row.status(), &row.body[..end]);
            assert!(end == 0 || cut == of_status || row.line["body"].is_string(), "{} at {end}", row.line);
        }
        for place in 0..row.body.len() {
            let mut damaged = row.body.clone();
            damaged[place] ^= 0x80;
            row.class_of(row.status(), &damaged);
        }
    }
}

#[test]
fn any_status_with_any_body_has_a_class() {
    for row in rows().iter().step_by(9) {
        for status in (0..1000).chain([u16::MAX]) {
            row.class_of(status, &row.body);
        }
    }
}
