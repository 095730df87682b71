//! What an instance may admit of a limit that it shares with others: a lease on a part of the minute, taken from Redis ahead
//! of need.
//!
//! Portions shrink as what is left of the minute shrinks, down to one, so the fleet admits the limit exactly: never more,
//! and no less as long as anybody asks. What an instance does not use it gives back as soon as it is idle. While Redis is
//! away an instance goes on with its share of the limit; in a minute that Redis has spoken of with what it holds, or, where that is far
//! from the limit, with a share of what was left.

use std::time::Duration;

use crate::state::record::milliseconds;
use crate::state::window::Window;

/// How long "nothing is left" is believed: others may give back.
const EXHAUSTED: Duration = Duration::from_millis(30);
/// A portion lasts this long at the pace of the minute so far. Two seconds make a callout for every 200 requests at 100 per
/// second, and leave little behind when the traffic moves to another instance.
const LASTS: u64 = 2;
/// Of what is left, one instance takes at most this part at a time, divided by the number of instances.
const PART: u64 = 4;
/// Unused for so many times the usual gap between requests, a lease is given back ..
const GAPS: f32 = 10.0;
/// .. but not sooner and not later than this. Milliseconds.
const IDLE: (f32, f32) = (20.0, 100.0);

/// How often a worker looks whether there is something to give back, in milliseconds ..
const TICK: u64 = 20;
/// .. and where nothing was left when it last looked, every so many times.
const RARELY: u64 = 5;

/// Without a request for this long, it is not looked at any more.
const FORGOTTEN: Duration = Duration::from_secs(3);

/// While Redis has only just fallen silent, and in a minute that it has spoken of, a share is used where it is so many times what
/// this instance has used of the minute: then the others are far from using it up.
const PLENTY: u64 = 10;
/// Less than this tells nothing about what is to come.
const FEW: u64 = 10;

/// A lease on one deployment's minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lease {
    /// Minutes since the Unix epoch.
    pub minute: u32,
    /// Requests that this instance may admit in it, those admitted included.
    pub requests: u64,
    /// Tokens, likewise.
    pub tokens: u64,
    /// Requests that nobody had taken when Redis last answered.
    pub left_requests: u64,
    /// Tokens, likewise.
    pub left_tokens: u64,
    /// When Redis last answered, in milliseconds since the Unix epoch; 0 for never.
    pub told: u64,
    /// When a request was last admitted, likewise.
    pub used: u64,
    /// Milliseconds between requests of late.
    pub gap: f32,
    /// Other instances may be about to give back what they do not use, as far as Redis knows.
    pub unused_elsewhere: bool,
}

/// How limits are shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuotaMode {
    /// There is one instance, as far as it knows.
    #[default]
    Local,
    /// With so many instances, this one included.
    Shared {
        /// At least one.
        instances: u32,
        /// Redis does not answer.
        health: RedisHealth,
    },
}

/// Whether Redis is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedisHealth {
    /// It answers.
    #[default]
    Up,
    /// It has not answered in time, which may be a moment's delay: the others go on taking from the same limit.
    Suspect,
    /// It has been silent for longer than any delay.
    Down,
}

/// Whether a minute has room, by its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// It has.
    Enough,
    /// Redis has to be asked.
    Ask,
    /// Redis says that there is none, or does not answer.
    None,
}

impl Lease {
    /// The lease on this minute: itself, or none.
    pub fn on(self, minute: u32) -> Self {
        if self.minute == minute {
            self
        } else {
            Self { minute, used: self.used, gap: self.gap, ..Self::default() }
        }
    }

