//! What must hold after every event, by simple bookkeeping.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_router::{Attempt, Reply};

use super::simulation::{Simulation, Worker};

/// What was admitted and used, by deployment and minute.
#[derive(Default)]
pub(super) struct Books {
    pub(super) requests: HashMap<(usize, u32), u64>,
    pub(super) tokens: HashMap<(usize, u32), i128>,
    pub(super) vms: u32,
}

/// Requests, whose attempts may be many.
#[derive(Default)]
pub(super) struct Requests {
    pub(super) begun: usize,
    /// Lines of the access log.
    pub(super) logged: usize,
    /// Those that were in flight when their worker died.
    pub(super) lost: usize,
}

fn minute(now: Duration) -> u32 {
    u32::try_from(now.as_secs() / 60).unwrap()
}

impl Simulation {
    /// The tokens that a request with this bound reserves at a deployment: one for the prompt,
    /// those that responses took lately, but half of the limit of a minute at most.
    pub(super) fn reserved(&self, place: usize, most: u64) -> u64 {
        if !self.setting.counts_tokens() {
            return 0;
        }
        let completion = self.record(place).completions.expected().min(most);
        completion.min(self.setting.limits[place].tpm.unwrap_or(u64::MAX) / 2) + 1
    }

    pub(super) fn admitted(&self, attempt: &Attempt, most: u64) {
        let place = attempt.deployment;
        let reserved = attempt.ticket.reserved;
        if self.setting.is_counted(place) && self.is_quiet.get() {
            assert_eq!(reserved, self.reserved(place, most), "reserved at d{place} for an answer of {most}");
        }
        assert!(reserved <= most + 1, "{reserved} reserved at d{place} for an answer of {most}");
        let mut books = self.books.borrow_mut();
        let key = (place, minute(self.now()));
        *books.requests.entry(key).or_default() += 1;
        *books.tokens.entry(key).or_default() += i128::from(reserved);
        if let Some(rpm) = self.setting.limits[place].rpm {
            assert!(
                books.requests[&key] <= rpm,
                "{} requests at d{place}, whose rpm is {rpm}",
                books.requests[&key]
            );
        }
    }

    pub(super) fn settled(&self, attempt: &Attempt, used: Option<u64>) {
        if !self.setting.is_counted(attempt.deployment) {
            return;
        }
        let (at, now) = (minute(attempt.ticket.at), minute(self.now()));
        let reserved = i128::from(attempt.ticket.reserved);
        let more = used.map_or(0, |used| i128::from(used) - reserved);
        let tokens = &mut self.books.borrow_mut().tokens;
        *tokens.entry((attempt.deployment, now)).or_default() += if at == now { more } else { more.max(0) };
    }

    /// The attempt is to be sent again, and counts once.
    pub(super) fn withdrawn(&self, attempt: &Attempt) {
        self.settled(attempt, Some(0));
        let (at, now) = (minute(attempt.ticket.at), minute(self.now()));
        if self.setting.is_counted(attempt.deployment) && at == now {
            *self.books.borrow_mut().requests.entry((attempt.deployment, now)).or_default() -= 1;
        }
    }

