//! The filter as an image that registries keep and meshes pull: an OCI image layout with the
//! "compat" variant of wasm images, which is an ordinary image whose only layer holds
//! `plugin.wasm`. The agent of Istio, Envoy Gateway and image volumes of Kubernetes read it.
//!
//! The same filter makes the same digest: no clock, no user and no order of a folder gets into it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The name by which the filter is found in its layer.
const PLUGIN: &str = "plugin.wasm";

/// Writes the layout into a folder, which is emptied first. Returns the digest of the image:
/// `sha256:..`.
pub fn pack(filter: &[u8], version: &str, folder: &Path) -> io::Result<String> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let tar = archive(filter)?;
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": labels(version)},
        "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]},
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(&blobs, CONFIG, config.to_string().as_bytes())?,
        "layers": [blob(&blobs, LAYER, &zipped(&tar)?)?],
        "annotations": labels(version),
    });
    let manifest = blob(&blobs, MANIFEST, manifest.to_string().as_bytes())?;
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]});
    fs::write(folder.join("index.json"), index.to_string())?;
    fs::write(folder.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
    Ok(manifest["digest"].as_str().unwrap_or_default().to_owned())
}

fn labels(version: &str) -> Value {
    json!({
        "org.opencontainers.image.title": "llm-balancer-filter",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "Apache-2.0",
    })
}

fn archive(filter: &[u8]) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_size(filter.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, PLUGIN, filter)?;
    tar.into_inner()
}

fn zipped(tar: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(tar)?;
    gzip.finish()
}

/// Keeps a blob under its digest, and describes it.
fn blob(blobs: &Path, media_type: &str, bytes: &[u8]) -> io::Result<Value> {
    let digest = digest(bytes);
    fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes)?;
    Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
}

/// `sha256:..`
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)))
}
