//! What this instance knows about the others, and about Redis, through which it knows it. Shared by its workers.

use std::time::Duration;

use crate::lease::Sharing;
use crate::random::Random;
use crate::record::{In, Out, milliseconds};
use crate::store::{Store, Version};

/// Where it is kept.
const KEY: &str = "fleet";
/// As for every value: more lost races in a row than this are no races.
const TRIES: usize = 64;
/// How often an instance exchanges with the others. While Redis is away, this is how often it is asked whether it is back.
pub const EXCHANGE: Duration = Duration::from_secs(1);

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
    /// When a worker last took on the exchange, in milliseconds since the Unix epoch.
    pub exchanged: u64,
}

impl Fleet {
    /// Reads it; `None` where nobody has written.
    pub fn read(store: &dyn Store) -> Option<(Self, Version)> {
        let (bytes, version) = store.get(KEY)?;
        Some((Self::decode(&bytes)?, version))
    }

    /// Changes it, however many others do so at the same time; `None` leaves it as it is.
    pub fn update<T>(store: &dyn Store, mut change: impl FnMut(&mut Self) -> Option<T>) -> Option<(Self, T)> {
        for _ in 0..TRIES {
            let (mut fleet, version) = match Self::read(store) {
                Some((fleet, version)) => (fleet, Some(version)),
                None => (Self::default(), None),
            };
            let result = change(&mut fleet)?;
            if store.swap(KEY, &fleet.encode(), version) {
                return Some((fleet, result));
            }
        }
        None
    }

    /// Makes sure that this instance has a number.
    pub fn join(store: &dyn Store, random: &mut dyn Random) {
        Self::update(store, |fleet| {
            if fleet.instance != 0 {
                return None;
            }
            // 2^-64 of all instances would be number 0.
            *fleet = Self { instance: random.bits().max(1), live: 1, ..*fleet };
            Some(())
        });
    }

    /// How limits are shared, as far as this tells.
    pub fn sharing(&self) -> Sharing {
        let instances = self.live.saturating_add(self.missing).max(1);
        Sharing::Fleet { instances, away: self.away }
    }

    /// Takes on the next exchange, if it is time and no other worker has.
    pub fn take_turn(store: &dyn Store, now: Duration) -> Option<Self> {
        let now = milliseconds(now);
        let turn = Self::update(store, |fleet| {
            let is_due = now.abs_diff(fleet.exchanged) >= milliseconds(EXCHANGE);
            is_due.then(|| fleet.exchanged = now)
        });
        turn.map(|(fleet, ())| fleet)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Out(Vec::with_capacity(41));
        out.u64(self.instance);
        out.u64(self.epoch);
        out.u32(self.lost_minute);
        out.u32(self.live);
        out.u32(self.missing);
        out.u32(u32::from(self.away));
        out.u64(self.exchanged);
        out.0
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = In(bytes);
        Some(Self {
            instance: bytes.u64()?,
            epoch: bytes.u64()?,
            lost_minute: bytes.u32()?,
            live: bytes.u32()?,
            missing: bytes.u32()?,
            away: bytes.u32()? != 0,
            exchanged: bytes.u64()?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;
    use crate::random::SplitMix;
    use crate::store::Memory;

    const NOON: Duration = Duration::from_secs(1_740_000_000);

    #[test]
    fn an_instance_has_one_number_for_all_of_its_workers() {
        let store = Memory::default();
        Fleet::join(&store, &mut SplitMix::new(1));
        let (first, _) = Fleet::read(&store).unwrap();
        Fleet::join(&store, &mut SplitMix::new(2));
        assert_eq!(Fleet::read(&store).unwrap().0, first);
        assert_ne!(first.instance, 0);
    }

    #[test]
    fn one_worker_exchanges_at_a_time() {
        let store = Memory::default();
        assert!(Fleet::take_turn(&store, NOON).is_some());
        assert!(Fleet::take_turn(&store, NOON).is_none());
        assert!(Fleet::take_turn(&store, NOON + EXCHANGE).is_some());
    }
}
