//! What holds whatever happens, in whatever order: workers that interrupt each other between reading and writing, die,
//! and come back to requests that failed, under any configuration of limits.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that cannot go on, or overflows, has failed"
)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{Config, read};
use llm_balancer_router::Failure;
use llm_balancer_router::Reply;
use llm_balancer_router::SplitMix;
use llm_balancer_router::Usage;
use llm_balancer_router::testing::Memory;
use llm_balancer_router::testing::Record;
use llm_balancer_router::{Arrival, ErrorResponse, ResponseSummary, Router, Step, Verdict};
use llm_balancer_router::{Attempt, RetryState};
use llm_balancer_router::{Moment, Store, Version};
use proptest::prelude::*;

/// The turn of a minute.
const NOON: Duration = Duration::from_secs(29_000_000 * 60);
const WORKERS: usize = 3;

/// The limits of one deployment.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    rpm: Option<u64>,
    tpm: Option<u64>,
    parallel: Option<u32>,
}

#[derive(Clone, Debug)]
struct Setting {
    limits: Vec<Limits>,
    strategy: &'static str,
    cooldown: u32,
}

impl Setting {
    fn yaml(&self) -> String {
        let number =
            |name: &str, value: Option<u64>| value.map_or(String::new(), |n| format!(", {name}: {n}"));
        let item = |(nth, limits): (usize, &Limits)| {
            let limits = number("rpm", limits.rpm)
                + &number("tpm", limits.tpm)
                + &number("max_parallel_requests", limits.parallel.map(u64::from));
            format!(
                "- model_name: g\n  litellm_params: {{model: openai/m, api_base: 'http://d{nth}.test', api_key: k{limits}}}\n  model_info: {{id: d{nth}}}\n"
            )
        };
        let items: String = self.limits.iter().enumerate().map(item).collect();
        format!(
            "model_list:\n{items}router_settings: {{routing_strategy: {}, cooldown_time: {}}}\n",
            self.strategy, self.cooldown
        )
    }

    fn config(&self) -> Config {
        let reading = read("config.yaml", &self.yaml(), &|_| None);
        reading.config.unwrap_or_else(|| panic!("{:#?}", reading.findings))
    }

    /// Whether anything depends on tokens.
    fn counts_tokens(&self) -> bool {
        self.strategy == "usage-based-routing-v2" || self.limits.iter().any(|limits| limits.tpm.is_some())
    }

    /// Whether requests to it leave traces that can be compared.
    fn is_counted(&self, place: usize) -> bool {
        let Limits { rpm, tpm, parallel } = self.limits[place];
        let by_strategy = !matches!(self.strategy, "simple-shuffle" | "cost-based-routing");
        by_strategy || rpm.is_some() || tpm.is_some() || parallel.is_some()
    }
}

/// What one worker does, or what happens to it.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// A request comes that may take so many tokens.
    Begin(u64),
    /// One of its requests is answered, with so many tokens if the answer tells.
    End(usize, Option<u64>),
    /// One of its requests fails with a status (0: no connection, 1: no answer in time), and is sent again if that is
    /// the verdict.
    Fail(usize, u16),
    /// The client of one of its requests goes away.
    Leave(usize),
    /// It dies with all that it had in flight, and another VM takes its place.
    Die,
}

/// Something happens to one of the workers.
type Event = (usize, Deed);

struct Worker {
    vm: u32,
    router: Router,
    random: SplitMix,
    open: Vec<Attempt>,
}

/// What must be so, by simple bookkeeping.
#[derive(Default)]
struct Books {
    requests: HashMap<(usize, u32), u64>,
    tokens: HashMap<(usize, u32), i128>,
    vms: u32,
}

struct Simulation {
    setting: Setting,
    memory: Memory,
    now: Cell<Duration>,
    workers: Vec<RefCell<Worker>>,
    books: RefCell<Books>,
    /// Nothing interrupts a decision, so what is true before it is true during it.
    is_quiet: Cell<bool>,
}

fn minute(now: Duration) -> u32 {
    u32::try_from(now.as_secs() / 60).unwrap()
}

impl Simulation {
    fn of(setting: &Setting) -> Self {
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

    fn record(&self, place: usize) -> Record {
        llm_balancer_router::testing::decode::<llm_balancer_router::testing::Record>(
            &self.memory.get(&format!("d/d{place}")).unwrap().0,
        )
        .unwrap()
    }

    fn now(&self) -> Duration {
        self.now.get()
    }

    fn pass(&self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.now.set(self.now() + Duration::from_secs(1));
            self.beat();
        }
        self.now.set(self.now() + Duration::from_nanos(u64::from(time.subsec_nanos())));
        self.beat();
    }

