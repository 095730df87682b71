//! Workers of one store, and what happens to them.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use llm_balancer_router::testing::{Memory, Record};
use llm_balancer_router::{
    Arrival, Attempt, ErrorResponse, Failure, Moment, Reply, ResponseSummary, RetryState, Router, SplitMix,
    Step, Store, StreamEnd, Usage, Verdict, Version,
};

use super::audit::Books;
use super::setting::Setting;
use crate::common::{CHAT, NOON};

pub(super) const WORKERS: usize = 3;

/// An event at one worker.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    /// A request arrives whose response may take this many tokens.
    Begin(u64),
    /// The response to one of its requests ends, with this many tokens if it has usage.
    Answer(usize, Option<u64>),
    /// One of its requests fails with a status (0: no connection, 1: a timeout), and is retried if
    /// the router says so.
    Fail(usize, u16),
    /// The client of one of its requests disconnects.
    Leave(usize),
    /// It dies with its requests in flight, and another VM replaces it.
    Die,
}

/// The worker, and what happens to it.
pub(super) type Event = (usize, Deed);

pub(super) struct Worker {
    pub(super) vm: u32,
    pub(super) router: Router,
    pub(super) random: SplitMix,
    pub(super) open: Vec<Attempt>,
}

pub(super) struct Simulation {
    pub(super) setting: Setting,
    pub(super) memory: Memory,
    pub(super) now: Cell<Duration>,
    pub(super) workers: Vec<RefCell<Worker>>,
    pub(super) books: RefCell<Books>,
    /// No worker interrupts another, so that the state before a decision is that during it.
    pub(super) is_quiet: Cell<bool>,
}

impl Simulation {
    pub(super) fn of(setting: &Setting) -> Self {
        let memory = Memory::default();
        let worker = |vm| {
            let router = Router::new(setting.config(), vm);
            router.open(&memory);
            RefCell::new(Worker { vm, router, random: SplitMix::new(u64::from(vm)), open: Vec::new() })
        };
        let workers = (1..=WORKERS as u32).map(worker).collect();
        let books = RefCell::new(Books { vms: WORKERS as u32, ..Books::default() });
        Self {
            setting: setting.clone(),
            memory,
            now: Cell::new(NOON),
            workers,
            books,
            is_quiet: Cell::new(true),
        }
    }

    pub(super) fn record(&self, place: usize) -> Record {
        llm_balancer_router::testing::decode::<Record>(&self.memory.get(&format!("d/d{place}")).unwrap().0)
            .unwrap()
    }

    pub(super) fn now(&self) -> Duration {
        self.now.get()
    }

