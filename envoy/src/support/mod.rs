//! What commands share: the file and its findings, addresses and files of this machine, messages,
//! and how a command fails.

pub(crate) mod ca_bundle;
pub(crate) mod colors;
pub mod command_error;
pub(crate) mod config_file;
pub mod embedded_filter;
pub(crate) mod environment_notes;
pub(crate) mod files;
pub(crate) mod http_client;
pub(crate) mod kubernetes_names;
pub(crate) mod listen;
pub(crate) mod listing;
pub(crate) mod messages;
pub(crate) mod socket;
pub(crate) mod standard_output;
pub(crate) mod version;
