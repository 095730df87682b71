//! How fast a deployment answers, as far as is known: estimates that forget.
//!
//! An estimate also remembers the load under which it was measured, and scales with it: so a burst does not pile up on
//! whoever was fastest a moment ago. And it remembers the best that it was, so that a request which would make a crowded
//! deployment slower for everybody there goes elsewhere, and a deployment that proves to carry more gets more.
//! docs/decisions/latency.md has the figures.

use std::time::Duration;

use crate::state::outlier::{Outlier, Weight};
use crate::state::record::milliseconds;

/// What is measured. They are kept apart: a time to the first token says nothing about a price per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// From the request to the first byte of a stream's body.
    First,
    /// From the request to the end, for each completion token.
    Each,
    /// From the request to the end, where no completion tokens are known.
    Whole,
}

/// One estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Milliseconds.
    pub ms: f32,
    /// When it was last measured, in seconds since the Unix epoch; 0 for never.
    pub at: u32,
    /// Requests in flight beside the measured ones, on average.
    pub load: f32,
    /// What `ms` was at its best, which is slowly forgotten: how fast it answers when nobody is in the way.
    pub best: f32,
    /// What was measured last and is not in `ms`, because it was far off.
    pub outlier: Outlier,
}

/// What is known about one deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    /// [`Metric::First`]
    pub first: Estimate,
    /// [`Metric::Each`]
    pub each: Estimate,
    /// [`Metric::Whole`]
    pub whole: Estimate,
    /// A request is under way to find out how fast it is; until then, in milliseconds since the Unix epoch, no other is
    /// sent for that reason.
    pub probed_until: u64,
}

/// How long a probe keeps others away. Longer than nearly all answers, short enough if its worker has died.
const PROBE: Duration = Duration::from_secs(30);
/// Requests that hardly slow each other down: batching. Between 4 and 16 the figures are nearly the same.
const BATCH: f64 = 8.0;
/// Seconds after which a deployment that has become slower for good is taken for what it is now.
const FORGET: f32 = 600.0;
/// Seconds without a measurement after which the next one tells more than those before: nothing but probes comes so seldom.
const RARE: u32 = 10;
/// Seconds after which an estimate may be too high by this part, and no more until it is stale.
const DOUBTFUL: f64 = 5.0;
const DOUBT: f64 = 0.3;
/// What it counts for then, at least.
const HALF: f32 = 0.5;

/// The weight that gives the last `size` measurements 86 % of the say.
fn one_of(size: u32) -> f32 {
    2.0 / (size as f32 + 1.0)
}

/// Seconds since the Unix epoch; never 0, which stands for no time at all.
fn at(now: Duration) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX).max(1)
}

impl Estimate {
    /// Takes in a measurement, in milliseconds. `size` is the number of measurements that count. One that is far off is set aside
    /// until another confirms it.
    pub fn measured(&mut self, ms: f32, load: f32, now: Duration, size: u32) {
        if !ms.is_finite() {
            return;
        }
        let at = at(now);
        let expected = self.expected(load.max(0.0) as u32);
        let is_rare = at.saturating_sub(self.at) >= RARE;
        let weight = match self.at {
            0 => Weight::Replaces,
            _ => {
                let (outlier, weight) = self.outlier.next(f64::from(ms), expected, is_rare);
                self.outlier = outlier;
                weight
            }
        };
        // One that was replaced is the mean of what was measured since.
        let of_young = self.outlier.young().map_or(0.0, |ago| 1.0 / (f32::from(ago) + 1.0));
        let of_rare = if is_rare { HALF } else { 0.0 };
        let one_of_many = one_of(size).max(of_young).max(of_rare);
        match weight {
            Weight::SetAside => self.at = at,
            Weight::Replaces => self.take(ms, load, at, 1.0),
            Weight::OneOfMany => self.take(ms, load, at, one_of_many),
        }
    }

    /// Takes in a time that a request has waited in vain. It needs no second one that confirms it.
    pub fn timed_out(&mut self, ms: f32, load: f32, now: Duration, size: u32) {
        let weight = if self.at == 0 { 1.0 } else { one_of(size) };
        self.take(ms, load, at(now), weight);
    }