    /// Whether one more request, and so many tokens, fit into what this instance holds.
    pub fn room(
        &self,
        window: &Window,
        limits: Limits,
        tokens: u64,
        quota_mode: QuotaMode,
        now: Duration,
    ) -> Quota {
        let QuotaMode::Shared { instances, health } = quota_mode else { return Quota::Enough };
        let lease = self.on(window.minute);
        let share = |limit: u64, held: u64, left: u64, used: u64| {
            let instances = u64::from(instances.max(1));
            let (own, is_unheard_of) = match lease.told {
                // Half of it, and not on top of what is held, because others go on taking from it: they may still reach Redis.
                1.. => (part(left, instances.saturating_mul(2)), false),
                0 => (part(limit, instances), true),
            };
            let is_plenty = own >= used.max(FEW).saturating_mul(PLENTY);
            match health {
                RedisHealth::Down if is_unheard_of || is_plenty => held.max(own),
                RedisHealth::Suspect if is_plenty => held.max(own),
                RedisHealth::Down | RedisHealth::Suspect | RedisHealth::Up => held,
            }
        };
        let used = u64::from(window.requests);
        let requests = limits.rpm.map(|rpm| share(rpm, lease.requests, lease.left_requests, used));
        let spent = limits.tpm.map(|tpm| share(tpm, lease.tokens, lease.left_tokens, window.tokens));
        let lacks_requests = requests.is_some_and(|held| u64::from(window.requests) >= held);
        let lacks_tokens = spent.is_some_and(|held| window.tokens.saturating_add(tokens) > held);
        match () {
            () if !lacks_requests && !lacks_tokens => Quota::Enough,
            () if health != RedisHealth::Up => Quota::None,
            // What others give back comes within the time that a request may wait.
            () if lease.is_used_up(window, limits, tokens) && lease.was_told(now, EXHAUSTED) => Quota::None,
            () => Quota::Ask,
        }
    }

    /// Whether the fleet has used up what the minute has for one more request with so many tokens, as far as Redis has said, and no
    /// instance is about to give any of it back.
    pub fn is_used_up(&self, window: &Window, limits: Limits, tokens: u64) -> bool {
        let lease = self.on(window.minute);
        let needs = window.tokens.saturating_add(tokens).saturating_sub(lease.tokens);
        let lacks_requests =
            limits.rpm.is_some() && u64::from(window.requests) >= lease.requests && lease.left_requests == 0;
        let lacks_tokens = limits.tpm.is_some() && needs > lease.left_tokens;
        lease.told != 0 && !lease.unused_elsewhere && (lacks_requests || lacks_tokens)
    }

    fn was_told(&self, now: Duration, age: Duration) -> bool {
        self.told != 0 && milliseconds(now).abs_diff(self.told) < milliseconds(age)
    }

    /// The next portion to ask for: requests and tokens, and what is lacked now at least.
    pub fn portion(
        &self,
        window: &Window,
        limits: Limits,
        shortfall: Shortfall,
        instances: u32,
        now: Duration,
    ) -> (u64, u64) {
        let lease = self.on(window.minute);
        let into_minute = now.as_secs().saturating_sub(window.ends().as_secs().saturating_sub(60)).max(1);
        let portion = |limit: u64, left: u64, used: u64| {
            let left = if lease.told == 0 { limit } else { left };
            let pace = part(used.saturating_mul(LASTS), into_minute);
            let most = part(left, u64::from(instances.max(1)).saturating_mul(PART));
            most.min(pace.max(PART)).max(1)
        };
        let requests = limits.rpm.map_or(0, |rpm| {
            portion(rpm, lease.left_requests, u64::from(window.requests)).max(shortfall.requests)
        });
        let tokens =
            limits.tpm.map_or(0, |tpm| portion(tpm, lease.left_tokens, window.tokens).max(shortfall.tokens));
        (requests, tokens)
    }

    /// Whether more should be asked for before it is used up.
    pub fn is_low(&self, window: &Window, limits: Limits, instances: u32, now: Duration) -> bool {
        let lease = self.on(window.minute);
        let (requests, tokens) = lease.portion(window, limits, Shortfall::default(), instances, now);
        let low = |limit: Option<u64>, held: u64, used: u64, portion: u64, left: u64| {
            limit.is_some() && left > 0 && held.saturating_sub(used) < part(portion, 2)
        };
        lease.told != 0
            && (low(limits.rpm, lease.requests, u64::from(window.requests), requests, lease.left_requests)
                || low(limits.tpm, lease.tokens, window.tokens, tokens, lease.left_tokens))
    }

