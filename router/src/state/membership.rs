//! What this instance knows of Redis and of the other instances, shared by its workers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::state::format;
use crate::state::quota::{QuotaMode, RedisHealth};
use crate::state::store::{self, Store};
use crate::state::time::{Minute, UnixMillis};

/// The key in the store.
const KEY: &str = "fleet";
/// How often an instance exchanges with the others, and how often it asks a Redis that is down
/// whether it is up again.
pub const EXCHANGE: Duration = Duration::from_secs(1);
/// A worker may take its turn this much too early: the next worker may be a second away.
const EARLY: Duration = Duration::from_millis(100);
/// After a silence this long, instances may have admitted requests that Redis does not know of.
const MISSED: Duration = Duration::from_secs(1);
/// After a silence this long, Redis is down for all instances, or this one is cut off and the
/// others leave its share to it: they do so 3.5 s after its last presence, which was up to a second
/// before, and they look once a second.
const SURE: Duration = Duration::from_secs(5);
/// How long a worker uses its copy of the membership.
const REREAD: Duration = Duration::from_millis(20);

/// The value in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// This instance's number; 0 before it has one.
    pub instance: u64,
    /// Changes when Redis loses its data; 0 while it is unknown.
    pub epoch: u64,
    /// The minute in which Redis was found to have lost data. In it, Redis grants more than shares
    /// only after all instances have reported.
    pub lost_minute: Minute,
    /// Instances that are alive, this one included.
    pub live: u32,
    /// Instances that fell silent, and may still use their shares.
    pub missing: u32,
    /// Redis does not answer.
    pub is_redis_down: bool,
    /// When that began.
    pub down_since: UnixMillis,
    /// When Redis last answered after it was down.
    pub up_since: UnixMillis,
    /// When a worker last took the turn to exchange.
    pub last_exchange: UnixMillis,
    /// This instance is about to end, and exchanges no more.
    pub is_deregistered: bool,
    /// The index of the deployment that the next exchange begins with. Shared, because any worker
    /// may take the turn.
    pub next_deployment: u32,
}

impl Membership {
    /// Reads it; the default before the first write.
    pub fn read(store: &dyn Store) -> Self {
        store.get(KEY).and_then(|(bytes, _)| format::decode(&bytes)).unwrap_or_default()
    }

    /// Changes it atomically; `None` leaves it as it is.
    pub fn update<T>(store: &dyn Store, mut change: impl FnMut(&mut Self) -> Option<T>) -> Option<(Self, T)> {
        store::change(store, KEY, |bytes| {
            let mut membership = bytes.and_then(format::decode::<Self>).unwrap_or_default();
            let result = change(&mut membership)?;
            Some((format::encode(&membership), (membership, result)))
        })
    }

    /// The number of this instance, which is drawn at the first call.
    pub fn register(store: &dyn Store, random: &mut dyn Random) -> u64 {
        let known = Self::read(store).instance;
        if known != 0 {
            return known;
        }
        let drawn = Self::update(store, |membership| {
            if membership.instance == 0 {
                // 0 means none, and would be drawn once in 2^64 times.
                (membership.instance, membership.live) = (random.bits().max(1), 1);
            }
            Some(membership.instance)
        });
        drawn.map_or(0, |(_, number)| number)
    }

    /// Instances that limits are shared between, at least 1.
    pub fn instances(&self) -> u32 {
        self.live.saturating_add(self.missing).max(1)
    }

    /// How limits are shared.
    pub fn quota_mode(&self, now: Duration) -> QuotaMode {
        let instances = self.instances();
        // Without other instances there is none that has to notice.
        let sure = if instances == 1 { MISSED } else { SURE };
        let is_recent = self.down_since.distance(now) < sure;
        let health = match self.is_redis_down {
            false => RedisHealth::Up,
            true if is_recent => RedisHealth::Suspect,
            true => RedisHealth::Down,
        };
        QuotaMode::Shared { instances, health }
    }

    /// Redis has not answered in time. Silences of less than a second apart count as one: a slow
    /// Redis ends each with a late answer.
    pub fn redis_down(&mut self, now: Duration) {
        if !self.is_redis_down && self.up_since.distance(now) >= MISSED {
            self.down_since = UnixMillis::of(now);
        }
        self.is_redis_down = true;
    }

    /// Redis has answered. Says whether instances may have admitted requests meanwhile that Redis
    /// does not know of.
    pub fn redis_up(&mut self, now: Duration) -> bool {
        let has_missed = self.is_redis_down && self.down_since.distance(now) >= MISSED;
        let is_first = self.up_since.distance(now) >= MISSED;
        (self.is_redis_down, self.up_since) = (false, UnixMillis::of(now));
        has_missed && is_first
    }

    /// From now on no worker exchanges, or acquires leases.
    pub fn deregister(store: &dyn Store) {
        Self::update(store, |membership| {
            membership.is_deregistered = true;
            Some(())
        });
    }

