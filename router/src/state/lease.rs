//! What an instance may admit of a limit that it shares with others: a lease on a part of the
//! minute, taken from Redis ahead of need.
//!
//! Portions shrink with what remains of the minute, down to one, so the fleet admits exactly the
//! limit as long as there are requests. An idle instance returns what it does not use.
//! [`quota`](crate::state::quota) has the rules without Redis.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::state::limits::MinuteLimits;
use crate::state::time::{Minute, UnixMillis, millis};
use crate::state::window::Window;

/// Seconds that a portion lasts at the pace of the minute so far. Two make one call for every 200
/// requests at 100 per second, and leave little behind when the traffic moves to another instance.
const LASTS: u64 = 2;
/// One portion is at most this part of what remains, divided by the number of instances.
const PART: u64 = 4;
/// A lease is idle without a request for this many times the usual gap between requests ..
const IDLE_GAPS: f32 = 10.0;
/// .. but not sooner and not later than this. Milliseconds.
const IDLE: (f32, f32) = (20.0, 100.0);
/// After this long without a request, workers no longer look for something to return.
const FORGOTTEN: Duration = Duration::from_secs(3);

/// How often a worker looks for something to return, in milliseconds ..
const TICK: u64 = 20;
/// .. and every so many times, where nothing was unused when it last looked.
const SELDOM: u64 = 5;

/// The lease on one deployment's minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// The minute.
    pub minute: Minute,
    /// Requests that this instance may admit in it, those admitted included.
    pub requests: u64,
    /// Tokens, likewise.
    pub tokens: u64,
    /// Requests that no instance held when Redis last replied.
    pub remaining_requests: u64,
    /// Tokens, likewise.
    pub remaining_tokens: u64,
    /// When Redis last replied; 0 for never in this minute.
    pub answered_at: UnixMillis,
    /// When a request was last admitted.
    pub last_admitted_at: UnixMillis,
    /// Milliseconds between requests, on average of late.
    #[serde(deserialize_with = "crate::state::format::finite")]
    pub request_gap: f32,
    /// Other instances may be about to return what they do not use, by what Redis last replied.
    pub unused_elsewhere: bool,
}

/// What waiting requests need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortfall {
    /// How many they are.
    pub requests: u64,
    /// The tokens that they need together.
    pub tokens: u64,
}

impl Lease {
    /// The lease on this minute: itself, or an empty one.
    pub fn for_minute(self, minute: Minute) -> Self {
        if self.minute == minute {
            return self;
        }
        let Self { last_admitted_at, request_gap, .. } = self;
        Self { minute, last_admitted_at, request_gap, ..Self::default() }
    }

    /// Whether Redis has replied in this minute.
    pub fn has_answer(&self) -> bool {
        self.answered_at != UnixMillis(0)
    }

    /// The requests and tokens to ask for, which cover the shortfall.
    pub fn next_portion(
        &self,
        window: &Window,
        limits: MinuteLimits,
        shortfall: Shortfall,
        instances: u32,
        now: Duration,
    ) -> (u64, u64) {
        let lease = self.for_minute(window.minute);
        let into_minute = now.as_secs().saturating_sub(window.minute.starts()).max(1);
        let portion = |limit: u64, remaining: u64, used: u64| {
            let remaining = if lease.has_answer() { remaining } else { limit };
            let needed = part(used.saturating_mul(LASTS), into_minute);
            let most = part(remaining, u64::from(instances.max(1)).saturating_mul(PART));
            most.min(needed.max(PART)).max(1)
        };
        let requests = limits.rpm.map_or(0, |rpm| {
            portion(rpm, lease.remaining_requests, u64::from(window.requests)).max(shortfall.requests)
        });
        let tokens = limits
            .tpm
            .map_or(0, |tpm| portion(tpm, lease.remaining_tokens, window.tokens).max(shortfall.tokens));
        (requests, tokens)
    }

    /// Whether to ask for more before it is used up: less than half a portion is left.
    pub fn is_low(&self, window: &Window, limits: MinuteLimits, instances: u32, now: Duration) -> bool {
        let lease = self.for_minute(window.minute);
        let (requests, tokens) = lease.next_portion(window, limits, Shortfall::default(), instances, now);
        let low = |limit: Option<u64>, unused: u64, portion: u64, remaining: u64| {
            limit.is_some() && remaining > 0 && unused < part(portion, 2)
        };
        let unused = lease.unused(window);
        lease.has_answer()
            && (low(limits.rpm, unused.0, requests, lease.remaining_requests)
                || low(limits.tpm, unused.1, tokens, lease.remaining_tokens))
    }

    /// Notes the time of an admission.
    pub fn record_admission(&mut self, now: Duration) {
        let now = UnixMillis::of(now);
        let gap = now.0.saturating_sub(self.last_admitted_at.0).min(10_000) as f32;
        self.request_gap += (gap - self.request_gap) / 8.0;
        self.last_admitted_at = now;
    }

