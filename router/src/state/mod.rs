//! What workers and instances share: one small record per deployment in a key-value store, changed by compare-and-swap.

pub mod completions;
pub mod deployment_states;
pub mod eligibility;
pub mod freed;
pub mod group_limits;
pub mod heartbeats;
pub mod latency;
pub mod lease;
pub mod limits;
pub mod membership;
pub mod outlier;
pub mod pending_successes;
pub mod record;
pub mod rotation;
pub mod snapshot;
pub mod store;
pub mod window;
