//! Which VMs are alive: each says so once a second, and counts of one that has stopped are worth nothing.

use std::time::Duration;

use crate::state::record::{Decoder, Encoder, milliseconds};
use crate::state::store::{self, Store};

/// How often a VM says that it is alive.
pub const BEAT: Duration = Duration::from_secs(1);
/// Silent for longer than this, it is taken for dead. Milliseconds.
const SILENCE: u64 = 3_500;
/// Forgotten altogether after this. Milliseconds.
const FORGOTTEN: u64 = 60_000;
/// Where they say so.
const KEY: &str = "vms";

/// The VMs that were alive when this one last looked.
#[derive(Debug)]
pub struct WorkerHeartbeats {
    own: u32,
    beats: Vec<Beat>,
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    vm: u32,
    /// Milliseconds since the Unix epoch.
    at: u64,
}

impl WorkerHeartbeats {
    /// KnownSuccesses to itself alone.
    pub fn new(own: u32) -> Self {
        Self { own, beats: Vec::new() }
    }

    /// The number of this VM.
    pub fn own(&self) -> u32 {
        self.own
    }

    /// Whether anybody else shares the counts.
    pub fn is_alone(&self) -> bool {
        self.beats.iter().all(|beat| beat.vm == self.own)
    }

    /// Says that this VM is alive, and looks who else is.
    pub fn beat(&mut self, now: Duration, store: &dyn Store) {
        let now = milliseconds(now);
        store::change(store, KEY, |bytes| {
            self.decode(bytes);
            self.beats.retain(|beat| beat.vm != self.own && now.saturating_sub(beat.at) < FORGOTTEN);
            self.beats.push(Beat { vm: self.own, at: now });
            Some((self.encode(), ()))
        });
    }

    /// Looks who is alive.
    pub fn look(&mut self, store: &dyn Store) {
        let value = store.get(KEY);
        self.decode(value.as_ref().map(|(bytes, _)| bytes.as_slice()));
    }

    /// Takes in what stands there; where nothing does, nothing is news.
    fn decode(&mut self, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else { return };
        let mut bytes = Decoder(bytes);
        self.beats.clear();
        while let (Some(vm), Some(at)) = (bytes.u32(), bytes.u64()) {
            self.beats.push(Beat { vm, at });
        }
    }

    /// Whether this VM knows of the other.
    pub fn knows(&self, vm: u32) -> bool {
        vm == self.own || self.beats.iter().any(|beat| beat.vm == vm)
    }

    /// Whether a VM is alive. Beats are compared with each other and not with the clock: when the whole process has been
    /// stopped for a while, nobody is dead for it.
    pub fn is_alive(&self, vm: u32) -> bool {
        let latest = self.beats.iter().map(|beat| beat.at).max().unwrap_or_default();
        let of_vm = self.beats.iter().find(|beat| beat.vm == vm);
        vm == self.own || of_vm.is_some_and(|beat| latest.saturating_sub(beat.at) <= SILENCE)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder(Vec::with_capacity(self.beats.len().saturating_mul(12)));
        for beat in &self.beats {
            out.u32(beat.vm);
            out.u64(beat.at);
        }
        out.0
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
    fn a_vm_that_falls_silent_is_dead_within_seconds() {
        let store = Memory::default();
        let (mut one, mut other) = (WorkerHeartbeats::new(1), WorkerHeartbeats::new(2));
        one.beat(NOON, &store);
        other.beat(NOON, &store);
        one.beat(NOON + SECOND, &store);
        assert!(one.is_alive(2) && !one.is_alone());
        for second in 2..=4 {
            one.beat(NOON + second * SECOND, &store);
        }
        assert!(!one.is_alive(2));
        one.beat(NOON + 70 * SECOND, &store);
        assert!(!one.knows(2) && one.is_alone());
    }

    #[test]
    fn nobody_dies_of_a_pause_of_the_whole_process() {
        let store = Memory::default();
        let (mut one, mut other) = (WorkerHeartbeats::new(1), WorkerHeartbeats::new(2));
        one.beat(NOON, &store);
        other.beat(NOON, &store);
        one.look(&store);
        // The process was frozen for a minute: the last beats are old, and equally so.
        assert!(one.is_alive(2));
    }
}