    fn beat(&self) {
        for worker in &self.workers {
            worker.borrow().router.beat(self.now(), &self.memory);
        }
    }

    /// Lets it happen; a refusal if that is what came of it.
    fn happen(&self, (worker, deed): Event, store: &dyn Store) -> Option<Reply> {
        let worker = &mut *self.workers[worker % WORKERS].borrow_mut();
        let nth = |nth: usize, open: &[Attempt]| nth.checked_rem(open.len());
        match deed {
            Deed::Begin(most) => self.send(worker, most, None, store),
            Deed::End(which, tokens) => {
                let attempt = worker.open.remove(nth(which, &worker.open)?);
                let usage = tokens.map(|total| Usage { prompt: 0, completion: total, total });
                let ended = ResponseSummary {
                    status: 200,
                    first_byte: Some(self.now()),
                    usage,
                    end: llm_balancer_router::StreamEnd::Complete,
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

    fn send(
        &self,
        worker: &mut Worker,
        most: u64,
        retry_state: Option<RetryState>,
        store: &dyn Store,
    ) -> Option<Reply> {
        let headers = [(":method", "POST"), (":path", "/v1/chat/completions")].into_iter().collect();
        let Arrival::Hold(request) = worker.router.on_request_headers(&headers, false) else {
            panic!("not held")
        };
        let body = format!(r#"{{"model":"g","messages":[],"max_tokens":{most}}}"#);
        let tried = retry_state.as_ref().map_or_else(Vec::new, |retry_state| retry_state.tried.clone());
        let places = 0..self.setting.limits.len();
        let chances: Vec<Option<Duration>> = places.map(|place| self.chance(place, most)).collect();
        let mut moment = Moment { now: self.now(), random: &mut worker.random, store };
        match worker.router.on_request_body(&request, body.as_bytes(), retry_state, &mut moment) {
            Step::AcquireLease(_) => panic!("there is no Redis"),
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

    fn fail(&self, worker: &mut Worker, attempt: Attempt, status: u16, store: &dyn Store) -> Option<Reply> {
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

    /// Tokens that a request with this bound reserves there: two bytes of prompt are one token, an answer is expected to
    /// take what answers took lately, and nothing takes more than a whole minute's.
    fn reserved(&self, place: usize, most: u64) -> u64 {
        if !self.setting.counts_tokens() {
            return 0;
        }
        let completion = self.record(place).completions.expected().min(most);
        (completion + 1).min(self.setting.limits[place].tpm.unwrap_or(u64::MAX))
    }

    fn admitted(&self, attempt: &Attempt, most: u64) {
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

    fn settled(&self, attempt: &Attempt, used: Option<u64>) {
        if !self.setting.is_counted(attempt.deployment) {
            return;
        }
        let (at, now) = (minute(attempt.ticket.at), minute(self.now()));
        let reserved = i128::from(attempt.ticket.reserved);
        let more = used.map_or(0, |used| i128::from(used) - reserved);
        let tokens = &mut self.books.borrow_mut().tokens;
        *tokens.entry((attempt.deployment, now)).or_default() += if at == now { more } else { more.max(0) };
    }

    /// What the workers share is what the books say.
    fn audit(&self) {
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
        }
    }

    /// When a deployment can take a request, as a fresh look at what is shared has it: `now` where that may be any
    /// moment, because it is only busy; `None` where it is not even that.
    fn chance(&self, place: usize, most: u64) -> Option<Duration> {
        let (record, limits, now) = (self.record(place), self.setting.limits[place], self.now());
        let window = record.window.at(now);
        let is_full = limits.rpm.is_some_and(|rpm| u64::from(window.requests) >= rpm)
            || limits.tpm.is_some_and(|tpm| window.tokens + self.reserved(place, most) > tpm);
        // The dead keep their slots for a few seconds; whether they still do, nobody says here.
        let is_busy = limits.parallel.is_some_and(|slots| record.in_flight() >= slots);
        let ends =
            [record.cooldown.active_until(now), is_full.then(|| window.ends()), is_busy.then_some(now)];
        ends.into_iter().flatten().max()
    }

    /// Whoever was picked could serve, and had not failed this request while others could have served it.
    fn check_pick(&self, place: usize, chances: &[Option<Duration>], tried: &[Arc<str>]) {
        assert!(chances[place].is_none_or(|chance| chance <= self.now()), "d{place}: {chances:?}");
        let was_tried = |place: usize| tried.iter().any(|id| **id == format!("d{place}"));
        let is_better = |other: usize| chances[other].is_none() && !was_tried(other);
        assert!(
            !was_tried(place) || !(0..chances.len()).any(is_better),
            "d{place} again, {tried:?}: {chances:?}"
        );
    }

    /// No request was refused while there was room, and `retry-after` is the first chance, in whole seconds.
    fn check_refusal(&self, reply: &Reply, most: u64) {
        assert_eq!(reply.status, 429, "{reply:?}");
        let places = 0..self.setting.limits.len();
        let chances: Vec<Duration> = places
            .clone()
            .map(|place| self.chance(place, most).unwrap_or_else(|| panic!("d{place} has room: {reply:?}")))
            .collect();
        let wait = chances.iter().min().unwrap().saturating_sub(self.now());
        let first = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
        let told = reply.headers.iter().find(|(name, _)| *name == "retry-after").unwrap();
        let told: u64 = told.1.parse().unwrap();
        assert!((1..=first).contains(&told), "told {told}, but: {chances:?} at {:?}", self.now());
        // A worker may not yet have seen that another one has cooled down somebody who is full in any case.
        if places.into_iter().all(|place| self.record(place).cooldown.active_until(self.now()).is_none()) {
            assert_eq!(told, first, "{chances:?} at {:?}", self.now());
        }
    }

    /// All requests end, the dead are forgotten, and nothing is in flight.
    fn wind_up(&self) {
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

    fn begin_at(&self, place: usize) -> Option<Attempt> {
        let worker = &mut *self.workers[0].borrow_mut();
        let headers = [(":method", "POST"), (":path", "/v1/chat/completions")].into_iter().collect();
        let Arrival::Hold(request) = worker.router.on_request_headers(&headers, false) else {
            panic!("not held")
        };
        let body = format!(r#"{{"model":"d{place}","messages":[],"max_tokens":1}}"#);
        let mut moment = Moment { now: self.now(), random: &mut worker.random, store: &self.memory };
        match worker.router.on_request_body(&request, body.as_bytes(), None, &mut moment) {
            Step::AcquireLease(_) => panic!("there is no Redis"),
            Step::Send(sending) => Some(sending.attempt),
            Step::Reply(..) => None,
        }
    }
}

/// A store in which others get in between: before a write that it is told to delay, something happens to another worker.
struct Interrupted<'s> {
    simulation: &'s Simulation,
    own: usize,
    /// What happens before the next write, the write after it, ..
    before: RefCell<Vec<Option<Event>>>,
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

fn some<T: Clone + std::fmt::Debug>(values: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::weighted(0.6, values)
}

prop_compose! {
    fn limits()(rpm in some(1..6_u64), tpm in some(50..400_u64), parallel in some(1..4_u32)) -> Limits {
        Limits { rpm, tpm, parallel }
    }
}

prop_compose! {
    fn settings()(
        limits in proptest::collection::vec(limits(), 1..4),
        strategy in proptest::sample::select(vec![
            "simple-shuffle", "least-busy", "usage-based-routing-v2", "latency-based-routing", "cost-based-routing",
        ]),
        cooldown in 0..30_u32,
    ) -> Setting {
        Setting { limits, strategy, cooldown }
    }
}

fn deeds() -> impl Strategy<Value = Deed> {
    let status = proptest::sample::select(vec![0, 1, 400, 401, 404, 429, 500, 503]);
    prop_oneof![
        8 => (0..200_u64).prop_map(Deed::Begin),
        4 => (any::<usize>(), some(0..300_u64)).prop_map(|(which, tokens)| Deed::End(which, tokens)),
        2 => (any::<usize>(), status).prop_map(|(which, status)| Deed::Fail(which, status)),
        1 => any::<usize>().prop_map(Deed::Leave),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    (0..WORKERS, deeds())
}

/// Now and then somebody dies.
fn all_events() -> impl Strategy<Value = Event> {
    (0..WORKERS, prop_oneof![20 => deeds(), 1 => Just(Deed::Die)])
}

/// Mostly nothing, a moment, or until the minute has turned.
fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => Just(Duration::ZERO),
        3 => (1..3000_u64).prop_map(Duration::from_millis),
        1 => (3..70_u64).prop_map(Duration::from_secs),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn limits_hold_nobody_with_room_is_passed_over_and_everything_is_settled_once(
        setting in settings(),
        story in proptest::collection::vec((times(), all_events()), 1..60),
    ) {
        let simulation = Simulation::of(&setting);
        for (time, event) in story {
            simulation.pass(time);
            let refused = simulation.happen(event, &simulation.memory);
            if let (Some(reply), Deed::Begin(most)) = (refused, event.1) {
                simulation.check_refusal(&reply, most);
            }
            simulation.audit();
        }
        simulation.wind_up();
    }

    #[test]
    fn limits_hold_when_workers_interrupt_each_other_between_reading_and_writing(
        setting in settings(),
        story in proptest::collection::vec(
            (times(), events(), proptest::collection::vec(proptest::option::of(events()), 0..6)),
            1..40,
        ),
    ) {
        let simulation = Simulation::of(&setting);
        simulation.is_quiet.set(false);
        for (time, event, before) in story {
            simulation.pass(time);
            let before = RefCell::new(before);
            let store = Interrupted { simulation: &simulation, own: event.0 % WORKERS, before };
            simulation.happen(event, &store);
            simulation.audit();
        }
        simulation.wind_up();
    }

    #[test]
    fn whoever_comes_back_after_retry_after_is_served_and_a_second_earlier_is_not(
        rpms in proptest::collection::vec(1..4_u64, 1..3),
        start in 0..60_000_u64,
    ) {
        let limits = rpms.iter().map(|rpm| Limits { rpm: Some(*rpm), ..Limits::default() }).collect();
        let setting = Setting { limits, strategy: "simple-shuffle", cooldown: 5 };
        let simulation = Simulation::of(&setting);
        simulation.pass(Duration::from_millis(start));
        let begin = || simulation.happen((0, Deed::Begin(1)), &simulation.memory);
        for _ in 0..rpms.iter().sum() {
            prop_assert_eq!(begin(), None);
        }
        let reply = begin().unwrap();
        let told = reply.headers.iter().find(|(name, _)| *name == "retry-after").unwrap();
        let wait = Duration::from_secs(told.1.parse().unwrap());
        simulation.pass(wait - Duration::from_secs(1));
        prop_assert!(begin().is_some());
        simulation.pass(Duration::from_secs(1));
        prop_assert_eq!(begin(), None);
    }
}

/// Real threads: as many requests are served in a minute as the limits allow, and not one more or less.
#[test]
fn eight_workers_serve_exactly_what_the_limits_allow() {
    const THREADS: u32 = 8;
    const RPM: [u64; 2] = [150, 350];
    let limits = RPM.map(|rpm| Limits { rpm: Some(rpm), tpm: None, parallel: Some(40) }).to_vec();
    for strategy in ["simple-shuffle", "least-busy", "usage-based-routing-v2"] {
        let setting = Setting { limits: limits.clone(), strategy, cooldown: 5 };
        let memory = Arc::new(Memory::default());
        for minute in 0..3 {
            let now = NOON + Duration::from_secs(60 * minute);
            let serve = |vm| served_by_one(&setting, vm, now, &memory);
            let served: u64 = std::thread::scope(|scope| {
                let threads: Vec<_> = (1..=THREADS).map(|vm| scope.spawn(move || serve(vm))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(served, RPM.iter().sum::<u64>(), "{strategy}, minute {minute}");
        }
        for place in 0..RPM.len() {
            let bytes = memory.get(&format!("d/d{place}")).unwrap().0;
            assert_eq!(
                llm_balancer_router::testing::decode::<llm_balancer_router::testing::Record>(&bytes)
                    .unwrap()
                    .in_flight(),
                0,
                "{strategy}"
            );
        }
    }
}

/// One worker's part of a minute: it serves as many as it may, a few at a time.
fn served_by_one(setting: &Setting, vm: u32, now: Duration, memory: &Arc<Memory>) -> u64 {
    const REQUESTS: u32 = 300;
    let router = Router::new(setting.config(), vm);
    router.open(&**memory);
    let mut random = SplitMix::new(u64::from(vm));
    let headers = [(":method", "POST"), (":path", "/v1/chat/completions")].into_iter().collect();
    let Arrival::Hold(request) = router.on_request_headers(&headers, false) else { panic!("not held") };
    let (mut served, mut open) = (0, Vec::new());
    for _ in 0..REQUESTS {
        let mut moment = Moment { now, random: &mut random, store: &**memory };
        let body = br#"{"model":"g","messages":[]}"#;
        if let Step::Send(sending) = router.on_request_body(&request, body, None, &mut moment) {
            served += 1;
            open.push(sending.attempt);
        }
        if open.len() > 4 {
            open.drain(..).for_each(|attempt| {
                drop(router.on_response_end(attempt, ResponseSummary::default(), &moment))
            });
        }
    }
    let moment = Moment { now, random: &mut random, store: &**memory };
    open.drain(..)
        .for_each(|attempt| drop(router.on_response_end(attempt, ResponseSummary::default(), &moment)));
    served
}
