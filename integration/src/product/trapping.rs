//! An Envoy with the testing filter, which traps on demand.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::envoy::{self, BOOTSTRAP};
use super::{Balancer, Envoy, hops};

impl Envoy {
    /// Starts it with what `render` writes for this file and `change` makes of it, and with the
    /// filter of `make testing-filter`.
    pub async fn trapping(config: &str, workers: u8, change: impl Fn(&str) -> String) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let file = dir.path().join("config.yaml");
        fs::write(&file, config).expect("the configuration can be written");
        let folder = dir.path().to_owned();
        let command = envoy::command(dir.path(), &BTreeMap::new(), workers);
        Self::start(dir, command, |port, admin_port| {
            render(&file, &folder, port, admin_port);
            let filter = "target/testing/wasm32-wasip1/release/llm_balancer_filter.wasm";
            let filter = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(filter);
            fs::copy(filter, folder.join("filter.wasm")).expect("`make testing-filter` makes it");
            change(&fs::read_to_string(folder.join(BOOTSTRAP)).expect("it is rendered"))
        })
        .await
    }
}

/// What `llm-balancer render --target envoy` writes into this folder.
fn render(file: &Path, folder: &Path, port: u16, admin_port: u16) {
    let rendered = Command::new(Balancer::binary())
        .args(["render", "--target", "envoy", "--hops", hops()])
        .args(["--port", &port.to_string(), "--admin-port", &admin_port.to_string(), "--config"])
        .arg(file)
        .arg("--out")
        .arg(folder)
        .stderr(Stdio::null())
        .status();
    assert!(rendered.expect("`make build` makes it").success());
}
