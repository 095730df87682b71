//! How requests are admitted, and what their end changes.

use std::time::Duration;

use crate::state::deployment_states::{DeploymentStates, Entry};
use crate::state::eligibility::{self, AdmissionRequest, Excluded};
use crate::state::format;
use crate::state::quota::{QuotaMode, RedisHealth};
use crate::state::record::Record;
use crate::state::store::{Store, TRIES};
use crate::state::time::{Minute, UnixMillis};
use crate::state::window::Window;

/// Shows that a request was admitted. To be settled when it has ended.
#[derive(Debug)]
pub struct Ticket {
    /// When, since the Unix epoch.
    pub at: Duration,
    /// The minute that it counts in.
    pub minute: Minute,
    /// The tokens that it reserves.
    pub reserved: u64,
    /// Requests that were in flight from this instance when it was admitted.
    pub in_flight_at_admission: u32,
    /// It measures how fast its deployment is.
    pub probe: bool,
    /// It is counted in the record.
    is_counted: bool,
    /// The lease of its deployment is nearly used up.
    pub lease_low: bool,
}

impl Ticket {
    /// Takes the request out of the record.
    fn settle(&self, record: &mut Record, vm: u32, used: u64) {
        if self.is_counted {
            record.dec_in_flight(vm);
            record.window.correct(self.minute, self.reserved, used);
        }
        if self.probe {
            record.latency.probed_until = UnixMillis::default();
        }
    }
}

impl Entry {
    /// Checks whether the request may be admitted, by the copy of the record.
    fn check(&self, request: &AdmissionRequest, tokens: u64, now: Duration) -> Result<Ticket, Excluded> {
        if let Some(excluded) = eligibility::excluded(&self.record, &self.limits, request, tokens, now) {
            return Err(excluded);
        }
        if request.probe && self.record.latency.is_probed(now) {
            // Another worker was faster. All workers learn from its probe.
            return Err(Excluded::Contended);
        }
        Ok(Ticket {
            at: now,
            minute: Minute::default(),
            reserved: 0,
            in_flight_at_admission: self.record.in_flight(),
            probe: request.probe,
            is_counted: false,
            lease_low: false,
        })
    }

    /// Counts the admission in the copy of the record, before it is written.
    fn count(&mut self, request: &AdmissionRequest, tokens: u64, vm: u32, ticket: &mut Ticket) {
        let (record, now) = (&mut self.record, ticket.at);
        record.window = record.window.at(now);
        record.window.admit(tokens);
        record.inc_in_flight(vm);
        if request.probe {
            record.latency.probe(now);
        }
        ticket.is_counted = true;
        ticket.minute = record.window.minute;
        ticket.reserved = tokens;
        if let QuotaMode::Shared { instances, share, health } = request.quota_mode
            && self.limits.are_per_minute()
        {
            let limits = self.limits.per_minute();
            record.lease = record.lease.for_minute(record.window.minute, limits, share);
            record.lease.record_admission(now);
            ticket.lease_low =
                health == RedisHealth::Up && record.lease.is_low(&record.window, limits, instances, now);
        }
    }
}

impl DeploymentStates {
    /// Admits a request by the record as it is now.
    ///
    /// # Errors
    /// Why the deployment may not serve it.
    pub fn admit(
        &mut self,
        index: usize,
        request: &AdmissionRequest,
        now: Duration,
        store: &dyn Store,
    ) -> Result<Ticket, Excluded> {
        for _ in 0..TRIES {
            let version = self.read(index, store);
            let tokens = self.tokens(index, &request.estimate, request.is_oversized);
            let vm = self.heartbeats.own();
            let Some(entry) = self.entries.get_mut(index) else { break };
            let mut ticket = entry.check(request, tokens, now)?;
            let limits = entry.limits;
            if !limits.are_tracked() || request.is_uncounted {
                return Ok(ticket);
            }
            entry.count(request, tokens, vm, &mut ticket);
            if store.swap(&entry.key, &format::encode(&entry.record), version) {
                self.refresh_snapshot(index);
                if limits.are_per_minute() {
                    let count = |window: &mut Window| limits.count_in_group(window, tokens);
                    self.update_group(index, now, store, count, false);
                }
                return Ok(ticket);
            }
        }
        Err(Excluded::Contended)
    }

    /// Settles the ticket of a request that has ended, and changes the record with it. `used` is
    /// the tokens that it used, where that is known.
    pub fn settle(
        &mut self,
        index: usize,
        ticket: &Ticket,
        used: Option<u64>,
        now: Duration,
        store: &dyn Store,
        mut change: impl FnMut(&mut Record),
    ) {
        let vm = self.heartbeats.own();
        let used = used.unwrap_or(ticket.reserved);
        let Some(limits) = self.entries.get(index).map(|entry| entry.limits) else { return };
        let mut makes_room = false;
        self.update(index, now, store, |record| {
            let is_full = |most: u32| ticket.is_counted && record.in_flight() >= most;
            let was_full = limits.max_parallel_requests.is_some_and(is_full);
            let before = (record.completions.expected(), record.cooldown);
            ticket.settle(record, vm, used);
            change(record);
            // Shorter expected answers reserve fewer tokens. When this deployment cools down,
            // requests that are too large for the others may take a whole minute of one.
            let expects_less = record.completions.expected() < before.0;
            let has_changed = expects_less || record.cooldown != before.1;
            makes_room = was_full || (limits.tpm.is_some() && has_changed);
        });
        let corrects = ticket.is_counted && used != ticket.reserved && limits.tpm.is_some();
        let released = makes_room || (corrects && used < ticket.reserved);
        if corrects || (released && self.notes_releases(index)) {
            let correct = |window: &mut Window| {
                if corrects {
                    window.correct(ticket.minute, ticket.reserved, used);
                }
            };
            self.update_group(index, now, store, correct, released);
        }
    }

    /// Settles a ticket as if its request had not been admitted: it is sent again, and counts once.
    pub fn withdraw(&mut self, index: usize, ticket: &Ticket, now: Duration, store: &dyn Store) {
        if !ticket.is_counted && !ticket.probe {
            return;
        }
        self.settle(index, ticket, Some(0), now, store, |record| {
            record.window.uncount(ticket.minute, u32::from(ticket.is_counted));
        });
        let has_rpm = self.entries.get(index).is_some_and(|entry| entry.limits.rpm.is_some());
        if ticket.is_counted && has_rpm {
            self.update_group(index, now, store, |window| window.uncount(ticket.minute, 1), true);
        }
    }

    pub(super) fn notes_releases(&self, index: usize) -> bool {
        let group = self.entries.get(index).and_then(|entry| self.groups.get(entry.group));
        group.is_some_and(|group| group.notes_releases())
    }

    /// Changes the window of a deployment's group. `released` logs a release at the deployment,
    /// where releases are noted.
    pub(super) fn update_group(
        &mut self,
        index: usize,
        now: Duration,
        store: &dyn Store,
        change: impl FnMut(&mut Window),
        released: bool,
    ) {
        let Some(Entry { group, id_hash, .. }) = self.entries.get(index) else { return };
        if let Some(group) = self.groups.get_mut(*group) {
            let released = (released && group.notes_releases()).then_some(*id_hash);
            group.update(now, store, change, released);
        }
    }
}
