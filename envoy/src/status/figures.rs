//! What happened between two scrapes.

use super::scrape::{Scrape, Subject};

/// Two scrapes and the time between them; without the first one, the time since the start.
#[derive(Debug)]
pub(crate) struct Period<'r> {
    pub(crate) from: Option<&'r Scrape>,
    pub(crate) to: &'r Scrape,
    /// Above zero.
    pub(crate) seconds: f64,
    /// The time of the balancer, in seconds since the Unix epoch.
    pub(crate) now: u64,
}

impl<'r> Period<'r> {
    /// Since the start of the process.
    pub(crate) fn since_start(to: &'r Scrape, now: u64) -> Self {
        let uptime = to.process.get("uptime").copied().unwrap_or_default();
        Self { from: None, to, seconds: (uptime as f64).max(1.0), now }
    }

    /// A group and its deployments that the configuration has.
    pub(super) fn group(&self, name: &str) -> (Figures, Vec<(&'r str, Figures)>) {
        let before = self.from.and_then(|from| from.groups.get(name));
        let Some(group) = self.to.groups.get(name) else { return Default::default() };
        let mut all = group.own.since(before.map(|before| &before.own));
        let mut members = Vec::new();
        for (id, subject) in &group.deployments {
            let own = subject.since(before.and_then(|before| before.deployments.get(id)));
            all.add(&own);
            if own.is_configured {
                members.push((id.as_str(), own));
            }
        }
        let sent = all.sum("attempts_total", &[]);
        let figures =
            |own| Figures { counted: own, seconds: self.seconds, now: self.now, sent_by_group: sent };
        (figures(all), members.into_iter().map(|(id, own)| (id, figures(own))).collect())
    }
}

/// The figures of a group or a deployment. `None` stands for what is unknown or has no value.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) counted: Subject,
    seconds: f64,
    now: u64,
    sent_by_group: u64,
}

impl Figures {
    /// Sends per second, or requests of clients.
    pub(super) fn rate(&self, metric: &str) -> f64 {
        self.counted.sum(metric, &[]) as f64 / self.seconds
    }

    /// Of the group's sends, from 0 to 1.
    pub(super) fn share(&self) -> Option<f64> {
        ratio(self.counted.sum("attempts_total", &[]), self.sent_by_group)
    }

    /// Of sends or requests, from 0 to 1, leaving out clients that disconnected.
    pub(super) fn success(&self, metric: &str) -> Option<f64> {
        let judged = self.counted.sum(metric, &["client_disconnected", "resent"]);
        let succeeded = self.counted.counts(metric).find(|(outcome, _)| *outcome == "success");
        ratio(succeeded.map_or(0, |(_, count)| count), judged)
    }

    pub(super) fn tokens_per_minute(&self) -> f64 {
        self.rate("tokens_total") * 60.0
    }

    /// What is used of a limit in this minute, and the limit; `requests` or `tokens`.
    pub(super) fn usage(&self, of: &str) -> Option<(u64, u64)> {
        let gauge = |what: &str| self.counted.gauges.get(&format!("{what}_{of}")).copied();
        let (limit, remaining) = (gauge("limit")?, gauge("remaining")?);
        (limit > 0).then(|| (limit.saturating_sub(remaining), limit))
    }

    /// Seconds until the cooldown ends, if it is cooling down; 0 if that is unknown.
    pub(super) fn cools_for(&self) -> Option<u64> {
        let gauge = |name: &str| self.counted.gauges.get(name).copied().unwrap_or_default();
        let left = gauge("cooldown_end_timestamp_seconds").saturating_sub(self.now);
        (gauge("cooling_down") == 1).then_some(left)
    }

    /// A quantile in milliseconds of a histogram, interpolated within its bucket as Prometheus does.
    pub(super) fn quantile(&self, histogram: &str, q: f64) -> Option<f64> {
        let metric = format!("{histogram}_milliseconds_bucket");
        let buckets = self.counted.buckets(&metric);
        let rank = q * buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let (mut low, mut before) = (0.0, 0.0);
        for (bound, count) in buckets {
            if count >= rank {
                let within = if count > before { (rank - before) / (count - before) } else { 0.0 };
                return Some(if bound.is_finite() { low + (bound - low) * within } else { low });
            }
            (low, before) = (bound, count);
        }
        None
    }
}

