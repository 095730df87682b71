//! What the program hands to the filter means the same as the text that it was parsed from.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test")]

use std::fs;
use std::path::{Path, PathBuf};

use llm_balancer_config::{Finding, Loaded, Severity, load, read_bytes};

/// Every configuration of the repository: those of tests, and those that people start from.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let directories = [
        "config/tests/cases", "config/tests/good", "config/examples", "envoy/tests/golden",
        "deploy/kubernetes",
    ];
    let mut files = Vec::new();
    for directory in directories {
        let entries = fs::read_dir(root.join(directory)).unwrap().map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")));
    }
    assert!(files.len() > 150, "{}", files.len());
    files
}

/// Variables of which every second one is set.
fn env(name: &str) -> Option<String> {
    name.len().is_multiple_of(2).then(|| format!("value-{name}"))
}

fn loaded(file: &Path) -> Loaded {
    let directory = file.parent().unwrap().to_owned();
    let read_file = |name: &str| fs::read_to_string(directory.join(name));
    load(file.file_name().unwrap().to_str().unwrap(), &read_file, &env)
}

#[test]
fn a_parsed_file_is_the_configuration_of_its_text() {
    let (mut accepted, mut refused) = (0, 0);
    for file in files() {
        let Loaded { reading, text, parsed } = loaded(&file);
        if parsed.is_empty() {
            assert!(reading.config.is_none(), "{}", file.display());
            continue;
        }
        let again = read_bytes("config.yaml", &parsed, &env);
        if reading.config.is_some() {
            accepted += 1;
            assert_eq!(again.config, reading.config, "{}", file.display());
            let of_text = read_bytes("config.yaml", text.as_bytes(), &env);
            assert_eq!(of_text.config, reading.config, "{}", file.display());
        }
        // The parser alone finds mistakes of the notation. Messages may name other lines.
        refused += usize::from(again.config.is_none());
        let errors = again.findings.iter().filter(|finding| finding.severity == Severity::Error);
        for finding in errors {
            let is_same =
                |other: &Finding| (other.severity, &other.path) == (finding.severity, &finding.path);
            assert!(reading.findings.iter().any(is_same), "{}: {finding}", file.display());
        }
    }
    assert!(accepted > 20 && refused > 60, "{accepted} accepted, {refused} refused");
}

#[test]
fn a_mistake_in_a_parsed_file_has_its_path() {
    let text = "model_list:\n- {model_name: g, litellm_params: {model: openai/m, rpm: many}}\n";
    let parsed = load("main.yaml", &|_| Ok(text.to_owned()), &|_| None).parsed;
    let findings = read_bytes("config.yaml", &parsed, &|_| None).findings;
    let error = findings.iter().find(|found| found.path.ends_with("rpm")).unwrap().to_string();
    assert!(error.starts_with("config.yaml:1: error: model_list[0].litellm_params.rpm: expected"), "{error}");
}

#[test]
fn a_variable_is_replaced_when_a_parsed_file_is_read_and_not_before() {
    let text = "model_list:\n- {model_name: g, litellm_params: {model: openai/m, api_key: os.environ/KEY}}\n";
    let key = |value: &'static str| move |name: &str| (name == "KEY").then(|| value.to_owned());
    let load = |value: &'static str| load("main.yaml", &|_| Ok(text.to_owned()), &key(value));
    let parsed = load("sk-of-the-program").parsed;
    assert!(!String::from_utf8_lossy(&parsed).contains("sk-of-the-program"));
    let config = read_bytes("config.yaml", &parsed, &key("sk-of-the-filter")).config;
    assert!(config.is_some());
    assert_eq!(config, load("sk-of-the-filter").reading.config);
}

#[test]
fn a_parsed_file_of_another_version_is_refused_by_name() {
    let reading = read_bytes("config.yaml", b"llm-balancer/parsed/999\nabc", &|_| None);
    assert!(reading.config.is_none());
    assert!(reading.findings[0].message.contains("of another version"), "{}", reading.findings[0]);
}
