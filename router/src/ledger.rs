//! What this worker knows about every deployment, and how it takes part in what all workers share.
//!
//! The truth is in the store. A worker keeps a copy of each record as it last saw it, which is good enough to choose by;
//! whoever is chosen is looked at again, and admitted by the same compare-and-swap that counts it. So the number of host
//! calls does not grow with the group, and nothing is ever admitted on the strength of an old copy.

use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{Config, Deployment, Strategy};

use crate::alive::Alive;
use crate::eligible::{self, Excluded};
use crate::estimate::Estimate;
use crate::fleet::Fleet;
use crate::lease::{Away, Sharing};
use crate::record::Record;
use crate::seen::{Fixed, Seen};
use crate::store::{Store, TRIES, Version};
use crate::sums::{RateLimits, Sums};
use crate::terms::{Demand, Terms};
use crate::window::Window;

/// How long successes may wait in this worker until they are handed in. They only dilute the share of failures.
const HAND_IN: Duration = Duration::from_secs(1);

/// How long the fleet is believed to be as it was last seen.
const FLEET: Duration = Duration::from_millis(20);

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
struct Seat {
    key: String,
    terms: Terms,
    group: usize,
    fixed: Fixed,
    /// As it was last seen.
    record: Record,
    /// Successes that are not handed in yet.
    successes: u32,
    /// When they were last handed in.
    handed_in: Duration,
}

/// See above.
#[derive(Debug)]
pub struct Ledger {
    seats: Vec<Seat>,
    /// The seats in short, in the same order.
    seen: Vec<Seen>,
    groups: Vec<Sums>,
    alive: Alive,
    /// Whether the others know that this VM counts; one that serves nobody does not.
    joined: bool,
    /// Where the next look at others begins.
    next_look: usize,
    /// Whether there may be other instances.
    shared: bool,
    /// They, as they were last seen.
    fleet: Fleet,
    /// When that was.
    fleet_seen: Duration,
}

impl Ledger {
    /// For one worker, whose VM has this number. `strategy` tells the strategy of a deployment's group.
    pub fn new(config: &Config, vm: u32, strategy: &dyn Fn(&Deployment) -> Strategy) -> Self {
        let mut groups: Vec<Sums> = Vec::new();
        let mut places = std::collections::HashMap::<Arc<str>, usize>::new();
        let mut seats = Vec::with_capacity(config.deployments.len());
        for deployment in &config.deployments {
            let terms = Terms::of(config, deployment, strategy(deployment));
            let place = *places.entry(Arc::clone(&deployment.group)).or_insert(groups.len());
            if place == groups.len() {
                groups.push(Sums::new(&deployment.group));
            }
            if let Some(group) = groups.get_mut(place) {
                group.include(&terms);
            }
            seats.push(Seat {
                key: format!("d/{}", deployment.id),
                terms,
                group: place,
                fixed: Fixed::of(deployment),
                record: Record::default(),
                successes: 0,
                handed_in: Duration::ZERO,
            });
        }
        let shared = config.redis.is_some();
        let seen = seats.iter().map(|seat| Seen::of(&seat.record, &seat.terms, seat.fixed, shared)).collect();
        Self {
            seats,
            seen,
            groups,
            alive: Alive::new(vm),
            joined: false,
            next_look: 0,
            shared,
            fleet: Fleet::default(),
            fleet_seen: Duration::ZERO,
        }
    }

    /// Creates what is not there yet, before there is traffic, and reads the rest: counts survive a reload.
    pub fn open(&mut self, store: &dyn Store) {
        for index in 0..self.seats.len() {
            if self.read(index, store).is_none()
                && let Some(seat) = self.seats.get(index)
            {
                store.swap(&seat.key, &seat.record.encode(), None);
            }
        }
        self.groups.iter().for_each(|group| group.open(store));
    }

    /// Says that this VM is alive, if anything depends on that. Once a second.
    pub fn beat(&mut self, now: Duration, store: &dyn Store) {
        if self.joined {
            self.alive.beat(now, store);
        }
    }

    /// Makes itself known, before the first request: from then on others may rely on its counts, and it can tell who has
    /// fallen silent.
    pub fn join(&mut self, now: Duration, store: &dyn Store) {
        if !self.joined {
            self.joined = true;
            self.alive.beat(now, store);
        }
    }

