//! latency-based-routing: the earliest expected answer, with the delay of other requests counted in
//! (BEHAVIOUR 3.6).
//!
//! Streams are compared by their time to the first token, other requests by their time per
//! completion token. A deployment that has not been measured lately gets one request at a time as a
//! probe; the others do not wait for its result.

use std::time::Duration;

use llm_balancer_config::StrategyArgs;

use super::{Candidate, lowest};
use crate::random::Random;
use crate::state::latency::Metric;
use crate::state::outlier::Outlier;

/// Age of a measurement that is probed again: a deployment that was slow may have recovered. If a
/// second probe confirms the first one, the deployment has its share again within a minute.
const STALE: Duration = Duration::from_secs(40);

/// Costs that differ by less, as a fraction, are equal: ten measurements are no more exact. A cost
/// grows with the square of a time.
const EQUAL: f64 = 0.2;
/// The same for an estimate that was replaced lately, which is less exact.
const YOUNG: f64 = 0.5;

/// The pick, and whether it is a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Place of the candidate.
    pub place: usize,
    /// Whether it is picked in order to measure it.
    pub probe: bool,
}

/// Picks a candidate. With `stream`, the answer is streamed.
pub fn pick(
    candidates: &[Candidate<'_>],
    args: &StrategyArgs,
    stream: bool,
    now: Duration,
    random: &mut dyn Random,
) -> Option<Pick> {
    let cost = cost(candidates, args, stream, now);
    let soonest = lowest(candidates, |candidate| probes_first(cost(candidate)), random)?;
    let Some(least) = cost(candidates.get(soonest)?) else {
        return Some(Pick { place: soonest, probe: true });
    };
    let metric = metric(candidates, args, stream, now);
    let near = |candidate: &Candidate<'_>| {
        let is_young = candidate.snapshot.latency.of(metric).outlier.young().is_some();
        let equal = if is_young { YOUNG } else { EQUAL };
        let limit = least * (1.0 + args.lowest_latency_buffer.max(equal));
        if cost(candidate).is_some_and(|cost| cost <= limit) { 0.0 } else { 1.0 }
    };
    Some(Pick { place: lowest(candidates, near, random)?, probe: false })
}

