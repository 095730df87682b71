//! Successes that wait in a worker before they are written to a record, and what may be judged meanwhile.
//!
//! A success that needs nothing else remembered costs a read and a swap, so it waits for up to a [`BEAT`](crate::state::heartbeats::BEAT) where
//! it cannot matter: many attempts have succeeded in this window, and few have failed. Failures are written at once. A judgement
//! about the share of failures needs both. It is certain that no success waits anywhere
//!
//! - as long as fewer than [`MANY`] successes are written: no worker lets any wait, or
//! - once the failures that were written two beats ago are too many for [`may_wait`], even by the successes that are written now. Both
//!   counts only grow within a window, and what waited before that has been written since.
//!
//! Decoder between, a failure is counted and not judged by its share; the next one is.

use crate::state::record::Outcomes;

/// Successes of a window, before any waits.
const MANY: u32 = 32;
/// None waits where failures are more than one for so many successes.
const FEW_FAILURES: u32 = 8;

/// Whether a success may wait, by the outcomes that it is to be added to.
pub fn may_wait(outcomes: &Outcomes) -> bool {
    outcomes.successes >= MANY && outcomes.failures.saturating_mul(FEW_FAILURES) <= outcomes.successes
}

/// The successes of one deployment that wait in this worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waiting {
    count: u32,
    /// When the window began that they belong to, in seconds since the Unix epoch.
    since: u32,
    /// The outcomes as this worker knew them at the last three beats, the latest first.
    known: [Outcomes; 3],
}

impl Waiting {
    /// One more waits, for the window of these outcomes.
    pub fn add(&mut self, outcomes: &Outcomes) {
        if self.since != outcomes.since {
            (self.since, self.count) = (outcomes.since, 0);
        }
        self.count = self.count.saturating_add(1);
    }

    /// Whether any waits.
    pub fn any(&self) -> bool {
        self.count > 0
    }

    /// How many belong to the window of these outcomes. Those of a window that is over count for nothing.
    pub fn of(&self, outcomes: &Outcomes) -> u32 {
        if self.since == outcomes.since { self.count } else { 0 }
    }

    /// They have been written.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// A beat has passed, and this is what the worker knows now.
    pub fn beat(&mut self, outcomes: Outcomes) {
        let [latest, before, _] = self.known;
        self.known = [outcomes, latest, before];
    }

    /// What this worker knew long enough ago for every other one to have written what waited then.
    pub fn known(&self) -> KnownSuccesses {
        let [_, _, earliest] = self.known;
        KnownSuccesses::Since(earliest)
    }
}

/// Whether the successes in a record are all that there are.
#[derive(Clone, Copy, Debug)]
pub enum KnownSuccesses {
    /// No other worker has any.
    All,
    /// The outcomes were these two beats ago.
    Since(Outcomes),
}

impl KnownSuccesses {
    /// Whether no success of this window waits in any worker.
    pub fn is_complete(&self, outcomes: &Outcomes) -> bool {
        match self {
            Self::All => true,
            Self::Since(_) if outcomes.successes < MANY => true,
            Self::Since(then) => {
                let at_least = Outcomes { failures: then.failures, ..*outcomes };
                then.since == outcomes.since && !may_wait(&at_least)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(since: u32, successes: u32, failures: u32) -> Outcomes {
        Outcomes { since, successes, failures }
    }

    #[test]
    fn a_success_waits_where_it_cannot_matter() {
        for (successes, failures, waits) in
            [(0, 0, false), (31, 0, false), (32, 0, true), (32, 4, true), (32, 5, false), (800, 100, true)]
        {
            assert_eq!(may_wait(&outcomes(1, successes, failures)), waits, "{successes} {failures}");
        }
    }

    #[test]
    fn those_of_a_window_that_is_over_count_for_nothing() {
        let mut waiting = Waiting::default();
        waiting.add(&outcomes(100, 40, 0));
        waiting.add(&outcomes(100, 40, 0));
        assert_eq!((waiting.of(&outcomes(100, 50, 9)), waiting.of(&outcomes(160, 0, 1))), (2, 0));
        waiting.add(&outcomes(160, 40, 0));
        assert_eq!(waiting.of(&outcomes(160, 50, 9)), 1);
    }

    #[test]
    fn no_success_waits_where_few_are_written_or_many_failures_were_known_in_time() {
        let mut waiting = Waiting::default();
        let now = outcomes(100, 40, 41);
        assert!(waiting.known().is_complete(&outcomes(100, 31, 40)));
        for beat in 0..3 {
            assert!(!waiting.known().is_complete(&now), "after {beat} beats");
            waiting.beat(outcomes(100, 20, 6));
        }
        assert!(waiting.known().is_complete(&now));
        assert!(!waiting.known().is_complete(&outcomes(100, 48, 49)), "48 with 6 failures let others wait");
        assert!(!waiting.known().is_complete(&outcomes(160, 40, 41)), "that was another window");
    }
}
