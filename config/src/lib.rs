//! LiteLLM's `config.yaml`, read: what people write on one side, what code may rely on on the other.
//!
//! The filter and the generator both start from [`read`] and so cannot disagree about a cluster's name
//! or a deployment's id. The modules in the order in which a file meets them:
//!
//! - [`include`]: several files into one; [`parse`], [`scalar`], [`merge`]: text into a [`tree`];
//! - [`environment`], [`reader`], [`credentials`]: values of the wanted type out of it;
//! - [`tables`], [`verdict`], [`later`]: what becomes of every key;
//! - [`model_list`], [`deployment`], [`endpoint`], [`providers`], [`ids`]: the deployments;
//! - [`server`], [`router`], [`fallbacks`], [`references`], [`callbacks`]: the settings;
//! - [`config`], [`report`]: what comes out.

pub mod base;
pub mod callbacks;
pub mod config;
pub mod credentials;
pub mod deployment;
pub mod endpoint;
pub mod environment;
pub mod fallbacks;
pub mod finding;
pub mod ids;
pub mod include;
pub mod infer;
pub mod json;
pub mod later;
pub mod merge;
pub mod model_list;
pub mod names;
pub mod params;
pub mod parse;
pub mod policy;
pub mod providers;
pub mod python;
pub mod reader;
pub mod reading;
pub mod references;
pub mod report;
pub mod router;
pub mod scalar;
pub mod secret;
pub mod server;
pub mod settings;
pub mod tables;
pub mod tls;
pub mod tree;
pub mod verdict;

pub use config::*;
pub use finding::{Finding, Severity};
pub use include::{Loaded, load};
pub use infer::infer_provider;
pub use reading::{Reading, read};
pub use secret::Secret;
