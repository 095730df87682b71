//! The version of this program.

/// `0.1.0`
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The header in which the port for metrics names the version that runs there.
pub(crate) const HEADER: &str = "x-llm-balancer-version";