    /// How limits are shared with other instances, as far as is known; looked at again now and then.
    pub fn sharing(&mut self, now: Duration, store: &dyn Store) -> Sharing {
        if !self.shared {
            return Sharing::Alone;
        }
        if now.abs_diff(self.fleet_seen) >= FLEET {
            self.look_at_fleet(now, store);
        }
        self.fleet.sharing(now)
    }

    /// The fleet as it is.
    pub fn look_at_fleet(&mut self, now: Duration, store: &dyn Store) -> Fleet {
        self.fleet_seen = now;
        self.fleet = Fleet::read(store);
        self.fleet
    }

    /// Changes what is remembered of a deployment, whatever others do at the same time; `None` where that came to nothing.
    pub fn change<T>(
        &mut self,
        index: usize,
        now: Duration,
        store: &dyn Store,
        mut change: impl FnMut(&mut Record, &Terms) -> Option<T>,
    ) -> Option<T> {
        for _ in 0..TRIES {
            let version = self.read(index, store);
            let seat = self.seats.get_mut(index)?;
            seat.record.window = seat.record.window.at(now);
            let result = change(&mut seat.record, &seat.terms)?;
            if store.swap(&seat.key, &seat.record.encode(), version) {
                self.shorten(index);
                return Some(result);
            }
        }
        None
    }

    /// How many deployments there are.
    pub fn count(&self) -> usize {
        self.seats.len()
    }

    /// Whether this is the only worker.
    pub fn is_alone(&self) -> bool {
        self.alive.is_alone()
    }

    /// Whether a deployment has its group to itself.
    pub fn is_lone(&self, index: usize) -> bool {
        let group = self.seats.get(index).and_then(|seat| self.groups.get(seat.group));
        group.is_none_or(|group| group.members() < 2)
    }

    /// A deployment as it was last seen.
    pub fn seen(&self, index: usize) -> Option<(&Record, &Terms)> {
        self.seats.get(index).map(|seat| (&seat.record, &seat.terms))
    }

    /// The same in short.
    pub fn seen_in_short(&self, index: usize) -> Option<&Seen> {
        self.seen.get(index)
    }

    /// Keeps the short form of a record that has changed here.
    fn shorten(&mut self, index: usize) {
        if let (Some(seat), Some(seen)) = (self.seats.get(index), self.seen.get_mut(index)) {
            *seen = Seen::of(&seat.record, &seat.terms, seat.fixed, self.shared);
        }
    }

    /// Looks at a deployment again.
    pub fn read(&mut self, index: usize, store: &dyn Store) -> Option<Version> {
        let seat = self.seats.get_mut(index)?;
        let (bytes, version) = store.get(&seat.key)?;
        seat.record = Record::decode(&bytes).unwrap_or_default();
        let cells = &mut seat.record.in_flight;
        if cells.iter().any(|cell| !self.alive.knows(cell.vm)) {
            self.alive.look(store);
        }
        cells.retain(|cell| self.alive.is_alive(cell.vm));
        self.shorten(index);
        Some(version)
    }

    /// Looks at a few of these deployments again, at others every time, so that what other workers do is seen.
    pub fn look_around(&mut self, members: &[usize], count: usize, store: &dyn Store) {
        if self.alive.is_alone() || members.len() < 2 {
            return;
        }
        for _ in 0..count.min(members.len()) {
            if let Some(index) = members.get(self.turn(members.len())) {
                self.read(*index, store);
            }
        }
    }

    /// Whose turn it is to be looked at, among so many.
    pub fn turn(&mut self, count: usize) -> usize {
        self.next_look = self.next_look.wrapping_add(1);
        self.next_look.checked_rem(count).unwrap_or_default()
    }

    /// Tokens that a request reserves there, by the deployment as it was last seen.
    pub fn tokens(&self, index: usize, estimate: &Estimate, is_oversized: bool) -> u64 {
        self.seen.get(index).map_or(0, |seen| seen.tokens(estimate, is_oversized))
    }

