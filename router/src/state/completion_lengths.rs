//! How long a deployment's recent answers were, which is what a request reserves for its answer:
//! `max_tokens` is mostly far more than an answer takes.

use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

/// Answers that are remembered.
const REMEMBERED: usize = 20;
/// Completion tokens that are expected before the first answer.
const UNKNOWN: u64 = 256;

/// Completion tokens of the last answers, and their 90th percentile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionLengths {
    /// In order; the oldest first.
    last: [u32; REMEMBERED],
    count: usize,
    percentile: u32,
}

impl CompletionLengths {
    /// Adds an answer, unless its usage did not say how long it was.
    pub fn record(&mut self, tokens: u64) {
        if tokens > 0 {
            self.push(u32::try_from(tokens).unwrap_or(u32::MAX));
            self.percentile = self.nearest_rank();
        }
    }

    /// Completion tokens that the next answer is expected to take.
    pub fn expected(&self) -> u64 {
        if self.count == 0 { UNKNOWN } else { u64::from(self.percentile) }
    }

    fn push(&mut self, tokens: u32) {
        if self.count == REMEMBERED {
            self.last.rotate_left(1);
        } else {
            self.count = self.count.saturating_add(1);
        }
        if let Some(newest) = self.count.checked_sub(1).and_then(|place| self.last.get_mut(place)) {
            *newest = tokens;
        }
    }

    /// By nearest rank: the longest of up to nine answers, the third longest of twenty.
    fn nearest_rank(&self) -> u32 {
        let last = self.last.get(..self.count).unwrap_or_default();
        let sorted = last.iter().copied().collect::<BinaryHeap<_>>().into_sorted_vec();
        let rank = self.count.saturating_mul(9).div_ceil(10);
        rank.checked_sub(1).and_then(|place| sorted.get(place).copied()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(answers: impl IntoIterator<Item = u64>) -> CompletionLengths {
        let mut completions = CompletionLengths::default();
        answers.into_iter().for_each(|tokens| completions.record(tokens));
        completions
    }

    #[test]
    fn before_the_first_answer_256_tokens_are_expected() {
        assert_eq!(CompletionLengths::default().expected(), 256);
        let mut silent = CompletionLengths::default();
        silent.record(0);
        assert_eq!(silent.expected(), 256, "an answer without usage is ignored");
    }

    #[test]
    fn the_longest_of_a_few_answers_is_expected_and_of_many_the_90th_percentile() {
        for (answers, expected) in [
            (vec![7], 7),
            (vec![400, 3], 400),
            (vec![1, 2, 3, 4, 5, 6, 7, 8, 9], 9),
            ((1..=10).collect(), 9),
            ((1..=20).collect(), 18),
            ((1..=20).rev().collect(), 18),
        ] {
            assert_eq!(of(answers.clone()).expected(), expected, "{answers:?}");
        }
    }

    #[test]
    fn twenty_answers_later_an_old_one_is_forgotten() {
        let mut completions = of([30_000; 20]);
        (0..18).for_each(|_| completions.record(100));
        assert_eq!(completions.expected(), 100, "two of twenty are above the 90th percentile");
        let mut longer = of([100; 20]);
        (0..3).for_each(|_| longer.record(5000));
        assert_eq!(longer.expected(), 5000, "three answers are enough to be believed");
    }

    #[test]
    fn twenty_answers_are_remembered_however_long_they_are() {
        let mut completions = of(1..=50);
        assert_eq!(completions.last, std::array::from_fn(|nth| 31 + u32::try_from(nth).unwrap()));
        completions = CompletionLengths::default();
        completions.record(u64::MAX);
        assert_eq!(completions.expected(), u64::from(u32::MAX));
    }
}
