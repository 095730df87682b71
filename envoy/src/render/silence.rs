//! The end of a stream that is silent for longer than the filter allows. The filter ends such a
//! stream itself, and holds a failed response for no longer than a wait before a retry. Only a
//! stream whose VM was replaced has no filter any more, and would never end.

use llm_balancer_config::names;
use serde_json::{Value, json};

use super::message::with;

/// Headers with the limit of an attempt in milliseconds. That of a stream is also its limit between
/// two chunks, which the filter keeps.
const LIMITS: [&str; 2] = [names::TIMEOUT, names::FIRST_BYTE_TIMEOUT];
/// Idle timeouts of attempts whose limit is up to so many milliseconds; 0 for none. Each is longer
/// than the limit, and than the longest wait before a retry: a minute, by the provider's
/// `retry-after`, and a second.
const STEPS: [(u64, u64); 3] = [(60_000, 75), (6_000_000, 6_015), (i64::MAX as u64, 0)];
/// Seconds, for a request that has no limit yet: the filter waits for its body, for a lease, or for
/// probes.
const WITHOUT_LIMIT: u64 = 75;

/// A route to a deployment, once for each limit. It has a `match` without headers.
pub(super) fn limited(route: &Value) -> Vec<Value> {
    let limits = LIMITS.iter().flat_map(|header| STEPS.map(|step| (header, step)));
    let with_limit = limits.map(|(header, (limit, idle))| {
        // The end is exclusive.
        let range = json!({"start": 0, "end": limit.saturating_add(1).min(i64::MAX as u64)});
        let matched =
            with(route["match"].clone(), "headers", json!([{"name": header, "range_match": range}]));
        with(with_idle_timeout(route, idle), "match", matched)
    });
    with_limit.chain([with_idle_timeout(route, WITHOUT_LIMIT)]).collect()
}

fn with_idle_timeout(route: &Value, seconds: u64) -> Value {
    with(route.clone(), "route", with(route["route"].clone(), "idle_timeout", json!(format!("{seconds}s"))))
}

#[cfg(test)]
mod tests {
    use llm_balancer_config::waits::{LONGEST_RETRY_WAIT, PROBE_TIMEOUT};

    use super::*;

    #[test]
    fn an_idle_timeout_is_longer_than_what_the_filter_waits_for() {
        let longest_wait = LONGEST_RETRY_WAIT.as_secs();
        for (limit, idle) in STEPS.iter().filter(|(_, idle)| *idle > 0) {
            assert!(*idle > limit / 1000 + 5 && *idle > longest_wait + 5, "{limit} ms, {idle} s");
        }
        assert!(WITHOUT_LIMIT > longest_wait + 5 && WITHOUT_LIMIT > PROBE_TIMEOUT.as_secs() + 5);
    }
}
