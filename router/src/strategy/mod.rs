//! The strategies: which of the deployments that may serve will serve. One short file each.

pub mod simple_shuffle;
