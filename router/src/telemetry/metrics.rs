//! Counters and histograms of requests, attempts, tokens and times.
//!
//! A worker counts in its own memory, which costs no host call, and flushes to Envoy's statistics
//! once a second. docs/metrics.md lists names and labels. A name has its labels behind semicolons,
//! `llm_balancer_retries_total;group=g;deployment=d`; Envoy extracts them by the tags that its
//! configuration names ([`names::METRIC_LABELS`]).

use std::collections::HashMap;
use std::sync::Arc;

use llm_balancer_config::{Config, names};

use crate::affinity::AffinityResult;
use crate::attempt::AttemptResult;
use crate::failure::ErrorClass;
use crate::outcome::Outcome;
use crate::telemetry::families::family_of;
use crate::upstream::usage::Usage;

/// An update of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Increments a counter.
    Add(u64),
    /// Increments or decrements a gauge that all workers share.
    GaugeDelta(i64),
    /// Sets a gauge.
    Gauge(u64),
    /// Records a value in a histogram, in milliseconds.
    Observe(u64),
}

/// What was counted since the last flush.
#[derive(Debug, Default)]
pub struct Metrics {
    deployments: Vec<DeploymentMetrics>,
    groups: HashMap<Option<Arc<str>>, GroupMetrics>,
    /// Calls to Redis, by outcome.
    redis: Counters<&'static str>,
    /// Names of series and values.
    gauges: Vec<(String, u64)>,
}

#[derive(Debug, Default)]
struct DeploymentMetrics {
    attempts: Counters<(Outcome, u16)>,
    /// Failed attempts.
    failures: Counters<ErrorClass>,
    /// The change; `None` before the first attempt.
    in_flight: Option<i64>,
    retries: u64,
    cooldowns: u64,
    prompt: u64,
    completion: u64,
    /// Milliseconds from the send of an attempt to the first byte of its response.
    first_bytes: Vec<u64>,
    /// Milliseconds from the arrival of a request to the end of its response.
    durations: Vec<u64>,
}

#[derive(Debug, Default)]
struct GroupMetrics {
    requests: Counters<(Outcome, u16)>,
    refusals: Counters<&'static str>,
    fallbacks: Counters<Option<Arc<str>>>,
    affinity: Counters<AffinityResult>,
}

/// A few counters by key: a linear search is quicker than hashing.
#[derive(Debug)]
struct Counters<K>(Vec<(K, u64)>);

impl<K> Default for Counters<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq> Counters<K> {
    fn add(&mut self, key: K) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.0.push((key, 1)),
        }
    }

    /// The counts since the last call. The keys stay, so that nothing is allocated again.
    fn take(&mut self) -> impl Iterator<Item = (&K, u64)> {
        let counts = self.0.iter_mut().map(|(key, count)| (&*key, std::mem::take(count)));
        counts.filter(|(_, count)| *count > 0)
    }
}

impl Metrics {
    /// Metrics of this number of deployments.
    pub fn new(deployments: usize) -> Self {
        let mut metrics = Self::default();
        metrics.deployments.resize_with(deployments, DeploymentMetrics::default);
        metrics
    }

    fn update(&mut self, deployment: usize, update: impl FnOnce(&mut DeploymentMetrics)) {
        if let Some(metrics) = self.deployments.get_mut(deployment) {
            update(metrics);
        }
    }

    fn group(&mut self, group: Option<&Arc<str>>) -> &mut GroupMetrics {
        self.groups.entry(group.cloned()).or_default()
    }

    /// An attempt begins.
    pub fn inc_in_flight(&mut self, deployment: usize) {
        self.update(deployment, |own| {
            own.in_flight = Some(own.in_flight.unwrap_or_default().saturating_add(1))
        });
    }

    /// An attempt has ended.
    pub fn attempt(&mut self, deployment: usize, result: AttemptResult) {
        self.update(deployment, |own| {
            own.in_flight = Some(own.in_flight.unwrap_or_default().saturating_sub(1));
            own.attempts.add((result.outcome, result.status));
            if let Some(class) = result.class {
                own.failures.add(class);
            }
        });
    }

    /// The first byte of a response has arrived, this long after the send.
    pub fn first_byte(&mut self, deployment: usize, milliseconds: u64) {
        self.update(deployment, |own| own.first_bytes.push(milliseconds));
    }

