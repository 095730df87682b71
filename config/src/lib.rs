//! LiteLLM's `config.yaml`, read: what people write on one side, what code may rely on on the other.
//!
//! The filter and the generator both start from [`read`] and so cannot disagree about a cluster's name
//! or a deployment's id.

pub mod config;
pub mod finding;
pub mod names;
pub mod secret;

pub use config::*;
pub use finding::{Finding, Severity};
pub use secret::Secret;
