//! Values of the store as bytes: postcard, behind the number of their format. Bytes of another
//! format read as if there were no value.

use postcard::ser_flavors::Flavor;
use serde::de::{DeserializeOwned, Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

/// To be changed with every change of a type that is stored.
const VERSION: u8 = 8;
/// Room for a deployment's record.
const CAPACITY: usize = 320;

/// A value as bytes.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CAPACITY);
    bytes.push(VERSION);
    let encoded = postcard::serialize_with_flavor(value, Bytes(bytes));
    debug_assert!(encoded.is_ok(), "every stored type can be written");
    encoded.unwrap_or_default()
}

/// What [`postcard::to_extend`] writes, without a copy of the code for each field of each type.
struct Bytes(Vec<u8>);

impl Flavor for Bytes {
    type Output = Vec<u8>;

    #[inline(never)]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline(never)]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Self::Output> {
        Ok(self.0)
    }
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
