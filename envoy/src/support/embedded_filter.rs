//! The modules for Envoy that `build.rs` embeds.

include!(concat!(env!("OUT_DIR"), "/filter.rs"));

use super::failure::Failure;

/// The wasm module. An error if this program was built without it.
pub fn bytes() -> Result<&'static [u8], Failure> {
    BUILT_IN.ok_or_else(|| Failure::Io("built without the filter: run `make build`".to_owned()))
}

/// The wasm module that holds responses on the edge. An error if this program was built without it.
pub fn hold() -> Result<&'static [u8], Failure> {
    HOLD.ok_or_else(|| Failure::Io("built without the filter: run `make build`".to_owned()))
}
