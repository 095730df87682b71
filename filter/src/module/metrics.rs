//! Envoy's statistics of the module. Envoy wants to know every metric before the workers start, with
//! the names of its labels; series come as they are counted.

use std::cell::RefCell;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use llm_balancer_config::names;
use llm_balancer_router::{FAMILIES, Family, FamilyKind, family_of};

use super::abi::{
    EnvoyPtr, ModuleBuffer, SUCCESS, envoy_dynamic_module_callback_cluster_config_decrement_gauge,
    envoy_dynamic_module_callback_cluster_config_define_counter,
    envoy_dynamic_module_callback_cluster_config_define_gauge,
    envoy_dynamic_module_callback_cluster_config_define_histogram,
    envoy_dynamic_module_callback_cluster_config_increment_counter,
    envoy_dynamic_module_callback_cluster_config_increment_gauge,
    envoy_dynamic_module_callback_cluster_config_record_histogram_value,
    envoy_dynamic_module_callback_cluster_config_set_gauge,
};

/// The configuration that owns the metrics. It is part of the bootstrap, and lives as long as the
/// workers.
static OWNER: AtomicPtr<std::ffi::c_void> = AtomicPtr::new(null_mut());
/// What Envoy knows.
static METRICS: OnceLock<Vec<Metric>> = OnceLock::new();

/// A family with some of its labels.
struct Metric {
    family: &'static Family,
    labels: Vec<&'static str>,
    /// Envoy's.
    id: usize,
}

thread_local! {
    /// The series that this worker has defined.
    static SERIES: RefCell<Vec<Series>> = const { RefCell::new(Vec::new()) };
}

struct Series {
    kind: FamilyKind,
    id: usize,
    values: Vec<String>,
}

/// Defines all metrics. To be called while Envoy reads the bootstrap.
pub(crate) fn define_all(config: EnvoyPtr) {
    if OWNER.compare_exchange(null_mut(), config, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return;
    }
    METRICS.get_or_init(|| {
        let variants = |family: &'static Family| family.variants().map(move |labels| (family, labels));
        let all = FAMILIES.iter().flat_map(variants);
        all.filter_map(|(family, labels)| define_metric(config, family, labels)).collect()
    });
}

/// Envoy ends: it destroys this configuration.
pub(super) fn end(config: *const std::ffi::c_void) {
    let _ = OWNER.compare_exchange(config.cast_mut(), null_mut(), Ordering::AcqRel, Ordering::Relaxed);
}

fn define_metric(config: EnvoyPtr, family: &'static Family, labels: Vec<&'static str>) -> Option<Metric> {
    let name = format!("{}{}", names::METRIC_PREFIX, family.name);
    let name = ModuleBuffer::new(name.as_bytes());
    let buffers: Vec<_> =
        shown(family, &labels).iter().map(|label| ModuleBuffer::new(label.as_bytes())).collect();
    let define = match family.kind {
        FamilyKind::Counter => envoy_dynamic_module_callback_cluster_config_define_counter,
        FamilyKind::Gauge => envoy_dynamic_module_callback_cluster_config_define_gauge,
        FamilyKind::Histogram => envoy_dynamic_module_callback_cluster_config_define_histogram,
    };
    let mut id = 0;
    // SAFETY: Envoy has passed this pointer; the texts live longer than the call.
    let status = unsafe { define(config, name, buffers.as_ptr(), buffers.len(), &raw mut id) };
    (status == SUCCESS).then_some(Metric { family, labels, id })
}

/// Envoy shows a metric without labels as soon as it is defined, as 0. Without Redis, `redis_up` would
/// be an alert. So what is not always there gets a label without a value, which is none to Prometheus.
fn shown<'a>(family: &Family, labels: &'a [&'static str]) -> &'a [&'static str] {
    let is_counter = family.kind == FamilyKind::Counter && family.labels.is_empty();
    let is_always_there = is_counter || family.name == "config_revision";
    if labels.is_empty() && !is_always_there { &["group"] } else { labels }
}

/// Our number of a series, on this worker.
pub(crate) fn define(name: &str) -> Option<u32> {
    let (family, labels) = family_of(name)?;
    let is_meant = |metric: &&Metric| {
        metric.family.name == family.name
            && metric.labels.iter().copied().eq(labels.iter().map(|(label, _)| *label))
    };
    let metric = METRICS.get()?.iter().find(is_meant)?;
    let empty = shown(family, &metric.labels).len().saturating_sub(labels.len());
    let values = labels.iter().map(|(_, value)| *value).chain(std::iter::repeat_n("", empty));
    let series = Series { kind: family.kind, id: metric.id, values: values.map(str::to_owned).collect() };
    SERIES.with_borrow_mut(|all| {
        let number = u32::try_from(all.len()).ok()?;
        all.push(series);
        Some(number)
    })
}

/// Sets a gauge, or adds an observation to a histogram.
pub(crate) fn record(number: u32, value: u64) {
    change(number, |kind| match kind {
        FamilyKind::Histogram => {
            Some((envoy_dynamic_module_callback_cluster_config_record_histogram_value as Update, value))
        }
        FamilyKind::Gauge => Some((envoy_dynamic_module_callback_cluster_config_set_gauge, value)),
        FamilyKind::Counter => None,
    });
}

/// Adds to a counter or a gauge; `by` may be negative for a gauge.
pub(crate) fn increment(number: u32, by: i64) {
    change(number, |kind| match (kind, u64::try_from(by)) {
        (FamilyKind::Counter, Ok(by)) => {
            Some((envoy_dynamic_module_callback_cluster_config_increment_counter as Update, by))
        }
        (FamilyKind::Gauge, Ok(by)) => {
            Some((envoy_dynamic_module_callback_cluster_config_increment_gauge, by))
        }
        (FamilyKind::Gauge, Err(_)) => {
            Some((envoy_dynamic_module_callback_cluster_config_decrement_gauge, by.unsigned_abs()))
        }
        _ => None,
    });
}

/// A callback that changes a series: the owner, the family's id, the labels' values, the amount.
type Update = unsafe extern "C" fn(EnvoyPtr, usize, *const ModuleBuffer, usize, u64) -> u32;

fn change(number: u32, update: impl FnOnce(FamilyKind) -> Option<(Update, u64)>) {
    let owner = OWNER.load(Ordering::Acquire);
    SERIES.with_borrow(|all| {
        let Some(series) = all.get(number as usize).filter(|_| !owner.is_null()) else { return };
        let values: Vec<_> = series.values.iter().map(|value| ModuleBuffer::new(value.as_bytes())).collect();
        if let Some((update, amount)) = update(series.kind) {
            // SAFETY: the owner lives as long as the workers; the texts live longer than the call.
            unsafe { update(owner, series.id, values.as_ptr(), values.len(), amount) };
        }
    });
}