    fn take(&mut self, ms: f32, load: f32, at: u32, weight: f32) {
        self.ms += (ms - self.ms) * weight;
        self.load += (load - self.load) * weight;
        let forgotten = (at.saturating_sub(self.at) as f32 / FORGET).min(1.0);
        self.best = match self.at == 0 || self.ms < self.best {
            true => self.ms,
            false => self.best + (self.ms - self.best) * forgotten,
        };
        self.at = at;
    }

    /// Whether it was measured within `age`.
    pub fn is_fresh(&self, now: Duration, age: Duration) -> bool {
        self.at != 0 && now.as_secs().saturating_sub(u64::from(self.at)) <= age.as_secs()
    }

    /// What the estimate is multiplied by for its age, since it may have been too high: among deployments that are nearly equal, the one
    /// that was unlucky last gets another request within seconds.
    pub fn doubt(&self, now: Duration) -> f64 {
        let age = f64::from(at(now).saturating_sub(self.at)).min(DOUBTFUL);
        1.0 - DOUBT * age / DOUBTFUL
    }

    /// Milliseconds expected of a request that joins so many in flight.
    pub fn expected(&self, in_flight: u32) -> f64 {
        let crowding = (f64::from(in_flight) + BATCH) / (f64::from(self.load) + BATCH);
        (f64::from(self.ms) * crowding).max(f64::from(self.best))
    }

    /// Milliseconds that a request costs which joins so many in flight: its own, and those by which it delays the others.
    ///
    /// Whoever is as fast as can be delays nobody. Where all take twice as long as they could, n requests share what was
    /// enough for half of them, and one more takes as much from the others, together, as it needs itself: the cost is twice
    /// its own. If each went where it is served soonest alone, the fast ones would fill up until they are as slow as the rest.
    pub fn cost(&self, in_flight: u32) -> f64 {
        let expected = self.expected(in_flight);
        let best = f64::from(self.best);
        if best > 0.0 { expected * (expected / best) } else { expected }
    }
}

impl Metric {
    /// All of them, in the order in which they are written down.
    pub const ALL: [Self; 3] = [Self::First, Self::Each, Self::Whole];
}

impl Latency {
    /// The estimate of one metric.
    pub fn of(&self, metric: Metric) -> &Estimate {
        match metric {
            Metric::First => &self.first,
            Metric::Each => &self.each,
            Metric::Whole => &self.whole,
        }
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, metric: Metric) -> &mut Estimate {
        match metric {
            Metric::First => &mut self.first,
            Metric::Each => &mut self.each,
            Metric::Whole => &mut self.whole,
        }
    }

    /// Whether a request is finding out how fast it is.
    pub fn is_probed(&self, now: Duration) -> bool {
        let left = self.probed_until.saturating_sub(milliseconds(now));
        // A worker's time may be a moment behind that of the one who probes; by more, the clock has stepped back.
        left > 0 && left <= milliseconds(PROBE.saturating_mul(2))
    }

    /// A request sets out to find out.
    pub fn probe(&mut self, now: Duration) {
        self.probed_until = milliseconds(now.saturating_add(PROBE));
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;

    const NOON: Duration = Duration::from_secs(1_740_000_000);

    fn measured(samples: &[(f32, f32)]) -> Estimate {
        let mut estimate = Estimate::default();
        for (ms, load) in samples {
            estimate.measured(*ms, *load, NOON, 10);
        }
        estimate
    }

    #[test]
    fn a_first_measurement_stands_and_later_ones_move_it() {
        assert_eq!(measured(&[(100.0, 0.0)]).ms, 100.0);
        let moved = measured(&[(100.0, 0.0), (210.0, 0.0)]).ms;
        assert!((119.9..120.1).contains(&moved), "{moved}");
        assert_eq!(measured(&[(f32::NAN, 0.0)]), Estimate::default());
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
        let estimate = Estimate { ms: 100.0, at: 1, load: 8.0, best: 50.0, ..Estimate::default() };
        assert_eq!(estimate.cost(0), 50.0);
        assert_eq!(estimate.cost(8), 200.0);
        assert_eq!(Estimate::default().cost(3), 0.0);
    }

    #[test]
    fn what_was_once_the_best_is_forgotten_in_the_end() {
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
            "a worker that began to decide a moment ago"
        );
        assert!(!latency.is_probed(NOON - Duration::from_secs(3600)), "the clock stepped back");
    }
}
