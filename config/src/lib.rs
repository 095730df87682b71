//! LiteLLM's `config.yaml`, read into a [`Config`] or into errors.
//!
//! The program and the filter read the same document with the same functions, so they agree on every
//! cluster name and every id. A folder uses only folders above it:
//!
//! | folder | |
//! |---|---|
//! | `diagnostics/` | findings with file, line, path and advice |
//! | `yaml/` | the text as a tree, with PyYAML's rules |
//! | `values/` | typed values, environment variables, credentials |
//! | `config/` | the result: what the other crates use |
//! | `keys/` | which keys of LiteLLM are applied, ignored or refused |
//! | `redis/` | the Redis in which instances share what they count |
//! | `settings/` | `router_settings`, `litellm_settings`, `general_settings`, `llm_balancer` |
//! | `providers/` | endpoint, credential and proxy of a deployment |
//! | `deployments/` | `model_list` |
//! | `references/` | aliases, fallbacks and routing groups that name a group |
//! | `read.rs` | all of that in order |

mod config;
mod deployments;
mod diagnostics;
mod keys;
mod max_edge_retries;
pub mod names;
mod providers;
mod read;
mod redis;
mod references;
mod settings;
mod values;
pub mod waits;
mod wildcard;
mod withheld_headers;
mod yaml;

pub use config::*;
pub use diagnostics::{Finding, Severity};
pub use keys::{documented_tables, is_litellms_own_member};
pub use max_edge_retries::max_edge_retries;
pub use providers::{
    ChatParams, are_related, infer_provider, is_openais, name_at, router_name, upstream_name,
};
pub use read::{Loaded, Reading, json_document, load, read, read_bytes};
pub use values::Secret;
pub use values::url::bracketed;
pub use wildcard::Wildcard;
pub use withheld_headers::{WITHHELD_HEADERS, is_withheld};
