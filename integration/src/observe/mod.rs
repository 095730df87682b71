//! What was counted: a real Prometheus, the statistics of shares, and a browser that shows the status
//! page.

mod browser;
pub mod prometheus;
pub mod statistics;

pub use browser::Browser;
pub use prometheus::Prometheus;