    /// A request is admitted.
    pub fn use_one(&mut self, now: Duration) {
        let now = milliseconds(now);
        let gap = now.saturating_sub(self.used).min(10_000) as f32;
        self.gap += (gap - self.gap) / 8.0;
        self.used = now;
    }

    /// Counts what was used beyond it, while Redis was away, as held: Redis will do the same when it hears of it.
    pub fn reconcile(&mut self, window: &Window) {
        let requests = u64::from(window.requests).saturating_sub(self.requests);
        let tokens = window.tokens.saturating_sub(self.tokens);
        self.requests = self.requests.saturating_add(requests);
        self.tokens = self.tokens.saturating_add(tokens);
        self.left_requests = self.left_requests.saturating_sub(requests);
        self.left_tokens = self.left_tokens.saturating_sub(tokens);
    }

    /// Whether it has not been used for so long that nothing will come back to it.
    pub fn is_forgotten(&self, now: Duration) -> bool {
        milliseconds(now).abs_diff(self.used) >= milliseconds(FORGOTTEN)
    }

    fn is_idle(&self, now: Duration) -> bool {
        let idle = (self.gap * GAPS).clamp(IDLE.0, IDLE.1);
        milliseconds(now).abs_diff(self.used) as f32 >= idle
    }

    fn unused(&self, window: &Window) -> (u64, u64) {
        let requests = self.requests.saturating_sub(u64::from(window.requests));
        (requests, self.tokens.saturating_sub(window.tokens))
    }

    /// Whether a worker that knows this copy of it has to look whether there is something to give back: not while requests keep
    /// coming, and rarely where nothing is left, since an answer that took fewer tokens may still return some.
    pub fn may_give_back(&self, window: &Window, now: Duration) -> bool {
        let is_over = self.minute != window.minute;
        let is_rarely_due = (milliseconds(now) / TICK).is_multiple_of(RARELY);
        self.is_idle(now) && (is_over || self.unused(window) != (0, 0) || is_rarely_due)
    }

    /// Takes out what is not used, to be given back; nothing while requests keep coming.
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

/// What requests wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortfall {
    /// How many they are.
    pub requests: u64,
    /// Tokens that they need together.
    pub tokens: u64,
}

/// The limits of a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests of a minute.
    pub rpm: Option<u64>,
    /// Tokens of a minute.
    pub tpm: Option<u64>,
}

