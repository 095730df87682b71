//! What this instance knows of Redis and of the other instances, shared by its workers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::state::format;
use crate::state::quota::{QuotaMode, RedisHealth};
use crate::state::share::Share;
use crate::state::store::{self, Store};
use crate::state::time::{Minute, UnixMillis};

/// The key in the store.
const KEY: &str = "fleet";
/// How often an instance exchanges with the others, and how often it asks a Redis that is down
/// whether it is up again.
pub const EXCHANGE: Duration = Duration::from_secs(1);
/// A worker may take its turn this much too early: the next worker may be a second away.
const EARLY: Duration = Duration::from_millis(100);
/// How often an instance begins to wait for other instances' requests. Each wait takes longer, so
/// there is always one that has just begun.
const WAIT: Duration = Duration::from_secs(25);
/// How long a worker uses its copy of the membership.
const REREAD: Duration = Duration::from_millis(20);

/// The value in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// This instance's number; 0 before it has one.
    pub instance: u64,
    /// Changes when Redis loses its data; 0 while it is unknown.
    pub epoch: u64,
    /// The minute in which Redis was found to have lost data. In it, Redis grants portions only after
    /// all instances have reported.
    pub lost_minute: Minute,
    /// Instances that have a share, this one included.
    pub instances: u32,
    /// The share of this one.
    pub share: Share,
    /// Redis does not answer.
    pub is_redis_down: bool,
    /// When a worker last took the turn to exchange.
    pub last_exchange: UnixMillis,
    /// How many turns were taken so far. It tells a presence from an earlier one: times would not,
    /// where a clock is set back.
    pub turns: u64,
    /// When this instance last began to wait for other instances' requests; 0 for not at all.
    pub waiting_since: UnixMillis,
    /// The last wait has ended with an error of Redis.
    pub is_wait_refused: bool,
    /// Requests admitted in the minute of the last exchange, and in the one before.
    pub requests: [u32; 2],
    /// This instance is about to end, and exchanges no more.
    pub is_deregistered: bool,
    /// A worker removes it from Redis, or has done so.
    pub is_leaving: bool,
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
                membership.instance = random.bits().max(1);
            }
            Some(membership.instance)
        });
        drawn.map_or(0, |(_, number)| number)
    }

    /// How limits are shared.
    pub fn quota_mode(&self, now: Duration) -> QuotaMode {
        let health = if !self.is_redis_down {
            RedisHealth::Up
        } else if self.share.target == 0 {
            RedisHealth::NeverUp
        } else {
            RedisHealth::Down
        };
        let share = self.share.at(Minute::of(now));
        QuotaMode::Shared { instances: self.instances.max(1), share, health }
    }

    /// The requests of a minute, by which shares are measured.
    pub fn weight(&self) -> u32 {
        let [current, before] = self.requests;
        current.max(before)
    }

    /// From now on no worker exchanges, or acquires leases.
    pub fn deregister(store: &dyn Store) {
        Self::update(store, |membership| {
            membership.is_deregistered = true;
            Some(())
        });
    }

    /// Whether this worker is the one that removes the instance from Redis.
    pub fn begin_to_leave(store: &dyn Store) -> bool {
        let begun = Self::update(store, |membership| {
            let is_first = !std::mem::replace(&mut membership.is_leaving, true);
            is_first.then_some(())
        });
        begun.is_some()
    }

    /// Takes the turn to exchange about `asked` of `count` deployments, unless another worker took
    /// it within a second. `admitted` is the requests of this minute so far. Returns the index of
    /// the first deployment.
    pub fn take_turn(
        store: &dyn Store,
        now: Duration,
        asked: usize,
        count: usize,
        admitted: u32,
    ) -> Option<(Self, usize)> {
        let within = |index: usize| index.checked_rem(count).unwrap_or_default();
        Self::update(store, |membership| {
            let is_early = membership.last_exchange.distance(now) < EXCHANGE.saturating_sub(EARLY);
            if is_early || membership.is_deregistered {
                return None;
            }
            if membership.last_exchange.minute() != Minute::of(now) {
                membership.requests = [0, membership.requests[0]];
            }
            membership.requests[0] = admitted;
            membership.share.lower(now);
            membership.last_exchange = UnixMillis::of(now);
            membership.turns = membership.turns.saturating_add(1);
            let first = within(usize::try_from(membership.next_deployment).unwrap_or_default());
            membership.next_deployment =
                u32::try_from(within(first.saturating_add(asked))).unwrap_or_default();
            Some(first)
        })
    }

    /// Whether this instance begins to wait for other instances' requests, `again` or because the
    /// last wait has begun long ago. While Redis is down only to find out whether it refuses the wait.
    pub fn begin_wait(store: &dyn Store, now: Duration, again: bool) -> bool {
        let begun = Self::update(store, |membership| {
            let is_due = again || membership.waiting_since.distance(now) >= WAIT;
            let is_down = membership.is_redis_down && !membership.is_wait_refused;
            if !is_due || is_down || membership.is_deregistered || membership.epoch == 0 {
                return None;
            }
            membership.waiting_since = UnixMillis::of(now);
            Some(())
        });
        begun.is_some()
    }

    /// A wait has broken off, or a configuration has gone that waited: the next exchange begins
    /// another one.
    pub fn end_wait(store: &dyn Store) {
        Self::update(store, |membership| {
            let is_waiting = membership.waiting_since != UnixMillis::default();
            membership.waiting_since = UnixMillis::default();
            is_waiting.then_some(())
        });
    }

    /// A wait has ended with an error of Redis: without waits, what this instance does not use is
    /// lost to the others.
    pub fn refuse_wait(store: &dyn Store) {
        Self::update(store, |membership| {
            membership.waiting_since = UnixMillis::default();
            membership.is_wait_refused = true;
            Some(())
        });
    }

    /// Whether Redis allows waits: none was refused, or one that began after that stays open.
    pub fn allows_wait(&mut self, now: Duration) -> bool {
        let age = self.waiting_since.distance(now);
        let is_open = self.waiting_since != UnixMillis::default() && age >= EXCHANGE.saturating_sub(EARLY);
        self.is_wait_refused &= !is_open;
        !self.is_wait_refused
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
        assert!(Membership::take_turn(&store, NOON, 1, 1, 0).is_some());
        assert!(Membership::take_turn(&store, NOON, 1, 1, 0).is_none());
        assert!(Membership::take_turn(&store, NOON + EXCHANGE - EARLY, 1, 1, 0).is_some());
    }

    #[test]
    fn an_exchange_begins_where_the_last_one_ended_whichever_worker_made_it() {
        let store = Memory::default();
        let firsts: Vec<usize> = (0..4)
            .map(|nth| Membership::take_turn(&store, NOON + EXCHANGE * nth, 512, 1000, 0).unwrap().1)
            .collect();
        assert_eq!(firsts, [0, 512, 24, 536]);
    }

    #[test]
    fn a_deregistered_instance_exchanges_no_more() {
        let store = Memory::default();
        Membership::register(&store, &mut SplitMix::new(1));
        Membership::deregister(&store);
        assert!(Membership::take_turn(&store, NOON, 1, 1, 0).is_none());
        assert!(Membership::read(&store).is_deregistered);
        assert!(Membership::begin_to_leave(&store), "one worker removes it from Redis");
        assert!(!Membership::begin_to_leave(&store));
    }

    #[test]
    fn one_wait_begins_in_25_seconds_or_when_the_last_has_broken_off() {
        let store = Memory::default();
        let begins = |after, again| Membership::begin_wait(&store, NOON + Duration::from_secs(after), again);
        assert!(!begins(0, false), "not before Redis has answered");
        Membership::update(&store, |membership| {
            membership.epoch = 1;
            Some(())
        });
        assert_eq!([begins(0, false), begins(24, false), begins(25, false)], [true, false, true]);
        assert!(begins(26, true));
        Membership::end_wait(&store);
        assert!(begins(27, false));
    }

    #[test]
    fn an_instance_that_never_reached_redis_is_told_from_one_that_lost_it() {
        let mut membership = Membership { is_redis_down: true, ..Membership::default() };
        let health = |membership: Membership| match membership.quota_mode(NOON) {
            QuotaMode::Shared { health, .. } => health,
            QuotaMode::Local => panic!("there is Redis"),
        };
        assert_eq!(health(membership), RedisHealth::NeverUp);
        membership.share.target = 500_000;
        assert_eq!(health(membership), RedisHealth::Down);
    }

    #[test]
    fn the_weight_of_an_instance_is_that_of_its_busier_minute() {
        let store = Memory::default();
        let weight = |second: u64, admitted| {
            let now = Duration::from_secs(29_000_000 * 60 + second);
            Membership::take_turn(&store, now, 1, 1, admitted).unwrap().0.weight()
        };
        assert_eq!(
            [weight(30, 10), weight(59, 40), weight(60, 1), weight(119, 20), weight(120, 0)],
            [10, 40, 40, 40, 20]
        );
    }
}
