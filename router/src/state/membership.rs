//! What this instance knows about the others, and about Redis, through which it knows it. Shared by its workers.

use std::time::Duration;

use crate::random::Random;
use crate::state::lease::{QuotaMode, RedisHealth};
use crate::state::record::{Decoder, Encoder, milliseconds};
use crate::state::store::{self, Store};

/// Where it is kept.
const KEY: &str = "fleet";
/// How often an instance exchanges with the others. While Redis is away, this is how often it is asked whether it is back.
pub const EXCHANGE: Duration = Duration::from_secs(1);
/// A worker that comes so much too early takes its turn all the same: the next one may be a second away.
const EARLY: Duration = Duration::from_millis(100);
/// Silent for so long, Redis may have missed what instances have done without it: it is told.
const MISSED: Duration = Duration::from_secs(1);
/// Silent for so long, it is as good as away for all. If it is not, but this instance is cut off, the others know that by now and
/// leave its share to it: 3.5 s after its last sign of life, which was up to a second before, and they look once a second.
const SURE: Duration = Duration::from_secs(5);

/// The fleet as it was last seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// This instance's number; 0 for none yet.
    pub instance: u64,
    /// Tells one life of Redis' data from the next; 0 where it is not known yet.
    pub epoch: u64,
    /// The minute in which Redis was found to have forgotten, when it only grants after everybody has told it again.
    pub lost_minute: u32,
    /// Instances that were alive, this one included.
    pub live: u32,
    /// Instances that fell silent, and may go on with their shares.
    pub missing: u32,
    /// Redis does not answer.
    pub away: bool,
    /// When it fell silent, in milliseconds since the Unix epoch.
    pub away_since: u64,
    /// When it was last back, likewise.
    pub back: u64,
    /// When a worker last took on the exchange, in milliseconds since the Unix epoch.
    pub exchanged: u64,
    /// This instance is about to end, and the others need not hear of it again.
    pub left: bool,
    /// The deployment that the next exchange begins with, by its index. Shared, because any worker may take it on.
    pub next: u32,
}

impl Fleet {
    /// Reads it; where nobody has written, nothing is known.
    pub fn read(store: &dyn Store) -> Self {
        store.get(KEY).and_then(|(bytes, _)| Self::decode(&bytes)).unwrap_or_default()
    }

    /// Changes it, however many others do so at the same time; `None` leaves it as it is.
    pub fn update<T>(store: &dyn Store, mut change: impl FnMut(&mut Self) -> Option<T>) -> Option<(Self, T)> {
        store::change(store, KEY, |bytes| {
            let mut fleet = bytes.and_then(Self::decode).unwrap_or_default();
            let result = change(&mut fleet)?;
            Some((fleet.encode(), (fleet, result)))
        })
    }

    /// The number of this instance, which it gets when it first asks for it.
    pub fn register(store: &dyn Store, random: &mut dyn Random) -> u64 {
        let known = Self::read(store).instance;
        if known != 0 {
            return known;
        }
        let given = Self::update(store, |fleet| {
            if fleet.instance == 0 {
                // 2^-64 of all instances would be number 0.
                (fleet.instance, fleet.live) = (random.bits().max(1), 1);
            }
            Some(fleet.instance)
        });
        given.map_or(0, |(_, number)| number)
    }

    /// How limits are shared, as far as this tells.
    pub fn quota_mode(&self, now: Duration) -> QuotaMode {
        let instances = self.live.saturating_add(self.missing).max(1);
        // Where there are no others, nobody has to know.
        let sure = if instances == 1 { MISSED } else { SURE };
        let health = match self.away {
            false => RedisHealth::Up,
            true if milliseconds(now).abs_diff(self.away_since) < milliseconds(sure) => RedisHealth::Suspect,
            true => RedisHealth::Down,
        };
        QuotaMode::Shared { instances, health }
    }

    /// Redis has not answered in time. One that is slow comes back with every answer that is late: its silences count as one.
    pub fn redis_down(&mut self, now: Duration) {
        let now = milliseconds(now);
        if !self.away && now.abs_diff(self.back) >= milliseconds(MISSED) {
            self.away_since = now;
        }
        self.away = true;
    }

    /// Redis has answered. After a silence in which instances went on with their shares, it is to be told of that.
    pub fn redis_up(&mut self, now: Duration) -> bool {
        let now = milliseconds(now);
        let has_missed = self.away && now.abs_diff(self.away_since) >= milliseconds(MISSED);
        let is_first = now.abs_diff(self.back) >= milliseconds(MISSED);
        (self.away, self.back) = (false, now);
        has_missed && is_first
    }

