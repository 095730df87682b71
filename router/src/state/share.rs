//! The share of every limit that this instance may use without asking Redis: a lease on every minute
//! to come.
//!
//! Redis keeps the shares of all instances, and their sum never exceeds the whole. An instance
//! lowers its own before it reports that, and raises it only by a reply. So Redis never takes a
//! share for smaller than its owner does, whichever call or reply is lost. A minute that has begun
//! keeps its share.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::state::time::Minute;

/// All of a limit, in the parts that shares are counted in.
pub const WHOLE: u32 = 1_000_000;
/// A share is lowered by at least this part of it.
const STEP: u32 = 64;
/// No share is lowered so shortly before the turn of a minute: other workers' copies are up to 20 ms
/// old, and would begin the minute with the old one.
const TURN: Duration = Duration::from_millis(100);

/// The share, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Before `from`.
    pub before: u32,
    /// As of `from`.
    pub after: u32,
    /// The first minute with `after`.
    pub from: Minute,
    /// What it should be, by what Redis last replied.
    pub target: u32,
    /// The shares of all others, likewise.
    pub others: u32,
}

impl Share {
    /// The share of this minute.
    pub fn at(&self, minute: Minute) -> u32 {
        if minute >= self.from { self.after } else { self.before }
    }

    /// Lowers it to its target as of the next minute. To be called before the share is sent.
    pub fn lower(&mut self, now: Duration) {
        let minute = Minute::of(now);
        let is_late = minute.ends().saturating_sub(now) < TURN;
        let excess = self.after.saturating_sub(self.target);
        let least = self.after.checked_div(STEP).unwrap_or_default();
        if is_late || excess <= least {
            return;
        }
        self.before = self.at(minute);
        self.from = self.from.max(Minute(minute.0.saturating_add(1)));
        self.after = self.target;
    }

    /// Whether this minute began with another share than it should have had, by more than an
    /// eighth, so that leases make up for it.
    pub fn is_in_transition(&self, minute: Minute) -> bool {
        let tolerance = self.target.checked_div(8).unwrap_or_default();
        self.at(minute).abs_diff(self.target) > tolerance
    }
}

/// A part of a limit, in millionths, rounded down as the scripts do.
pub fn part_of(limit: u64, share: u32) -> u64 {
    let part = u128::from(limit).saturating_mul(u128::from(share));
    let part = part.checked_div(u128::from(WHOLE)).unwrap_or_default();
    u64::try_from(part).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;

    const MINUTE: Minute = Minute(29_000_000);
    const NOON: Duration = Duration::from_secs(29_000_000 * 60);

    fn share(before: u32, after: u32, from: u32, target: u32) -> Share {
        Share { before, after, from: Minute(from), target, others: 0 }
    }

    #[test]
    fn a_share_is_lowered_as_of_the_next_minute_and_this_one_keeps_its_own() {
        let mut whole = share(0, WHOLE, MINUTE.0 - 5, WHOLE / 2);
        whole.lower(NOON);
        assert_eq!((whole.at(MINUTE), whole.at(Minute(MINUTE.0 + 1))), (WHOLE, WHOLE / 2));
        whole.target = WHOLE / 3;
        whole.lower(NOON + Duration::from_secs(30));
        assert_eq!((whole.at(MINUTE), whole.at(Minute(MINUTE.0 + 1))), (WHOLE, WHOLE / 3));
    }

    #[test]
    fn a_share_that_is_raised_by_a_later_minute_is_not_lowered_into_an_earlier_one() {
        let mut raised = share(0, WHOLE / 2, MINUTE.0 + 2, WHOLE / 3);
        raised.lower(NOON);
        assert_eq!(raised.at(Minute(MINUTE.0 + 1)), 0);
        assert_eq!(raised.at(Minute(MINUTE.0 + 2)), WHOLE / 3);
    }

    #[test]
    fn a_share_is_not_lowered_at_the_turn_of_a_minute_nor_by_a_little() {
        for (target, ms) in [(WHOLE / 2, 59_950), (WHOLE - 1000, 30_000), (WHOLE, 30_000)] {
            let before = share(0, WHOLE, 0, target);
            let mut after = before;
            after.lower(NOON + Duration::from_millis(ms));
            assert_eq!(after, before, "{target} {ms}");
        }
    }

    #[test]
    fn the_parts_of_a_limit_are_never_more_than_the_limit() {
        assert_eq!([1, 3, 100, u64::MAX].map(|limit| part_of(limit, WHOLE)), [1, 3, 100, u64::MAX]);
        assert_eq!(part_of(100, WHOLE / 3) * 3, 99);
    }
}