    /// A response is complete, this long after the arrival of its request.
    pub fn duration(&mut self, deployment: usize, milliseconds: u64) {
        self.update(deployment, |own| own.durations.push(milliseconds));
    }

    /// A response reports its tokens.
    pub fn tokens(&mut self, deployment: usize, usage: Usage) {
        self.update(deployment, |own| {
            own.prompt = own.prompt.saturating_add(usage.prompt);
            own.completion = own.completion.saturating_add(usage.completion);
        });
    }

    /// An attempt that failed there is retried within the group.
    pub fn retry(&mut self, deployment: usize) {
        self.update(deployment, |own| own.retries = own.retries.saturating_add(1));
    }

    /// A cooldown begins.
    pub fn cooldown(&mut self, deployment: usize) {
        self.update(deployment, |own| own.cooldowns = own.cooldowns.saturating_add(1));
    }

    /// A request has ended.
    pub fn request(&mut self, group: Option<&Arc<str>>, outcome: Outcome, status: u16) {
        self.group(group).requests.add((outcome, status));
    }

    /// A request is refused.
    pub fn refusal(&mut self, group: Option<&Arc<str>>, reason: &'static str) {
        self.group(group).refusals.add(reason);
    }

    /// A request goes to a fallback.
    pub fn fallback(&mut self, group: Option<&Arc<str>>, target: Option<&Arc<str>>) {
        self.group(group).fallbacks.add(target.cloned());
    }

    /// A deployment was selected for a request, in a group with affinity.
    pub fn affinity(&mut self, group: &Arc<str>, result: AffinityResult) {
        self.group(Some(group)).affinity.add(result);
    }

    /// A call to Redis has ended.
    pub fn redis(&mut self, outcome: &'static str) {
        self.redis.add(outcome);
    }

    /// Sets a gauge.
    pub fn gauge(&mut self, name: String, value: u64) {
        self.gauges.push((name, value));
    }

    /// Passes on what was counted since the last flush.
    pub fn flush(&mut self, config: &Config, sink: &mut dyn FnMut(&str, Change)) {
        for (own, deployment) in self.deployments.iter_mut().zip(&config.deployments) {
            own.flush(&[("group", &deployment.group), ("deployment", &deployment.id)], sink);
        }
        for (group, own) in &mut self.groups {
            let group = [("group", group.as_deref().unwrap_or_default())];
            own.flush(&group, sink);
        }
        for (outcome, count) in self.redis.take() {
            sink(&series("redis_calls_total", &[("outcome", outcome)]), Change::Add(count));
        }
        for (name, value) in self.gauges.drain(..) {
            sink(&name, Change::Gauge(value));
        }
    }
}

impl DeploymentMetrics {
    fn flush(&mut self, labels: &[(&str, &str); 2], sink: &mut dyn FnMut(&str, Change)) {
        let [group, deployment] = *labels;
        for ((outcome, status), count) in self.attempts.take() {
            let status = status_label(*status);
            let labels = [group, deployment, ("outcome", outcome.name()), ("status", &status)];
            sink(&series("attempts_total", &labels), Change::Add(count));
        }
        for (class, count) in self.failures.take() {
            sink(
                &series("failures_total", &[group, deployment, ("class", class.name())]),
                Change::Add(count),
            );
        }
        for (kind, count) in [("prompt", &mut self.prompt), ("completion", &mut self.completion)] {
            flush_count("tokens_total", &[group, deployment, ("type", kind)], count, sink);
        }
        flush_count("retries_total", labels, &mut self.retries, sink);
        flush_count("cooldowns_total", labels, &mut self.cooldowns, sink);
        if let Some(change) = self.in_flight.take() {
            sink(&series("in_flight", labels), Change::GaugeDelta(change));
        }
        flush_times("time_to_first_byte_milliseconds", labels, &mut self.first_bytes, sink);
        flush_times("duration_milliseconds", labels, &mut self.durations, sink);
    }
}

fn flush_count(what: &str, labels: &[(&str, &str)], count: &mut u64, sink: &mut dyn FnMut(&str, Change)) {
    let count = std::mem::take(count);
    if count > 0 {
        sink(&series(what, labels), Change::Add(count));
    }
}

fn flush_times(
    what: &str,
    labels: &[(&str, &str)],
    times: &mut Vec<u64>,
    sink: &mut dyn FnMut(&str, Change),
) {
    if !times.is_empty() {
        let name = series(what, labels);
        times.drain(..).for_each(|time| sink(&name, Change::Observe(time)));
    }
}

