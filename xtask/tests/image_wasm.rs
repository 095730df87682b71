//! The image that `make image-wasm` packs, read as those read it who pull it.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::filter_file;
use xtask::image::{digest, pack};

/// A blob by its descriptor, which tells the truth about it.
fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let name = descriptor["digest"].as_str().unwrap();
    let bytes = fs::read(layout.join("blobs").join(name.replace(':', "/"))).unwrap();
    assert_eq!((digest(&bytes).as_str(), json!(bytes.len())), (name, descriptor["size"].clone()));
    bytes
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn the_filter_is_the_plugin_in_the_only_layer() {
    let dir = TempDir::new().unwrap();
    let layout = dir.path().join("image");
    let filter = fs::read(filter_file()).unwrap();
    let image = pack(&filter, "1.2.3", &layout).unwrap();

    assert_eq!(parsed(&fs::read(layout.join("oci-layout")).unwrap())["imageLayoutVersion"], "1.0.0");
    let index = parsed(&fs::read(layout.join("index.json")).unwrap());
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(index["manifests"][0]["digest"], image.as_str());
    let manifest = parsed(&blob(&layout, &index["manifests"][0]));
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    assert_eq!(layers[0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    let mut tar = Vec::new();
    GzDecoder::new(blob(&layout, &layers[0]).as_slice()).read_to_end(&mut tar).unwrap();
    let config = parsed(&blob(&layout, &manifest["config"]));
    assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&tar)]));

    let mut archive = tar::Archive::new(tar.as_slice());
    let mut entries = archive.entries().unwrap();
    let mut plugin = entries.next().unwrap().unwrap();
    assert_eq!(plugin.path().unwrap(), Path::new("plugin.wasm"));
    let mut content = Vec::new();
    plugin.read_to_end(&mut content).unwrap();
    assert!(content == filter, "another filter is inside");
    assert!(entries.next().is_none());
    // Nothing is left over.
    assert_eq!(fs::read_dir(layout.join("blobs/sha256")).unwrap().count(), 3);
}

#[test]
fn the_same_filter_makes_the_same_image() {
    let dir = TempDir::new().unwrap();
    let first = pack(b"filter", "1", &dir.path().join("a")).unwrap();
    assert_eq!(pack(b"filter", "1", &dir.path().join("a")).unwrap(), first, "over an older one");
    assert_eq!(pack(b"filter", "1", &dir.path().join("b")).unwrap(), first);
    assert_ne!(pack(b"another", "1", &dir.path().join("b")).unwrap(), first);
}
