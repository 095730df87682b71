//! The strategies: each picks one of the candidates, which are eligible deployments.
//!
//! Ties are broken at random. In the order of the file, the first deployment would get all requests
//! after a quiet moment.

use crate::random::Random;
use crate::state::snapshot::Snapshot;

pub mod least_busy;
pub mod lowest_cost;
pub mod lowest_latency;
pub mod simple_shuffle;
pub mod usage_based;

/// A deployment that may serve the request.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its index in the configuration.
    pub index: usize,
    /// What this worker knows about it.
    pub snapshot: &'a Snapshot,
}

/// The place of the candidate with the lowest score; of several, one at random.
pub fn lowest<'a>(
    candidates: &[Candidate<'a>],
    score: impl Fn(&Candidate<'a>) -> f64,
    random: &mut dyn Random,
) -> Option<usize> {
    let scores: Vec<f64> = candidates.iter().map(score).collect();
    let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let is_lowest = |score: &f64| *score <= lowest;
    // Counted, not collected: in a quiet group of a thousand deployments all are equal.
    let equals = scores.iter().filter(|score| is_lowest(score)).count();
    let drawn = if equals > 1 { random.below(equals) } else { 0 };
    let mut places = scores.iter().enumerate().filter(|(_, score)| is_lowest(score));
    places.nth(drawn).map(|(place, _)| place)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
pub(crate) mod tests {
    use super::*;
    use crate::random::SplitMix;
    use crate::state::limits::DeploymentLimits;
    use crate::state::record::Record;
    use crate::state::snapshot::StaticAttributes;
    use llm_balancer_config::{Config, read};

    /// Deployments `0`, `1`, .. of one group, each with further litellm_params.
    pub fn group(params: &[&str]) -> Config {
        let item = |(place, params): (usize, &&str)| {
            format!(
                "- model_name: g\n  litellm_params: {{model: openai/m, api_key: k{params}}}\n  model_info: {{id: d{place}}}\n"
            )
        };
        let text = format!("model_list:\n{}", params.iter().enumerate().map(item).collect::<String>());
        let reading = read("config.yaml", &text, &|_| None);
        reading.config.unwrap_or_else(|| panic!("{:?}", reading.findings))
    }

    /// The snapshots of these records.
    pub fn snapshots(config: &Config, records: &[Record]) -> Vec<Snapshot> {
        let pairs = config.deployments.iter().zip(records);
        pairs
            .map(|(d, record)| {
                Snapshot::of(record, &DeploymentLimits::default(), StaticAttributes::of(d), false)
            })
            .collect()
    }

    pub fn candidates(snapshots: &[Snapshot]) -> Vec<Candidate<'_>> {
        snapshots.iter().enumerate().map(|(index, snapshot)| Candidate { index, snapshot }).collect()
    }

    /// How often each of so many is picked in 3,000 draws, in percent.
    pub fn shares(count: usize, mut pick: impl FnMut(&mut SplitMix) -> Option<usize>) -> Vec<f64> {
        let mut random = SplitMix::new(7);
        let mut shares = vec![0.0; count];
        for _ in 0..3_000 {
            shares[pick(&mut random).unwrap()] += 100.0 / 3_000.0;
        }
        shares
    }

    #[test]
    fn equals_have_equal_chances() {
        let config = group(&["", "", "", ""]);
        let snapshots = snapshots(&config, &vec![Record::default(); 4]);
        let candidates = candidates(&snapshots);
        let score = |candidate: &Candidate<'_>| if candidate.index == 2 { 1.0 } else { 0.0 };
        let shares = shares(4, |random| lowest(&candidates, score, random));
        for (place, expected) in [33.3, 33.3, 0.0, 33.3].into_iter().enumerate() {
            // Four standard deviations of 3,000 draws.
            assert!((shares[place] - expected).abs() < 3.5, "{shares:?}");
        }
    }

    #[test]
    fn nothing_is_picked_without_a_candidate() {
        assert_eq!(lowest(&[], |_| 0.0, &mut SplitMix::new(1)), None);
    }
}
