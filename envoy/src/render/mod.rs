//! Envoy's configuration, as JSON: two listeners, the filter between them, and a cluster for each
//! deployment.
//!
//! ```text
//! client ── edge ── cluster "attempts" ── listener "attempts" ── the deployment's cluster ── provider
//!           replays the body when the     the filter decides
//!           filter asks for a retry       for this attempt
//! ```
//!
//! | module | renders |
//! |---|---|
//! | `bootstrap`, `process` | one file with everything, for `render --target envoy` |
//! | `dynamic` | a bootstrap that names files which change, for `serve` |
//! | `dynamic_module` | the filter as a native library, where `serve` runs it so |
//! | `binary` | clusters as protocol buffers, for `dynamic` |
//! | `edge`, `local_replies` | the listener for clients, and the errors of Envoy itself |
//! | `first_hop` | the filter on that listener, for first attempts |
//! | `attempts` | the internal listener with the filter |
//! | `silence` | the end of streams that are silent for too long |
//! | `upstream_cluster`, `forward_proxy` | the ways to providers |
//! | `redis_hop`, `metrics_listener` | the way to Redis, and the port for the status page and the metrics |
//! | `gauges` | a listener for gauges that `serve` sets |
//! | `admin_paths` | what the admin port answers |
//! | `mesh` | the same pieces as Kubernetes objects for Istio and Envoy Gateway |

pub(crate) mod admin_paths;
mod attempts;
pub(crate) mod binary;
mod bootstrap;
mod dynamic;
pub(crate) mod dynamic_module;
mod edge;
mod first_hop;
mod forward_proxy;
pub(crate) mod gauges;
mod local_replies;
pub(crate) mod mesh;
mod message;
mod metrics_listener;
mod process;
mod redis_hop;
mod silence;
mod upstream_cluster;
mod yaml_writer;

pub use bootstrap::bootstrap;
pub use dynamic::binary_clusters;
pub(crate) use dynamic::{ResourceType, Resources, Revision, deregistration, live_bootstrap};
pub(crate) use first_hop::only_the_holding_filter;
pub(crate) use forward_proxy::{for_tunnels as proxy_for_tunnels, variables as proxy_variables};
pub use process::{FilterSource, Hops, Options, Runtime};
pub(crate) use yaml_writer::to_documents;
pub use yaml_writer::to_yaml;
