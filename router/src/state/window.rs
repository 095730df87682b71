//! What one clock minute has admitted. rpm and tpm hold for minutes in UTC, as in LiteLLM.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::state::amount::Amount;
use crate::state::time::Minute;

/// Minutes that the clock may step back without a new window. A longer step corrects a clock that
/// was wrong, and a full window would close its deployment until that time comes again.
const STEP_BACK: u32 = 2;

/// What was admitted in one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The minute.
    pub minute: Minute,
    /// Requests admitted.
    pub requests: u32,
    /// Tokens that were used, and those that requests in flight reserve.
    pub tokens: u64,
    /// Those of them that requests in flight reserve.
    pub reserved: u64,
}

impl Window {
    /// The window at this time: itself, or an empty one when its minute is over. Where the clock
    /// has stepped back, the minute stays the same.
    pub fn at(self, now: Duration) -> Self {
        let minute = Minute::of(now);
        match self.minute.0.checked_sub(minute.0) {
            Some(ahead) if ahead <= STEP_BACK => self,
            _ => Self { minute, ..Self::default() },
        }
    }

    /// What was admitted.
    pub fn used(&self) -> Amount {
        Amount { requests: self.requests.into(), tokens: self.tokens }
    }

    /// Counts a request, and the tokens that it reserves.
    pub fn admit(&mut self, tokens: u64) {
        self.requests = self.requests.saturating_add(1);
        self.tokens = self.tokens.saturating_add(tokens);
        self.reserved = self.reserved.saturating_add(tokens);
    }

    /// The window without what requests in flight reserve.
    pub fn settled(self) -> Self {
        Self { tokens: self.tokens.saturating_sub(self.reserved), reserved: 0, ..self }
    }

    /// Replaces what a request reserved in `minute` by what it used. Tokens beyond the reservation
    /// count in any minute; unused ones are released only in `minute`.
    pub fn correct(&mut self, minute: Minute, reserved: u64, used: u64) {
        if self.minute == minute {
            self.reserved = self.reserved.saturating_sub(reserved);
            self.tokens = self.tokens.saturating_sub(reserved).saturating_add(used);
        } else {
            self.tokens = self.tokens.saturating_add(used.saturating_sub(reserved));
        }
    }

    /// Takes back requests that were admitted in `minute`, unless that is over.
    pub fn uncount(&mut self, minute: Minute, requests: u32) {
        if self.minute == minute {
            self.requests = self.requests.saturating_sub(requests);
        }
    }

    /// When the next minute begins, since the Unix epoch.
    pub fn ends(&self) -> Duration {
        self.minute.ends()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;

    const NOON: Duration = Duration::from_secs(29_000_000 * 60);
    const SECOND: Duration = Duration::from_secs(1);

    fn full() -> Window {
        Window { minute: Minute(29_000_000), requests: 7, tokens: 900, reserved: 0 }
    }

    #[test]
    fn a_window_is_empty_at_the_turn_of_the_minute_and_not_before() {
        assert_eq!(full().at(NOON + 59 * SECOND), full());
        let empty = Window { minute: Minute(29_000_001), ..Window::default() };
        assert_eq!(full().at(NOON + 60 * SECOND), empty);
        assert_eq!(full().ends(), NOON + 60 * SECOND);
    }

    #[test]
    fn a_clock_that_steps_back_reads_as_the_same_minute() {
        assert_eq!(full().at(NOON - SECOND), full());
        assert_eq!(full().at(NOON - 120 * SECOND), full());
        assert_eq!(full().at(NOON - 3600 * SECOND).requests, 0, "an hour back: the clock was wrong before");
    }

    #[test]
    fn unused_tokens_are_released_in_their_own_minute_alone() {
        for (minute, reserved, used, tokens) in [
            (29_000_000, 100, 30, 830),
            (29_000_000, 100, 250, 1050),
            (28_999_999, 100, 30, 900),
            (28_999_999, 100, 250, 1050),
        ] {
            let mut window = full();
            window.correct(Minute(minute), reserved, used);
            assert_eq!(window.tokens, tokens, "{minute} {reserved} {used}");
        }
    }

    #[test]
    fn what_is_reserved_is_a_part_of_the_minute_until_the_request_ends() {
        let mut window = full();
        window.admit(100);
        window.admit(50);
        assert_eq!((window.tokens, window.reserved, window.settled().tokens), (1050, 150, 900));
        window.correct(window.minute, 100, 30);
        assert_eq!((window.tokens, window.reserved, window.settled().tokens), (980, 50, 930));
        window.correct(Minute(28_999_999), 70, 70);
        assert_eq!(window.reserved, 50, "of another minute");
        assert_eq!(window.at(NOON + 60 * SECOND).reserved, 0);
    }
}
