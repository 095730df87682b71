//! Bills of materials: complete, and as CycloneDX describes them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::program_file;
use xtask::sbom::{Bill, envoy, envoy_version};

/// The names of a bill's components.
fn names(bill: &Value) -> BTreeSet<&str> {
    bill["components"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[test]
fn the_bill_lists_what_is_compiled_in_and_nothing_else() {
    let package =
        |name: &str| json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0"});
    let needs = |name: &str, kind: Value| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
    let metadata = json!({
        "packages": [package("filter"), package("router"), package("memchr"), package("proptest"), package("other")],
        "resolve": {"nodes": [
            {"id": "filter", "deps": [needs("router", Value::Null), needs("proptest", json!("dev"))]},
            {"id": "router", "deps": [needs("memchr", Value::Null)]},
            {"id": "memchr", "deps": []},
        ]},
    });
    let bill = Bill::of_crates(&metadata, "filter", b"").json();
    assert_eq!(names(&bill), BTreeSet::from(["memchr", "router"]));
    assert_eq!(bill["metadata"]["component"]["name"], "filter");
    assert_eq!(bill["components"][0]["licenses"], json!([{"expression": "MIT OR Apache-2.0"}]));
    assert_eq!(bill["dependencies"].as_array().unwrap().len(), 3);
}

#[test]
fn envoys_version_is_not_a_part_of_the_path_of_its_binary() {
    for binary in ["envoy", "/usr/local/bin/envoy", ".tools/envoy/bin/envoy"] {
        let about = format!("\n{binary}  version: 9e5580933739/1.40.0/Clean/RELEASE/BoringSSL\n");
        assert_eq!(envoy_version(&about), Some("1.40.0"), "{binary}");
    }
    assert_eq!(envoy_version("/usr/bin/other 1.0"), None);
}

#[test]
fn a_part_brings_its_own_parts() {
    let component = |name: &str| json!({"type": "library", "bom-ref": name, "name": name, "version": "1"});
    let mut program = Bill::of(component("program"));
    program.add(component("crate"));
    let mut image = Bill::of(component("image"));
    image.include(program);
    image.add(envoy("1.40.0", b"binary"));
    let bill = image.json();
    assert_eq!(names(&bill), BTreeSet::from(["crate", "envoy", "program"]));
    let needs = |of: &str| {
        let all = bill["dependencies"].as_array().unwrap();
        all.iter().find(|one| one["ref"] == of).map(|one| one["dependsOn"].clone()).unwrap()
    };
    assert_eq!(needs("image"), json!(["pkg:github/envoyproxy/envoy@v1.40.0", "program"]));
    assert_eq!(needs("program"), json!(["crate"]));
    let envoy = bill["components"].as_array().unwrap().iter().find(|one| one["name"] == "envoy").unwrap();
    // printf binary | sha256sum
    let digest = "9a3a45d01531a20e89ac6ae10b0b0beb0492acd7216a368aa062d1a5fecaf9cd";
    assert_eq!(envoy["hashes"], json!([{"alg": "SHA-256", "content": digest}]));
}

/// `$CYCLONEDX` has cyclonedx-python-lib.
fn validate(files: &[PathBuf]) {
    const SCRIPT: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
for file in sys.argv[1:]:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(file).read())
    if error: sys.exit(f'{file}: {error}')
";
    let library = std::env::var_os("CYCLONEDX").expect("CYCLONEDX names the folder of cyclonedx-python-lib");
    let output =
        Command::new("python3").args(["-c", SCRIPT]).args(files).env("PYTHONPATH", library).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn xtask(arguments: &[&Path]) {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The image's tree as container/image.sh lays it out.
fn tree(folder: &Path) {
    let envoy = std::env::var_os("ENVOY").expect("ENVOY names Envoy's binary");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../container/image.sh");
    let output =
        Command::new(script).arg("--trees").arg(folder).arg(program_file()).arg(envoy).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_bills_of_filter_program_and_image_are_valid_and_name_what_is_inside() {
    let dir = TempDir::new().unwrap();
    let (image, folder) = (dir.path().join("image"), dir.path().join("bills"));
    fs::create_dir(&folder).unwrap();
    tree(&image);
    let envoy = PathBuf::from(std::env::var_os("ENVOY").unwrap());
    xtask(&["sbom".as_ref(), &envoy, &image, &folder]);
    xtask(&["image-wasm".as_ref(), &folder]);
    let file = |name: &str| folder.join(name).with_extension("cdx.json");
    let files = ["llm-balancer-filter", "llm-balancer", "llm-balancer-image"].map(file);
    validate(&files);
    let [filter, program, image] =
        files.map(|file| serde_json::from_str::<Value>(&fs::read_to_string(file).unwrap()).unwrap());
    assert!(names(&filter).contains("proxy-wasm") && !names(&filter).contains("clap"));
    let inside = ["clap", "llm-balancer-filter", "llm-balancer-hold", "proxy-wasm", "llm-balancer-router"];
    assert!(inside.iter().all(|name| names(&program).contains(name)), "{:?}", names(&program));
    assert!(!names(&program).contains("envoy") && !names(&program).contains("proptest"));
    let more = ["envoy", "llm-balancer"];
    assert!(inside.iter().chain(&more).all(|name| names(&image).contains(name)), "{:?}", names(&image));
    let text = image.to_string();
    assert!(text.contains("libc.so.6") && text.contains("ca-certificates.crt"), "libraries and authorities");
}