fn part(whole: u64, parts: u64) -> u64 {
    whole.checked_div(parts).unwrap_or(whole)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;

    const MINUTE: u32 = 29_000_000;
    const NOON: Duration = Duration::from_secs(MINUTE as u64 * 60);
    const RPM: Limits = Limits { rpm: Some(100), tpm: None };
    const TWO: QuotaMode = QuotaMode::Shared { instances: 2, health: RedisHealth::Up };
    const AWAY: QuotaMode = QuotaMode::Shared { instances: 2, health: RedisHealth::Down };

    fn window(requests: u32) -> Window {
        Window { minute: MINUTE, requests, tokens: 0 }
    }

    fn lease(requests: u64, left: u64) -> Lease {
        Lease { minute: MINUTE, requests, left_requests: left, told: milliseconds(NOON), ..Lease::default() }
    }

    #[test]
    fn only_what_is_held_is_admitted() {
        for (lease, used, quota_mode, room) in [
            (Lease::default(), 0, QuotaMode::Local, Quota::Enough),
            (Lease::default(), 0, TWO, Quota::Ask),
            (lease(5, 50), 4, TWO, Quota::Enough),
            (lease(5, 50), 5, TWO, Quota::Ask),
            (lease(5, 0), 5, TWO, Quota::None),
            (Lease { minute: MINUTE - 1, ..lease(5, 0) }, 0, TWO, Quota::Ask),
        ] {
            assert_eq!(lease.room(&window(used), RPM, 0, quota_mode, NOON), room, "{lease:?} {used}");
        }
        let others = Lease { unused_elsewhere: true, ..lease(5, 0) };
        assert_eq!(others.room(&window(5), RPM, 0, TWO, NOON), Quota::Ask, "others are about to give back");
        let later = NOON + EXHAUSTED;
        assert_eq!(
            lease(5, 0).room(&window(5), RPM, 0, TWO, later),
            Quota::Ask,
            "others may have given back"
        );
    }

    #[test]
    fn a_minute_is_used_up_when_nothing_is_left_and_nothing_comes_back() {
        for (lease, used, is_used_up) in [
            (lease(5, 0), 5, true),
            (lease(5, 0), 4, false),
            (lease(5, 1), 5, false),
            (Lease { unused_elsewhere: true, ..lease(5, 0) }, 5, false),
            (Lease { minute: MINUTE - 1, ..lease(5, 0) }, 5, false),
            (Lease::default(), 5, false),
        ] {
            assert_eq!(lease.is_used_up(&window(used), RPM, 0), is_used_up, "{lease:?} {used}");
        }
        let tokens = Limits { rpm: None, tpm: Some(1000) };
        let held = Lease { tokens: 900, left_tokens: 40, ..lease(0, 0) };
        for (needed, is_used_up) in [(100, false), (140, false), (141, true)] {
            let window = Window { tokens: 800, ..window(1) };
            assert_eq!(held.is_used_up(&window, tokens, needed), is_used_up, "{needed}");
        }
    }

    #[test]
    fn without_redis_a_share_is_admitted_and_no_more() {
        for (lease, allowed) in
            [(Lease::default(), 50), (lease(10, 40), 10), (lease(5, 80), 5), (lease(10, 0), 10)]
        {
            let last = window(allowed - 1);
            assert_eq!(lease.room(&last, RPM, 0, AWAY, NOON), Quota::Enough, "{lease:?}");
            assert_eq!(lease.room(&window(allowed), RPM, 0, AWAY, NOON), Quota::None, "{lease:?}");
        }
    }

    #[test]
    fn a_moment_without_redis_gives_nothing_that_others_may_be_taking() {
        let moment = QuotaMode::Shared { instances: 2, health: RedisHealth::Suspect };
        for (rpm, used, left, room) in [
            (100, 10, 80, Quota::None),
            (100, 0, 100, Quota::None),
            (10_000, 10, 8_000, Quota::Enough),
            (10_000, 900, 8_000, Quota::None),
        ] {
            let limits = Limits { rpm: Some(rpm), tpm: None };
            let held = lease(used, left);
            assert_eq!(held.room(&window(used as u32), limits, 0, moment, NOON), room, "{rpm} {used} {left}");
        }
    }

    #[test]
    fn what_was_used_beyond_a_lease_is_taken_out_of_what_was_left() {
        let mut lease = lease(5, 40);
        lease.reconcile(&window(12));
        assert_eq!((lease.requests, lease.left_requests), (12, 33));
        lease.reconcile(&window(3));
        assert_eq!((lease.requests, lease.left_requests), (12, 33));
    }

    #[test]
    fn portions_shrink_down_to_one() {
        let portions: Vec<u64> = [100, 40, 9, 1]
            .map(|left| lease(0, left).portion(&window(90), RPM, Shortfall::default(), 2, NOON).0)
            .into();
        assert_eq!(portions, [12, 5, 1, 1]);
        let slow = NOON + Duration::from_secs(30);
        assert_eq!(
            lease(0, 100).portion(&window(30), RPM, Shortfall::default(), 1, slow).0,
            4,
            "a request per second needs few"
        );
    }

    #[test]
    fn what_is_not_used_is_given_back_once_it_is_idle() {
        let after = |ms| NOON + Duration::from_millis(ms);
        for (gap, idle) in [(0.0, 20), (5.0, 50), (1000.0, 100)] {
            let mut lease = Lease { used: milliseconds(NOON), gap, ..lease(12, 40) };
            assert_eq!(lease.release_unused(&window(5), after(idle - 1)), None);
            assert_eq!(lease.release_unused(&window(5), after(idle)), Some((7, 0)));
            assert_eq!(lease.requests, 5);
            assert_eq!(lease.release_unused(&window(5), after(idle)), None);
        }
    }
}
