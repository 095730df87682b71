//! `make image-wasm`: packs the built filter as an OCI image, with a bill of materials beside it,
//! and prints the digest.

use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use xtask::{filter_file, image, sbom};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Usage: `xtask [FOLDER]`, by default `target`.
fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::env::args_os().nth(1).map_or_else(|| root.join("target"), PathBuf::from);
    let filter = fs::read(filter_file())?;
    let digest = image::pack(&filter, VERSION, &folder.join("llm-balancer-filter.oci"))?;
    let bill = sbom::bill(&metadata(&root)?, "llm-balancer-filter", &filter);
    fs::write(folder.join("llm-balancer-filter.cdx.json"), serde_json::to_string_pretty(&bill)?)?;
    println!("{digest}");
    eprintln!(
        "target/llm-balancer-filter.oci (OCI image layout) and target/llm-balancer-filter.cdx.json (CycloneDX)"
    );
    eprintln!(
        "for example: skopeo copy oci:target/llm-balancer-filter.oci docker://registry.example/llm-balancer-filter:{VERSION}"
    );
    Ok(())
}

/// The packages of this workspace as `cargo metadata` describes them for the filter's target.
fn metadata(root: &Path) -> Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "wasm32-wasip1"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
