//! The text of a configuration. Every text is read or has an error with a line; what is read stays
//! the same after it was rendered, or parsed for the filter.

use std::io;

use llm_balancer_config::{Finding, Loaded, Reading, Severity, load, read, read_bytes};

const PARSED: &[u8] = b"llm-balancer/parsed/";

/// Every second variable is set.
fn env(name: &str) -> Option<String> {
    name.len().is_multiple_of(2).then(|| format!("value-{name}"))
}

/// The bytes are a file, or a parsed one.
pub fn config_text(bytes: &[u8]) {
    if bytes.starts_with(PARSED) {
        keeps_its_contract(&read_bytes("config.yaml", bytes, &env), "");
        return;
    }
    let text = String::from_utf8_lossy(bytes);
    let reading = read("config.yaml", &text, &env);
    keeps_its_contract(&reading, &text);
    let file = |name: &str| match name {
        "main.yaml" => Ok("include: [config.yaml]\n".to_owned()),
        "config.yaml" => Ok(text.clone().into_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let loaded = load("config.yaml", &file, &env);
    let including = load("main.yaml", &file, &env);
    is_parsed_as_it_is_read(&loaded);
    is_parsed_as_it_is_read(&including);
    if reading.config.is_some() {
        assert_eq!(loaded.reading.config, reading.config);
        assert_eq!(including.reading.config, reading.config, "included");
        let again = read("config.yaml", &including.text, &env);
        assert_eq!(again.config, reading.config, "{}: {:#?}", including.text, again.findings);
    }
}

/// Errors stop a configuration, and every finding has a place in the file.
fn keeps_its_contract(reading: &Reading, text: &str) {
    let is_refused = reading.findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(reading.config.is_none(), is_refused, "{:#?}", reading.findings);
    // A break of YAML: CRLF, CR or LF.
    let lines = text.replace("\r\n", "\n").split(['\r', '\n']).count();
    for finding in &reading.findings {
        assert!((1..=lines).contains(&finding.line), "{finding} of {lines} lines");
        assert!(!finding.path.is_empty(), "{finding}");
        assert!(!finding.to_string().contains(['\n', '\r']), "{finding}");
    }
}

/// What the filter gets means the same.
fn is_parsed_as_it_is_read(loaded: &Loaded) {
    let Loaded { reading, text, parsed } = loaded;
    if parsed.is_empty() {
        assert!(reading.config.is_none(), "{text}");
        return;
    }
    let again = read_bytes("config.yaml", parsed, &env);
    if reading.config.is_some() {
        assert_eq!(again.config, reading.config, "{text}");
    }
    let errors = again.findings.iter().filter(|finding| finding.severity == Severity::Error);
    for error in errors {
        let is_same = |other: &Finding| (other.severity, &other.path) == (error.severity, &error.path);
        assert!(reading.findings.iter().any(is_same), "{error}: {text}");
    }
}
