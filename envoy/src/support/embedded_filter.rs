//! The filter that `build.rs` put inside.

include!(concat!(env!("OUT_DIR"), "/filter.rs"));

/// The wasm module, or what to do about its absence.
pub fn bytes() -> Result<&'static [u8], String> {
    BUILT_IN.ok_or_else(|| "built without the filter: run `make build`".to_owned())
}
