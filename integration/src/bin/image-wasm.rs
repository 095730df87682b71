//! `make image-wasm`: packs the built filter as an OCI image, with a bill of materials beside it, and prints the digest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use llm_balancer_integration::{sbom, wasm_image};

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::args_os().nth(1).map_or_else(|| root.join("target"), PathBuf::from);
    let filter = fs::read(root.join("target/wasm32-wasip1/release/llm_balancer_filter.wasm"))?;
    let digest =
        wasm_image::pack(&filter, env!("CARGO_PKG_VERSION"), &target.join("llm-balancer-filter.oci"))?;
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "wasm32-wasip1"])
        .current_dir(&root)
        .output()?;
    if !metadata.status.success() {
        return Err(std::io::Error::other(String::from_utf8_lossy(&metadata.stderr).into_owned()));
    }
    let bill = sbom::bill(&serde_json::from_slice(&metadata.stdout)?, "llm-balancer-filter", &filter);
    fs::write(target.join("llm-balancer-filter.cdx.json"), serde_json::to_string_pretty(&bill)?)?;
    println!("{digest}");
    eprintln!(
        "target/llm-balancer-filter.oci (OCI image layout) and target/llm-balancer-filter.cdx.json (CycloneDX)"
    );
    eprintln!(
        "for example: skopeo copy oci:target/llm-balancer-filter.oci docker://registry.example/llm-balancer-filter:{}",
        env!("CARGO_PKG_VERSION")
    );
    Ok(())
}
