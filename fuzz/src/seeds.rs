//! Inputs that other tests of the repository have, for the targets that read the same.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Folders with configurations.
const CONFIGURATIONS: [&str; 4] =
    ["config/tests/cases", "config/tests/good", "config/examples", "envoy/tests/golden"];
const ERRORS: &str = "router/tests/failures/errors.jsonl";

/// The inputs, each with the name of its target.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let configurations = CONFIGURATIONS.iter().flat_map(|folder| yaml_files(&root.join(folder)));
    let errors = fs::read_to_string(root.join(ERRORS)).expect("errors of providers");
    let errors: Vec<Vec<u8>> = errors.lines().map(error).collect();
    let configurations = configurations.map(|text| ("config_text", text));
    configurations.chain(errors.into_iter().map(|error| ("error_class", error))).collect()
}

fn yaml_files(folder: &Path) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    let is_configuration = |path: &std::path::PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".yaml") && !name.ends_with(".bootstrap.yaml")
    };
    files.filter(is_configuration).map(|path| fs::read(path).expect("a file")).collect()
}

/// A line of the file, as the target reads it: status, flags, seed, body.
fn error(line: &str) -> Vec<u8> {
    let line: Value = serde_json::from_str(line).expect("a line is JSON");
    let status = line["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status");
    let flag = |name: &str, flag: u8| if line[name] == true { flag } else { 0 };
    let mut bytes = status.to_be_bytes().to_vec();
    bytes.extend([flag("wildcard", 4) | flag("added", 8), 1]);
    match &line["body"] {
        Value::String(text) => bytes.extend(text.bytes()),
        body => bytes.extend(body.to_string().bytes()),
    }
    bytes
}
