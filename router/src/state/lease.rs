//! What an instance may admit of a minute that it shares: its share, and the portions that it has
//! taken from Redis beyond it.
//!
//! A lease is kept until the minute ends. What is not used of it returns when another instance
//! needs it: Redis asks for it ([`Lease::give_back`]). Portions shrink with what remains of the
//! minute, down to one, so the fleet admits exactly the limit as long as there are requests.
//! [`quota`](crate::state::quota) has the rules without Redis.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::state::amount::Amount;
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
/// The lease on one deployment's minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// The minute.
    pub minute: Minute,
    /// Its requests are limited, or were in this minute: this instance holds some.
    pub covers_requests: bool,
    /// Tokens, likewise.
    pub covers_tokens: bool,
    /// What this instance may admit in it, that admitted included.
    pub held: Amount,
    /// What no instance held when Redis last replied.
    pub remaining: Amount,
    /// When Redis last replied; 0 for never in this minute.
    pub answered_at: UnixMillis,
    /// When a request was last admitted.
    pub last_admitted_at: UnixMillis,
    /// Milliseconds between requests, on average of late.
    #[serde(deserialize_with = "crate::state::format::finite")]
    pub request_gap: f32,
    /// Other instances are asked for what they do not use, by what Redis last replied.
    pub unused_elsewhere: bool,
    /// Another instance has asked for what is not used of it.
    pub is_recalled: bool,
}

impl Lease {
    /// The lease on this minute: itself, or one on this share of it. Of a limit that the minute did
    /// not begin with it has the share as well, as Redis assumes of an instance that has reported
    /// nothing. One that was removed and is back in the same minute has what was held of it.
    pub fn for_minute(self, minute: Minute, limits: MinuteLimits, share: u32) -> Self {
        let mut lease = self;
        if lease.minute != minute {
            let Self { last_admitted_at, request_gap, .. } = self;
            lease = Self { minute, last_admitted_at, request_gap, ..Self::default() };
        }
        let part = limits.part(share);
        if limits.rpm.is_some() && !lease.covers_requests {
            (lease.covers_requests, lease.held.requests) = (true, part.requests);
            // What Redis has replied was not about these.
            lease.answered_at = UnixMillis(0);
        }
        if limits.tpm.is_some() && !lease.covers_tokens {
            (lease.covers_tokens, lease.held.tokens) = (true, part.tokens);
            lease.answered_at = UnixMillis(0);
        }
        lease
    }

    /// Whether Redis has replied in this minute.
    pub fn has_answer(&self) -> bool {
        self.answered_at != UnixMillis(0)
    }

    /// What to ask for, which covers what waiting requests need.
    pub fn next_portion(
        &self,
        window: &Window,
        limits: MinuteLimits,
        needed: Amount,
        instances: u32,
        now: Duration,
    ) -> Amount {
        let into_minute = now.as_secs().saturating_sub(window.minute.starts()).max(1);
        let portion = |limit: u64, remaining: u64, used: u64| {
            let remaining = if self.has_answer() { remaining } else { limit };
            let by_pace = divided(used.saturating_mul(LASTS), into_minute);
            let most = divided(remaining, u64::from(instances.max(1)).saturating_mul(PART));
            most.min(by_pace.max(PART)).max(1)
        };
        let (remaining, used) = (self.remaining, window.used());
        let requests = |rpm| portion(rpm, remaining.requests, used.requests).max(needed.requests);
        let tokens = |tpm| portion(tpm, remaining.tokens, used.tokens).max(needed.tokens);
        Amount { requests: limits.rpm.map_or(0, requests), tokens: limits.tpm.map_or(0, tokens) }
    }

    /// Whether to ask for more before it is used up: less than half a portion is left.
    pub fn is_low(&self, window: &Window, limits: MinuteLimits, instances: u32, now: Duration) -> bool {
        let portion = self.next_portion(window, limits, Amount::default(), instances, now);
        let low = |limit: Option<u64>, unused: u64, portion: u64, remaining: u64| {
            let may_remain = remaining > 0 || !self.has_answer();
            limit.is_some() && may_remain && unused < divided(portion, 2)
        };
        let unused = self.unused(window);
        low(limits.rpm, unused.requests, portion.requests, self.remaining.requests)
            || low(limits.tpm, unused.tokens, portion.tokens, self.remaining.tokens)
    }