/// The score of each candidate: its expected cost, or a number below all costs if it needs a probe.
pub fn ranking<'r>(
    candidates: &[Candidate<'_>],
    args: &'r StrategyArgs,
    stream: bool,
    now: Duration,
) -> impl Fn(&Candidate<'_>) -> f64 + use<'r> {
    let cost = cost(candidates, args, stream, now);
    move |candidate| probes_first(cost(candidate))
}

fn probes_first(cost: Option<f64>) -> f64 {
    cost.unwrap_or(f64::NEG_INFINITY)
}

/// The expected cost of each candidate, of at least 0: `None` if it needs a probe, and the greatest
/// number while another request probes it.
fn cost<'r>(
    candidates: &[Candidate<'_>],
    args: &'r StrategyArgs,
    stream: bool,
    now: Duration,
) -> impl Fn(&Candidate<'_>) -> Option<f64> + use<'r> {
    let metric = metric(candidates, args, stream, now);
    move |candidate| {
        let latency = &candidate.snapshot.latency;
        let estimate = latency.of(metric);
        let is_known = estimate.is_fresh(now, args.ttl.min(STALE)) && estimate.outlier != Outlier::Better;
        if !is_known && !latency.is_probed(now) {
            return None;
        }
        Some(if estimate.is_fresh(now, args.ttl) {
            estimate.cost(candidate.snapshot.total_in_flight(now)) * estimate.doubt(now)
        } else {
            f64::MAX
        })
    }
}

/// The metric to compare by: for answers that are not streamed the time per token, unless a
/// candidate reports no tokens.
fn metric(candidates: &[Candidate<'_>], args: &StrategyArgs, stream: bool, now: Duration) -> Metric {
    let knows =
        |candidate: &Candidate<'_>, metric| candidate.snapshot.latency.of(metric).is_fresh(now, args.ttl);
    if stream {
        Metric::First
    } else if candidates.iter().any(|c| knows(c, Metric::Whole) && !knows(c, Metric::Each)) {
        Metric::Whole
    } else {
        Metric::Each
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::super::tests::{candidates, group, shares, snapshots};
    use super::*;
    use crate::random::SplitMix;
    use crate::state::record::{InFlight, Record};

    const NOON: Duration = Duration::from_secs(1_740_000_000);

    fn args(buffer: f64) -> StrategyArgs {
        StrategyArgs {
            ttl: Duration::from_secs(3600),
            lowest_latency_buffer: buffer,
            max_latency_list_size: 10,
        }
    }

    fn measured(metric: Metric, ms: f32) -> Record {
        let mut record = Record::default();
        record.latency.of_mut(metric).measured(ms, 0.0, NOON, 10);
        record
    }

    fn of(speeds: &[f32]) -> Vec<Record> {
        speeds.iter().map(|ms| measured(Metric::Each, *ms)).collect()
    }

    fn shares_of(records: &[Record], buffer: f64, now: Duration) -> Vec<f64> {
        let config = group(&vec![""; records.len()]);
        let snapshots = snapshots(&config, records);
        let candidates = candidates(&snapshots);
        shares(records.len(), |random| {
            pick(&candidates, &args(buffer), false, now, random).map(|pick| pick.place)
        })
    }

    #[test]
    fn the_fastest_is_picked_and_within_the_buffer_any() {
        assert!((shares_of(&of(&[16.0, 10.0, 14.0]), 0.0, NOON)[1] - 100.0).abs() < 0.01);
        let shares = shares_of(&of(&[16.0, 10.0, 14.0]), 0.5, NOON);
        assert!(shares[0] < 0.01 && (shares[1] - 50.0).abs() < 4.0, "{shares:?}");
    }

    #[test]
    fn one_that_was_never_measured_is_probed_by_one_request_at_a_time() {
        let config = group(&["", ""]);
        let mut records = [measured(Metric::Each, 10.0), Record::default()];
        let next = |records: &[Record]| {
            pick(&candidates(&snapshots(&config, records)), &args(0.0), false, NOON, &mut SplitMix::new(1))
                .unwrap()
        };
        assert_eq!(next(&records), Pick { place: 1, probe: true });
        records[1].latency.probe(NOON);
        assert_eq!(next(&records), Pick { place: 0, probe: false });
    }

    #[test]
    fn a_slow_measurement_is_checked_after_a_while() {
        let mut records = of(&[10.0, 900.0]);
        let later = NOON + Duration::from_secs(61);
        records[0].latency.each.measured(10.0, 0.0, later, 10);
        assert!(shares_of(&records, 0.0, NOON)[1] < 0.01);
        assert!((shares_of(&records, 0.0, later)[1] - 100.0).abs() < 0.01);
    }

    #[test]
    fn a_burst_does_not_pile_up_on_the_fastest() {
        let mut records = of(&[10.0, 14.0]);
        records[0].in_flight = vec![InFlight { vm: 1, count: 4 }];
        assert!(shares_of(&records, 0.0, NOON)[1] > 99.9, "five at once were never measured there");
        records[0].latency.each.load = 4.0;
        assert!(shares_of(&records, 0.0, NOON)[0] > 99.9, "now they were, and it was as fast");
        records[0].latency.each.ms = 13.0;
        assert!(shares_of(&records, 0.0, NOON)[1] > 99.9, "now they were, and slowed each other down");
    }

    #[test]
    fn streams_and_other_answers_are_measured_apart() {
        let config = group(&["", ""]);
        let mut records = of(&[10.0, 20.0]);
        for (record, ms) in records.iter_mut().zip([300.0, 200.0]) {
            record.latency.first.measured(ms, 0.0, NOON, 10);
        }
        let snapshots = snapshots(&config, &records);
        let candidates = candidates(&snapshots);
        for (stream, expected) in [(false, 0), (true, 1)] {
            let pick = pick(&candidates, &args(0.0), stream, NOON, &mut SplitMix::new(1)).unwrap();
            assert_eq!(pick, Pick { place: expected, probe: false }, "stream: {stream}");
        }
    }

    #[test]
    fn without_a_count_of_tokens_whole_answers_are_compared() {
        let records =
            [measured(Metric::Whole, 900.0), measured(Metric::Whole, 300.0), measured(Metric::Whole, 500.0)];
        assert!((shares_of(&records, 0.0, NOON)[1] - 100.0).abs() < 0.01);
    }
}
