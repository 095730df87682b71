//! What was counted: a real Prometheus, the statistics of shares, and memory.

pub mod memory;
pub mod prometheus;
pub mod statistics;

pub use prometheus::Prometheus;
