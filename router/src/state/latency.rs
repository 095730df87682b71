//! How fast a deployment answers: estimates that forget.
//!
//! An estimate has the load under which it was measured, and scales with it, so that a burst does
//! not all go to the deployment that was fastest before it. It also has the best that it was, so
//! that a request that would slow down all others at a crowded deployment goes to another one, and
//! a deployment that proves to carry more gets more. docs/decisions/latency.md has the figures.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::state::outlier::{Outlier, Weight};
use crate::state::time::{UnixMillis, UnixSeconds};

/// What is measured. Each has estimates of its own: a time to the first token says nothing about
/// the time per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// From the request to the first byte of a stream's body.
    First,
    /// From the request to the end, per completion token.
    Each,
    /// From the request to the end, where the number of completion tokens is unknown.
    Whole,
}

/// The estimate of one metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyEstimate {
    /// Milliseconds.
    #[serde(deserialize_with = "crate::state::format::finite")]
    pub ms: f32,
    /// When it was last measured; 0 for never.
    pub at: UnixSeconds,
    /// Requests in flight beside the measured ones, on average.
    #[serde(deserialize_with = "crate::state::format::finite")]
    pub load: f32,
    /// The lowest `ms` of late: how fast it answers without load.
    #[serde(deserialize_with = "crate::state::format::finite")]
    pub best: f32,
    /// The last measurement, if it was set aside.
    pub outlier: Outlier,
}

/// The estimates of one deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// [`Metric::First`]
    pub first: LatencyEstimate,
    /// [`Metric::Each`]
    pub each: LatencyEstimate,
    /// [`Metric::Whole`]
    pub whole: LatencyEstimate,
    /// A request is in flight to measure it; until then no other is sent for that reason.
    pub probed_until: UnixMillis,
}

/// How long a probe keeps others away: longer than nearly all answers, in case its worker dies.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests that hardly slow each other down, by batching. Any number from 4 to 16 does nearly as well.
const BATCH: f64 = 8.0;
/// After this many seconds `best` has become the `ms` of a deployment that is slower for good.
const FORGET: f32 = 600.0;
/// After this many seconds without a measurement the next one says more than those before: only
/// probes are that rare.
const RARE: u32 = 10;
/// After this many seconds an estimate may be too high by [`DOUBT`], and by no more.
const DOUBTFUL: f64 = 5.0;
/// See [`DOUBTFUL`].
const DOUBT: f64 = 0.3;
/// The weight of a rare measurement, at least.
const HALF: f32 = 0.5;

/// The weight of one measurement: the last `size` of them have 86 % together.
fn one_of(size: u32) -> f32 {
    2.0 / (size as f32 + 1.0)
}

/// The time `now`, and never 0, which means that nothing was measured.
fn measured_at(now: Duration) -> UnixSeconds {
    UnixSeconds::of(now).max(UnixSeconds(1))
}

impl LatencyEstimate {
    /// Whether it was ever measured.
    pub fn is_known(&self) -> bool {
        self.at != UnixSeconds(0)
    }

    /// Adds a measurement, in milliseconds. `size` is the number of measurements that count. One
    /// that is far off is set aside until another one confirms it.
    pub fn measured(&mut self, ms: f32, load: f32, now: Duration, size: u32) {
        if !ms.is_finite() {
            return;
        }
        let expected = self.expected(load.max(0.0) as u32);
        let is_rare = self.at.age(now) >= RARE;
        let weight = if self.is_known() {
            let (outlier, weight) = self.outlier.next(f64::from(ms), expected, is_rare);
            self.outlier = outlier;
            weight
        } else {
            Weight::Replaces
        };
        // After a replacement the estimate is the mean of what was measured since.
        let of_young = self.outlier.young().map_or(0.0, |ago| 1.0 / (f32::from(ago) + 1.0));
        let of_rare = if is_rare { HALF } else { 0.0 };
        let one_of_many = one_of(size).max(of_young).max(of_rare);
        match weight {
            Weight::SetAside => self.at = measured_at(now),
            Weight::Replaces => self.add(ms, load, now, 1.0),
            Weight::OneOfMany => self.add(ms, load, now, one_of_many),
        }
    }

    /// Adds the time after which a request timed out, which needs no confirmation.
    pub fn timed_out(&mut self, ms: f32, load: f32, now: Duration, size: u32) {
        let weight = if self.is_known() { one_of(size) } else { 1.0 };
        self.add(ms, load, now, weight);
    }

    fn add(&mut self, ms: f32, load: f32, now: Duration, weight: f32) {
        self.ms += (ms - self.ms) * weight;
        self.load += (load - self.load) * weight;
        let forgotten = (self.at.age(now) as f32 / FORGET).min(1.0);
        self.best = if !self.is_known() || self.ms < self.best {
            self.ms
        } else {
            self.best + (self.ms - self.best) * forgotten
        };
        self.at = measured_at(now);
    }

    /// Whether it was measured within `age`.
    pub fn is_fresh(&self, now: Duration, age: Duration) -> bool {
        self.is_known() && u64::from(self.at.age(now)) <= age.as_secs()
    }

