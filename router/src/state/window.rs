//! The clock minute for which rpm and tpm hold, in UTC, as in LiteLLM.

use std::time::Duration;

/// Minutes that the clock may step back without a new window. A longer step is a clock that was wrong before, and a
/// window that waits for it to catch up would keep a full deployment closed for as long.
const STEP_BACK: u32 = 2;

/// What was admitted in one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Minutes since the Unix epoch.
    pub minute: u32,
    /// Requests admitted.
    pub requests: u32,
    /// Tokens used, and those reserved by requests that are still under way.
    pub tokens: u64,
}

/// The minute of a time since the Unix epoch.
pub fn minute(now: Duration) -> u32 {
    u32::try_from(now.as_secs() / 60).unwrap_or(u32::MAX)
}

impl Window {
    /// The window at this time: itself, or an empty one when its minute is over. A clock that steps back reads as the
    /// same minute.
    pub fn at(self, now: Duration) -> Self {
        let minute = minute(now);
        match self.minute.checked_sub(minute) {
            Some(ahead) if ahead <= STEP_BACK => self,
            _ => Self { minute, ..Self::default() },
        }
    }

    /// Counts a request with what it is expected to cost.
    pub fn admit(&mut self, tokens: u64) {
        self.requests = self.requests.saturating_add(1);
        self.tokens = self.tokens.saturating_add(tokens);
    }

    /// Replaces what was reserved in the window of `minute` by what was used. What a request used beyond its reservation
    /// counts in any case; what it left over is given back in the minute that it was taken from, and not later.
    pub fn correct(&mut self, minute: u32, reserved: u64, used: u64) {
        if self.minute == minute {
            self.tokens = self.tokens.saturating_sub(reserved).saturating_add(used);
        } else {
            self.tokens = self.tokens.saturating_add(used.saturating_sub(reserved));
        }
    }

    /// Takes requests back that were admitted in `minute`, if that is not over.
    pub fn uncount(&mut self, minute: u32, requests: u32) {
        if self.minute == minute {
            self.requests = self.requests.saturating_sub(requests);
        }
    }

    /// When the next minute begins, since the Unix epoch.
    pub fn ends(&self) -> Duration {
        Duration::from_secs(u64::from(self.minute).saturating_add(1).saturating_mul(60))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;

    const NOON: Duration = Duration::from_secs(29_000_000 * 60);
    const SECOND: Duration = Duration::from_secs(1);

    fn full() -> Window {
        Window { minute: 29_000_000, requests: 7, tokens: 900 }
    }

    #[test]
    fn a_window_is_empty_at_the_turn_of_the_minute_and_not_before() {
        assert_eq!(full().at(NOON + 59 * SECOND), full());
        assert_eq!(full().at(NOON + 60 * SECOND), Window { minute: 29_000_001, requests: 0, tokens: 0 });
        assert_eq!(full().ends(), NOON + 60 * SECOND);
    }

    #[test]
    fn a_clock_that_steps_back_reads_as_the_same_minute() {
        assert_eq!(full().at(NOON - SECOND), full());
        assert_eq!(full().at(NOON - 120 * SECOND), full());
        assert_eq!(full().at(NOON - 3600 * SECOND).requests, 0, "an hour is no step but a correction");
    }

    #[test]
    fn what_is_left_over_is_given_back_in_its_own_minute_alone() {
        for (minute, reserved, used, tokens) in [
            (29_000_000, 100, 30, 830),
            (29_000_000, 100, 250, 1050),
            (28_999_999, 100, 30, 900),
            (28_999_999, 100, 250, 1050),
        ] {
            let mut window = full();
            window.correct(minute, reserved, used);
            assert_eq!(window.tokens, tokens, "{minute} {reserved} {used}");
        }
    }
}
