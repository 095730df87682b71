//! What the workers of one Envoy share: one small record per deployment in a key-value store, changed by compare-and-swap.
//!
//! | what | files |
//! |---|---|
//! | the store, and values in it | `store`, `bytes`, `time` |
//! | the record of a deployment | `record`, `record_format`, `window`, `cooldown`, `latency`, `outlier`, `completion_lengths`, `lease` |
//! | the record of a group | `group_limits`, `releases` |
//! | workers and instances | `heartbeats`, `membership` |
//! | whether a deployment may serve | `limits`, `quota`, `eligibility`, `snapshot` |
//! | what one worker knows of all that | `deployment_states`, `pending_successes`, `rotation` |

pub mod completion_lengths;
pub mod cooldown;
pub mod deployment_states;
pub mod eligibility;
pub(crate) mod format;
pub mod group_limits;
pub mod heartbeats;
pub mod latency;
pub mod lease;
pub mod limits;
pub mod membership;
pub mod outlier;
pub mod pending_successes;
pub mod quota;
pub mod record;
mod releases;
pub mod rotation;
pub mod snapshot;
pub mod store;
pub mod time;
pub mod window;
