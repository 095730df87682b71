//! What one worker knows about every deployment, and how it takes part in what all workers share.
//!
//! The records in the store are the truth. A worker has a copy of each as it last read it, which is
//! good enough to select by. The selected deployment is re-read, and admits the request by the same
//! compare-and-swap that counts it. So a selection makes the same few host calls for any size of
//! the group, and no request is admitted by a stale copy. Copies are renewed in turn by selections
//! and once a second. docs/decisions/shared-state.md has the rules.

mod admission;
mod origins;
mod refresh;
mod successes;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{Config, Deployment, Strategy};

use crate::request::references::Reference;
use crate::request::token_estimate::TokenEstimate;
use crate::state::format;
use crate::state::group_limits::{GroupLimits, RateLimits};
use crate::state::heartbeats::WorkerHeartbeats;
use crate::state::limits::DeploymentLimits;
use crate::state::membership::{Membership, MembershipCache};
use crate::state::pending_successes::PendingSuccesses;
use crate::state::quota::QuotaMode;
use crate::state::record::Record;
use crate::state::rotation::Rotation;
use crate::state::snapshot::{Snapshot, StaticAttributes};
use crate::state::store::{Store, TRIES, Version};
use crate::state::window::Window;

pub use admission::Ticket;

/// A deployment by this worker's copy.
#[derive(Debug)]
struct Entry {
    key: String,
    /// Its name in the log of releases, the same in all workers and configurations.
    id_hash: u32,
    limits: DeploymentLimits,
    /// The index of its group.
    group: usize,
    attributes: StaticAttributes,
    /// The copy of its record.
    record: Record,
    pending: PendingSuccesses,
    /// The number of the read that last renewed `record`; see [`DeploymentStates::reads`].
    last_read: u64,
}

impl Entry {
    fn new(deployment: &Deployment, limits: DeploymentLimits, group: usize) -> Self {
        let mut hasher = DefaultHasher::new();
        (*deployment.id).hash(&mut hasher);
        Self {
            key: format!("d/{}", deployment.id),
            id_hash: (hasher.finish() >> 32) as u32,
            limits,
            group,
            attributes: StaticAttributes::of(deployment),
            record: Record::default(),
            pending: PendingSuccesses::default(),
            last_read: 0,
        }
    }

    fn snapshot(&self, is_shared: bool) -> Snapshot {
        Snapshot::of(&self.record, &self.limits, self.attributes, is_shared)
    }
}

/// See the module.
#[derive(Debug)]
pub struct DeploymentStates {
    entries: Vec<Entry>,
    /// The snapshots of the entries, in the same order.
    snapshots: Vec<Snapshot>,
    groups: Vec<GroupLimits>,
    heartbeats: WorkerHeartbeats,
    /// This VM beats, so that its counts are valid. One without requests does not.
    is_beating: bool,
    /// Reads of records so far.
    reads: u64,
    /// Reads of records until the last heartbeat.
    reads_at_heartbeat: u64,
    /// Visits all deployments, to renew their copies with time.
    refresh: Rotation,
    membership: MembershipCache,
    /// Deployments whose cooldown began or got longer, for the other instances.
    begun_cooldowns: Vec<usize>,
    /// Origins that became known, or were deleted, for the other instances.
    new_origins: Vec<(Reference, Option<usize>)>,
}

impl DeploymentStates {
    /// For the worker whose VM has this number. `strategy` is that of a deployment's group.
    pub fn new(config: &Config, vm: u32, strategy: &dyn Fn(&Deployment) -> Strategy) -> Self {
        let mut groups: Vec<GroupLimits> = Vec::new();
        let mut by_name = HashMap::<Arc<str>, usize>::new();
        let mut entries = Vec::with_capacity(config.deployments.len());
        for deployment in &config.deployments {
            let limits = DeploymentLimits::of(config, deployment, strategy(deployment));
            let group = *by_name.entry(Arc::clone(&deployment.group)).or_insert(groups.len());
            if group == groups.len() {
                groups.push(GroupLimits::new(&deployment.group));
            }
            let entry = Entry::new(deployment, limits, group);
            if let Some(group) = groups.get_mut(group) {
                group.include(entry.id_hash, entries.len(), &limits);
            }
            entries.push(entry);
        }
        let is_shared = config.redis.is_some();
        Self {
            snapshots: entries.iter().map(|entry| entry.snapshot(is_shared)).collect(),
            entries,
            groups,
            heartbeats: WorkerHeartbeats::new(vm),
            is_beating: false,
            reads: 0,
            reads_at_heartbeat: 0,
            refresh: Rotation::default(),
            membership: MembershipCache::new(is_shared),
            begun_cooldowns: Vec::new(),
            new_origins: Vec::new(),
        }
    }

