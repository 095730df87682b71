//! Typed values out of the tree: environment applied, text coerced, credentials wrapped.

pub mod credentials;
pub mod environment;
pub mod reader;
pub mod secret;
pub mod settings;
pub mod visible;
