//! What this worker knows about every deployment, and how it takes part in what all workers share.
//!
//! The truth is in the store. A worker keeps a copy of each record as it last saw it, which is good enough to choose by;
//! the pick is read again, and admits the request by the same compare-and-swap that counts it. So a choice makes as many host
//! calls whatever the size of the group, and nothing is admitted by an old copy. Copies are renewed in turn with choices, and with
//! time. docs/decisions/shared-state.md has the rules.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{Config, Deployment, Strategy};

use crate::request::token_estimate::TokenEstimate;
use crate::state::eligibility::{self, Excluded};
use crate::state::freed::Stale;
use crate::state::group_limits::{GroupLimits, RateLimits};
use crate::state::heartbeats::WorkerHeartbeats;
use crate::state::lease::{QuotaMode, RedisHealth};
use crate::state::limits::{AdmissionRequest, DeploymentLimits};
use crate::state::membership::{Membership, MembershipCache};
use crate::state::pending_successes::{self, KnownSuccesses, Waiting};
use crate::state::record::Record;
use crate::state::rotation::Rotation;
use crate::state::snapshot::{Snapshot, StaticAttributes};
use crate::state::store::{Store, TRIES, Version};
use crate::state::window::Window;

/// Copies that are renewed with each beat, at most: about 0.3 ms once a second.
const RENEWALS: usize = 256;

/// Proof that a request was admitted; to be handed back when it has ended.
#[derive(Debug)]
pub struct Ticket {
    /// When, since the Unix epoch.
    pub at: Duration,
    /// The minute that it counts in.
    pub minute: u32,
    /// The tokens that it is expected to cost.
    pub reserved: u64,
    /// Requests that were in flight when it joined them.
    pub load: u32,
    /// It finds out how fast its deployment is.
    pub probe: bool,
    /// It counts as in flight.
    in_flight: bool,
    /// Its deployment's lease is nearly used up.
    pub low: bool,
}

/// A deployment as this worker sees it.
#[derive(Debug)]
struct Entry {
    key: String,
    /// Names it in the group's record, the same in all workers and configurations.
    mark: u32,
    terms: DeploymentLimits,
    group: usize,
    fixed: StaticAttributes,
    /// As it was last seen.
    record: Record,
    /// Successes that are not written yet.
    waiting: Waiting,
    /// Which of this worker's reads last renewed `record`; see [`DeploymentStates::reads`].
    last_read: u64,
}

/// See above.
#[derive(Debug)]
pub struct DeploymentStates {
    entries: Vec<Entry>,
    /// The entries in short, in the same order.
    seen: Vec<Snapshot>,
    groups: Vec<GroupLimits>,
    /// The members of each group: their marks, in order, and their indices.
    members: Vec<Vec<(u32, usize)>>,
    alive: WorkerHeartbeats,
    /// Whether the others know that this VM counts; one that serves nobody does not.
    joined: bool,
    /// Reads of records so far.
    reads: u64,
    /// How many they were at the last beat.
    reads_at_beat: u64,
    /// All deployments, whose copies are renewed with time.
    renewals: Rotation,
    membership: MembershipCache,
    /// Deployments whose cooldown began or got longer, for the other instances.
    begun_cooldowns: Vec<usize>,
}

