//! Rendezvous hashing (Thaler and Ravishankar, 1996): each deployment has a score for each key, and
//! the highest score is the first in the order of that key. A deployment that comes or goes moves
//! its own keys only. With weights (Schindelhauer and Schomaker, 2005), each has the share of the
//! keys that its weight is of all weights.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use llm_balancer_config::{Config, Deployment};

use crate::affinity::AffinityKey;
use crate::hash::{hash, mix};
use crate::random::fraction;
use crate::strategy::simple_shuffle::{METRICS, Weights};

/// A deployment's place in the order of a key: the higher, the earlier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score {
    value: f64,
    /// Decides between equal values, such as those of deployments that weigh nothing.
    hash: u64,
}

impl Score {
    fn is_above(&self, other: &Self) -> bool {
        match self.value.total_cmp(&other.value) {
            Ordering::Equal => self.hash > other.hash,
            order => order == Ordering::Greater,
        }
    }
}

/// What ranks the deployments of a configuration, by their indices. Empty without affinity.
#[derive(Debug, Default)]
pub(crate) struct Rendezvous {
    /// Hashes of the deployments' ids, which every instance and every revision of the configuration
    /// agrees on.
    identities: Vec<u64>,
    /// Their weights, on average 1 in each group; empty if all are equal.
    weights: Vec<f64>,
}

impl Rendezvous {
    /// Prepares a configuration.
    pub fn new(config: &Config) -> Self {
        if !config.deployments.iter().any(|deployment| deployment.affinity.is_ranked()) {
            return Self::default();
        }
        let identities = config.deployments.iter().map(|deployment| hash(deployment.id.as_bytes()));
        Self { identities: identities.collect(), weights: weights(&config.deployments) }
    }

    /// How many of the requests a deployment should get, in relation to the others.
    pub fn weight(&self, index: usize) -> f64 {
        self.weights.get(index).copied().unwrap_or(1.0)
    }

    /// The place of a deployment in the order of a key; `None` if there is no such deployment.
    fn score(&self, key: AffinityKey, index: usize) -> Option<Score> {
        let hash = mix(key.hash ^ self.identities.get(index)?);
        if key.first == Some(index) {
            return Some(Score { value: f64::INFINITY, hash });
        }
        // Half of the last bit keeps the logarithm finite.
        let uniform = fraction(hash) + 0.5 / 9_007_199_254_740_992.0;
        let value = self.weights.get(index).map_or(uniform, |weight| weight / -ln(uniform));
        Some(Score { value, hash })
    }

    /// The first of these deployments in the order of a key.
    pub fn first(&self, key: AffinityKey, among: &mut dyn Iterator<Item = usize>) -> Option<usize> {
        let mut first: Option<(usize, Score)> = None;
        for index in among {
            let Some(score) = self.score(key, index) else { continue };
            if first.as_ref().is_none_or(|(_, highest)| score.is_above(highest)) {
                first = Some((index, score));
            }
        }
        first.map(|(index, _)| index)
    }

    /// The deployment at a point from 0 to below 1, an interval that is divided among these by their
    /// weights.
    pub fn at(&self, point: f64, among: impl Iterator<Item = usize> + Clone) -> Option<usize> {
        let all: f64 = among.clone().map(|index| self.weight(index)).sum();
        let mut left = point * all;
        let mut among = among.filter(|index| self.weight(*index) > 0.0);
        let mut last = None;
        among
            .find(|index| {
                last = Some(*index);
                left -= self.weight(*index);
                left < 0.0
            })
            .or(last)
    }

    /// How many of these deployments come before one of them in the order of a key.
    pub fn rank(&self, key: AffinityKey, index: usize, among: &mut dyn Iterator<Item = usize>) -> usize {
        let Some(own) = self.score(key, index) else { return 0 };
        among.filter_map(|other| self.score(key, other)).filter(|other| other.is_above(&own)).count()
    }
}