fn ratio(some: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| some as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(text: &str, from: Option<&str>, seconds: f64) -> (Figures, Vec<(String, Figures)>) {
        let read = |text: &str| Scrape::parse(&format!("envoy_server_uptime{{}} 10\n{text}")).unwrap();
        let (from, to) = (from.map(read), read(text));
        let (group, members) = Period { from: from.as_ref(), to: &to, seconds, now: 100 }.group("g");
        (group, members.into_iter().map(|(id, figures)| (id.to_owned(), figures)).collect())
    }

    const D: &str = "{group=\"g\",deployment=\"a\"";

    #[test]
    fn figures_are_of_what_was_counted_in_between() {
        let text = |success: u64, failed: u64| {
            format!(
                "llm_balancer_deployment_info{D},weight=\"0.25\"}} 1
llm_balancer_attempts_total{D},outcome=\"success\",status=\"200\"}} {success}
llm_balancer_attempts_total{D},outcome=\"success\",status=\"201\"}} 1
llm_balancer_attempts_total{D},outcome=\"timeout\",status=\"none\"}} {failed}
llm_balancer_attempts_total{D},outcome=\"client_disconnected\",status=\"200\"}} 50
llm_balancer_tokens_total{D},type=\"prompt\"}} {}\n",
                success * 10
            )
        };
        let (group, members) = figures(&text(40, 10), Some(&text(10, 0)), 10.0);
        let (id, own) = &members[0];
        assert_eq!((id.as_str(), own.counted.weight), ("a", Some(0.25)));
        assert_eq!((own.rate("attempts_total"), own.success("attempts_total")), (4.0, Some(0.75)));
        assert_eq!((own.share(), own.tokens_per_minute()), (Some(1.0), 1800.0));
        assert_eq!(group.success("requests_total"), None, "no request ended");
    }

    #[test]
    fn what_a_reload_removed_is_counted_for_the_group_and_not_listed() {
        let text = format!(
            "llm_balancer_deployment_info{D}}} 0\nllm_balancer_attempts_total{D},outcome=\"success\"}} 3\n"
        );
        let (group, members) = figures(&text, None, 1.0);
        assert!(members.is_empty());
        assert_eq!(group.rate("attempts_total"), 3.0);
    }

    #[test]
    fn limits_and_cooldowns_are_those_of_now() {
        let text = format!(
            "llm_balancer_deployment_info{D}}} 1\nllm_balancer_limit_requests{D}}} 10\nllm_balancer_remaining_requests{D}}} 3
llm_balancer_limit_tokens{D}}} 0\nllm_balancer_remaining_tokens{D}}} 0
llm_balancer_cooling_down{D}}} 1\nllm_balancer_cooldown_end_timestamp_seconds{D}}} 104\n"
        );
        let own = &figures(&text, None, 1.0).1[0].1;
        assert_eq!(
            (own.usage("requests"), own.usage("tokens"), own.cools_for()),
            (Some((7, 10)), None, Some(4))
        );
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let bucket = |bound: &str, count: u64| {
            format!("llm_balancer_duration_milliseconds_bucket{D},le=\"{bound}\"}} {count}\n")
        };
        let info = format!("llm_balancer_deployment_info{D}}} 1\n");
        let text =
            [info, bucket("100", 0), bucket("200", 50), bucket("1000", 90), bucket("+Inf", 100)].concat();
        let own = &figures(&text, None, 1.0).1[0].1;
        let all = [0.0, 0.25, 0.5, 0.7, 0.99].map(|q| own.quantile("duration", q));
        assert_eq!(all, [Some(0.0), Some(150.0), Some(200.0), Some(600.0), Some(1000.0)]);
        assert_eq!(own.quantile("time_to_first_byte", 0.5), None);
    }
}
