//! Plain re-implementations: slow, as a whole, and by the words of the standards. What the product
//! does byte by byte must agree with them.

#![allow(dead_code, reason = "each reader needs its own part")]

pub mod json;
pub mod stream;