/// The natural logarithm of a positive number, to nine digits. The C library's has a table of 4 KB,
/// which nothing else in the filter needs.
fn ln(number: f64) -> f64 {
    let bits = number.to_bits();
    let mut exponent = ((bits >> 52) as f64) - 1023.0;
    let mut mantissa = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) | 0x3FF0_0000_0000_0000);
    // From 0.7 to 1.4, so that numbers just below 1 keep their digits.
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1.0;
    }
    // ln(m) = 2 artanh((m - 1) / (m + 1)), whose argument is below 0.172.
    let argument = (mantissa - 1.0) / (mantissa + 1.0);
    let square = argument * argument;
    let series = 1.0 / 9.0 + square * (1.0 / 11.0);
    let series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0 + square * series)));
    exponent * std::f64::consts::LN_2 + 2.0 * argument * series
}

/// The metric of simple-shuffle, in each group in relation to its mean. Empty if all are equal.
fn weights(deployments: &[Deployment]) -> Vec<f64> {
    let mut by_name: HashMap<Arc<str>, usize> = HashMap::new();
    let mut groups: Vec<Totals> = Vec::new();
    let mut of: Vec<usize> = Vec::with_capacity(deployments.len());
    for deployment in deployments {
        let group = *by_name.entry(Arc::clone(&deployment.group)).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Totals::default());
        }
        if let Some(totals) = groups.get_mut(group) {
            totals.add(&Weights::of(deployment));
        }
        of.push(group);
    }
    let weight = |(deployment, group): (&Deployment, usize)| {
        let weight = groups.get(group).and_then(|group| group.relative(&Weights::of(deployment)));
        weight.unwrap_or(1.0)
    };
    let weights: Vec<f64> = deployments.iter().zip(of).map(weight).collect();
    let differ = weights.iter().any(|weight| (weight - 1.0).abs() > f64::EPSILON);
    if differ { weights } else { Vec::new() }
}

/// The metrics of a group's deployments.
#[derive(Debug, Default)]
struct Totals {
    deployments: f64,
    /// With their signs, as simple-shuffle decides whether a metric is usable.
    signed: [f64; METRICS],
    /// Negative values as zero.
    positive: [f64; METRICS],
}

impl Totals {
    fn add(&mut self, weights: &Weights) {
        self.deployments += 1.0;
        for (metric, (signed, positive)) in self.signed.iter_mut().zip(&mut self.positive).enumerate() {
            let value = weights.value(metric);
            *signed += value;
            *positive += value.max(0.0);
        }
    }

