//! One decision for all attempts: where the filter stands on somebody else's listener, it runs once per request, and Envoy
//! retries by itself. It is told to by headers, and it stays with the deployment that was chosen.
//!
//! What needs another attempt elsewhere is not to be had there: the next deployment, the next `order`, a fallback after a
//! failure. All that is decided before a request is sent, and all that is counted, is as everywhere.

use crate::http::headers::Headers;
use crate::upstream::headers::{Limit, milliseconds};

/// Failures after which Envoy tries again: no answer, 5xx, and the statuses below.
const RETRY_ON: &str = "5xx,retriable-status-codes";
/// What is retried beside 5xx: the statuses of classes that may go to the same deployment again. Envoy sees no body.
const STATUSES: &str = "408,409,424,425,429,499";

/// The time for all attempts together, where one has this much.
pub(crate) fn for_all(limit: Limit, retries: u32) -> Limit {
    match limit {
        Limit::Whole(limit) => Limit::Whole(limit.saturating_mul(retries.saturating_add(1))),
        Limit::Gaps(_) => limit,
    }
}

/// Tells Envoy how often to try, and how long each time.
pub(crate) fn controls(headers: &mut Headers, retries: u32, limit: Limit) {
    headers.push("x-envoy-max-retries", &retries.to_string());
    if retries == 0 {
        return;
    }
    headers.push("x-envoy-retry-on", RETRY_ON);
    headers.push("x-envoy-retriable-status-codes", STATUSES);
    if let Limit::Whole(limit) = limit {
        headers.push("x-envoy-upstream-rq-per-try-timeout-ms", &milliseconds(limit));
    }
}
