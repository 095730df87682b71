//! LiteLLM's `config.yaml`, read: what people write on one side, what code may rely on on the other.
//!
//! The filter and the generator both start from [`read`] and so cannot disagree about a cluster's name
//! or a deployment's id. The modules in the order in which a file meets them:
//!
//! - `include`: several files into one; `parse`, `anchors`, `scalar`, `merge`: text into a `tree`;
//! - `environment`, `reader`, `credentials`, `visible`: values of the wanted type out of it, fit for what they become;
//! - `tables`, `verdict`, `suggest`: what becomes of every key, and what a misspelt one may mean;
//! - `model_list`, `deployment`, `limits`, `endpoint`, `call`, `wires`, `formats`, `base`, `base_routes`,
//!   `providers`, `ids`: the deployments;
//! - `server`, `router`, `strategy`, `routing_groups`, `fallbacks`, `wildcard`, `references`, `known_names`, `callbacks`:
//!   the settings;
//! - `proxies`, `no_proxy`: the way out, which the environment prescribes; `without_effect`: what else it says;
//! - `redis`, `redis_server`, `redis_url`, `redis_variables`: where instances share what they count;
//! - `skipped`: what is left out where the file allows it, and what goes with it;
//! - `config`, `report`, `accept`: what comes out.

mod accept;
mod anchors;
mod base;
mod base_routes;
mod call;
mod callbacks;
pub mod ceiling;
pub mod config;
mod credentials;
mod deployment;
mod documentation;
mod drop_path;
mod endpoint;
mod environment;
mod fallbacks;
pub mod finding;
mod formats;
mod ids;
mod include;
mod infer;
mod json;
mod known_names;
mod limits;
mod merge;
mod model_list;
pub mod names;
mod no_proxy;
mod params;
mod parse;
mod policy;
mod providers;
mod proxies;
mod python;
mod reader;
mod reading;
mod redis;
mod redis_server;
mod redis_url;
mod redis_variables;
mod references;
mod report;
mod router;
mod routing_groups;
mod scalar;
pub mod secret;
mod server;
mod settings;
mod skipped;
mod strategy;
mod suggest;
mod tables;
mod tags;
mod tls;
mod tree;
mod verdict;
mod visible;
mod wildcard;
mod wires;
mod without_effect;

pub use ceiling::retry_ceiling;
pub use config::*;
pub use documentation::documented_tables;
pub use finding::{Finding, Severity};
pub use include::{Loaded, load};
pub use infer::{infer_provider, without_provider};
pub use proxies::{Proxies, Proxy};
pub use reading::{Reading, read};
pub use secret::Secret;
pub use wildcard::Wildcard;