    /// Before the first request: creates the records that do not exist, and reads the others, so
    /// that counts survive a reload.
    pub fn open(&mut self, store: &dyn Store) {
        self.groups.iter_mut().for_each(|group| group.open(store));
        for index in 0..self.entries.len() {
            if self.read(index, store).is_none()
                && let Some(entry) = self.entries.get(index)
            {
                store.swap(&entry.key, &format::encode(&entry.record), None);
            }
        }
        let add = |index: usize, window: &mut Window| {
            if let Some(entry) = self.entries.get(index) {
                entry.limits.add_to_group(window, &entry.record.window);
            }
        };
        self.groups.iter().for_each(|group| group.recount(store, add));
    }

    /// Reads the record of a deployment; `None` where there is none.
    pub fn read(&mut self, index: usize, store: &dyn Store) -> Option<Version> {
        let entry = self.entries.get_mut(index)?;
        self.reads = self.reads.saturating_add(1);
        entry.last_read = self.reads;
        let (bytes, version) = store.get(&entry.key)?;
        entry.record = format::decode(&bytes).unwrap_or_default();
        let in_flight = &mut entry.record.in_flight;
        if in_flight.iter().any(|of_vm| !self.heartbeats.knows(of_vm.vm)) {
            self.heartbeats.read(store);
        }
        in_flight.retain(|of_vm| self.heartbeats.is_alive(of_vm.vm));
        self.refresh_snapshot(index);
        Some(version)
    }

    /// Changes the record of a deployment atomically; `None` leaves it as it is, and is returned as
    /// well after too many lost races.
    pub fn change<T>(
        &mut self,
        index: usize,
        now: Duration,
        store: &dyn Store,
        mut change: impl FnMut(&mut Record, &DeploymentLimits) -> Option<T>,
    ) -> Option<T> {
        for _ in 0..TRIES {
            let version = self.read(index, store);
            let entry = self.entries.get_mut(index)?;
            entry.record.window = entry.record.window.at(now);
            let result = change(&mut entry.record, &entry.limits)?;
            if store.swap(&entry.key, &format::encode(&entry.record), version) {
                self.refresh_snapshot(index);
                return Some(result);
            }
        }
        None
    }

    fn refresh_snapshot(&mut self, index: usize) {
        if let (Some(entry), Some(snapshot)) = (self.entries.get(index), self.snapshots.get_mut(index)) {
            *snapshot = entry.snapshot(self.membership.is_shared);
        }
    }

    /// The number of deployments.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Requests that this instance has admitted in this minute, by this worker's copies.
    pub fn admitted(&self, now: Duration) -> u32 {
        let windows = self.entries.iter().map(|entry| entry.record.window.at(now).requests);
        windows.fold(0, u32::saturating_add)
    }

    /// This worker's copy of a record, and the limits of the deployment.
    pub fn record(&self, index: usize) -> Option<(&Record, &DeploymentLimits)> {
        self.entries.get(index).map(|entry| (&entry.record, &entry.limits))
    }

    /// The snapshot of this worker's copy.
    pub fn snapshot(&self, index: usize) -> Option<&Snapshot> {
        self.snapshots.get(index)
    }

    /// Tokens that a request reserves at a deployment, by this worker's copy; more than the tpm where
    /// it has to go to a larger one.
    pub fn tokens(&self, index: usize, estimate: &TokenEstimate, is_oversized: bool) -> u64 {
        self.snapshots.get(index).map_or(0, |snapshot| snapshot.tokens(estimate, is_oversized))
    }

    /// Whether requests to a deployment are counted, so that their tickets must be settled.
    pub fn is_tracked(&self, index: usize) -> bool {
        self.entries.get(index).is_some_and(|entry| entry.limits.are_tracked())
    }

    /// Whether this is the only worker.
    pub fn is_single_worker(&self) -> bool {
        self.heartbeats.is_single_worker()
    }

    /// Whether a deployment is the only one of its group.
    pub fn only_member(&self, index: usize) -> bool {
        let group = self.entries.get(index).and_then(|entry| self.groups.get(entry.group));
        group.is_none_or(GroupLimits::has_one_member)
    }

    /// What remains of the limits of a deployment's group. `now` is called if it has limits.
    pub fn rate_limits(
        &mut self,
        index: usize,
        now: &dyn Fn() -> Duration,
        store: &dyn Store,
    ) -> Option<RateLimits> {
        let group = self.entries.get(index)?.group;
        self.groups.get_mut(group)?.remaining(now, store)
    }

    /// How limits are shared with other instances.
    pub fn quota_mode(&mut self, now: Duration, store: &dyn Store) -> QuotaMode {
        self.membership.quota_mode(now, store)
    }

    /// What this instance knows of Redis and of the other instances.
    pub fn read_membership(&mut self, now: Duration, store: &dyn Store) -> Membership {
        self.membership.read(now, store)
    }

    /// Notes a cooldown that began or got longer, for the other instances.
    pub fn note_cooldown(&mut self, index: usize) {
        if self.membership.is_shared {
            self.begun_cooldowns.push(index);
        }
    }

    /// Those noted since this was last called.
    pub fn take_begun_cooldowns(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.begun_cooldowns)
    }
}
