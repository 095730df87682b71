//! Envoy as a child process, and the configurations that it gets while it runs.
//!
//! `supervisor` is the loop; `signals` and `file_watcher` wake it, `revisions` holds the
//! configurations, `file_xds` pushes them, `reload_status` has the metrics say how that ended, `admin`
//! asks Envoy, `drain` ends it.

pub(crate) mod admin;
mod banner;
mod config_diff;
pub(crate) mod connections;
mod drain;
pub(crate) mod environment;
pub mod envoy_binary;
pub(crate) mod envoy_process;
pub(crate) mod file_watcher;
pub(crate) mod file_xds;
pub(crate) mod ports;
pub(crate) mod reload_status;
pub(crate) mod revisions;
pub(crate) mod runtime_choice;
pub(crate) mod runtime_folder;
pub(crate) mod signals;
pub(crate) mod supervisor;