impl DeploymentStates {
    /// For one worker, whose VM has this number. `strategy` tells the strategy of a deployment's group.
    pub fn new(config: &Config, vm: u32, strategy: &dyn Fn(&Deployment) -> Strategy) -> Self {
        let mut groups: Vec<GroupLimits> = Vec::new();
        let mut members: Vec<Vec<(u32, usize)>> = Vec::new();
        let mut places = std::collections::HashMap::<Arc<str>, usize>::new();
        let mut entries = Vec::with_capacity(config.deployments.len());
        for deployment in &config.deployments {
            let terms = DeploymentLimits::of(config, deployment, strategy(deployment));
            let place = *places.entry(Arc::clone(&deployment.group)).or_insert(groups.len());
            if place == groups.len() {
                groups.push(GroupLimits::new(&deployment.group));
                members.push(Vec::new());
            }
            if let Some(group) = groups.get_mut(place) {
                group.include(&terms);
            }
            let mark = mark(&deployment.id);
            if let Some(members) = members.get_mut(place) {
                members.push((mark, entries.len()));
            }
            entries.push(Entry {
                key: format!("d/{}", deployment.id),
                mark,
                terms,
                group: place,
                fixed: StaticAttributes::of(deployment),
                record: Record::default(),
                waiting: Waiting::default(),
                last_read: 0,
            });
        }
        members.iter_mut().for_each(|members| members.sort_unstable());
        let shared = config.redis.is_some();
        let seen = entries
            .iter()
            .map(|entry| Snapshot::of(&entry.record, &entry.terms, entry.fixed, shared))
            .collect();
        Self {
            entries,
            seen,
            groups,
            members,
            alive: WorkerHeartbeats::new(vm),
            joined: false,
            reads: 0,
            reads_at_beat: 0,
            renewals: Rotation::default(),
            membership: MembershipCache::new(shared),
            begun_cooldowns: Vec::new(),
        }
    }

    /// Creates what is not there yet, before there is traffic, and reads the rest: counts survive a reload.
    pub fn open(&mut self, store: &dyn Store) {
        self.groups.iter_mut().for_each(|group| group.open(store));
        for index in 0..self.entries.len() {
            if self.read(index, store).is_none()
                && let Some(entry) = self.entries.get(index)
            {
                store.swap(&entry.key, &entry.record.encode(), None);
            }
        }
    }

    /// Says that this VM is alive, if anything depends on that, writes what waits and renews old copies. Once a second.
    pub fn beat(&mut self, now: Duration, store: &dyn Store) {
        if self.joined {
            self.alive.beat(now, store);
            self.write_waiting(now, store);
            self.forget_dead();
            self.renew(store);
        }
    }

    /// Writes the successes that wait.
    fn write_waiting(&mut self, now: Duration, store: &dyn Store) {
        for index in 0..self.entries.len() {
            if self.entries.get(index).is_some_and(|entry| entry.waiting.any()) {
                self.update(index, now, store, |_| ());
            }
            if let Some(entry) = self.entries.get_mut(index) {
                entry.waiting.beat(entry.record.outcomes);
            }
        }
    }

