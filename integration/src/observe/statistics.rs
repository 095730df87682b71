//! Whether counts agree with the shares they should have.

use std::collections::BTreeMap;

/// Critical values of chi-square for 1, 2, 3 .. degrees of freedom at a probability of one in a
/// million, so that an honest shuffle does not fail by chance.
const CRITICAL: [f64; 5] = [23.93, 27.63, 30.66, 33.38, 35.89];

/// How often each name occurs.
pub fn counts<S: Into<String>>(names: impl IntoIterator<Item = S>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name.into()).or_default() += 1;
    }
    counts
}

/// Panics unless the counts may well come from these shares (of any sum). A share of zero allows no
/// pick at all.
#[track_caller]
pub fn assert_shares(counts: &BTreeMap<String, usize>, shares: &[(&str, f64)]) {
    let picks: usize = counts.values().sum();
    let whole: f64 = shares.iter().map(|(_, share)| share).sum();
    let mut statistic = 0.0;
    let mut possible = 0;
    for (name, share) in shares {
        let seen = counts.get(*name).copied().unwrap_or(0) as f64;
        if *share == 0.0 {
            assert_eq!(seen, 0.0, "{name} has no share, yet {counts:?}");
            continue;
        }
        let expected = picks as f64 * share / whole;
        statistic += (seen - expected).powi(2) / expected;
        possible += 1;
    }
    let named: usize = shares.iter().filter_map(|(name, _)| counts.get(*name)).sum();
    assert_eq!(named, picks, "picks of something else: {counts:?}");
    if possible > 1 {
        assert!(
            statistic < CRITICAL[possible - 2],
            "chi-square {statistic:.1} for {counts:?}, wanted {shares:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{assert_shares, counts};

    fn seen(paris: usize, virginia: usize) -> std::collections::BTreeMap<String, usize> {
        counts(std::iter::repeat_n("paris", paris).chain(std::iter::repeat_n("virginia", virginia)))
    }

    #[test]
    fn nine_to_one_looks_like_nine_to_one() {
        assert_shares(&seen(908, 92), &[("paris", 9.0), ("virginia", 1.0)]);
    }

    #[test]
    #[should_panic(expected = "chi-square")]
    fn even_does_not_look_like_nine_to_one() {
        assert_shares(&seen(500, 500), &[("paris", 9.0), ("virginia", 1.0)]);
    }

    #[test]
    #[should_panic(expected = "no share")]
    fn one_pick_of_what_has_no_share_is_too_many() {
        assert_shares(&seen(999, 1), &[("paris", 1.0), ("virginia", 0.0)]);
    }
}
