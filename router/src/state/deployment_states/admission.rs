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

impl Entry {
    /// Counts an admission in the record, before it is written. Says whether the lease is nearly used up.
    fn count(&mut self, request: &AdmissionRequest, vm: u32, now: Duration) -> bool {
        let record = &mut self.record;
        record.window = record.window.at(now);
        record.window.admit(request.tokens);
        record.inc_in_flight(vm);
        if request.probe {
            record.latency.probe(now);
        }
        let QuotaMode::Shared { instances, health } = request.quota_mode else { return false };
        if !self.limits.are_per_minute() {
            return false;
        }
        record.lease = record.lease.for_minute(record.window.minute);
        record.lease.record_admission(now);
        let limits = self.limits.per_minute();
        health == RedisHealth::Up && record.lease.is_low(&record.window, limits, instances, now)
    }
}

impl DeploymentStates {
    /// Admits a request by the record as it is now.
    ///
    /// # Errors
    /// Why the deployment may not serve it.
    pub fn admit(
        &mut self,
        request: AdmissionRequest,
        now: Duration,
        store: &dyn Store,
    ) -> Result<Ticket, Excluded> {
        let index = request.index;
        for _ in 0..TRIES {
            let version = self.read(index, store);
            let tokens = self.tokens(index, &request.estimate, request.is_oversized);
            let request = AdmissionRequest { tokens, ..request };
            let vm = self.heartbeats.own();
            let Some(entry) = self.entries.get_mut(index) else { break };
            if let Some(excluded) = eligibility::excluded(&entry.record, &entry.limits, &request, now) {
                return Err(excluded);
            }
            if request.probe && entry.record.latency.is_probed(now) {
                // Another worker was faster. All workers learn from its probe.
                return Err(Excluded::Contended);
            }
            let mut ticket = Ticket {
                at: now,
                minute: Minute::default(),
                reserved: 0,
                in_flight_at_admission: entry.record.in_flight(),
                probe: request.probe,
                is_counted: false,
                lease_low: false,
            };
            if !entry.limits.are_tracked() {
                return Ok(ticket);
            }
            ticket.lease_low = entry.count(&request, vm, now);
            if store.swap(&entry.key, &format::encode(&entry.record), version) {
                ticket.minute = entry.record.window.minute;
                ticket.reserved = tokens;
                ticket.is_counted = true;
                let limits = entry.limits;
                self.refresh_snapshot(index);
                if limits.are_per_minute() {
                    self.update_group(
                        index,
                        now,
                        store,
                        |window| limits.count_in_group(window, tokens),
                        false,
                    );
                }
                return Ok(ticket);
            }
        }
        Err(Excluded::Contended)
    }

    /// Settles the ticket of a request that has ended, and changes the record with it. `used` is the tokens that it used, where that
    /// is known.
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
        let (mut was_busy, mut leaves_room) = (false, false);
        self.update(index, now, store, |record| {
            if ticket.is_counted {
                was_busy = limits.max_parallel_requests.is_some_and(|most| record.in_flight() >= most);
                record.dec_in_flight(vm);
                record.window.correct(ticket.minute, ticket.reserved, used);
            }
            if ticket.probe {
                record.latency.probed_until = UnixMillis::default();
            }
            let before = (record.completions.expected(), record.cooldown);
            change(record);
            let expects_less = record.completions.expected() < before.0;
            leaves_room = limits.tpm.is_some() && (expects_less || record.cooldown != before.1);
        });
        let corrects = ticket.is_counted && used != ticket.reserved && limits.tpm.is_some();
        // Shorter expected answers reserve fewer tokens, and when this deployment cools down, requests that are too large for the others
        // may take a whole minute of one.
        let released = was_busy || leaves_room || (corrects && used < ticket.reserved);
        if corrects || (released && self.notes_releases(index)) {
            let correct = |window: &mut Window| {
                if corrects {
                    window.correct(ticket.minute, ticket.reserved, used);
                }
            };
            self.update_group(index, now, store, correct, released);
        }
    }

    /// Settles a ticket as if its request had never been admitted: the request is sent again, and counts once.
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

    /// Changes the window of a deployment's group. `released` logs a release at the deployment, where releases are noted.
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