    /// Counts what was used beyond it while Redis was down as held. Reported, Redis does the same.
    pub fn reconcile(&mut self, window: &Window) {
        let requests = u64::from(window.requests).saturating_sub(self.requests);
        let tokens = window.tokens.saturating_sub(self.tokens);
        self.requests = self.requests.saturating_add(requests);
        self.tokens = self.tokens.saturating_add(tokens);
        self.remaining_requests = self.remaining_requests.saturating_sub(requests);
        self.remaining_tokens = self.remaining_tokens.saturating_sub(tokens);
    }

    /// Whether no request was admitted for 3 s, so that a worker need not look at it any more.
    pub fn is_forgotten(&self, now: Duration) -> bool {
        self.last_admitted_at.distance(now) >= FORGOTTEN
    }

    fn is_idle(&self, now: Duration) -> bool {
        let idle = (self.request_gap * IDLE_GAPS).clamp(IDLE.0, IDLE.1);
        millis(self.last_admitted_at.distance(now)) as f32 >= idle
    }

    /// Requests and tokens.
    fn unused(&self, window: &Window) -> (u64, u64) {
        let requests = self.requests.saturating_sub(u64::from(window.requests));
        (requests, self.tokens.saturating_sub(window.tokens))
    }

    /// Whether a worker with this copy of it has to read it again, to see whether there is
    /// something to return. Not while there are requests; seldom where nothing was unused, since an
    /// answer may still take fewer tokens than it reserved.
    pub fn may_be_unused(&self, window: &Window, now: Duration) -> bool {
        let is_over = self.minute != window.minute;
        let is_seldom_due = (millis(now) / TICK).is_multiple_of(SELDOM);
        self.is_idle(now) && (is_over || self.unused(window) != (0, 0) || is_seldom_due)
    }

    /// Takes out the unused requests and tokens, if there are any and it is idle.
    pub fn release_unused(&mut self, window: &Window, now: Duration) -> Option<(u64, u64)> {
        if self.minute != window.minute || !self.is_idle(now) {
            return None;
        }
        let (requests, tokens) = self.unused(window);
        self.requests = self.requests.saturating_sub(requests);
        self.tokens = self.tokens.saturating_sub(tokens);
        (requests > 0 || tokens > 0).then_some((requests, tokens))
    }
}

/// A whole divided by a number of parts, rounded down.
pub(super) fn part(whole: u64, parts: u64) -> u64 {
    whole.checked_div(parts).unwrap_or(whole)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
pub(super) mod tests {
    use super::*;

    pub(in crate::state) const MINUTE: Minute = Minute(29_000_000);
    pub(in crate::state) const NOON: Duration = Duration::from_secs(29_000_000 * 60);
    pub(in crate::state) const RPM: MinuteLimits = MinuteLimits { rpm: Some(100), tpm: None };

    pub(in crate::state) fn window(requests: u32) -> Window {
        Window { minute: MINUTE, requests, tokens: 0 }
    }

    pub(in crate::state) fn lease(requests: u64, left: u64) -> Lease {
        Lease {
            minute: MINUTE,
            requests,
            remaining_requests: left,
            answered_at: UnixMillis::of(NOON),
            ..Lease::default()
        }
    }

    #[test]
    fn what_was_used_beyond_a_lease_is_taken_out_of_what_remained() {
        let mut lease = lease(5, 40);
        lease.reconcile(&window(12));
        assert_eq!((lease.requests, lease.remaining_requests), (12, 33));
        lease.reconcile(&window(3));
        assert_eq!((lease.requests, lease.remaining_requests), (12, 33));
    }

    #[test]
    fn portions_shrink_down_to_one() {
        let portions: Vec<u64> = [100, 40, 9, 1]
            .map(|left| lease(0, left).next_portion(&window(90), RPM, Shortfall::default(), 2, NOON).0)
            .into();
        assert_eq!(portions, [12, 5, 1, 1]);
        let slow = NOON + Duration::from_secs(30);
        assert_eq!(
            lease(0, 100).next_portion(&window(30), RPM, Shortfall::default(), 1, slow).0,
            4,
            "a request per second needs few"
        );
    }

    #[test]
    fn an_idle_lease_returns_what_is_not_used() {
        let after = |ms| NOON + Duration::from_millis(ms);
        for (gap, idle) in [(0.0, 20), (5.0, 50), (1000.0, 100)] {
            let mut lease =
                Lease { last_admitted_at: UnixMillis::of(NOON), request_gap: gap, ..lease(12, 40) };
            assert_eq!(lease.release_unused(&window(5), after(idle - 1)), None);
            assert_eq!(lease.release_unused(&window(5), after(idle)), Some((7, 0)));
            assert_eq!(lease.requests, 5);
            assert_eq!(lease.release_unused(&window(5), after(idle)), None);
        }
    }
}
