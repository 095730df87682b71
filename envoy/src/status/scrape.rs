//! The metrics of one moment, by group and deployment.

use std::collections::BTreeMap;

use llm_balancer_config::names;

use super::exposition::{Sample, samples};

/// Labels that tell series of one counter apart, beside group and deployment. Statuses are summed up.
const APART: [&str; 6] = ["outcome", "class", "type", "reason", "target", "le"];

/// All metrics of one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scrape {
    /// Metrics without a group: `uptime`, `config_revision`, `redis_mode/shared`
    pub(super) process: BTreeMap<String, u64>,
    /// Why the newest version of the files is not served.
    pub(super) reload_error: Option<ReloadError>,
    /// The version of the balancer, if the answer names one.
    pub(super) version: Option<String>,
    /// By name; the empty name has what was refused before the group was known.
    pub(super) groups: BTreeMap<String, Group>,
}

/// Why the newest version of the files is not served.
#[derive(Clone, Debug)]
pub(super) struct ReloadError {
    /// A word of `serve`'s.
    pub(super) reason: String,
    /// File and line of the first finding; empty without findings.
    pub(super) location: String,
}

/// A model group.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// What is counted for the group itself: requests, refusals, fallbacks.
    pub(super) own: Subject,
    /// By id.
    pub(super) deployments: BTreeMap<String, Subject>,
}

/// What is counted of one group or one deployment.
#[derive(Clone, Debug, Default)]
pub(super) struct Subject {
    /// Counters and buckets of histograms, by metric and label: `attempts_total`, `success`
    pub(super) counts: BTreeMap<(String, String), u64>,
    pub(super) gauges: BTreeMap<String, u64>,
    /// The share of the group's requests by weight, from 0 to 1.
    pub(super) weight: Option<f64>,
    /// Whether the current configuration has it.
    pub(super) is_configured: bool,
}

impl Scrape {
    /// From Prometheus' text. `None` if it is not about a balancer.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut scrape = Self::default();
        samples(text).for_each(|sample| scrape.add(&sample));
        scrape.process.contains_key("uptime").then_some(scrape)
    }

    /// The same with the version that the answer names, if it does.
    pub(crate) fn of_version(self, version: Option<&str>) -> Self {
        Self { version: version.map(str::to_owned), ..self }
    }

    /// The groups of the current configuration, sorted.
    pub(crate) fn group_names(&self) -> Vec<&str> {
        let is_configured = |group: &Group| group.deployments.values().any(|subject| subject.is_configured);
        let groups = self.groups.iter().filter(|(_, group)| is_configured(group));
        groups.map(|(name, _)| name.as_str()).collect()
    }

    /// Whether this process started after an earlier scrape, so that counts began at zero again.
    pub(crate) fn is_of_another_process(&self, earlier: &Self) -> bool {
        self.process.get("uptime") < earlier.process.get("uptime")
    }

    fn add(&mut self, sample: &Sample<'_>) {
        let value = sample.value as u64;
        let label = |label| sample.labels.get(label).map_or("", String::as_str);
        if let Some(name) = sample.name.strip_prefix("envoy_server_") {
            self.process.insert(name.to_owned(), value);
        }
        let Some(name) = sample.name.strip_prefix(names::METRIC_PREFIX) else { return };
        let is_count = name.ends_with("_total") || name.ends_with("_bucket");
        let apart = APART.into_iter().map(label).find(|value| !value.is_empty()).unwrap_or_default();
        let is_of_group =
            sample.labels.contains_key("group") || matches!(name, "requests_total" | "refusals_total");
        if name == names::RELOAD_ERROR {
            // Earlier errors stay, at 0.
            if value == 1 {
                let [reason, location] = ["reason", "location"].map(|name| label(name).to_owned());
                self.reload_error = Some(ReloadError { reason, location });
            }
            return;
        }
        if !is_of_group {
            let mode = label("mode");
            let name = if mode.is_empty() { name.to_owned() } else { format!("{name}/{mode}") };
            self.process.insert(name, value);
            return;
        }
        let group = self.groups.entry(label("group").to_owned()).or_default();
        let subject = match label("deployment") {
            "" => &mut group.own,
            id => group.deployments.entry(id.to_owned()).or_default(),
        };
        if name == "deployment_info" {
            // A reload that changes labels leaves the old series at 0.
            if value == 1 {
                subject.is_configured = true;
                subject.weight = label("weight").parse().ok();
            }
        } else if is_count {
            let count = subject.counts.entry((name.to_owned(), apart.to_owned())).or_default();
            *count = count.saturating_add(value);
        } else {
            subject.gauges.insert(name.to_owned(), value);
        }
    }
}

impl Subject {
    /// The same with what was counted since an earlier scrape; the gauges are of now.
    pub(super) fn since(&self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self.clone() };
        let since = |(key, count): (&(String, String), &u64)| {
            let before = before.counts.get(key).copied().unwrap_or_default();
            (key.clone(), count.saturating_sub(before))
        };
        Self { counts: self.counts.iter().map(since).collect(), ..self.clone() }
    }

    /// Adds the counts of another one, and its gauge of attempts in flight.
    pub(super) fn add(&mut self, other: &Self) {
        for (key, count) in &other.counts {
            let own = self.counts.entry(key.clone()).or_default();
            *own = own.saturating_add(*count);
        }
        if let Some(in_flight) = other.gauges.get("in_flight") {
            let own = self.gauges.entry("in_flight".to_owned()).or_default();
            *own = own.saturating_add(*in_flight);
        }
    }

    /// The counts of one metric, by label.
    pub(super) fn counts<'s>(&'s self, metric: &'s str) -> impl Iterator<Item = (&'s str, u64)> {
        let own = self.counts.iter().filter(move |((name, _), count)| name == metric && **count > 0);
        own.map(|((_, label), count)| (label.as_str(), *count))
    }

    /// The cumulative counts of a histogram by their upper bounds, empty buckets included.
    pub(super) fn buckets(&self, metric: &str) -> Vec<(f64, f64)> {
        let own = self.counts.iter().filter(|((name, _), _)| name == metric);
        let bound = |label: &str| label.replace("+Inf", "inf").parse::<f64>().ok();
        let mut buckets: Vec<_> =
            own.filter_map(|((_, label), count)| Some((bound(label)?, *count as f64))).collect();
        buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        buckets
    }

    /// The sum over all labels but these.
    pub(super) fn sum(&self, metric: &str, without: &[&str]) -> u64 {
        self.counts(metric).filter(|(label, _)| !without.contains(label)).map(|(_, count)| count).sum()
    }
}
