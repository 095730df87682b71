//! Which VMs are alive: each beats once a second. Counts of a VM that has stopped are dropped.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::state::format;
use crate::state::store::{self, Store};
use crate::state::time::UnixMillis;

/// How often a VM beats.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// A VM without a beat for longer than this is dead. Milliseconds.
const SILENCE: u64 = 3_500;
/// Beats are late if there was none for this long, so that the others are not dead either.
/// Milliseconds.
const LATE: u64 = SILENCE - 1_000;
/// A VM without a beat for this long is removed. Milliseconds.
const FORGOTTEN: u64 = 60_000;
/// The key in the store.
const KEY: &str = "vms";

/// The heartbeats of all VMs, by this VM's copy.
#[derive(Debug)]
pub struct WorkerHeartbeats {
    own: u32,
    beats: Vec<Beat>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Beat {
    vm: u32,
    at: UnixMillis,
}

impl WorkerHeartbeats {
    /// For the VM with this number, which knows of no other.
    pub fn new(own: u32) -> Self {
        Self { own, beats: Vec::new() }
    }

    /// The number of this VM.
    pub fn own(&self) -> u32 {
        self.own
    }

    /// Whether no other VM shares the counts.
    pub fn is_single_worker(&self) -> bool {
        self.beats.iter().all(|beat| beat.vm == self.own)
    }

    /// Writes a beat of this VM, and reads those of the others.
    pub fn beat(&mut self, now: Duration, store: &dyn Store) {
        store::change(store, KEY, |bytes| {
            self.copy(bytes);
            let now = UnixMillis::of(now);
            self.set_to_the_clock(now);
            let is_remembered = |beat: &Beat| now.0.saturating_sub(beat.at.0) < FORGOTTEN;
            self.beats.retain(|beat| beat.vm != self.own && is_remembered(beat));
            self.beats.push(Beat { vm: self.own, at: now });
            Some((format::encode(&self.beats), ()))
        });
    }

    /// Moves all beats by the size of a clock step, after which all others would look old. If the
    /// clock was set ahead, or the whole process was stopped, even the latest beat is late. A VM that
    /// has never beaten cannot tell that from the end of all others.
    fn set_to_the_clock(&mut self, now: UnixMillis) {
        let late = now.0.saturating_sub(self.latest().0);
        let has_beaten = self.beats.iter().any(|beat| beat.vm == self.own);
        let missed = if has_beaten && late > LATE { late } else { 0 };
        self.beats.iter_mut().for_each(|beat| {
            beat.at = UnixMillis(beat.at.0.saturating_add(missed).min(now.0));
        });
    }

    fn latest(&self) -> UnixMillis {
        self.beats.iter().map(|beat| beat.at).max().unwrap_or_default()
    }

    /// Reads the beats of all VMs.
    pub fn read(&mut self, store: &dyn Store) {
        let value = store.get(KEY);
        self.copy(value.as_ref().map(|(bytes, _)| bytes.as_slice()));
    }

    /// Replaces the copy, if there is a value.
    fn copy(&mut self, bytes: Option<&[u8]>) {
        if let Some(bytes) = bytes {
            self.beats = format::decode(bytes).unwrap_or_default();
        }
    }

    /// Whether this VM has read a beat of the other.
    pub fn knows(&self, vm: u32) -> bool {
        vm == self.own || self.beats.iter().any(|beat| beat.vm == vm)
    }

    /// Whether a VM is alive. Beats are compared with the latest one and not with the clock, so
    /// that no VM is dead after the whole process has been stopped for a while.
    pub fn is_alive(&self, vm: u32) -> bool {
        let latest = self.latest();
        let of_vm = self.beats.iter().find(|beat| beat.vm == vm);
        vm == self.own || of_vm.is_some_and(|beat| latest.0.saturating_sub(beat.at.0) <= SILENCE)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;
    use crate::state::store::Memory;

    const NOON: Duration = Duration::from_secs(1_740_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_vm_that_stops_beating_is_dead_within_seconds() {
        let store = Memory::default();
        let (mut one, mut other) = (WorkerHeartbeats::new(1), WorkerHeartbeats::new(2));
        one.beat(NOON, &store);
        other.beat(NOON, &store);
        one.beat(NOON + SECOND, &store);
        assert!(one.is_alive(2) && !one.is_single_worker());
        for second in 2..=4 {
            one.beat(NOON + second * SECOND, &store);
        }
        assert!(!one.is_alive(2));
        for second in 5..=60 {
            one.beat(NOON + second * SECOND, &store);
        }
        assert!(!one.knows(2) && one.is_single_worker());
    }

    #[test]
    fn no_vm_is_dead_after_a_pause_of_the_whole_process() {
        let store = Memory::default();
        let (mut one, mut other) = (WorkerHeartbeats::new(1), WorkerHeartbeats::new(2));
        one.beat(NOON, &store);
        other.beat(NOON, &store);
        one.read(&store);
        // The process was stopped for a minute: all beats are equally old.
        assert!(one.is_alive(2));
    }

    #[test]
    fn no_vm_is_dead_after_the_clock_was_set() {
        for set_to in [NOON - 60 * SECOND, NOON + 3 * SECOND, NOON + 5 * SECOND, NOON + 3600 * SECOND] {
            let store = Memory::default();
            let mut vms = [1, 2, 3].map(WorkerHeartbeats::new);
            for (vm, ms) in vms.iter_mut().zip([900, 0, 300]) {
                vm.beat(NOON - Duration::from_millis(ms), &store);
            }
            let [one, two, three] = &mut vms;
            one.beat(set_to, &store);
            assert!(one.is_alive(2) && one.is_alive(3), "{set_to:?}");
            three.beat(set_to, &store);
            assert!(three.is_alive(1) && three.is_alive(2), "{set_to:?}");
            two.beat(set_to + SECOND, &store);
            assert!(two.is_alive(1) && two.is_alive(3), "{set_to:?}");
        }
    }

    #[test]
    fn a_dead_vm_stays_dead_when_the_clock_is_set_ahead() {
        let store = Memory::default();
        let (mut one, mut dead) = (WorkerHeartbeats::new(1), WorkerHeartbeats::new(2));
        dead.beat(NOON, &store);
        for second in 0..5 {
            one.beat(NOON + second * SECOND, &store);
        }
        one.beat(NOON + 3600 * SECOND, &store);
        assert!(!one.is_alive(2));
    }

    #[test]
    fn a_vm_that_follows_a_dead_one_does_not_revive_it() {
        let store = Memory::default();
        let (mut dead, mut next) = (WorkerHeartbeats::new(1), WorkerHeartbeats::new(2));
        dead.beat(NOON, &store);
        next.beat(NOON + 5 * SECOND, &store);
        assert!(!next.is_alive(1));
    }
}
