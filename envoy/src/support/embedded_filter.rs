//! The filter that `build.rs` embeds.

include!(concat!(env!("OUT_DIR"), "/filter.rs"));

/// The module that holds responses on their way to the edge.
pub const HOLD: &[u8] = b"";

use super::failure::Failure;

/// The wasm module. An error if this program was built without it.
pub fn bytes() -> Result<&'static [u8], Failure> {
    BUILT_IN.ok_or_else(|| Failure::Io("built without the filter: run `make build`".to_owned()))
}