    /// Notes the time of an admission.
    pub fn record_admission(&mut self, now: Duration) {
        let now = UnixMillis::of(now);
        let gap = now.0.saturating_sub(self.last_admitted_at.0).min(10_000) as f32;
        self.request_gap += (gap - self.request_gap) / 8.0;
        self.last_admitted_at = now;
    }

    /// Counts what was used beyond it as held. Reported, Redis does the same.
    pub fn reconcile(&mut self, window: &Window) {
        let beyond = window.used().saturating_sub(self.held);
        self.held = self.held.saturating_add(beyond);
        self.remaining = self.remaining.saturating_sub(beyond);
    }

    fn is_idle(&self, now: Duration) -> bool {
        let idle = (self.request_gap * IDLE_GAPS).clamp(IDLE.0, IDLE.1);
        millis(self.last_admitted_at.distance(now)) as f32 >= idle
    }

    fn unused(&self, window: &Window) -> Amount {
        self.held.saturating_sub(window.used())
    }

    /// Takes out what another instance has asked for: half of what is not used, or all of it if
    /// `all` is asked for and it is idle.
    pub fn give_back(&mut self, window: &Window, all: bool, now: Duration) -> Amount {
        let gives_all = all && self.is_idle(now);
        let given = self.unused(window).map(|unused| if gives_all { unused } else { unused.div_ceil(2) });
        self.is_recalled = true;
        self.take_out(given);
        given
    }

    /// Takes out all that is not used: the instance ends.
    pub fn give_up(&mut self, window: &Window) -> Amount {
        let given = self.unused(window);
        self.take_out(given);
        given
    }

    /// Changes it towards a share of the minute that it did not begin with: returns what to ask for
    /// and what it has taken out; `None` if there is nothing to do. An
    /// instance thus has a reserve in its first minute, and leaves one to others in theirs.
    pub fn balance(
        &mut self,
        window: &Window,
        limits: MinuteLimits,
        share: Amount,
        instances: u32,
        now: Duration,
    ) -> Option<[Amount; 2]> {
        let needs = self.next_portion(window, limits, Amount::default(), instances, now);
        let wanted = if self.is_recalled { Amount::default() } else { share.saturating_sub(self.held) };
        let kept = share.max(window.used().saturating_add(needs));
        let returned = self.held.saturating_sub(kept);
        self.take_out(returned);
        ([wanted, returned] != [Amount::default(); 2]).then_some([wanted, returned])
    }

    fn take_out(&mut self, amount: Amount) {
        self.held = self.held.saturating_sub(amount);
    }
}

