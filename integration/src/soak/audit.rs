//! What must hold for an instance when its clients have gone.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::TRAPPING;
use super::journal::Journal;
use super::ledger::Ledger;
use super::log_tail::LogTail;
use crate::{Balancer, Client, eventually};

/// How long the last lines of the access log may take on a busy machine, in looks of 0.5 s. Where
/// lines are lost to traps, the last one cannot be known.
const LOOKS: usize = 20;
const LOOKS_AFTER_TRAPS: usize = 6;
/// Words of Envoy and of the program that a run without faults does not have.
const ALARMING: [&str; 6] =
    ["panicked", "[critical]", "assert failure", "Caught ", "out of memory", "ended by itself"];

/// The module's words for a panic that a request has asked for.
const ON_DEMAND: &str = "panicked on demand";

/// One instance, and what was read of its log.
#[derive(Debug)]
pub(super) struct Audit {
    instance: usize,
    access_log: LogTail,
    log: LogTail,
    envoys: Vec<u32>,
    /// Of the access log.
    pub(super) lines: u64,
    /// Those with a group: a client that disconnects before its request is complete has asked for
    /// none.
    of_groups: u64,
    /// Requests that have no line, other than those that their clients saw lost.
    unlogged: u64,
    /// Messages without their numbers, and how often they came.
    pub(super) messages: BTreeMap<String, u64>,
}

impl Audit {
    pub(super) fn of(instance: usize, balancer: &Balancer) -> Self {
        Self {
            instance,
            access_log: LogTail::of(balancer.stdout_file()),
            log: LogTail::of(balancer.log_file()),
            envoys: balancer.processes(),
            lines: 0,
            of_groups: 0,
            unlogged: 0,
            messages: BTreeMap::new(),
        }
    }

    /// Records a fault for everything that does not hold.
    pub(super) async fn check(&mut self, balancer: &mut Balancer, ledger: &Ledger, journal: &Journal) {
        let fault = |what: String| ledger.fault(format!("instance {}: {what}", self.instance));
        if !balancer.alive() || balancer.processes() != self.envoys {
            return fault(format!("was {:?}, is {:?}", self.envoys, balancer.processes()));
        }
        let mut busy = BTreeMap::new();
        let is_idle = eventually(async || {
            busy = balancer.busy().await;
            // One call to Redis waits for messages all the time.
            busy.retain(|name, _| !name.contains("redis"));
            busy.is_empty()
        });
        if !is_idle.await {
            fault(format!("in flight without a client: {busy:?}"));
        }
        self.check_log(ledger, journal).await;
        self.check_metrics(balancer, ledger).await;
    }

    async fn check_log(&mut self, ledger: &Ledger, journal: &Journal) {
        for _ in 0..if self.instance == TRAPPING { LOOKS_AFTER_TRAPS } else { LOOKS } {
            self.read(ledger);
            if self.missing(ledger) == 0 {
                break;
            }
            sleep(Duration::from_millis(500)).await;
        }
        let missing = self.missing(ledger);
        let mut entries = ledger.entries();
        let sent = &mut entries.sent[self.instance];
        let replies = std::mem::take(&mut sent.replies).into_iter();
        let replies = replies.map(|(id, replied)| (replied.in_trap, format!("{id}, {replied:?}")));
        let abandoned = std::mem::take(&mut sent.unlogged).into_values();
        let abandoned = abandoned.map(|abandoned| {
            let attempts: Vec<_> = journal.take(&abandoned.nonce).iter().map(ToString::to_string).collect();
            (abandoned.in_trap, format!("{}, attempts {attempts:?}", abandoned.about))
        });
        // Lines of requests in a VM that trapped are lost with it.
        let unlogged: Vec<_> = replies.chain(abandoned).collect();
        self.unlogged += unlogged.len() as u64;
        let most = i128::from(sent.traps + sent.lost + self.unlogged);
        if !(0..=most).contains(&missing) {
            entries.fault(format!(
                "instance {}: {missing} lines are missing, at most {most} may",
                self.instance
            ));
        }
        for (_, about) in unlogged.iter().filter(|(is_known, _)| !is_known) {
            entries.fault(format!("instance {}: no line for {about}", self.instance));
        }
    }

    fn missing(&self, ledger: &Ledger) -> i128 {
        let entries = ledger.entries();
        let sent = &entries.sent[self.instance];
        i128::from(sent.awaited + sent.abandoned + sent.traps) - i128::from(self.lines)
    }

    fn read(&mut self, ledger: &Ledger) {
        for line in self.access_log.lines() {
            self.lines += 1;
            self.check_line(&line, ledger);
        }
        for line in self.log.lines() {
            let message: String = line.chars().filter(|letter| !letter.is_ascii_digit()).take(200).collect();
            *self.messages.entry(message).or_default() += 1;
            if ALARMING.iter().any(|words| line.contains(words)) && !line.contains(ON_DEMAND) {
                ledger.fault(format!("instance {} says {line}", self.instance));
            }
        }
    }

    /// The line of a response has its status.
    fn check_line(&mut self, line: &str, ledger: &Ledger) {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            return ledger.fault(format!("instance {}: a line is no JSON: {line}", self.instance));
        };
        self.of_groups += u64::from(line["group"].is_string());
        let mut entries = ledger.entries();
        if let Some(address) = line["client"].as_str().and_then(|address| address.parse().ok()) {
            entries.sent[self.instance].unlogged.remove(&address);
        }
        let id = line["request_id"].as_str().unwrap_or_default();
        let replied = entries.sent[self.instance].replies.remove(id);
        if replied.is_some_and(|replied| line["status"] != replied.status) {
            let got = format!("the client got {replied:?}, the log has {line}");
            entries.fault(format!("instance {}: {got}", self.instance));
        }
    }

    /// Gauges of what is in flight are zero, and requests are counted.
    async fn check_metrics(&self, balancer: &Balancer, ledger: &Ledger) {
        let (mut in_flight, mut requests) = (0, 0);
        let is_done = eventually(async || {
            let text = Client::new(balancer.admin_port).get("/stats/prometheus").await.text();
            in_flight = sum(&text, "llm_balancer_in_flight{");
            requests = sum(&text, "llm_balancer_requests_total{");
            in_flight == 0 && requests == self.of_groups
        });
        let is_done = is_done.await;
        let lost = {
            let entries = ledger.entries();
            let sent = &entries.sent[self.instance];
            sent.traps + sent.lost + self.unlogged
        };
        // What a VM counted in the second before it trapped is lost, and so is what was in flight.
        if !is_done && (self.instance != TRAPPING || in_flight > lost) {
            let lines = self.of_groups;
            ledger.fault(format!(
                "instance {}: {in_flight} in flight, {requests} counted, {lines} lines",
                self.instance
            ));
        }
    }
}

/// Of all series of a metric.
fn sum(text: &str, metric: &str) -> u64 {
    let of = |line: &str| line.strip_prefix(metric)?.rsplit_once(' ')?.1.parse::<u64>().ok();
    text.lines().filter_map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn a_metric_is_the_sum_of_its_series() {
        let text = "a_total{group=\"x y\"} 2\na_total{group=\"b\"} 3\na_total_more{group=\"b\"} 4\n";
        assert_eq!(sum(text, "a_total{"), 5);
    }
}