    /// From here on no worker makes this instance known.
    pub fn deregister(store: &dyn Store) {
        Self::update(store, |fleet| {
            fleet.left = true;
            Some(())
        });
    }

    /// Takes on the next exchange, about `asked` of `count` deployments, if it is time and no other worker has; with the index of the
    /// first of them.
    pub fn take_turn(store: &dyn Store, now: Duration, asked: usize, count: usize) -> Option<(Self, usize)> {
        let now = milliseconds(now);
        Self::update(store, |fleet| {
            let is_due = now.abs_diff(fleet.exchanged) >= milliseconds(EXCHANGE.saturating_sub(EARLY));
            (is_due && !fleet.left).then(|| {
                fleet.exchanged = now;
                let within = |index: usize| index.checked_rem(count).unwrap_or_default();
                let first = within(usize::try_from(fleet.next).unwrap_or_default());
                fleet.next = u32::try_from(within(first.saturating_add(asked))).unwrap_or_default();
                first
            })
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder(Vec::with_capacity(64));
        out.u64(self.instance);
        out.u64(self.epoch);
        out.u32(self.lost_minute);
        out.u32(self.live);
        out.u32(self.missing);
        out.u32(u32::from(self.away));
        out.u64(self.away_since);
        out.u64(self.back);
        out.u64(self.exchanged);
        out.u32(u32::from(self.left));
        out.u32(self.next);
        out.0
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Decoder(bytes);
        Some(Self {
            instance: bytes.u64()?,
            epoch: bytes.u64()?,
            lost_minute: bytes.u32()?,
            live: bytes.u32()?,
            missing: bytes.u32()?,
            away: bytes.u32()? != 0,
            away_since: bytes.u64()?,
            back: bytes.u64()?,
            exchanged: bytes.u64()?,
            left: bytes.u32()? != 0,
            next: bytes.u32()?,
        })
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
        let number = Fleet::register(&store, &mut SplitMix::new(1));
        let first = Fleet::read(&store);
        assert_eq!(Fleet::register(&store, &mut SplitMix::new(2)), number);
        assert_eq!(Fleet::read(&store), first);
        assert_ne!(first.instance, 0);
    }

    #[test]
    fn one_worker_exchanges_at_a_time() {
        let store = Memory::default();
        assert!(Fleet::take_turn(&store, NOON, 1, 1).is_some());
        assert!(Fleet::take_turn(&store, NOON, 1, 1).is_none());
        assert!(Fleet::take_turn(&store, NOON + EXCHANGE - EARLY, 1, 1).is_some());
    }

    #[test]
    fn exchanges_go_on_where_the_last_one_ended_whichever_worker_made_it() {
        let store = Memory::default();
        let firsts: Vec<usize> =
            (0..4).map(|nth| Fleet::take_turn(&store, NOON + EXCHANGE * nth, 512, 1000).unwrap().1).collect();
        assert_eq!(firsts, [0, 512, 24, 536]);
    }

    #[test]
    fn an_instance_that_has_left_is_not_made_known_again() {
        let store = Memory::default();
        Fleet::register(&store, &mut SplitMix::new(1));
        Fleet::deregister(&store);
        assert!(Fleet::take_turn(&store, NOON, 1, 1).is_none());
        assert!(Fleet::read(&store).left);
    }

    #[test]
    fn silences_of_a_slow_redis_are_one() {
        let mut fleet = Fleet { live: 2, ..Fleet::default() };
        let mut told = 0;
        for tenth in 0..20 {
            let now = NOON + Duration::from_millis(100 * tenth);
            fleet.redis_down(now);
            assert_eq!(
                fleet.quota_mode(now),
                QuotaMode::Shared { instances: 2, health: RedisHealth::Suspect }
            );
            told += u32::from(fleet.redis_up(now + Duration::from_millis(50)));
        }
        assert_eq!(told, 0, "what it has not heard of it hears with the next request");
        fleet.redis_down(NOON + Duration::from_secs(10));
        assert!(fleet.redis_up(NOON + Duration::from_secs(12)));
    }

    #[test]
    fn a_moment_of_silence_is_not_yet_an_absence() {
        let fleet = Fleet { live: 2, away: true, away_since: milliseconds(NOON), ..Fleet::default() };
        for (after, health) in
            [(0, RedisHealth::Suspect), (4999, RedisHealth::Suspect), (5000, RedisHealth::Down)]
        {
            let now = NOON + Duration::from_millis(after);
            assert_eq!(fleet.quota_mode(now), QuotaMode::Shared { instances: 2, health });
        }
    }
}