    /// Takes the turn to exchange about `asked` of `count` deployments, unless another worker took
    /// it within a second. Returns the index of the first deployment.
    pub fn take_turn(store: &dyn Store, now: Duration, asked: usize, count: usize) -> Option<(Self, usize)> {
        let within = |index: usize| index.checked_rem(count).unwrap_or_default();
        Self::update(store, |membership| {
            let is_early = membership.last_exchange.distance(now) < EXCHANGE.saturating_sub(EARLY);
            if is_early || membership.is_deregistered {
                return None;
            }
            membership.last_exchange = UnixMillis::of(now);
            let first = within(usize::try_from(membership.next_deployment).unwrap_or_default());
            membership.next_deployment =
                u32::try_from(within(first.saturating_add(asked))).unwrap_or_default();
            Some(first)
        })
    }
}

/// The membership as a worker last read it.
#[derive(Debug)]
pub struct MembershipCache {
    /// There is Redis.
    pub is_shared: bool,
    membership: Membership,
    read_at: Duration,
}

impl MembershipCache {
    /// With nothing read yet.
    pub fn new(is_shared: bool) -> Self {
        Self { is_shared, membership: Membership::default(), read_at: Duration::ZERO }
    }

    /// How limits are shared, by a copy that is at most 20 ms old.
    pub fn quota_mode(&mut self, now: Duration, store: &dyn Store) -> QuotaMode {
        if !self.is_shared {
            return QuotaMode::Local;
        }
        if now.abs_diff(self.read_at) >= REREAD {
            self.read(now, store);
        }
        self.membership.quota_mode(now)
    }

    /// Reads the membership.
    pub fn read(&mut self, now: Duration, store: &dyn Store) -> Membership {
        self.read_at = now;
        self.membership = Membership::read(store);
        self.membership
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;
    use crate::random::SplitMix;
    use crate::state::store::Memory;

    const NOON: Duration = Duration::from_secs(1_740_000_000);

    #[test]
    fn an_instance_has_one_number_for_all_of_its_workers() {
        let store = Memory::default();
        let number = Membership::register(&store, &mut SplitMix::new(1));
        let first = Membership::read(&store);
        assert_eq!(Membership::register(&store, &mut SplitMix::new(2)), number);
        assert_eq!(Membership::read(&store), first);
        assert_ne!(first.instance, 0);
    }

    #[test]
    fn one_worker_exchanges_at_a_time() {
        let store = Memory::default();
        assert!(Membership::take_turn(&store, NOON, 1, 1).is_some());
        assert!(Membership::take_turn(&store, NOON, 1, 1).is_none());
        assert!(Membership::take_turn(&store, NOON + EXCHANGE - EARLY, 1, 1).is_some());
    }

    #[test]
    fn an_exchange_begins_where_the_last_one_ended_whichever_worker_made_it() {
        let store = Memory::default();
        let firsts: Vec<usize> = (0..4)
            .map(|nth| Membership::take_turn(&store, NOON + EXCHANGE * nth, 512, 1000).unwrap().1)
            .collect();
        assert_eq!(firsts, [0, 512, 24, 536]);
    }

    #[test]
    fn a_deregistered_instance_exchanges_no_more() {
        let store = Memory::default();
        Membership::register(&store, &mut SplitMix::new(1));
        Membership::deregister(&store);
        assert!(Membership::take_turn(&store, NOON, 1, 1).is_none());
        assert!(Membership::read(&store).is_deregistered);
    }

    #[test]
    fn repeated_silences_of_a_slow_redis_count_as_one() {
        let mut membership = Membership { live: 2, ..Membership::default() };
        let mut missed = 0;
        for tenth in 0..20 {
            let now = NOON + Duration::from_millis(100 * tenth);
            membership.redis_down(now);
            assert_eq!(
                membership.quota_mode(now),
                QuotaMode::Shared { instances: 2, health: RedisHealth::Suspect }
            );
            missed += u32::from(membership.redis_up(now + Duration::from_millis(50)));
        }
        assert_eq!(missed, 0, "the next request reports what Redis missed");
        membership.redis_down(NOON + Duration::from_secs(10));
        assert!(membership.redis_up(NOON + Duration::from_secs(12)));
    }

    #[test]
    fn redis_is_down_after_five_seconds_of_silence_and_suspect_before() {
        let membership = Membership {
            live: 2,
            is_redis_down: true,
            down_since: UnixMillis::of(NOON),
            ..Membership::default()
        };
        for (after, health) in
            [(0, RedisHealth::Suspect), (4999, RedisHealth::Suspect), (5000, RedisHealth::Down)]
        {
            let now = NOON + Duration::from_millis(after);
            assert_eq!(membership.quota_mode(now), QuotaMode::Shared { instances: 2, health });
        }
    }
}