    /// Drops the counts of VMs that have fallen silent from all copies, as reading them again would.
    fn forget_dead(&mut self) {
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get_mut(index) else { break };
            let before = entry.record.in_flight.len();
            entry.record.in_flight.retain(|cell| self.alive.is_alive(cell.vm));
            if entry.record.in_flight.len() < before {
                self.refresh_snapshot(index);
            }
        }
    }

    /// Renews the copies that were not read since the last beat, up to [`RENEWALS`] of them, in turn. What requests renew in passing
    /// depends on how many requests there are; this depends on time alone.
    fn renew(&mut self, store: &dyn Store) {
        let before = std::mem::replace(&mut self.reads_at_beat, self.reads);
        let mut left = if self.alive.is_alone() { 0 } else { RENEWALS };
        for _ in 0..self.entries.len() {
            if left == 0 {
                break;
            }
            let index = self.renewals.next(self.entries.len());
            let is_old = |entry: &Entry| entry.terms.are_counted() && entry.last_read <= before;
            if self.entries.get(index).is_some_and(is_old) {
                left = left.saturating_sub(1);
                self.read(index, store);
            }
        }
        self.reads_at_beat = self.reads;
    }

    /// Makes itself known, before the first request: from then on others may rely on its counts, and it can tell who has
    /// fallen silent.
    pub fn join(&mut self, now: Duration, store: &dyn Store) {
        if !self.joined {
            self.joined = true;
            self.alive.beat(now, store);
            self.forget_dead();
        }
    }

    /// How limits are shared with other instances.
    pub fn quota_mode(&mut self, now: Duration, store: &dyn Store) -> QuotaMode {
        self.membership.quota_mode(now, store)
    }

    /// What this instance knows of Redis and of the other instances.
    pub fn read_membership(&mut self, now: Duration, store: &dyn Store) -> Membership {
        self.membership.read(now, store)
    }

    /// Changes what is remembered of a deployment, whatever others do at the same time; `None` where that came to nothing.
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
            let result = change(&mut entry.record, &entry.terms)?;
            if store.swap(&entry.key, &entry.record.encode(), version) {
                self.refresh_snapshot(index);
                return Some(result);
            }
        }
        None
    }

    /// Notes a cooldown that began or got longer, for the other instances.
    pub fn note_cooldown(&mut self, index: usize) {
        if self.membership.shared {
            self.begun_cooldowns.push(index);
        }
    }

    /// Those noted since this was last called.
    pub fn take_begun_cooldowns(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.begun_cooldowns)
    }

    /// How many deployments there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Whether this is the only worker.
    pub fn is_alone(&self) -> bool {
        self.alive.is_alone()
    }

    /// Whether a deployment has its group to itself.
    pub fn only_member(&self, index: usize) -> bool {
        let group = self.entries.get(index).and_then(|entry| self.groups.get(entry.group));
        group.is_none_or(|group| group.members() < 2)
    }

    /// A deployment as it was last seen.
    pub fn seen(&self, index: usize) -> Option<(&Record, &DeploymentLimits)> {
        self.entries.get(index).map(|entry| (&entry.record, &entry.terms))
    }

    /// The same in short.
    pub fn snapshot(&self, index: usize) -> Option<&Snapshot> {
        self.seen.get(index)
    }

    /// Keeps the short form of a record that has changed here.
    fn refresh_snapshot(&mut self, index: usize) {
        if let (Some(entry), Some(seen)) = (self.entries.get(index), self.seen.get_mut(index)) {
            *seen = Snapshot::of(&entry.record, &entry.terms, entry.fixed, self.membership.shared);
        }
    }

    /// Looks at a deployment again.
    pub fn read(&mut self, index: usize, store: &dyn Store) -> Option<Version> {
        let entry = self.entries.get_mut(index)?;
        self.reads = self.reads.saturating_add(1);
        entry.last_read = self.reads;
        let (bytes, version) = store.get(&entry.key)?;
        entry.record = Record::decode(&bytes).unwrap_or_default();
        let cells = &mut entry.record.in_flight;
        if cells.iter().any(|cell| !self.alive.knows(cell.vm)) {
            self.alive.look(store);
        }
        cells.retain(|cell| self.alive.is_alive(cell.vm));
        self.refresh_snapshot(index);
        Some(version)
    }

    /// Renews the copies of the next `count` of these members, unless this is the only worker.
    pub fn refresh_next(&mut self, members: &[usize], rotation: &Rotation, count: usize, store: &dyn Store) {
        if self.alive.is_alone() {
            return;
        }
        for _ in 0..count.min(members.len()) {
            if let Some(index) = members.get(rotation.next(members.len())) {
                self.read(*index, store);
            }
        }
    }

    /// Orders groups by when they were last caught up with.
    pub fn caught_up(&self, group: usize) -> u64 {
        self.groups.get(group).map_or(0, |group| group.caught_up)
    }

    /// The group of a deployment, by its number.
    pub fn group(&self, index: usize) -> Option<usize> {
        self.entries.get(index).map(|entry| entry.group)
    }

    /// Renews the copies of a group's members where something was given back since they were read. Says whether there are any.
    pub fn catch_up(&mut self, group: usize, store: &dyn Store) -> bool {
        let reads = self.reads.saturating_add(1);
        self.reads = reads;
        let Some(stale) = self.groups.get_mut(group).map(|group| group.catch_up(reads, store)) else {
            return false;
        };
        let members = self.members.get(group).map(Vec::as_slice).unwrap_or_default();
        let with_mark = |mark: u32| {
            let first = members.partition_point(|(of_member, _)| *of_member < mark);
            let same = members.get(first..).unwrap_or_default();
            same.iter().take_while(move |(of_member, _)| *of_member == mark)
        };
        let stale: Vec<usize> = match stale {
            Stale::All => members.iter().map(|(_, index)| *index).collect(),
            Stale::Some(marks) => marks.into_iter().flat_map(with_mark).map(|(_, index)| *index).collect(),
        };
        stale.iter().for_each(|index| {
            self.read(*index, store);
        });
        !stale.is_empty()
    }

    /// Says that something was given back at a deployment, so that copies of it which say that it is full are out of date.
    pub fn note_freed(&mut self, index: usize, now: Duration, store: &dyn Store) {
        let Some((group, mark)) = self.entries.get(index).map(|entry| (entry.group, entry.mark)) else {
            return;
        };
        if let Some(group) = self.groups.get_mut(group).filter(|group| group.notes_what_is_freed()) {
            group.update(now, store, |_| (), Some(mark));
        }
    }

    /// Tokens that a request reserves there, by the deployment as it was last seen.
    pub fn tokens(&self, index: usize, estimate: &TokenEstimate, is_oversized: bool) -> u64 {
        self.seen.get(index).map_or(0, |seen| seen.tokens(estimate, is_oversized))
    }

    /// Admits a request, or says why not.
    ///
    /// # Errors
    /// [`Excluded`], by the record as it is now.
    pub fn admit(
        &mut self,
        demand: AdmissionRequest,
        now: Duration,
        store: &dyn Store,
    ) -> Result<Ticket, Excluded> {
        let index = demand.index;
        for _ in 0..TRIES {
            let version = self.read(index, store);
            let tokens = self.tokens(index, &demand.estimate, demand.is_oversized);
            let demand = AdmissionRequest { tokens, ..demand };
            let own = self.alive.own();
            let Some(entry) = self.entries.get_mut(index) else { break };
            if let Some(excluded) = eligibility::excluded(&entry.record, &entry.terms, &demand, now) {
                return Err(excluded);
            }
            if demand.probe && entry.record.latency.is_probed(now) {
                // Another worker was faster; its probe will tell this one, too.
                return Err(Excluded::Contended);
            }
            let mut ticket = Ticket {
                at: now,
                minute: 0,
                reserved: 0,
                load: entry.record.in_flight(),
                probe: demand.probe,
                in_flight: false,
                low: false,
            };
            if !entry.terms.are_counted() {
                return Ok(ticket);
            }
            let record = &mut entry.record;
            record.window = record.window.at(now);
            record.window.admit(tokens);
            record.inc_in_flight(own);
            if demand.probe {
                record.latency.probe(now);
            }
            if let QuotaMode::Shared { instances, health } = demand.quota_mode
                && entry.terms.are_limited()
            {
                record.lease = record.lease.on(record.window.minute);
                record.lease.use_one(now);
                let limits = entry.terms.limits();
                ticket.low =
                    health == RedisHealth::Up && record.lease.is_low(&record.window, limits, instances, now);
            }
            if store.swap(&entry.key, &record.encode(), version) {
                ticket.minute = entry.record.window.minute;
                ticket.reserved = tokens;
                ticket.in_flight = true;
                let (group, terms) = (entry.group, entry.terms);
                self.refresh_snapshot(index);
                if terms.are_limited() {
                    self.update_sums(group, now, store, |window| terms.count(window, tokens), None);
                }
                return Ok(ticket);
            }
        }
        Err(Excluded::Contended)
    }

    /// Takes a ticket back, with what is to be remembered of its request. `used` is what it has cost, where that is known.
    pub fn settle(
        &mut self,
        index: usize,
        ticket: &Ticket,
        used: Option<u64>,
        now: Duration,
        store: &dyn Store,
        mut remember: impl FnMut(&mut Record),
    ) {
        let own = self.alive.own();
        let used = used.unwrap_or(ticket.reserved);
        let Some((terms, group, mark)) =
            self.entries.get(index).map(|entry| (entry.terms, entry.group, entry.mark))
        else {
            return;
        };
        let (mut was_busy, mut leaves_room) = (false, false);
        self.update(index, now, store, |record| {
            if ticket.in_flight {
                was_busy = terms.parallel.is_some_and(|slots| record.in_flight() >= slots);
                record.dec_in_flight(own);
                record.window.correct(ticket.minute, ticket.reserved, used);
            }
            if ticket.probe {
                record.latency.probed_until = 0;
            }
            let before = (record.completions.expected(), record.cooldown);
            remember(record);
            let expects_less = record.completions.expected() < before.0;
            leaves_room = terms.tpm.is_some() && (expects_less || record.cooldown != before.1);
        });
        let corrects = ticket.in_flight && used != ticket.reserved && terms.tpm.is_some();
        let is_noted = self.groups.get(group).is_some_and(GroupLimits::notes_what_is_freed);
        // Where shorter answers are expected, the same request needs less room; and a request that is larger than the tpm of others goes
        // to them when this one cools down.
        let has_room = was_busy || leaves_room || (corrects && used < ticket.reserved);
        let freed = has_room && is_noted;
        if corrects || freed {
            let correct = |window: &mut Window| {
                if corrects {
                    window.correct(ticket.minute, ticket.reserved, used);
                }
            };
            self.update_sums(group, now, store, correct, freed.then_some(mark));
        }
    }

    /// Takes a ticket back as if it had never been given: its request is sent again, and is to count once.
    pub fn withdraw(&mut self, index: usize, ticket: &Ticket, now: Duration, store: &dyn Store) {
        if !ticket.in_flight && !ticket.probe {
            return;
        }
        self.settle(index, ticket, Some(0), now, store, |record| {
            record.window.uncount(ticket.minute, u32::from(ticket.in_flight));
        });
        let entry = self.entries.get(index).filter(|entry| ticket.in_flight && entry.terms.rpm.is_some());
        if let Some((group, mark)) = entry.map(|entry| (entry.group, entry.mark)) {
            let is_noted = self.groups.get(group).is_some_and(GroupLimits::notes_what_is_freed);
            let uncount = |window: &mut Window| window.uncount(ticket.minute, 1);
            self.update_sums(group, now, store, uncount, is_noted.then_some(mark));
        }
    }

    /// Counts a success that needs nothing else remembered. It is written with the next thing that does, with the next beat, or at
    /// once where a judgement may depend on it.
    pub fn succeed(&mut self, index: usize, now: Duration, store: &dyn Store) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let outcomes = entry.record.outcomes;
        let is_current = entry.last_read > self.reads_at_beat && outcomes.at(now) == outcomes;
        if is_current && pending_successes::may_wait(&outcomes) {
            entry.waiting.add(&outcomes);
            return;
        }
        self.update(index, now, store, |record| {
            record.outcomes.successes = record.outcomes.successes.saturating_add(1);
        });
    }

    /// Whether a judgement of a deployment has all of its successes.
    pub fn known_successes(&self, index: usize) -> KnownSuccesses {
        match self.entries.get(index) {
            Some(entry) if !self.alive.is_alone() => entry.waiting.known(),
            _ => KnownSuccesses::All,
        }
    }

    /// Whether requests to a deployment have tickets that must be settled.
    pub fn is_counted(&self, index: usize) -> bool {
        self.entries.get(index).is_some_and(|entry| entry.terms.are_counted())
    }

    /// Changes a record, however many others do so at the same time.
    fn update(
        &mut self,
        index: usize,
        now: Duration,
        store: &dyn Store,
        mut change: impl FnMut(&mut Record),
    ) {
        let waiting = self.entries.get(index).map(|entry| entry.waiting).unwrap_or_default();
        let updated = self.change(index, now, store, |record, _| {
            record.outcomes = record.outcomes.at(now);
            record.outcomes.successes =
                record.outcomes.successes.saturating_add(waiting.of(&record.outcomes));
            change(record);
            Some(())
        });
        if let (Some(()), Some(entry)) = (updated, self.entries.get_mut(index)) {
            entry.waiting.clear();
        }
    }

    fn update_sums(
        &mut self,
        group: usize,
        now: Duration,
        store: &dyn Store,
        change: impl FnMut(&mut Window),
        freed: Option<u32>,
    ) {
        if let Some(sums) = self.groups.get_mut(group) {
            sums.update(now, store, change, freed);
        }
    }

    /// What is left for the group of a deployment, as it was last seen; looked at again with a store.
    pub fn rate_limits(
        &mut self,
        index: usize,
        now: Duration,
        store: Option<&dyn Store>,
    ) -> Option<RateLimits> {
        let place = self.entries.get(index)?.group;
        self.groups.get_mut(place)?.left(now, store)
    }
}

fn mark(id: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    (hasher.finish() >> 32) as u32
}
