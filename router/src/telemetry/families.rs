//! All metrics with their labels, for hosts that want to know them before the first value.

use llm_balancer_config::names;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Times in milliseconds.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// What it is.
    pub kind: FamilyKind,
    /// Without [`METRIC_PREFIX`](llm_balancer_config::names::METRIC_PREFIX).
    pub name: &'static str,
    /// In the order of its series' names.
    pub labels: &'static [&'static str],
    /// Those of the labels that a series leaves out if they have no value.
    pub optional: &'static [&'static str],
}

impl Family {
    const fn new(kind: FamilyKind, name: &'static str, labels: &'static [&'static str]) -> Self {
        Self { kind, name, labels, optional: &[] }
    }

    const fn optional(mut self, optional: &'static [&'static str]) -> Self {
        self.optional = optional;
        self
    }

    /// All sets of labels that a series can have.
    pub fn variants(&self) -> impl Iterator<Item = Vec<&'static str>> {
        let sets = 1_usize.wrapping_shl(u32::try_from(self.optional.len()).unwrap_or_default());
        (0..sets).map(|set| {
            let is_left_out = |label: &&str| {
                let place = self.optional.iter().position(|optional| optional == label);
                place.is_some_and(|place| set.wrapping_shr(place as u32) & 1 == 1)
            };
            self.labels.iter().copied().filter(|label| !is_left_out(label)).collect()
        })
    }
}

/// All of them.
pub const FAMILIES: [Family; 31] = {
    use FamilyKind::{Counter, Gauge, Histogram};
    const DEPLOYMENT: &[&str] = &["group", "deployment"];
    [
        Family::new(Counter, "requests_total", &["group", "outcome", "status"]).optional(&["group"]),
        Family::new(Counter, "attempts_total", &["group", "deployment", "outcome", "status"]),
        Family::new(Counter, "failures_total", &["group", "deployment", "class"]),
        Family::new(Counter, "retries_total", DEPLOYMENT),
        Family::new(Counter, "cooldowns_total", DEPLOYMENT),
        Family::new(Counter, "fallbacks_total", &["group", "target"]).optional(&["group", "target"]),
        Family::new(Counter, "refusals_total", &["group", "reason"]).optional(&["group"]),
        Family::new(Counter, "tokens_total", &["group", "deployment", "type"]),
        Family::new(Counter, "affinity_total", &["group", "outcome", "reason"]).optional(&["reason"]),
        Family::new(Counter, "redis_calls_total", &["outcome"]),
        Family::new(Counter, "replaced_configuration_seconds_total", &[]),
        Family::new(Counter, "deregistered_total", &[]),
        Family::new(Counter, "panics_total", &[]),
        Family::new(Gauge, "in_flight", DEPLOYMENT),
        Family::new(Gauge, "cooling_down", DEPLOYMENT),
        Family::new(Gauge, "cooldown_end_timestamp_seconds", DEPLOYMENT),
        Family::new(Gauge, "limit_requests", DEPLOYMENT),
        Family::new(Gauge, "remaining_requests", DEPLOYMENT),
        Family::new(Gauge, "limit_tokens", DEPLOYMENT),
        Family::new(Gauge, "remaining_tokens", DEPLOYMENT),
        Family::new(Gauge, "deployment_info", &["group", "deployment", "model", "api_base", "weight"])
            .optional(&["model", "api_base", "weight"]),
        Family::new(Gauge, "config_revision", &[]),
        Family::new(Gauge, names::BUILD_INFO, &["version"]),
        Family::new(Gauge, names::RELOAD_SUCCESSFUL, &[]),
        Family::new(Gauge, names::RELOAD_SUCCESS_TIME, &[]),
        Family::new(Gauge, names::RELOAD_ERROR, &["reason", "location"]).optional(&["location"]),
        Family::new(Gauge, "instances", &[]),
        Family::new(Gauge, "redis_mode", &["mode"]),
        Family::new(Gauge, "redis_up", &[]),
        Family::new(Histogram, "time_to_first_byte_milliseconds", DEPLOYMENT),
        Family::new(Histogram, "duration_milliseconds", DEPLOYMENT),
    ]
};

/// The family of a series, and its labels with their values. `None` for a name that no family has.
pub fn family_of(series: &str) -> Option<(&'static Family, Vec<(&'static str, &str)>)> {
    let mut parts = series.strip_prefix(names::METRIC_PREFIX)?.split(';');
    let name = parts.next()?;
    let family = FAMILIES.iter().find(|family| family.name == name)?;
    let labels: Option<Vec<_>> = parts
        .map(|part| {
            let (label, value) = part.split_once('=')?;
            Some((*family.labels.iter().find(|known| **known == label)?, value))
        })
        .collect();
    Some((family, labels?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::series;

    #[test]
    fn a_series_has_a_family_and_labels_of_it() {
        let name = series("requests_total", &[("group", ""), ("outcome", "refused"), ("status", "400")]);
        let (family, labels) = family_of(&name).unwrap();
        assert_eq!(
            (family.name, labels),
            ("requests_total", vec![("outcome", "refused"), ("status", "400")])
        );
        for unknown in ["llm_balancer_requests_total;color=red", "llm_balancer_x", "other_requests_total"] {
            assert!(family_of(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn a_family_has_a_variant_for_each_set_of_labels_that_may_be_left_out() {
        let family = FAMILIES.iter().find(|family| family.name == "fallbacks_total").unwrap();
        let variants: Vec<_> = family.variants().collect();
        assert_eq!(variants, [vec!["group", "target"], vec!["target"], vec!["group"], vec![]]);
        let family = FAMILIES.iter().find(|family| family.name == "in_flight").unwrap();
        assert_eq!(family.variants().collect::<Vec<_>>(), [["group", "deployment"]]);
    }

    #[test]
    fn every_label_is_one_that_envoy_extracts() {
        for family in FAMILIES {
            for label in family.labels {
                assert!(names::METRIC_LABELS.contains(label), "{} {label}", family.name);
            }
        }
    }
}
