//! What the router has counted, handed in to Envoy's statistics once a second.

use std::cell::RefCell;
use std::collections::HashMap;

use llm_balancer_router::Change;

use crate::host::{self, MetricType};

thread_local! {
    /// Envoy's numbers of the metrics that this VM has named, whichever configuration it was for.
    static KNOWN: RefCell<HashMap<String, u32>> = RefCell::default();
}

/// Hands in one change.
pub(crate) fn flush(name: &str, change: Change) {
    let kind = match change {
        Change::Add(_) => MetricType::Counter,
        Change::GaugeDelta(_) | Change::Gauge(_) => MetricType::Gauge,
        Change::Observe(_) => MetricType::Histogram,
    };
    let Some(id) = number(kind, name) else { return };
    match change {
        Change::Add(count) => host::increment_metric(id, i64::try_from(count).unwrap_or(i64::MAX)),
        Change::GaugeDelta(by) => host::increment_metric(id, by),
        Change::Gauge(value) | Change::Observe(value) => host::record_metric(id, value),
    }
}

fn number(kind: MetricType, name: &str) -> Option<u32> {
    KNOWN.with_borrow_mut(|known| {
        if let Some(id) = known.get(name) {
            return Some(*id);
        }
        let id = host::define_metric(kind, name).ok()?;
        known.insert(name.to_owned(), id);
        Some(id)
    })
}