    /// The shared records equal the books, and every request is in flight or has its line.
    pub(super) fn audit(&self) {
        let open: usize = self.workers.iter().map(|worker| worker.borrow().open.len()).sum();
        let Requests { begun, logged, lost } = *self.requests.borrow();
        assert_eq!(begun, logged + lost + open, "requests, and {logged} lines of the access log");
        let books = self.books.borrow();
        for (place, limits) in self.setting.limits.iter().enumerate() {
            let mine = |worker: &RefCell<Worker>| -> (u32, u32) {
                let worker = worker.borrow();
                let here = worker.open.iter().filter(|attempt| attempt.deployment == place).count();
                (worker.vm, u32::try_from(here).unwrap())
            };
            let cells: Vec<(u32, u32)> = self.workers.iter().map(mine).collect();
            let sum: u32 = cells.iter().map(|(_, count)| count).sum();
            assert!(limits.parallel.is_none_or(|slots| sum <= slots), "{sum} in flight at d{place}");
            if !self.setting.is_counted(place) {
                continue;
            }
            let record = self.record(place);
            for (vm, count) in cells {
                let cell = record.in_flight.iter().find(|cell| cell.vm == vm).map_or(0, |cell| cell.count);
                assert_eq!(cell, count, "in flight at d{place} from {vm}");
            }
            let window = record.window.at(self.now());
            let key = (place, minute(self.now()));
            let known = (u64::from(window.requests), i128::from(window.tokens));
            let expected = (
                books.requests.get(&key).copied().unwrap_or_default(),
                books.tokens.get(&key).copied().unwrap_or_default(),
            );
            assert_eq!(known, expected, "requests and tokens of this minute at d{place}");
            let in_flight = |worker: &RefCell<Worker>| -> u64 {
                let worker = worker.borrow();
                let here = worker.open.iter().filter(|attempt| attempt.deployment == place);
                let here = here.filter(|attempt| minute(attempt.ticket.at) == key.1);
                here.map(|attempt| attempt.ticket.reserved).sum()
            };
            let reserved: u64 = self.workers.iter().map(in_flight).sum();
            // Of a worker that died it stays until the minute ends.
            assert!(reserved == window.reserved || lost > 0, "reserved at d{place}: {reserved}");
        }
    }

    /// The time from which a deployment can serve a request, by its record: `now` where a request
    /// in flight has to end first, `None` where it can serve.
    pub(super) fn chance(&self, place: usize, most: u64) -> Option<Duration> {
        let (record, limits, now) = (self.record(place), self.setting.limits[place], self.now());
        let window = record.window.at(now);
        let is_over = |tokens: u64| limits.tpm.is_some_and(|tpm| tokens + self.reserved(place, most) > tpm);
        let is_full = limits.rpm.is_some_and(|rpm| u64::from(window.requests) >= rpm)
            || is_over(window.tokens - window.reserved);
        // Dead workers keep their slots for a few seconds; the books do not say for how long.
        let is_busy =
            limits.parallel.is_some_and(|slots| record.in_flight() >= slots) || is_over(window.tokens);
        let ends =
            [record.cooldown.active_until(now), is_full.then(|| window.ends()), is_busy.then_some(now)];
        ends.into_iter().flatten().max()
    }

    /// The selected deployment could serve, and had not failed this request unless all others had. A
    /// failure that does not count is repeated at the same deployment.
    pub(super) fn check_pick(
        &self,
        place: usize,
        chances: &[Option<Duration>],
        (tried, again): (&[Arc<str>], Option<&str>),
    ) {
        assert!(chances[place].is_none_or(|chance| chance <= self.now()), "d{place}: {chances:?}");
        if again.is_some_and(|id| id == format!("d{place}")) {
            return;
        }
        let was_tried = |place: usize| tried.iter().any(|id| **id == format!("d{place}"));
        let is_better = |other: usize| chances[other].is_none() && !was_tried(other);
        assert!(
            !was_tried(place) || !(0..chances.len()).any(is_better),
            "d{place} again, {tried:?}: {chances:?}"
        );
    }

    /// No deployment had room, and `retry-after` is the time until the first one does, in whole
    /// seconds.
    pub(super) fn check_refusal(&self, reply: &Reply, most: u64) {
        assert_eq!(reply.status, 429, "{reply:?}");
        let places = 0..self.setting.limits.len();
        let chances: Vec<Duration> = places
            .clone()
            .map(|place| self.chance(place, most).unwrap_or_else(|| panic!("d{place} has room: {reply:?}")))
            .collect();
        let wait = chances.iter().min().unwrap().saturating_sub(self.now());
        let first = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
        let retry_after = reply.headers.iter().find(|(name, _)| *name == "retry-after").unwrap();
        let wait: u64 = retry_after.1.parse().unwrap();
        assert!((1..=first).contains(&wait), "{wait} s, but: {chances:?} at {:?}", self.now());
        // The snapshot of a full deployment may lack a cooldown that another worker began, or have tokens
        // as reserved that were used since.
        let may_be_reserved = wait == 1 && self.setting.limits.iter().any(|limits| limits.tpm.is_some());
        if may_be_reserved {
            return;
        }
        if places.into_iter().all(|place| self.record(place).cooldown.active_until(self.now()).is_none()) {
            assert_eq!(wait, first, "{chances:?} at {:?}", self.now());
        }
    }
}
