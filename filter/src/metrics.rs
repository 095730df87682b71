//! Flushes what the router has counted to Envoy's statistics, once a second.

use std::cell::RefCell;
use std::collections::HashMap;

#[cfg(doc)]
use llm_balancer_config::names;
use llm_balancer_router::Change;

use crate::hostcalls::{self, MetricType};

thread_local! {
    /// Envoy's ids of the metrics that this VM has defined, for all its configurations.
    static IDS: RefCell<HashMap<String, u32>> = RefCell::default();
}

/// Applies one change.
pub(crate) fn flush(name: &str, change: Change) {
    let kind = match change {
        Change::Add(_) => MetricType::Counter,
        Change::GaugeDelta(_) | Change::Gauge(_) => MetricType::Gauge,
        Change::Observe(_) => MetricType::Histogram,
    };
    let Some(id) = id(kind, name) else { return };
    match change {
        Change::Add(count) => hostcalls::increment_metric(id, i64::try_from(count).unwrap_or(i64::MAX)),
        Change::GaugeDelta(by) => hostcalls::increment_metric(id, by),
        Change::Gauge(value) | Change::Observe(value) => hostcalls::record_metric(id, value),
    }
}

/// Sets gauges as `serve` says in the configuration of a filter [for gauges](names::GAUGES): a line
/// for each, the name of a series and its value.
pub(crate) fn set_gauges(lines: &[u8]) {
    for line in std::str::from_utf8(lines).unwrap_or_default().lines() {
        if let Some((name, value)) = line.rsplit_once(' ')
            && let Ok(value) = value.parse()
        {
            flush(name, Change::Gauge(value));
        }
    }
}

fn id(kind: MetricType, name: &str) -> Option<u32> {
    IDS.with_borrow_mut(|ids| {
        if let Some(id) = ids.get(name) {
            return Some(*id);
        }
        let id = hostcalls::define_metric(kind, name).ok()?;
        ids.insert(name.to_owned(), id);
        Some(id)
    })
}
