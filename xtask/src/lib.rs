//! Release tooling. Nothing of it is shipped.

use std::path::{Path, PathBuf};

pub mod image;
pub mod sbom;

/// The filter as `make build` leaves it.
pub fn filter_file() -> PathBuf {
    built("wasm32-wasip1/release/llm_balancer_filter.wasm")
}

/// The module that holds responses.
pub fn hold_file() -> PathBuf {
    built("wasm32-wasip1/release/llm_balancer_hold.wasm")
}

/// The program, with both inside.
pub fn program_file() -> PathBuf {
    built("release/llm-balancer")
}

fn built(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(file)
}
