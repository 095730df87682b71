//! Values of the store as bytes: postcard, behind the number of their format. Bytes of another
//! format read as if there were no value.

use serde::de::{DeserializeOwned, Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

/// To be changed with every change of a type that is stored.
const VERSION: u8 = 4;
/// Room for a deployment's record.
const CAPACITY: usize = 320;

/// A value as bytes.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CAPACITY);
    bytes.push(VERSION);
    let encoded = postcard::to_extend(value, bytes);
    debug_assert!(encoded.is_ok(), "every stored type can be written");
    encoded.unwrap_or_default()
}

/// A value from bytes; `None` where they are of another format, or truncated.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (version, bytes) = bytes.split_first()?;
    (*version == VERSION).then(|| postcard::from_bytes(bytes).ok()).flatten()
}

/// For fields: a number that is neither infinite nor NaN, which would spread through every estimate.
pub fn finite<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    let value = f32::deserialize(deserializer)?;
    if value.is_finite() {
        return Ok(value);
    }
    Err(D::Error::invalid_value(Unexpected::Float(value.into()), &"a finite number"))
}