    /// A deployment's weight in relation to the mean; `None` if no metric is usable.
    fn relative(&self, weights: &Weights) -> Option<f64> {
        let usable = self.signed.iter().position(|sum| sum.is_finite() && *sum > 0.0)?;
        let sum = self.positive.get(usable)?;
        Some(weights.value(usable).max(0.0) * self.deployments / sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash;
    use crate::strategy::tests::group;

    fn ranked(params: &[&str]) -> Rendezvous {
        let params: Vec<String> =
            params.iter().map(|params| format!("{params}, llm_balancer: {{affinity: prefix}}")).collect();
        Rendezvous::new(&group(&params.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    fn key(n: u64) -> AffinityKey {
        AffinityKey { hash: hash(&n.to_le_bytes()), first: None, is_bounded: false }
    }

    /// The share of the keys that each deployment is the first of, in percent.
    fn shares(params: &[&str], among: &[usize]) -> Vec<f64> {
        let rendezvous = ranked(params);
        let mut shares = vec![0.0; params.len()];
        for n in 0..20_000 {
            shares[rendezvous.first(key(n), &mut (among.iter().copied())).unwrap()] += 100.0 / 20_000.0;
        }
        shares
    }

    #[test]
    fn each_deployment_is_the_first_of_as_many_keys_as_its_weight_says() {
        let cases: [(&[&str], &[f64]); 4] = [
            (&["", "", "", ""], &[25.0, 25.0, 25.0, 25.0]),
            (&[", weight: 6", ", weight: 3", ", weight: 1"], &[60.0, 30.0, 10.0]),
            (&[", rpm: 900", ", rpm: 100", ""], &[90.0, 10.0, 0.0]),
            (&[", weight: -1", ", weight: 3"], &[0.0, 100.0]),
        ];
        for (params, expected) in cases {
            let all: Vec<usize> = (0..params.len()).collect();
            for (share, expected) in shares(params, &all).into_iter().zip(expected) {
                // Four standard deviations of 20,000 draws are 1.4 points at most.
                assert!((share - expected).abs() < 1.4, "{params:?}: {share} % instead of {expected} %");
            }
        }
    }

    #[test]
    fn the_keys_of_a_deployment_that_is_away_spread_over_the_others_by_weight() {
        let shares = shares(&[", weight: 6", ", weight: 3", ", weight: 1"], &[1, 2]);
        assert!((shares[1] - 75.0).abs() < 1.4 && (shares[2] - 25.0).abs() < 1.4, "{shares:?}");
    }

    #[test]
    fn a_deployment_that_comes_or_goes_moves_its_own_keys_only() {
        let five = ranked(&["", "", "", "", ""]);
        let mut moved = 0;
        for n in 0..5_000 {
            let before = five.first(key(n), &mut (0..4)).unwrap();
            let after = five.first(key(n), &mut (0..5)).unwrap();
            assert!(after == before || after == 4, "{n} moved from {before} to {after}");
            moved += usize::from(after != before);
        }
        // A fifth; four standard deviations are 113.
        assert!((887..1113).contains(&moved), "{moved} of 5000");
    }

    #[test]
    fn each_deployment_has_as_much_of_the_line_as_its_weight_says() {
        let of = |params: &[&str], among: &[usize], point| ranked(params).at(point, among.iter().copied());
        let equal = ["", "", "", ""];
        for (point, index) in [(0.0, 0), (0.24, 0), (0.25, 1), (0.74, 2), (0.999, 3)] {
            assert_eq!(of(&equal, &[0, 1, 2, 3], point), Some(index), "{point}");
        }
        assert_eq!(of(&equal, &[1, 3], 0.49), Some(1));
        assert_eq!(of(&equal, &[], 0.5), None);
        let weighted = [", weight: 0", ", weight: 3", ", weight: 0", ", weight: 1", ", weight: 0"];
        for (point, index) in [(0.0, 1), (0.74, 1), (0.75, 3), (0.999_999, 3), (1.0, 3)] {
            assert_eq!(of(&weighted, &[0, 1, 2, 3, 4], point), Some(index), "{point}");
        }
    }

    #[test]
    fn the_first_of_a_key_comes_before_all_others_and_the_rest_keeps_its_order() {
        let rendezvous = ranked(&["", "", "", ""]);
        for n in 0..100 {
            for first in 0..4 {
                let led = AffinityKey { first: Some(first), ..key(n) };
                assert_eq!(rendezvous.first(led, &mut (0..4)), Some(first));
                assert_eq!(rendezvous.rank(led, first, &mut (0..4)), 0);
                let mut others = (0..4).filter(|index| *index != first);
                let second = rendezvous.first(key(n), &mut others.clone());
                assert_eq!(rendezvous.first(led, &mut others), second, "the first is away");
                assert_eq!(rendezvous.rank(led, second.unwrap(), &mut (0..4)), 1);
            }
        }
    }

    #[test]
    fn the_logarithm_is_that_of_the_standard_library() {
        for n in 1..100_000_u32 {
            for number in [f64::from(n) / 100_000.0, 1.0 - f64::from(n) * 1e-12, f64::from(n) * 1e-16] {
                let (own, expected) = (ln(number), number.ln());
                assert!((own / expected - 1.0).abs() < 1e-9, "ln {number}: {own}, not {expected}");
            }
        }
    }

    #[test]
    fn the_order_does_not_depend_on_the_order_of_the_candidates() {
        let rendezvous = ranked(&[", weight: 0", ", weight: 0", ", weight: 2", ""]);
        for n in 0..100 {
            let forth = rendezvous.first(key(n), &mut (0..4));
            assert_eq!(forth, rendezvous.first(key(n), &mut ((0..4).rev())));
            assert_eq!(forth, Some(2), "the others weigh nothing");
            let last = rendezvous.first(key(n), &mut ([0, 1, 3].into_iter()));
            assert_eq!(last, rendezvous.first(key(n), &mut ([3, 1, 0].into_iter())));
            assert_eq!(rendezvous.rank(key(n), last.unwrap(), &mut (0..4)), 1);
        }
    }
}
