//! Workers of one store, and what happens to them.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_router::testing::{Memory, Record};
use llm_balancer_router::{
    AccessLogEntry, Arrival, Attempt, ErrorResponse, Failure, Headers, Moment, Reply, ResponseSummary,
    RetryState, Router, SplitMix, Step, Store, StreamEnd, Usage, Verdict, Version,
};

use super::audit::{Books, Requests};
use super::setting::Setting;
use crate::common::{CHAT, NOON};

pub(super) const WORKERS: usize = 3;
/// Tokens that the response to a retry may take.
const MOST_OF_RETRIES: u64 = 10;

/// An event at one worker.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    /// A request arrives whose response may take this many tokens.
    Begin(u64),
    /// The response to one of its requests ends, with this many tokens if it has usage.
    Answer(usize, Option<u64>),
    /// The same, before it is complete.
    Interrupt(usize, StreamEnd, Option<u64>),
    /// One of its requests fails with a status (0: no connection, 1: a timeout), and is retried if
    /// the router says so.
    Fail(usize, u16),
    /// The connection of one of its requests breaks; it was reused or new.
    Break(usize, bool),
    /// The same, past the filter: the edge sends the request again in any case.
    Reset(usize),
    /// The same, where Envoy has answered the client.
    Unanswered(usize),
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
    pub(super) requests: RefCell<Requests>,
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
            requests: RefCell::default(),
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
            Deed::Begin(most) => {
                self.requests.borrow_mut().begun += 1;
                self.send(worker, most, None, store)
            }
            Deed::Answer(which, tokens) => {
                let attempt = worker.open.remove(nth(which, &worker.open)?);
                self.end(worker, attempt, (StreamEnd::Complete, tokens), store);
                None
            }
            Deed::Interrupt(which, end, tokens) => {
                let attempt = worker.open.remove(nth(which, &worker.open)?);
                self.end(worker, attempt, (end, tokens), store);
                None
            }
            Deed::Leave(which) => {
                let attempt = worker.open.remove(nth(which, &worker.open)?);
                let moment = Moment { now: self.now(), random: &mut worker.random, store };
                self.settled(&attempt, None);
                let entry = worker.router.on_client_disconnect(attempt, &moment);
                self.logged(&worker.router, entry);
                None
            }
            Deed::Fail(which, status) => {
                let attempt = worker.open.remove(nth(which, &worker.open)?);
                let failure = match status {
                    0 => Failure::NoConnection,
                    1 => Failure::TimedOut,
                    status => Failure::Provider { status, retry_after: None },
                };
                self.fail(worker, attempt, failure, store)
            }
            Deed::Break(which, is_on_reused_connection) => {
                let attempt = worker.open.remove(nth(which, &worker.open)?);
                self.fail(worker, Attempt { is_on_reused_connection, ..attempt }, Failure::Broken, store)
            }
            Deed::Reset(which) => {
                let attempt = worker.open.remove(nth(which, &worker.open)?);
                self.settled(&attempt, None);
                let mut moment = Moment { now: self.now(), random: &mut worker.random, store };
                let retry_state = worker.router.on_reset(attempt, Failure::Broken, &mut moment);
                self.send(worker, MOST_OF_RETRIES, Some(retry_state), store)
            }
            Deed::Unanswered(which) => {
                let attempt = worker.open.remove(nth(which, &worker.open)?);
                self.settled(&attempt, None);
                let moment = Moment { now: self.now(), random: &mut worker.random, store };
                let entry = worker.router.on_unanswered(attempt, Failure::Broken, &moment);
                self.logged(&worker.router, entry);
                None
            }
            Deed::Die => {
                self.requests.borrow_mut().lost += worker.open.len();
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
        let Arrival::Hold(request) = worker.router.on_request_headers(&headers(), false) else {
            panic!("not held")
        };
        let body = format!(r#"{{"model":"g","messages":[],"max_tokens":{most}}}"#);
        let tried = retry_state.as_ref().map_or_else(Vec::new, |retry_state| retry_state.tried.clone());
        let again = retry_state.as_ref().and_then(|retry_state| retry_state.resend.as_ref());
        let again = again.map(|resend| Arc::clone(&resend.deployment));
        let places = 0..self.setting.limits.len();
        let chances: Vec<Option<Duration>> = places.map(|place| self.chance(place, most)).collect();
        let mut moment = Moment { now: self.now(), random: &mut worker.random, store };
        match worker.router.on_request_body(&request, body.as_bytes(), retry_state, &mut moment) {
            Step::AcquireLease(_) | Step::FindOrigin(_) => panic!("there is no Redis"),
            Step::Reply(reply, entry) => {
                self.logged(&worker.router, *entry);
                Some(reply)
            }
            Step::Send(sending) => {
                if self.is_quiet.get() {
                    self.check_pick(sending.attempt.deployment, &chances, (&tried, again.as_deref()));
                }
                self.admitted(&sending.attempt, most);
                worker.open.push(sending.attempt);
                None
            }
        }
    }

    fn end(
        &self,
        worker: &mut Worker,
        attempt: Attempt,
        (end, tokens): (StreamEnd, Option<u64>),
        store: &dyn Store,
    ) {
        let usage = tokens.map(|total| Usage { prompt: 0, completion: total, total });
        let ended = ResponseSummary {
            status: 200,
            first_byte: Some(self.now()),
            usage,
            end,
            ..ResponseSummary::default()
        };
        let moment = Moment { now: self.now(), random: &mut worker.random, store };
        // Before its end, a response may report less than it takes.
        let at_least = if end == StreamEnd::Complete { 0 } else { attempt.ticket.reserved };
        self.settled(&attempt, tokens.map(|tokens| tokens.max(at_least)));
        let entry = worker.router.on_response_end(attempt, ended, &moment);
        self.logged(&worker.router, entry);
    }

    pub(super) fn fail(
        &self,
        worker: &mut Worker,
        attempt: Attempt,
        failure: Failure,
        store: &dyn Store,
    ) -> Option<Reply> {
        if self.is_resent(&attempt, failure) {
            self.withdrawn(&attempt);
        } else {
            let is_free = matches!(failure, Failure::NoConnection | Failure::Provider { .. });
            self.settled(&attempt, is_free.then_some(0));
        }
        let mut moment = Moment { now: self.now(), random: &mut worker.random, store };
        match worker.router.on_attempt_failed(attempt, failure, &ErrorResponse::default, &mut moment) {
            Verdict::Retry(retry_state, _) => self.send(worker, MOST_OF_RETRIES, Some(*retry_state), store),
            Verdict::Relay(_, entry) | Verdict::Reply(_, entry) => {
                self.logged(&worker.router, *entry);
                None
            }
        }
    }

    /// Whether the attempt is repeated without being counted: its connection had been closed before.
    fn is_resent(&self, attempt: &Attempt, failure: Failure) -> bool {
        let is_early = self.now() - attempt.ticket.at <= Duration::from_secs(1);
        failure == Failure::Broken
            && attempt.is_on_reused_connection
            && is_early
            && attempt.retry_state.resends < 3
    }

    /// A request has ended, with one line of the access log.
    fn logged(&self, router: &Router, entry: AccessLogEntry) {
        let line = router.record_request(entry, &headers(), self.now()).expect("a line");
        assert!(
            serde_json::from_str::<serde_json::Value>(&line).is_ok_and(|line| line.is_object()),
            "{line}"
        );
        self.requests.borrow_mut().logged += 1;
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
        let Arrival::Hold(request) = worker.router.on_request_headers(&headers(), false) else {
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

fn headers() -> Headers {
    [(":method", "POST"), (":path", CHAT)].into_iter().collect()
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
