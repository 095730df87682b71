//! How a worker renews its copies: in turn, and where something was released.

use std::time::Duration;

use crate::state::deployment_states::{DeploymentStates, Entry};
use crate::state::rotation::Rotation;
use crate::state::store::Store;

/// Copies that are renewed with each heartbeat, at most: about 0.3 ms once a second.
const MAX_RENEWALS: usize = 256;

impl DeploymentStates {
    /// Begins to beat before the first request: from then on other workers count this one's
    /// requests, and this one drops the counts of dead ones.
    pub fn start_heartbeat(&mut self, now: Duration, store: &dyn Store) {
        if !self.is_beating {
            self.is_beating = true;
            self.heartbeats.beat(now, store);
            self.drop_dead_counts();
        }
    }

    /// Once a second: beats, writes the pending successes and renews old copies.
    pub fn heartbeat(&mut self, now: Duration, store: &dyn Store) {
        if self.is_beating {
            self.heartbeats.beat(now, store);
            self.write_pending_successes(now, store);
            self.drop_dead_counts();
            self.renew_old_copies(store);
        }
    }

    /// Drops the counts of dead VMs from all copies, as reading them again would.
    fn drop_dead_counts(&mut self) {
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get_mut(index) else { break };
            let before = entry.record.in_flight.len();
            entry.record.in_flight.retain(|of_vm| self.heartbeats.is_alive(of_vm.vm));
            if entry.record.in_flight.len() < before {
                self.refresh_snapshot(index);
            }
        }
    }

    /// Renews in turn the copies that were not read since the last heartbeat. How many requests
    /// renew depends on the traffic; how many this renews depends on time alone.
    fn renew_old_copies(&mut self, store: &dyn Store) {
        let before = std::mem::replace(&mut self.reads_at_heartbeat, self.reads);
        let mut remaining = if self.is_single_worker() { 0 } else { MAX_RENEWALS };
        for _ in 0..self.entries.len() {
            if remaining == 0 {
                break;
            }
            let index = self.refresh.next(self.entries.len());
            let is_old = |entry: &Entry| entry.limits.are_tracked() && entry.last_read <= before;
            if self.entries.get(index).is_some_and(is_old) {
                remaining = remaining.saturating_sub(1);
                self.read(index, store);
            }
        }
        self.reads_at_heartbeat = self.reads;
    }

    /// Renews the copies of the next `count` of these members, unless this is the only worker.
    pub fn refresh_next(&mut self, members: &[usize], rotation: &Rotation, count: usize, store: &dyn Store) {
        if self.is_single_worker() {
            return;
        }
        for _ in 0..count.min(members.len()) {
            if let Some(index) = members.get(rotation.next(members.len())) {
                self.read(*index, store);
            }
        }
    }

    /// The index of a deployment's group.
    pub fn group(&self, index: usize) -> Option<usize> {
        self.entries.get(index).map(|entry| entry.group)
    }

    /// Orders groups by when [`refresh_released`](Self::refresh_released) was last called.
    pub fn last_refresh(&self, group: usize) -> u64 {
        self.groups.get(group).map_or(0, |group| group.last_refresh)
    }

    /// Renews the copies of a group's members where something was released since they were read.
    /// Says whether there were any.
    pub fn refresh_released(&mut self, group: usize, store: &dyn Store) -> bool {
        let reads = self.reads.saturating_add(1);
        self.reads = reads;
        let stale =
            self.groups.get_mut(group).map(|group| group.take_stale(reads, store)).unwrap_or_default();
        for index in &stale {
            self.read(*index, store);
        }
        !stale.is_empty()
    }

    /// Logs a release at a deployment: copies of its record that say that it is full are stale.
    pub fn note_release(&mut self, index: usize, now: Duration, store: &dyn Store) {
        if self.notes_releases(index) {
            self.update_group(index, now, store, |_| (), true);
        }
    }
}