/// A whole divided by a number of parts, rounded down.
pub(super) fn divided(whole: u64, parts: u64) -> u64 {
    whole.checked_div(parts).unwrap_or(whole)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
pub(super) mod tests {
    use super::*;
    use crate::state::format;
    use crate::state::share::WHOLE;

    pub(in crate::state) const MINUTE: Minute = Minute(29_000_000);
    pub(in crate::state) const NOON: Duration = Duration::from_secs(29_000_000 * 60);
    pub(in crate::state) const RPM: MinuteLimits = MinuteLimits { rpm: Some(100), tpm: None };

    pub(in crate::state) fn window(requests: u32) -> Window {
        Window { minute: MINUTE, requests, ..Window::default() }
    }

    fn requests(requests: u64) -> Amount {
        Amount { requests, tokens: 0 }
    }

    pub(in crate::state) fn lease(requests: u64, left: u64) -> Lease {
        Lease {
            minute: MINUTE,
            covers_requests: true,
            covers_tokens: true,
            held: Amount { requests, tokens: 0 },
            remaining: Amount { requests: left, tokens: 0 },
            answered_at: UnixMillis::of(NOON),
            ..Lease::default()
        }
    }

    /// The program before an update and the one after it share the store.
    #[test]
    fn a_lease_is_stored_in_the_bytes_of_its_format() {
        let lease = Lease {
            minute: Minute(1),
            covers_requests: true,
            covers_tokens: false,
            held: Amount { requests: 2, tokens: 3 },
            remaining: Amount { requests: 4, tokens: 5 },
            answered_at: UnixMillis(6),
            last_admitted_at: UnixMillis(7),
            request_gap: 0.5,
            unused_elsewhere: true,
            is_recalled: false,
        };
        let bytes = [8, 1, 1, 0, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0x3f, 1, 0];
        assert_eq!(format::encode(&lease), bytes);
        assert_eq!(format::decode(&bytes), Some(lease));
    }

    #[test]
    fn what_was_used_beyond_a_lease_is_taken_out_of_what_remained() {
        let mut lease = lease(5, 40);
        lease.reconcile(&window(12));
        assert_eq!((lease.held.requests, lease.remaining.requests), (12, 33));
        lease.reconcile(&window(3));
        assert_eq!((lease.held.requests, lease.remaining.requests), (12, 33));
    }

    #[test]
    fn portions_shrink_down_to_one() {
        let portions: Vec<u64> = [100, 40, 9, 1]
            .map(|left| lease(0, left).next_portion(&window(90), RPM, Amount::default(), 2, NOON).requests)
            .into();
        assert_eq!(portions, [12, 5, 1, 1]);
        let slow = NOON + Duration::from_secs(30);
        assert_eq!(
            lease(0, 100).next_portion(&window(30), RPM, Amount::default(), 1, slow).requests,
            4,
            "a request per second needs few"
        );
    }

    #[test]
    fn a_lease_is_given_back_by_half_and_as_a_whole_when_it_is_idle() {
        let after = |ms| NOON + Duration::from_millis(ms);
        for (all, ms, given) in [(false, 500, 4), (true, 5, 4), (true, 500, 7)] {
            let mut lease = Lease { last_admitted_at: UnixMillis::of(NOON), ..lease(12, 40) };
            assert_eq!(lease.give_back(&window(5), all, after(ms)), requests(given), "{all} {ms}");
            assert_eq!((lease.held.requests, lease.is_recalled), (12 - given, true));
        }
        let mut last = lease(6, 0);
        assert_eq!(last.give_back(&window(5), false, NOON), requests(1), "the last one as well");
    }

    #[test]
    fn a_minute_begins_with_the_share_and_keeps_what_was_taken() {
        let next = lease(12, 40).for_minute(Minute(MINUTE.0 + 1), RPM, WHOLE / 2);
        assert_eq!((next.held.requests, next.has_answer()), (50, false));
        assert_eq!(lease(12, 40).for_minute(MINUTE, RPM, WHOLE / 2).held.requests, 12);
    }

    #[test]
    fn a_limit_that_a_reload_adds_begins_with_the_share_and_its_return_brings_no_more() {
        let both = MinuteLimits { rpm: Some(100), tpm: Some(1000) };
        let tpm = MinuteLimits { rpm: None, ..both };
        let held = |lease: Lease, limits| {
            let mut lease = lease.for_minute(MINUTE, limits, WHOLE / 2);
            lease.reconcile(&Window { tokens: 30, ..window(5) });
            lease
        };
        for (first, then) in [(RPM, both), (tpm, both), (RPM, tpm), (tpm, RPM)] {
            let mut lease = held(Lease::default(), first);
            lease.answered_at = UnixMillis::of(NOON);
            let mut lease = held(lease, then);
            let added =
                if then.tpm > first.tpm { lease.held.tokens == 500 } else { lease.held.requests == 50 };
            assert!(added && !lease.has_answer(), "{first:?} {then:?}: {lease:?}");
            lease.take_out(Amount { requests: 20, tokens: 200 });
            let given_back = lease.held;
            let again = held(held(lease, first), both);
            assert_eq!(again.held, given_back, "{first:?} {then:?}");
        }
    }

    #[test]
    fn a_lease_is_balanced_towards_a_share_that_the_minute_did_not_begin_with() {
        let balance = |mut lease: Lease, used| lease.balance(&window(used), RPM, requests(50), 2, NOON);
        assert_eq!(
            balance(lease(10, 40), 0),
            Some([requests(40), requests(0)]),
            "a new instance takes its reserve"
        );
        assert_eq!(
            balance(lease(100, 0), 0),
            Some([requests(0), requests(50)]),
            "another one leaves it to it"
        );
        assert_eq!(
            balance(lease(100, 0), 60),
            Some([requests(0), requests(39)]),
            "but not what it is about to use"
        );
        assert_eq!(balance(lease(50, 0), 0), None);
        assert_eq!(balance(Lease { is_recalled: true, ..lease(10, 40) }, 0), None, "others need it more");
    }
}
