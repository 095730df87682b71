//! The best deployments of large pools, as of the last full comparison.

use std::collections::{BinaryHeap, HashMap};

use crate::models::pool::Pool;
use crate::random::Random;

/// Deployments on a shortlist.
const LISTED: usize = 32;

/// The shortlists of one worker, by pool and by whether answers are streamed.
#[derive(Debug, Default)]
pub(crate) struct Shortlists(HashMap<(usize, bool), Shortlist>);

#[derive(Debug)]
struct Shortlist {
    members: Vec<usize>,
    /// Requests until it is renewed.
    uses: usize,
}

/// Pools live as long as the configuration, so their addresses tell them apart.
fn key((pool, stream): (&Pool, bool)) -> (usize, bool) {
    (std::ptr::from_ref(pool) as usize, stream)
}

impl Shortlists {
    /// The members of a shortlist; `None` if there is none, or one that is due for renewal.
    pub(super) fn take(&mut self, of: (&Pool, bool)) -> Option<Vec<usize>> {
        let list = self.0.get_mut(&key(of))?;
        list.uses = list.uses.checked_sub(1)?;
        Some(list.members.clone())
    }

    /// Lists the deployments with the lowest scores, and of equals any, for so many requests.
    pub(super) fn put(
        &mut self,
        of: (&Pool, bool),
        mut scored: Vec<(f64, usize)>,
        uses: usize,
        random: &mut dyn Random,
    ) {
        let turn = random.below(scored.len());
        scored.rotate_left(turn);
        let members = lowest(scored).into_iter().map(|(_, index)| index).collect();
        self.0.insert(key(of), Shortlist { members, uses });
    }
}

/// The [`LISTED`] entries with the lowest scores. Of equals, any.
fn lowest(scored: Vec<(f64, usize)>) -> BinaryHeap<(i64, usize)> {
    let mut lowest = BinaryHeap::with_capacity(LISTED.saturating_add(1));
    for (score, index) in scored {
        let order = order(score);
        if lowest.len() < LISTED {
            lowest.push((order, index));
        } else if let Some(mut highest) = lowest.peek_mut()
            && order < highest.0
        {
            *highest = (order, index);
        }
    }
    lowest
}

/// An integer that compares as [`f64::total_cmp`] does, by the same calculation.
fn order(score: f64) -> i64 {
    let bits = score.to_bits().cast_signed();
    bits ^ (bits >> 63).cast_unsigned().unbounded_shr(1).cast_signed()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_lowest_scores_are_listed() {
        let scored: Vec<_> = (0..100).map(|n| (f64::from((n * 37) % 50) - 25.0, n as usize)).collect();
        let mut expected: Vec<_> = scored.clone();
        expected.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let expected: BTreeSet<_> = expected.into_iter().take(LISTED).map(|(_, index)| index).collect();
        let listed: BTreeSet<_> = lowest(scored).into_iter().map(|(_, index)| index).collect();
        assert_eq!(listed, expected);
    }

    #[test]
    fn scores_are_ordered_as_floats_are() {
        let scores = [f64::NEG_INFINITY, -2.5, -1.0, -0.0, 0.0, 1e-300, 1.0, 2.5, f64::INFINITY, f64::NAN];
        assert!(scores.is_sorted_by(|one, other| order(*one) < order(*other)));
    }
}
