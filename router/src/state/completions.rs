//! How long a deployment's answers have been lately: what a request reserves for its answer, since `max_tokens` mostly
//! says how long it may get at most, and not how long it gets.

/// Answers that are remembered.
const MOST: usize = 20;
/// Completion tokens of an answer before any was seen.
const UNKNOWN: u64 = 256;

/// Completion tokens of the last answers, and their 90th percentile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// The oldest first.
    last: [u32; MOST],
    count: usize,
    percentile: u32,
}

impl Completions {
    /// As it was written down: the percentile, which is not worked out anew with every read, and
    /// [`answers`](Self::answers).
    pub fn restored(percentile: u32, answers: impl IntoIterator<Item = u32>) -> Self {
        let mut completions = Self { percentile, ..Self::default() };
        answers.into_iter().for_each(|tokens| completions.push(tokens));
        completions
    }

    /// The 90th percentile of the remembered answers; 0 where there are none.
    pub fn percentile(&self) -> u32 {
        self.percentile
    }

    /// The answers that are remembered, the oldest first.
    pub fn answers(&self) -> &[u32] {
        self.last.get(..self.count).unwrap_or_default()
    }

    /// Takes in an answer. One without completion tokens does not say how long it was.
    pub fn record(&mut self, tokens: u64) {
        if tokens > 0 {
            self.push(u32::try_from(tokens).unwrap_or(u32::MAX));
            self.percentile = self.nearest_rank();
        }
    }

    /// Tokens that the next answer is expected to take.
    pub fn expected(&self) -> u64 {
        if self.count == 0 { UNKNOWN } else { u64::from(self.percentile) }
    }

    fn push(&mut self, tokens: u32) {
        if self.count == MOST {
            self.last.rotate_left(1);
        } else {
            self.count = self.count.saturating_add(1);
        }
        if let Some(newest) = self.count.checked_sub(1).and_then(|place| self.last.get_mut(place)) {
            *newest = tokens;
        }
    }

    /// The 90th percentile by nearest rank: the longest of up to nine answers, the third longest of twenty.
    fn nearest_rank(&self) -> u32 {
        let mut sorted = self.last;
        let Some(sorted) = sorted.get_mut(..self.count) else { return 0 };
        sorted.sort_unstable();
        let rank = self.count.saturating_mul(9).div_ceil(10);
        rank.checked_sub(1).and_then(|place| sorted.get(place).copied()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(answers: impl IntoIterator<Item = u64>) -> Completions {
        let mut completions = Completions::default();
        answers.into_iter().for_each(|tokens| completions.record(tokens));
        completions
    }

    #[test]
    fn before_the_first_answer_256_tokens_are_expected() {
        assert_eq!(Completions::default().expected(), 256);
        let mut silent = Completions::default();
        silent.record(0);
        assert_eq!(silent.expected(), 256, "an answer that says nothing teaches nothing");
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
    fn what_is_remembered_can_be_written_down_and_read_again() {
        let completions = of(1..=50);
        assert_eq!(completions.answers(), (31..=50).collect::<Vec<u32>>());
        let answers = completions.answers().iter().copied();
        assert_eq!(Completions::restored(completions.percentile(), answers), completions);
        let mut endless = Completions::default();
        endless.record(u64::MAX);
        assert_eq!(endless.expected(), u64::from(u32::MAX));
    }
}