    pub(super) fn pass(&self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.now.set(self.now() + Duration::from_secs(1));
            self.beat();
        }
        self.now.set(self.now() + Duration::from_nanos(u64::from(time.subsec_nanos())));
        self.beat();
    }

    pub(super) fn beat(&self) {
        for worker in &self.workers {
            worker.borrow().router.beat(self.now(), &self.memory);
        }
    }

    /// Applies an event; returns the refusal of a request, if any.
    pub(super) fn happen(&self, (worker, deed): Event, store: &dyn Store) -> Option<Reply> {
        let worker = &mut *self.workers[worker % WORKERS].borrow_mut();
        let nth = |nth: usize, open: &[Attempt]| nth.checked_rem(open.len());
        match deed {
            Deed::Begin(most) => self.send(worker, most, None, store),
            Deed::Answer(which, tokens) => {
                let attempt = worker.open.remove(nth(which, &worker.open)?);
                let usage = tokens.map(|total| Usage { prompt: 0, completion: total, total });
                let ended = ResponseSummary {
                    status: 200,
                    first_byte: Some(self.now()),
                    usage,
                    end: StreamEnd::Complete,
                };
                let moment = Moment { now: self.now(), random: &mut worker.random, store };
                self.settled(&attempt, tokens);
                drop(worker.router.on_response_end(attempt, ended, &moment));
                None
            }
            Deed::Leave(which) => {
                let attempt = worker.open.remove(nth(which, &worker.open)?);
                let moment = Moment { now: self.now(), random: &mut worker.random, store };
                self.settled(&attempt, None);
                drop(worker.router.on_client_disconnect(attempt, &moment));
                None
            }
            Deed::Fail(which, status) => {
                let attempt = worker.open.remove(nth(which, &worker.open)?);
                self.fail(worker, attempt, status, store)
            }
            Deed::Die => {
                let vm = {
                    let mut books = self.books.borrow_mut();
                    books.vms += 1;
                    books.vms
                };
                let router = Router::new(self.setting.config(), vm);
                router.open(store);
                *worker = Worker { vm, router, random: SplitMix::new(u64::from(vm)), open: Vec::new() };
                None
            }
        }
    }

    pub(super) fn send(
        &self,
        worker: &mut Worker,
        most: u64,
        retry_state: Option<RetryState>,
        store: &dyn Store,
    ) -> Option<Reply> {
        let headers = [(":method", "POST"), (":path", CHAT)].into_iter().collect();
        let Arrival::Hold(request) = worker.router.on_request_headers(&headers, false) else {
            panic!("not held")
        };
        let body = format!(r#"{{"model":"g","messages":[],"max_tokens":{most}}}"#);
        let tried = retry_state.as_ref().map_or_else(Vec::new, |retry_state| retry_state.tried.clone());
        let places = 0..self.setting.limits.len();
        let chances: Vec<Option<Duration>> = places.map(|place| self.chance(place, most)).collect();
        let mut moment = Moment { now: self.now(), random: &mut worker.random, store };
        match worker.router.on_request_body(&request, body.as_bytes(), retry_state, &mut moment) {
            Step::AcquireLease(_) | Step::FindOrigin(_) => panic!("there is no Redis"),
            Step::Reply(reply, _) => Some(reply),
            Step::Send(sending) => {
                if self.is_quiet.get() {
                    self.check_pick(sending.attempt.deployment, &chances, &tried);
                }
                self.admitted(&sending.attempt, most);
                worker.open.push(sending.attempt);
                None
            }
        }
    }

    pub(super) fn fail(
        &self,
        worker: &mut Worker,
        attempt: Attempt,
        status: u16,
        store: &dyn Store,
    ) -> Option<Reply> {
        let failure = match status {
            0 => Failure::NoConnection,
            1 => Failure::TimedOut,
            status => Failure::Provider { status, retry_after: None },
        };
        self.settled(&attempt, if status == 1 { None } else { Some(0) });
        let mut moment = Moment { now: self.now(), random: &mut worker.random, store };
        match worker.router.on_attempt_failed(attempt, failure, &ErrorResponse::default, &mut moment) {
            Verdict::Retry(retry_state, _) => self.send(worker, 10, Some(*retry_state), store),
            Verdict::Relay(..) | Verdict::Reply(..) => None,
        }
    }

    /// Ends all requests: what dead workers had in flight expires, and nothing is left.
    pub(super) fn wind_up(&self) {
        for worker in 0..WORKERS {
            while !self.workers[worker].borrow().open.is_empty() {
                self.happen((worker, Deed::Leave(0)), &self.memory);
            }
        }
        self.audit();
        // Past every cooldown, into a new minute.
        self.pass(Duration::from_secs(120));
        for place in 0..self.setting.limits.len() {
            if let Some(slots) = self.setting.limits[place].parallel {
                let attempts: Vec<Attempt> = (0..slots).filter_map(|_| self.begin_at(place)).collect();
                let few = self.setting.limits[place].rpm.unwrap_or(u64::MAX).min(u64::from(slots));
                assert!(attempts.len() as u64 >= few, "only {} slots of {slots} at d{place}", attempts.len());
                let worker = &mut *self.workers[0].borrow_mut();
                for attempt in attempts {
                    let moment = Moment { now: self.now(), random: &mut worker.random, store: &self.memory };
                    drop(worker.router.on_client_disconnect(attempt, &moment));
                }
                assert_eq!(self.record(place).in_flight(), 0);
            }
        }
    }

    pub(super) fn begin_at(&self, place: usize) -> Option<Attempt> {
        let worker = &mut *self.workers[0].borrow_mut();
        let headers = [(":method", "POST"), (":path", CHAT)].into_iter().collect();
        let Arrival::Hold(request) = worker.router.on_request_headers(&headers, false) else {
            panic!("not held")
        };
        let body = format!(r#"{{"model":"d{place}","messages":[],"max_tokens":1}}"#);
        let mut moment = Moment { now: self.now(), random: &mut worker.random, store: &self.memory };
        match worker.router.on_request_body(&request, body.as_bytes(), None, &mut moment) {
            Step::AcquireLease(_) | Step::FindOrigin(_) => panic!("there is no Redis"),
            Step::Send(sending) => Some(sending.attempt),
            Step::Reply(..) => None,
        }
    }
}

/// A store whose writes are interrupted: before one, an event happens at another worker.
pub(super) struct Interrupted<'s> {
    pub(super) simulation: &'s Simulation,
    pub(super) own: usize,
    /// The events before the next writes, the last of them first.
    pub(super) before: RefCell<Vec<Option<Event>>>,
}

impl Store for Interrupted<'_> {
    fn get(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.simulation.memory.get(key)
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<Version>) -> bool {
        let next = self.before.borrow_mut().pop().flatten();
        if let Some((worker, deed)) = next {
            let other = if worker % WORKERS == self.own { worker + 1 } else { worker };
            self.simulation.happen((other, deed), &self.simulation.memory);
        }
        self.simulation.memory.swap(key, value, version)
    }
}