    /// By what the estimate is multiplied for its age, since it may be too high: of nearly equal
    /// deployments, one with an unlucky last measurement gets another request within seconds.
    pub fn doubt(&self, now: Duration) -> f64 {
        let age = f64::from(self.at.age(now)).min(DOUBTFUL);
        1.0 - DOUBT * age / DOUBTFUL
    }

    /// The expected milliseconds of a request that joins this many in flight.
    pub fn expected(&self, in_flight: u32) -> f64 {
        let crowding = (f64::from(in_flight) + BATCH) / (f64::from(self.load) + BATCH);
        (f64::from(self.ms) * crowding).max(f64::from(self.best))
    }

    /// The milliseconds that a request costs which joins this many in flight: its own, and those by
    /// which it delays the others.
    ///
    /// At a deployment that is as fast as it can be, a request delays no other. Where all take
    /// twice as long as they could, n requests share what was enough for half of them, and one more
    /// takes as much from the others, together, as it needs itself: it costs twice its own time. By
    /// its own time alone, fast deployments would fill up until they are as slow as the rest.
    pub fn cost(&self, in_flight: u32) -> f64 {
        let expected = self.expected(in_flight);
        let best = f64::from(self.best);
        if best > 0.0 { expected * (expected / best) } else { expected }
    }
}

impl Latency {
    /// The estimate of one metric.
    pub fn of(&self, metric: Metric) -> &LatencyEstimate {
        match metric {
            Metric::First => &self.first,
            Metric::Each => &self.each,
            Metric::Whole => &self.whole,
        }
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, metric: Metric) -> &mut LatencyEstimate {
        match metric {
            Metric::First => &mut self.first,
            Metric::Each => &mut self.each,
            Metric::Whole => &mut self.whole,
        }
    }

    /// Whether a request is in flight to measure it.
    pub fn is_probed(&self, now: Duration) -> bool {
        let is_ahead = self.probed_until > UnixMillis::of(now);
        // The worker that probes may be a moment ahead. Further ahead, the clock has stepped back.
        is_ahead && self.probed_until.distance(now) <= PROBE_TIMEOUT.saturating_mul(2)
    }

    /// Notes that a request is sent to measure it.
    pub fn probe(&mut self, now: Duration) {
        self.probed_until = UnixMillis::of(now.saturating_add(PROBE_TIMEOUT));
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;

    const NOON: Duration = Duration::from_secs(1_740_000_000);

    fn measured(samples: &[(f32, f32)]) -> LatencyEstimate {
        let mut estimate = LatencyEstimate::default();
        for (ms, load) in samples {
            estimate.measured(*ms, *load, NOON, 10);
        }
        estimate
    }

    #[test]
    fn the_first_measurement_is_the_estimate_and_later_ones_move_it() {
        assert_eq!(measured(&[(100.0, 0.0)]).ms, 100.0);
        let moved = measured(&[(100.0, 0.0), (210.0, 0.0)]).ms;
        assert!((119.9..120.1).contains(&moved), "{moved}");
        assert_eq!(measured(&[(f32::NAN, 0.0)]), LatencyEstimate::default());
    }

    #[test]
    fn latency_is_expected_to_follow_the_load_but_not_below_the_best() {
        let mut estimate = measured(&[(100.0, 0.0), (100.0, 10.0)]);
        estimate.load = 8.0;
        assert_eq!(estimate.expected(8), 100.0);
        assert_eq!(estimate.expected(24), 200.0);
        assert_eq!(estimate.expected(0), 100.0, "it was never faster");
    }

    #[test]
    fn a_request_costs_more_than_its_own_time_where_it_delays_others() {
        let estimate = LatencyEstimate {
            ms: 100.0,
            at: UnixSeconds(1),
            load: 8.0,
            best: 50.0,
            ..LatencyEstimate::default()
        };
        assert_eq!(estimate.cost(0), 50.0);
        assert_eq!(estimate.cost(8), 200.0);
        assert_eq!(LatencyEstimate::default().cost(3), 0.0);
    }

    #[test]
    fn the_best_is_forgotten_in_the_end() {
        let mut estimate = measured(&[(10.0, 0.0)]);
        for minute in 1..=60 {
            estimate.measured(30.0, 0.0, NOON + Duration::from_secs(60 * minute), 10);
        }
        assert!((29.0..=30.0).contains(&estimate.best), "{estimate:?}");
        estimate.measured(0.0, 0.0, NOON + Duration::from_secs(3601), 1);
        assert_eq!(estimate.best, 0.0, "and a better one counts at once");
    }

    #[test]
    fn a_probe_keeps_others_away_for_a_while_and_not_forever() {
        let mut latency = Latency::default();
        assert!(!latency.is_probed(NOON));
        latency.probe(NOON);
        assert!(latency.is_probed(NOON + Duration::from_secs(29)));
        assert!(!latency.is_probed(NOON + Duration::from_secs(30)));
        assert!(
            latency.is_probed(NOON - Duration::from_millis(1)),
            "a worker whose decision began a moment ago"
        );
        assert!(!latency.is_probed(NOON - Duration::from_secs(3600)), "the clock stepped back");
    }
}
