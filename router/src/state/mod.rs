//! What the workers of one Envoy share: one small record per deployment, changed by
//! compare-and-swap.
//!
//! | what | files |
//! |---|---|
//! | the store, and values in it | `store`, `format`, `time` |
//! | the record of a deployment | `record`, `window`, `cooldown`, `lease`, `amount` |
//! | what it remembers of answers | `latency`, `outlier`, `completion_lengths` |
//! | the record of a group | `group_limits`, `releases` |
//! | workers and instances | `heartbeats`, `membership`, `share` |
//! | which deployment made a response | `origins` |
//! | whether a deployment may serve | `limits`, `quota`, `eligibility`, `snapshot` |
//! | what one worker knows of all that | `deployment_states`, `pending_successes`, `rotation` |

pub(crate) mod amount;
pub(crate) mod completion_lengths;
pub(crate) mod cooldown;
pub(crate) mod deployment_states;
pub(crate) mod eligibility;
pub(crate) mod format;
pub(crate) mod group_limits;
pub(crate) mod heartbeats;
pub(crate) mod latency;
pub(crate) mod lease;
pub(crate) mod limits;
pub(crate) mod membership;
pub(crate) mod origins;
pub(crate) mod outlier;
pub(crate) mod pending_successes;
pub(crate) mod quota;
pub(crate) mod record;
mod releases;
pub(crate) mod rotation;
pub(crate) mod share;
pub(crate) mod snapshot;
pub(crate) mod store;
pub(crate) mod time;
pub(crate) mod window;
