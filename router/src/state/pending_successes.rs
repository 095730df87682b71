//! Successes that a worker has not yet written to a record, and what that means for decisions about
//! the share of failures.
//!
//! To write a success costs a read and a swap. So a success that changes nothing else stays pending
//! for up to a [`HEARTBEAT`](crate::state::heartbeats::HEARTBEAT) where it cannot matter: many
//! attempts of the window have succeeded, and few have failed. Failures are written at once. A
//! decision by the share of failures needs both. No success is pending in any worker
//!
//! - while fewer than [`MANY`] successes are written: no worker keeps any pending, or
//! - if the failures that were written two heartbeats ago are too many for [`may_stay_pending`],
//!   even with the successes that are written now. Both counts only grow within a window, and what
//!   was pending then has been written since.
//!
//! In between, a failure is counted without a decision; the next one decides.

use crate::state::record::Outcomes;
use crate::state::time::UnixSeconds;

/// Successes of a window that are written at once.
const MANY: u32 = 32;
/// A success stays pending only where there are at least this many successes for each failure.
const FEW_FAILURES: u32 = 8;

/// Whether a success may stay pending, by the outcomes that it is to be added to.
pub fn may_stay_pending(outcomes: &Outcomes) -> bool {
    outcomes.successes >= MANY && outcomes.failures.saturating_mul(FEW_FAILURES) <= outcomes.successes
}

/// The successes of one deployment that are pending in this worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct PendingSuccesses {
    count: u32,
    /// When the window began that they belong to.
    since: UnixSeconds,
    /// The outcomes by this worker's copy at the last three heartbeats, the latest first.
    at_heartbeats: [Outcomes; 3],
}

impl PendingSuccesses {
    /// Adds one to the window of these outcomes.
    pub fn add(&mut self, outcomes: &Outcomes) {
        if self.since != outcomes.since {
            (self.since, self.count) = (outcomes.since, 0);
        }
        self.count = self.count.saturating_add(1);
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.count > 0
    }

    /// How many belong to the window of these outcomes. Those of an earlier window do not count.
    pub fn of(&self, outcomes: &Outcomes) -> u32 {
        if self.since == outcomes.since { self.count } else { 0 }
    }

    /// They have been written.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Notes the outcomes at a heartbeat.
    pub fn heartbeat(&mut self, outcomes: Outcomes) {
        let [latest, before, _] = self.at_heartbeats;
        self.at_heartbeats = [outcomes, latest, before];
    }

    /// What the record says about the successes of all workers.
    pub fn written(&self) -> WrittenSuccesses {
        let [_, _, two_heartbeats_ago] = self.at_heartbeats;
        WrittenSuccesses::Some { two_heartbeats_ago }
    }
}

/// Which successes are written to a record.
#[derive(Clone, Copy, Debug)]
pub enum WrittenSuccesses {
    /// All of them: this is the only worker.
    All,
    /// Those that are not pending in another worker.
    Some {
        /// The outcomes by this worker's copy then.
        two_heartbeats_ago: Outcomes,
    },
}

impl WrittenSuccesses {
    /// Whether no success of this window is pending in any worker.
    pub fn are_complete(&self, outcomes: &Outcomes) -> bool {
        match self {
            Self::All => true,
            Self::Some { .. } if outcomes.successes < MANY => true,
            Self::Some { two_heartbeats_ago: then } => {
                let at_least = Outcomes { failures: then.failures, ..*outcomes };
                then.since == outcomes.since && !may_stay_pending(&at_least)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(since: u32, successes: u32, failures: u32) -> Outcomes {
        Outcomes { since: UnixSeconds(since), successes, failures }
    }

    #[test]
    fn a_success_stays_pending_where_it_cannot_matter() {
        for (successes, failures, stays) in
            [(0, 0, false), (31, 0, false), (32, 0, true), (32, 4, true), (32, 5, false), (800, 100, true)]
        {
            assert_eq!(may_stay_pending(&outcomes(1, successes, failures)), stays, "{successes} {failures}");
        }
    }

    #[test]
    fn those_of_an_earlier_window_do_not_count() {
        let mut pending = PendingSuccesses::default();
        pending.add(&outcomes(100, 40, 0));
        pending.add(&outcomes(100, 40, 0));
        assert_eq!((pending.of(&outcomes(100, 50, 9)), pending.of(&outcomes(160, 0, 1))), (2, 0));
        pending.add(&outcomes(160, 40, 0));
        assert_eq!(pending.of(&outcomes(160, 50, 9)), 1);
    }

    #[test]
    fn no_success_is_pending_where_few_are_written_or_many_failures_were_written_in_time() {
        let mut pending = PendingSuccesses::default();
        let now = outcomes(100, 40, 41);
        assert!(pending.written().are_complete(&outcomes(100, 31, 40)));
        for beat in 0..3 {
            assert!(!pending.written().are_complete(&now), "after {beat} beats");
            pending.heartbeat(outcomes(100, 20, 6));
        }
        assert!(pending.written().are_complete(&now));
        assert!(
            !pending.written().are_complete(&outcomes(100, 48, 49)),
            "48 with 6 failures: others may be pending"
        );
        assert!(!pending.written().are_complete(&outcomes(160, 40, 41)), "another window");
    }
}
