//! Single hop: the filter is on the gateway's own listener, runs once per request, and Envoy makes
//! the retries.
//!
//! Envoy retries as these headers say, and stays with the selected deployment. Another deployment,
//! the next `order` and a fallback after a failure would need an attempt that the filter sees, so
//! there is none of them. What is decided before a request is sent, and what is counted, is the
//! same as with two hops.

use llm_balancer_config::names;

use crate::http::headers::Headers;
use crate::upstream::headers::{TimeLimit, milliseconds};

/// Failures after which Envoy retries: no answer, 5xx, and [`RETRIABLE_STATUSES`].
const RETRY_ON: &str = "5xx,retriable-status-codes";

/// Statuses beside 5xx whose classes allow a retry at the same deployment. Envoy sees no body.
const RETRIABLE_STATUSES: &str = "408,409,424,425,429,499";

/// The limit of a request from that of an attempt.
pub(crate) fn request_limit(attempt: TimeLimit, retries: u32) -> TimeLimit {
    match attempt {
        TimeLimit::Total(limit) => TimeLimit::Total(limit.saturating_mul(retries.saturating_add(1))),
        TimeLimit::Idle(_) => attempt,
    }
}

/// Adds the headers that set Envoy's retries, and the limit of each attempt.
pub(crate) fn push_retry_headers(headers: &mut Headers, retries: u32, attempt: TimeLimit) {
    headers.push("x-envoy-max-retries", &retries.to_string());
    if retries == 0 {
        return;
    }
    headers.push("x-envoy-retry-on", RETRY_ON);
    headers.push("x-envoy-retriable-status-codes", RETRIABLE_STATUSES);
    if let TimeLimit::Total(limit) = attempt {
        headers.push(names::FIRST_BYTE_TIMEOUT, &milliseconds(limit));
    }
}
