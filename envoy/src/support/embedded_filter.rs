//! The modules for Envoy that `build.rs` embeds. Each in WebAssembly is an error if this program was
//! built without.

include!(concat!(env!("OUT_DIR"), "/filter.rs"));

use super::command_error::CommandError;

/// The filter.
pub fn bytes() -> Result<&'static [u8], CommandError> {
    built(FILTER)
}

/// The same filter, slower, in bytes that fit into a ConfigMap.
pub fn small() -> Result<&'static [u8], CommandError> {
    built(SMALL)
}

/// The module that holds responses on the edge.
pub fn hold() -> Result<&'static [u8], CommandError> {
    built(HOLD)
}

/// The filter as a native library, if this program was built with it.
pub fn module() -> Option<&'static [u8]> {
    MODULE
}

fn built(module: Option<&'static [u8]>) -> Result<&'static [u8], CommandError> {
    module.ok_or_else(|| CommandError::Io("built without the filter: run `make build`".to_owned()))
}
