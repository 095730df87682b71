//! What operators see: metrics, gauges, the access log and explanations.

pub mod access_log;
pub mod explain;
pub mod families;
pub mod gauges;
pub mod metrics;
