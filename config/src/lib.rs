//! LiteLLM's `config.yaml`, read: what people write on one side, what code may rely on on the other.
//!
//! The filter and the generator both start from [`read`] and so cannot disagree about a cluster's name
//! or a deployment's id.

pub mod config;
mod deployments;
mod diagnostics;
mod keys;
pub mod max_edge_retries;
pub mod names;
mod providers;
mod read;
mod redis;
mod references;
mod settings;
mod values;
mod wildcard;
mod yaml;

pub use config::*;
pub use diagnostics::finding::{Finding, Severity};
pub use keys::documentation::documented_tables;
pub use max_edge_retries::max_edge_retries;
pub use providers::infer::{infer_provider, without_provider};
pub use providers::proxies::{Proxies, Proxy};
pub use read::{Reading, read};
pub use values::secret::Secret;
pub use wildcard::Wildcard;
pub use yaml::include::{Loaded, load};