impl GroupMetrics {
    fn flush(&mut self, group: &[(&str, &str); 1], sink: &mut dyn FnMut(&str, Change)) {
        let [group] = *group;
        for ((outcome, status), count) in self.requests.take() {
            let status = status_label(*status);
            let labels = [group, ("outcome", outcome.name()), ("status", &status)];
            sink(&series("requests_total", &labels), Change::Add(count));
        }
        for (reason, count) in self.refusals.take() {
            sink(&series("refusals_total", &[group, ("reason", reason)]), Change::Add(count));
        }
        for (target, count) in self.fallbacks.take() {
            let target = ("target", target.as_deref().unwrap_or_default());
            sink(&series("fallbacks_total", &[group, target]), Change::Add(count));
        }
        for (result, count) in self.affinity.take() {
            let reason = result.reason().unwrap_or_default();
            let labels = [group, ("outcome", result.name()), ("reason", reason)];
            sink(&series("affinity_total", &labels), Change::Add(count));
        }
    }
}

/// `none` for an attempt or a request without a status.
fn status_label(status: u16) -> String {
    if status == 0 { "none".to_owned() } else { status.to_string() }
}

/// The name of a series. Labels without a value are left out, which is the same to Prometheus.
pub fn series(what: &str, labels: &[(&str, &str)]) -> String {
    let mut name = format!("{}{what}", names::METRIC_PREFIX);
    for (label, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
        name.push(';');
        name.push_str(label);
        name.push('=');
        // A semicolon separates labels.
        name.extend(value.chars().map(|c| if c == ';' || c.is_control() { '_' } else { c }));
    }
    debug_assert!(family_of(&name).is_some(), "{name} is of no family");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flushed(metrics: &mut Metrics, config: &Config) -> Vec<(String, Change)> {
        let mut all = Vec::new();
        metrics.flush(config, &mut |name, change| all.push((name.to_owned(), change)));
        all
    }

    fn config() -> Config {
        let text = "model_list: [{model_name: g, litellm_params: {model: openai/m, api_key: k}, model_info: {id: a}}]";
        llm_balancer_config::read("config.yaml", text, &|_| None).config.unwrap()
    }

    #[test]
    fn what_was_flushed_is_not_flushed_again() {
        let (mut metrics, config) = (Metrics::new(1), config());
        metrics.inc_in_flight(0);
        metrics.inc_in_flight(0);
        metrics.attempt(
            0,
            AttemptResult { outcome: Outcome::RateLimited, status: 429, class: Some(ErrorClass::RateLimit) },
        );
        let labels = "group=g;deployment=a";
        assert_eq!(
            flushed(&mut metrics, &config),
            [
                (
                    format!("llm_balancer_attempts_total;{labels};outcome=rate_limited;status=429"),
                    Change::Add(1)
                ),
                (format!("llm_balancer_failures_total;{labels};class=rate_limit"), Change::Add(1)),
                (format!("llm_balancer_in_flight;{labels}"), Change::GaugeDelta(1)),
            ]
        );
        assert_eq!(flushed(&mut metrics, &config), []);
        metrics.attempt(0, AttemptResult { outcome: Outcome::ConnectionError, status: 0, class: None });
        assert_eq!(
            flushed(&mut metrics, &config),
            [
                (
                    format!("llm_balancer_attempts_total;{labels};outcome=connection_error;status=none"),
                    Change::Add(1)
                ),
                (format!("llm_balancer_in_flight;{labels}"), Change::GaugeDelta(-1)),
            ]
        );
    }

    #[test]
    fn a_move_is_counted_as_one_whatever_its_reason_is_called() {
        let mut metrics = Metrics::new(0);
        for result in [AffinityResult::Moved("hit"), AffinityResult::Hit, AffinityResult::Miss] {
            metrics.affinity(&Arc::from("g"), result);
        }
        let counted =
            |labels: &str| (format!("llm_balancer_affinity_total;group=g;outcome={labels}"), Change::Add(1));
        assert_eq!(
            flushed(&mut metrics, &config()),
            [counted("moved;reason=hit"), counted("hit"), counted("miss")]
        );
    }

    #[test]
    fn a_label_cannot_bring_others_with_it() {
        assert_eq!(
            series("tokens_total", &[("group", "a;status=1\n"), ("type", "")]),
            "llm_balancer_tokens_total;group=a_status=1_"
        );
    }
}
