//! What was counted: a real Prometheus, the statistics of shares, memory, and a browser that shows
//! the status page.

mod browser;
pub mod memory;
pub mod prometheus;
pub mod statistics;

pub use browser::Browser;
pub use prometheus::Prometheus;
