//! The modules for Envoy that `build.rs` embeds. Each in WebAssembly is an error if this program was
//! built without.

include!(concat!(env!("OUT_DIR"), "/filter.rs"));

use super::failure::Failure;

/// The filter.
pub fn bytes() -> Result<&'static [u8], Failure> {
    built(FILTER)
}

/// The same filter, slower, in bytes that fit into a ConfigMap.
pub fn small() -> Result<&'static [u8], Failure> {
    built(SMALL)
}

/// The module that holds responses on the edge.
pub fn hold() -> Result<&'static [u8], Failure> {
    built(HOLD)
}

/// The filter as a native library, if this program was built with it.
pub fn module() -> Option<&'static [u8]> {
    MODULE
}

fn built(module: Option<&'static [u8]>) -> Result<&'static [u8], Failure> {
    module.ok_or_else(|| Failure::Io("built without the filter: run `make build`".to_owned()))
}
