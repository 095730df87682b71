//! Whether a minute that instances share has room for a request: what the lease has, with Redis or
//! without.

use std::time::Duration;

use crate::state::lease::{Lease, divided};
use crate::state::limits::MinuteLimits;
use crate::state::window::Window;

/// How long a reply that nothing remains is valid.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// An instance that has never reached Redis has no share. It serves this part of a limit, so that
/// four of them do not exceed it.
const UNKNOWN: u64 = 4;

/// How limits are shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuotaMode {
    /// With no other instance: there is no Redis.
    #[default]
    Local,
    /// With other instances, through Redis.
    Shared {
        /// How many they are, this one included; at least 1.
        instances: u32,
        /// This instance's share of this minute, in millionths.
        share: u32,
        /// Whether Redis answers.
        health: RedisHealth,
    },
}

/// Whether Redis answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedisHealth {
    /// It does.
    #[default]
    Up,
    /// It has not answered in time.
    Down,
    /// It does not, and never has since this instance began.
    NeverUp,
}

/// Whether a minute has room for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// It has.
    Available,
    /// Only if Redis grants a lease.
    NeedsLease,
    /// It has not, by what Redis has replied, or while Redis does not reply.
    Exhausted,
}

impl Lease {
    /// Whether this instance may admit one more request with so many tokens.
    pub fn quota(
        &self,
        window: &Window,
        limits: MinuteLimits,
        tokens: u64,
        quota_mode: QuotaMode,
        now: Duration,
    ) -> Quota {
        let QuotaMode::Shared { share, health, .. } = quota_mode else { return Quota::Available };
        let lease = self.for_minute(window.minute, limits, share);
        let usable = |limit: u64, held: u64| match health {
            RedisHealth::NeverUp => held.max(divided(limit, UNKNOWN)),
            RedisHealth::Up | RedisHealth::Down => held,
        };
        let used = u64::from(window.requests);
        let lacks_requests = limits.rpm.is_some_and(|rpm| used >= usable(rpm, lease.held.requests));
        let needed = window.tokens.saturating_add(tokens);
        let lacks_tokens = limits.tpm.is_some_and(|tpm| needed > usable(tpm, lease.held.tokens));
        if !lacks_requests && !lacks_tokens {
            return Quota::Available;
        }
        let is_exhausted =
            lease.is_exhausted(window, limits, tokens) && lease.was_answered_within(EXHAUSTED, now);
        if health != RedisHealth::Up || is_exhausted { Quota::Exhausted } else { Quota::NeedsLease }
    }

    /// Whether Redis has replied that the minute has no room for one more request with so many
    /// tokens, and that no instance holds what it may return.
    pub fn is_exhausted(&self, window: &Window, limits: MinuteLimits, tokens: u64) -> bool {
        let needed = window.tokens.saturating_add(tokens).saturating_sub(self.held.tokens);
        let has_used_requests = u64::from(window.requests) >= self.held.requests;
        let lacks_requests = limits.rpm.is_some() && has_used_requests && self.remaining.requests == 0;
        let lacks_tokens = limits.tpm.is_some() && needed > self.remaining.tokens;
        let is_answered = self.minute == window.minute && self.has_answer();
        is_answered && !self.unused_elsewhere && (lacks_requests || lacks_tokens)
    }

    fn was_answered_within(&self, age: Duration, now: Duration) -> bool {
        self.has_answer() && self.answered_at.distance(now) < age
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;
    use crate::state::amount::Amount;
    use crate::state::lease::tests::{NOON, RPM, lease, window};
    use crate::state::time::Minute;

    const TWO: QuotaMode = QuotaMode::Shared { instances: 2, share: 0, health: RedisHealth::Up };

    fn shared(share: u32, health: RedisHealth) -> QuotaMode {
        QuotaMode::Shared { instances: 2, share, health }
    }

    #[test]
    fn only_what_is_held_is_admitted() {
        for (lease, used, quota_mode, room) in [
            (Lease::default(), 0, QuotaMode::Local, Quota::Available),
            (Lease::default(), 0, TWO, Quota::NeedsLease),
            (lease(5, 50), 4, TWO, Quota::Available),
            (lease(5, 50), 5, TWO, Quota::NeedsLease),
            (lease(5, 0), 5, TWO, Quota::Exhausted),
            (Lease { minute: Minute(28_999_999), ..lease(5, 0) }, 0, TWO, Quota::NeedsLease),
        ] {
            assert_eq!(lease.quota(&window(used), RPM, 0, quota_mode, NOON), room, "{lease:?} {used}");
        }
        let others = Lease { unused_elsewhere: true, ..lease(5, 0) };
        assert_eq!(others.quota(&window(5), RPM, 0, TWO, NOON), Quota::NeedsLease, "others may return some");
        let later = NOON + EXHAUSTED;
        assert_eq!(
            lease(5, 0).quota(&window(5), RPM, 0, TWO, later),
            Quota::NeedsLease,
            "others may have returned some"
        );
    }

    #[test]
    fn a_minute_is_exhausted_when_nothing_remains_and_no_instance_may_return_any() {
        for (lease, used, is_exhausted) in [
            (lease(5, 0), 5, true),
            (lease(5, 0), 4, false),
            (lease(5, 1), 5, false),
            (Lease { unused_elsewhere: true, ..lease(5, 0) }, 5, false),
            (Lease { minute: Minute(28_999_999), ..lease(5, 0) }, 5, false),
            (Lease::default(), 5, false),
        ] {
            assert_eq!(lease.is_exhausted(&window(used), RPM, 0), is_exhausted, "{lease:?} {used}");
        }
        let tokens_of = |tokens| Amount { requests: 0, tokens };
        let tokens = MinuteLimits { rpm: None, tpm: Some(1000) };
        let held = Lease { held: tokens_of(900), remaining: tokens_of(40), ..lease(0, 0) };
        for (needed, is_exhausted) in [(100, false), (140, false), (141, true)] {
            let window = Window { tokens: 800, ..window(1) };
            assert_eq!(held.is_exhausted(&window, tokens, needed), is_exhausted, "{needed}");
        }
    }

    #[test]
    fn without_redis_what_is_held_is_admitted_and_a_minute_begins_with_the_share() {
        let unknown = Lease::default();
        for (lease, share, health, allowed) in [
            (unknown, 500_000, RedisHealth::Down, 50),
            (lease(10, 40), 500_000, RedisHealth::Down, 10),
            (lease(70, 0), 500_000, RedisHealth::Down, 70),
            (unknown, 0, RedisHealth::NeverUp, 25),
        ] {
            let mode = shared(share, health);
            let last = window(allowed - 1);
            assert_eq!(lease.quota(&last, RPM, 0, mode, NOON), Quota::Available, "{lease:?}");
            assert_eq!(lease.quota(&window(allowed), RPM, 0, mode, NOON), Quota::Exhausted, "{lease:?}");
        }
    }

    #[test]
    fn a_share_is_admitted_without_a_call() {
        let mode = shared(500_000, RedisHealth::Up);
        assert_eq!(Lease::default().quota(&window(49), RPM, 0, mode, NOON), Quota::Available);
        assert_eq!(Lease::default().quota(&window(50), RPM, 0, mode, NOON), Quota::NeedsLease);
    }
}
