//! How long the filter waits. The generator's timeouts are longer.

use std::time::Duration;

/// The longest `retry-after` that a request waits for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Added at random up to this to the wait before a retry, so that requests that failed together do not
/// retry together.
pub const RETRY_JITTER: Duration = Duration::from_millis(750);
/// The longest wait before a retry.
pub const LONGEST_RETRY_WAIT: Duration = MAX_RETRY_AFTER.saturating_add(RETRY_JITTER);
/// Counts a deployment as silent that has not answered a probe of `GET /health` by then.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