    /// Admits a request, or says why not.
    ///
    /// # Errors
    /// [`Excluded`], by the record as it is now.
    pub fn admit(&mut self, demand: Demand, now: Duration, store: &dyn Store) -> Result<Ticket, Excluded> {
        let index = demand.index;
        for _ in 0..TRIES {
            let version = self.read(index, store);
            let tokens = self.tokens(index, &demand.estimate, demand.is_oversized);
            let demand = Demand { tokens, ..demand };
            let own = self.alive.own();
            let Some(seat) = self.seats.get_mut(index) else { break };
            if let Some(excluded) = eligible::excluded(&seat.record, &seat.terms, &demand, now) {
                return Err(excluded);
            }
            if demand.probe && seat.record.latency.is_probed(now) {
                // Another worker was faster; its probe will tell this one, too.
                return Err(Excluded::Contended);
            }
            let mut ticket = Ticket {
                at: now,
                minute: 0,
                reserved: 0,
                load: seat.record.in_flight(),
                probe: demand.probe,
                in_flight: false,
                low: false,
            };
            if !seat.terms.are_counted() {
                return Ok(ticket);
            }
            let record = &mut seat.record;
            record.window = record.window.at(now);
            record.window.admit(tokens);
            record.depart(own);
            if demand.probe {
                record.latency.probe(now);
            }
            if let Sharing::Fleet { instances, away } = demand.sharing
                && seat.terms.are_limited()
            {
                record.lease = record.lease.on(record.window.minute);
                record.lease.use_one(now);
                let limits = seat.terms.limits();
                ticket.low = away == Away::No && record.lease.is_low(&record.window, limits, instances, now);
            }
            if store.swap(&seat.key, &record.encode(), version) {
                ticket.minute = seat.record.window.minute;
                ticket.reserved = tokens;
                ticket.in_flight = true;
                let (group, terms) = (seat.group, seat.terms);
                self.shorten(index);
                if terms.are_limited() {
                    self.update_sums(group, now, store, |window| terms.count(window, tokens));
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
        self.update(index, now, store, |record| {
            if ticket.in_flight {
                record.come_back(own);
                record.window.correct(ticket.minute, ticket.reserved, used);
            }
            if ticket.probe {
                record.latency.probed_until = 0;
            }
            remember(record);
        });
        if ticket.in_flight
            && used != ticket.reserved
            && let Some(group) =
                self.seats.get(index).filter(|seat| seat.terms.tpm.is_some()).map(|s| s.group)
        {
            self.update_sums(group, now, store, |window| {
                window.correct(ticket.minute, ticket.reserved, used);
            });
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
        let seat = self.seats.get(index).filter(|seat| ticket.in_flight && seat.terms.rpm.is_some());
        if let Some(group) = seat.map(|seat| seat.group) {
            self.update_sums(group, now, store, |window| window.uncount(ticket.minute, 1));
        }
    }

    /// Counts a success that needs nothing else remembered. It is handed in with the next thing that does, or after a while.
    pub fn succeed(&mut self, index: usize, now: Duration, store: &dyn Store) {
        let Some(seat) = self.seats.get_mut(index) else { return };
        seat.successes = seat.successes.saturating_add(1);
        if now.saturating_sub(seat.handed_in) >= HAND_IN || now < seat.handed_in {
            seat.handed_in = now;
            self.update(index, now, store, |_| ());
        }
    }

    /// Whether requests to a deployment have tickets that must be settled.
    pub fn is_counted(&self, index: usize) -> bool {
        self.seats.get(index).is_some_and(|seat| seat.terms.are_counted())
    }

    /// Changes a record, however many others do so at the same time.
    fn update(
        &mut self,
        index: usize,
        now: Duration,
        store: &dyn Store,
        mut change: impl FnMut(&mut Record),
    ) {
        let waiting = self.seats.get(index).map_or(0, |seat| seat.successes);
        let updated = self.change(index, now, store, |record, _| {
            record.outcomes = record.outcomes.at(now);
            record.outcomes.successes = record.outcomes.successes.saturating_add(waiting);
            change(record);
            Some(())
        });
        if let (Some(()), Some(seat)) = (updated, self.seats.get_mut(index)) {
            seat.successes = 0;
        }
    }

    fn update_sums(
        &mut self,
        group: usize,
        now: Duration,
        store: &dyn Store,
        change: impl FnMut(&mut Window),
    ) {
        if let Some(sums) = self.groups.get_mut(group) {
            sums.update(now, store, change);
        }
    }

    /// What is left for the group of a deployment, as it was last seen; looked at again with a store.
    pub fn rate_limits(
        &mut self,
        index: usize,
        now: Duration,
        store: Option<&dyn Store>,
    ) -> Option<RateLimits> {
        let place = self.seats.get(index)?.group;
        self.groups.get_mut(place)?.left(now, store)
    }
}
