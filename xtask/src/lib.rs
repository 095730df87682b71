//! Release tooling. Nothing of it is shipped.

use std::path::{Path, PathBuf};

pub mod image;
pub mod sbom;

/// The filter as `make build` leaves it.
pub fn filter_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/wasm32-wasip1/release/llm_balancer_filter.wasm")
}
