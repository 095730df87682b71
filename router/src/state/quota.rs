//! Whether a minute that instances share has room for a request: by this instance's lease, and
//! without Redis by its share.

use std::time::Duration;

use crate::state::lease::{Lease, part};
use crate::state::limits::MinuteLimits;
use crate::state::window::Window;

/// How long a reply that nothing remains is valid: other instances may return something.
const EXHAUSTED: Duration = Duration::from_millis(30);

/// While Redis is suspect, and in a minute that Redis has answered in, an instance may use its
/// share only if it is this many times what it has used of the minute: then the other instances are
/// far from using it up.
const PLENTY: u64 = 10;
/// Less use than this says nothing about what is to come.
const FEW: u64 = 10;

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
    /// It has not answered in time, perhaps for a moment only: other instances may go on taking
    /// from the same limit.
    Suspect,
    /// It has been silent for longer than any delay.
    Down,
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
        let QuotaMode::Shared { instances, health } = quota_mode else { return Quota::Available };
        let lease = self.for_minute(window.minute);
        let usable = |limit: u64, held: u64, remaining: u64, used: u64| {
            let share = match lease.has_answer() {
                // Half of it, and instead of what is held, because the others may still reach Redis
                // and take from it.
                true => part(remaining, u64::from(instances.max(1)).saturating_mul(2)),
                false => part(limit, u64::from(instances.max(1))),
            };
            let is_plenty = share >= used.max(FEW).saturating_mul(PLENTY);
            match health {
                RedisHealth::Down if is_plenty || !lease.has_answer() => held.max(share),
                RedisHealth::Suspect if is_plenty => held.max(share),
                RedisHealth::Down | RedisHealth::Suspect | RedisHealth::Up => held,
            }
        };
        let used = u64::from(window.requests);
        let lacks_requests =
            limits.rpm.is_some_and(|rpm| used >= usable(rpm, lease.requests, lease.remaining_requests, used));
        let needed = window.tokens.saturating_add(tokens);
        let lacks_tokens = limits
            .tpm
            .is_some_and(|tpm| needed > usable(tpm, lease.tokens, lease.remaining_tokens, window.tokens));
        if !lacks_requests && !lacks_tokens {
            return Quota::Available;
        }
        // What others return arrives within the time that a request may wait.
        let is_exhausted =
            lease.is_exhausted(window, limits, tokens) && lease.was_answered_within(EXHAUSTED, now);
        if health != RedisHealth::Up || is_exhausted { Quota::Exhausted } else { Quota::NeedsLease }
    }

    /// Whether Redis has replied that the minute has no room for one more request with so many
    /// tokens, and that no instance holds what it may return.
    pub fn is_exhausted(&self, window: &Window, limits: MinuteLimits, tokens: u64) -> bool {
        let lease = self.for_minute(window.minute);
        let needed = window.tokens.saturating_add(tokens).saturating_sub(lease.tokens);
        let has_used_requests = u64::from(window.requests) >= lease.requests;
        let lacks_requests = limits.rpm.is_some() && has_used_requests && lease.remaining_requests == 0;
        let lacks_tokens = limits.tpm.is_some() && needed > lease.remaining_tokens;
        lease.has_answer() && !lease.unused_elsewhere && (lacks_requests || lacks_tokens)
    }

    fn was_answered_within(&self, age: Duration, now: Duration) -> bool {
        self.has_answer() && self.answered_at.distance(now) < age
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;
    use crate::state::lease::tests::{NOON, RPM, lease, window};
    use crate::state::time::Minute;

    const TWO: QuotaMode = QuotaMode::Shared { instances: 2, health: RedisHealth::Up };
    const AWAY: QuotaMode = QuotaMode::Shared { instances: 2, health: RedisHealth::Down };

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
        let tokens = MinuteLimits { rpm: None, tpm: Some(1000) };
        let held = Lease { tokens: 900, remaining_tokens: 40, ..lease(0, 0) };
        for (needed, is_exhausted) in [(100, false), (140, false), (141, true)] {
            let window = Window { tokens: 800, ..window(1) };
            assert_eq!(held.is_exhausted(&window, tokens, needed), is_exhausted, "{needed}");
        }
    }

    #[test]
    fn without_redis_a_share_is_admitted_and_no_more() {
        for (lease, allowed) in
            [(Lease::default(), 50), (lease(10, 40), 10), (lease(5, 80), 5), (lease(10, 0), 10)]
        {
            let last = window(allowed - 1);
            assert_eq!(lease.quota(&last, RPM, 0, AWAY, NOON), Quota::Available, "{lease:?}");
            assert_eq!(lease.quota(&window(allowed), RPM, 0, AWAY, NOON), Quota::Exhausted, "{lease:?}");
        }
    }

    #[test]
    fn while_redis_is_suspect_a_share_is_used_only_where_it_is_plenty() {
        let moment = QuotaMode::Shared { instances: 2, health: RedisHealth::Suspect };
        for (rpm, used, left, room) in [
            (100, 10, 80, Quota::Exhausted),
            (100, 0, 100, Quota::Exhausted),
            (10_000, 10, 8_000, Quota::Available),
            (10_000, 900, 8_000, Quota::Exhausted),
        ] {
            let limits = MinuteLimits { rpm: Some(rpm), tpm: None };
            let held = lease(used, left);
            assert_eq!(
                held.quota(&window(used as u32), limits, 0, moment, NOON),
                room,
                "{rpm} {used} {left}"
            );
        }
    }
}
