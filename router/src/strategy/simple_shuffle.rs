//! simple-shuffle: at random, in proportion to `weight`, else `rpm`, else `tpm`, else evenly
//! (BEHAVIOUR 3.2).

use llm_balancer_config::Deployment;

use crate::random::Random;

/// `weight`, `rpm` and `tpm`.
pub const METRICS: usize = 3;

/// The metrics of a candidate, in order of precedence.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weights([Option<f64>; METRICS]);

impl Weights {
    /// A deployment's metrics. Limits from model_info are no weights (BEHAVIOUR 1.2).
    pub fn of(deployment: &Deployment) -> Self {
        let limit =
            |limit: Option<u64>| limit.filter(|_| !deployment.limits_from_model_info).map(|n| n as f64);
        Self([deployment.weight, limit(deployment.rpm), limit(deployment.tpm)])
    }

    /// One of the metrics; 0 without a value.
    pub fn value(&self, metric: usize) -> f64 {
        self.0.get(metric).copied().flatten().unwrap_or(0.0)
    }
}

/// A prepared draw from a fixed list of candidates, in O(log n).
#[derive(Clone, Debug)]
pub struct SimpleShuffle {
    /// Running totals of the weights; `None` if no metric is usable, for an even draw.
    totals: Option<Vec<f64>>,
    count: usize,
}

impl SimpleShuffle {
    /// Draws by the first metric whose sum is more than zero. A candidate without a value in that
    /// metric weighs nothing.
    pub fn new(candidates: &[Weights]) -> Self {
        Self { totals: (0..METRICS).find_map(|metric| totals(candidates, metric)), count: candidates.len() }
    }

    /// The probability of a place, from 0 to 1; `None` if there is no such place.
    pub fn share(&self, place: usize) -> Option<f64> {
        let Some(totals) = &self.totals else {
            return (place < self.count).then(|| 1.0 / self.count as f64);
        };
        let before = place.checked_sub(1).and_then(|before| totals.get(before)).copied().unwrap_or_default();
        Some((totals.get(place)? - before) / totals.last()?)
    }

    /// The place of the pick, or `None` if there is no candidate.
    pub fn pick(&self, random: &mut dyn Random) -> Option<usize> {
        if self.count == 0 {
            return None;
        }
        Some(match &self.totals {
            None => random.below(self.count),
            Some(totals) => {
                let point = random.fraction() * totals.last().copied().unwrap_or_default();
                totals.partition_point(|total| *total <= point).min(self.count.saturating_sub(1))
            }
        })
    }
}

/// Running totals of one metric, with negative values as zero, or `None` if the metric is not
/// usable.
fn totals(candidates: &[Weights], metric: usize) -> Option<Vec<f64>> {
    let value = |weights: &Weights| weights.value(metric);
    // LiteLLM sums the values with their signs: -1 and 1 are not usable, -1 and 3 are.
    let sum: f64 = candidates.iter().map(value).sum();
    if !sum.is_finite() || sum <= 0.0 {
        return None;
    }
    let mut total = 0.0;
    let running = candidates.iter().map(|weights| {
        total += value(weights).max(0.0);
        total
    });
    Some(running.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix;

    const WEIGHT: usize = 0;
    const RPM: usize = 1;
    const TPM: usize = 2;

    fn only(metric: usize, value: f64) -> Weights {
        let mut weights = Weights::default();
        weights.0[metric] = Some(value);
        weights
    }

    /// How often each candidate is picked in 10,000 draws, in percent.
    fn shares(candidates: &[Weights]) -> Vec<f64> {
        let shuffle = SimpleShuffle::new(candidates);
        let mut random = SplitMix::new(7);
        let mut counts = vec![0.0; candidates.len()];
        for _ in 0..10_000 {
            counts[shuffle.pick(&mut random).unwrap()] += 0.01;
        }
        counts
    }

    #[test]
    fn picks_follow_the_first_metric_that_any_deployment_has() {
        let cases: [(&str, Vec<Weights>, [f64; 2]); 9] = [
            ("rpm 9:1", vec![only(RPM, 9.0), only(RPM, 1.0)], [90.0, 10.0]),
            ("rpm on one of two", vec![only(RPM, 1.0), Weights::default()], [100.0, 0.0]),
            ("weight beats rpm", vec![only(WEIGHT, 1.0), only(RPM, 900.0)], [100.0, 0.0]),
            ("tpm 900:100", vec![only(TPM, 900.0), only(TPM, 100.0)], [90.0, 10.0]),
            ("rpm beats tpm", vec![Weights([None, Some(1.0), Some(1.0)]), only(TPM, 9.0)], [100.0, 0.0]),
            ("weights 0, 0", vec![only(WEIGHT, 0.0), only(WEIGHT, 0.0)], [50.0, 50.0]),
            ("weights -1, 1", vec![only(WEIGHT, -1.0), only(WEIGHT, 1.0)], [50.0, 50.0]),
            ("weights 0, 1", vec![only(WEIGHT, 0.0), only(WEIGHT, 1.0)], [0.0, 100.0]),
            ("nothing set", vec![Weights::default(); 2], [50.0, 50.0]),
        ];
        for (name, candidates, expected) in cases {
            for (share, expected) in shares(&candidates).into_iter().zip(expected) {
                // Five standard deviations of 10,000 draws are 2.5 points at most.
                assert!((share - expected).abs() < 2.5, "{name}: {share} % instead of {expected} %");
            }
        }
    }

    #[test]
    fn nothing_is_picked_without_a_candidate() {
        assert_eq!(SimpleShuffle::new(&[]).pick(&mut SplitMix::new(1)), None);
    }
}
