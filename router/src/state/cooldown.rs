//! The time in which a deployment gets no requests. `failure/cooldown.rs` decides when it begins.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::state::time::UnixMillis;

/// What was set further ahead than this was set by a clock that has since stepped back, or by that
/// of another instance, and does not count.
pub const MAX_STEP_BACK: Duration = Duration::from_secs(120);

/// A change of the end by less than this reaches other instances with the exchange of every second,
/// and not at once.
const NOTABLE: Duration = Duration::from_secs(1);

/// The last cooldown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cooldown {
    /// When it was set.
    pub from: UnixMillis,
    /// When it ends.
    pub until: UnixMillis,
}

/// What a failure changed about a cooldown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CooldownChange {
    /// It begins.
    Started,
    /// It ends at least a second later than before.
    Extended,
    /// The deployment is cooling down already.
    Unchanged,
}

impl Cooldown {
    /// When it ends, since the Unix epoch; `None` where it is over.
    pub fn active_until(&self, now: Duration) -> Option<Duration> {
        let is_set_ahead = self.from > UnixMillis::of(now.saturating_add(MAX_STEP_BACK));
        let is_active = UnixMillis::of(now) < self.until && !is_set_ahead;
        is_active.then(|| Duration::from_millis(self.until.0))
    }

    /// Cools down for `time` from now on; a later end stays.
    pub fn extend(&mut self, time: Duration, now: Duration) -> CooldownChange {
        let until = UnixMillis::of(now.saturating_add(time));
        let before = self.active_until(now);
        if before.is_none_or(|before| UnixMillis::of(before) < until) {
            *self = Self { from: UnixMillis::of(now), until };
        }
        match before {
            None => CooldownChange::Started,
            Some(before) if Duration::from_millis(until.0).saturating_sub(before) >= NOTABLE => {
                CooldownChange::Extended
            }
            Some(_) => CooldownChange::Unchanged,
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;

    const NOON: Duration = Duration::from_secs(1_740_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_later_end_of_a_cooldown_counts() {
        let mut cooldown = Cooldown::default();
        assert_eq!(cooldown.active_until(NOON), None);
        cooldown.extend(20 * SECOND, NOON);
        cooldown.extend(5 * SECOND, NOON + SECOND);
        assert_eq!(cooldown.active_until(NOON + SECOND), Some(NOON + 20 * SECOND));
        cooldown.extend(30 * SECOND, NOON + SECOND);
        assert_eq!(cooldown.active_until(NOON + SECOND), Some(NOON + 31 * SECOND));
        assert_eq!(cooldown.active_until(NOON + 31 * SECOND), None);
    }

    #[test]
    fn a_cooldown_set_by_a_clock_that_was_an_hour_ahead_does_not_last_an_hour() {
        let mut cooldown = Cooldown::default();
        cooldown.extend(5 * SECOND, NOON + 3600 * SECOND);
        assert_eq!(cooldown.active_until(NOON), None);
    }
}
