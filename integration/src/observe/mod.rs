//! What was counted: a real Prometheus, and the statistics of shares.

pub mod prometheus;
pub mod statistics;

pub use prometheus::Prometheus;
