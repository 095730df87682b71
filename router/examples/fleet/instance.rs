//! One instance: the product's router over a store of its own, and what the filter does around it with calls to Redis.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use llm_balancer_config::Config;
use llm_balancer_router::attempt::{Attempt, Journey};
use llm_balancer_router::http::headers::Headers;
use llm_balancer_router::random::SplitMix;
use llm_balancer_router::state::lease::Lacks;
use llm_balancer_router::state::store::{Memory, Moment};
use llm_balancer_router::{Arrival, Call, End, Ended, Router, Step};

const BODY: &[u8] = br#"{"model":"g","messages":[{"role":"user","content":"hi"}]}"#;
/// How soon the filter looks again: for requests that others may give something back to, and for leases that may be idle.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(20));

/// A request, and what it lacks.
type Waiting = (usize, Vec<(usize, u64)>);

struct Pending {
    call: Call,
    waiting: Vec<usize>,
}

/// What came of the last event.
#[derive(Default)]
pub struct News {
    /// Calls to Redis, by number.
    pub calls: Vec<(u64, Vec<u8>)>,
    pub admitted: Vec<(usize, Attempt)>,
    pub refused: Vec<(usize, u64)>,
}

pub struct Instance {
    router: Router,
    store: Memory,
    random: SplitMix,
    held: Vec<usize>,
    parked: Vec<Waiting>,
    journeys: HashMap<usize, Journey>,
    /// In the order in which they were sent.
    pending: BTreeMap<u64, Pending>,
    /// The number of the last call.
    last: u64,
    pub news: News,
}

impl Instance {
    pub fn new(config: Config, number: u32) -> Self {
        let (router, store) = (Router::new(config, number), Memory::default());
        router.open(&store);
        Self {
            router,
            store,
            random: SplitMix::new(u64::from(number)),
            held: Vec::new(),
            parked: Vec::new(),
            journeys: HashMap::new(),
            pending: BTreeMap::new(),
            last: 0,
            news: News::default(),
        }
    }

    /// A request has come.
    pub fn arrive(&mut self, request: usize, now: Duration) {
        if let Some(lacks) = self.decide(request, None, now) {
            self.lease(vec![(request, lacks)], now);
        }
    }

    /// It was served.
    pub fn serve(&mut self, attempt: &Attempt, now: Duration) {
        let ended = Ended { status: 200, first_byte: Some(now), usage: None, end: End::Whole };
        let moment = Moment { now, random: &mut self.random, store: &self.store };
        self.router.serve(attempt, ended, &moment);
    }

    /// Redis has answered a call.
    pub fn answered(&mut self, call: u64, answer: &[u8], now: Duration) {
        let Some(Pending { call, waiting }) = self.pending.remove(&call) else { return };
        for index in call.leases() {
            if !self.held.contains(&index) {
                self.held.push(index);
            }
        }
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        let told = self.router.told(call, Some(answer), false, &mut moment);
        assert!(!told.forgot, "Redis has forgotten nothing");
        let mut again = Vec::new();
        for request in waiting {
            let journey = self.journeys.remove(&request);
            if let Some(lacks) = self.decide(request, journey, now) {
                again.push((request, lacks));
            }
        }
        match told.granted {
            _ if again.is_empty() => {}
            true => self.lease(again, now),
            false => self.parked.extend(again),
        }
    }

    /// How soon it wants to look again.
    pub fn is_due_within(&self) -> Option<Duration> {
        match self.parked.is_empty() {
            false => Some(LOOK.0),
            true => (!self.held.is_empty()).then_some(LOOK.1),
        }
    }

    /// It looks again.
    pub fn tick(&mut self, now: Duration) {
        let parked = std::mem::take(&mut self.parked);
        if !parked.is_empty() {
            self.lease(parked, now);
        }
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        if let Some(call) = self.router.surrender(&mut self.held, &mut moment) {
            self.send(call, Vec::new());
        }
    }

    /// Once a second.
    pub fn beat(&mut self, now: Duration) {
        self.router.beat(now, &self.store);
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        for call in self.router.exchange(&mut moment) {
            self.send(call, Vec::new());
        }
    }

    /// What it lacks, if it cannot be decided yet.
    fn decide(
        &mut self,
        request: usize,
        journey: Option<Journey>,
        now: Duration,
    ) -> Option<Vec<(usize, u64)>> {
        let headers: Headers = [(":method", "POST"), (":path", "/v1/chat/completions")].into_iter().collect();
        let Arrival::Hold(held) = self.router.arrive(&headers, false) else { panic!("it has a body") };
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        match self.router.send(&held, BODY, journey, &mut moment) {
            Step::Ask(asking) => {
                self.journeys.insert(request, asking.journey);
                return Some(asking.lacks);
            }
            Step::Reply(reply) => {
                let wait = reply.headers.iter().find(|(name, _)| *name == "retry-after");
                let seconds = wait.and_then(|(_, seconds)| seconds.parse().ok()).unwrap_or_default();
                self.news.refused.push((request, seconds));
            }
            Step::Send(sending) => {
                let (deployment, low) = (sending.attempt.deployment, sending.attempt.ticket.low);
                self.news.admitted.push((request, sending.attempt));
                let lacks = HashMap::from([(deployment, Lacks::default())]);
                if low && !self.join(&lacks, &[]) {
                    self.ask(&lacks, Vec::new(), now);
                }
            }
        }
        None
    }

    fn lease(&mut self, requests: Vec<Waiting>, now: Duration) {
        if !self.parked.is_empty() {
            return self.parked.extend(requests);
        }
        let mut lacks: HashMap<usize, Lacks> = HashMap::new();
        for (index, tokens) in requests.iter().flat_map(|(_, lacks)| lacks) {
            let all = lacks.entry(*index).or_default();
            (all.requests, all.tokens) = (all.requests + 1, all.tokens + tokens);
        }
        let waiting: Vec<usize> = requests.iter().map(|(request, _)| *request).collect();
        if !self.join(&lacks, &waiting) {
            self.ask(&lacks, waiting, now);
        }
    }

    /// Waits for a call that is under way for one of the same deployments.
    fn join(&mut self, lacks: &HashMap<usize, Lacks>, waiting: &[usize]) -> bool {
        let same = |pending: &&mut Pending| pending.call.leases().any(|index| lacks.contains_key(&index));
        match self.pending.values_mut().find(same) {
            Some(pending) => {
                pending.waiting.extend_from_slice(waiting);
                true
            }
            None => false,
        }
    }

    fn ask(&mut self, lacks: &HashMap<usize, Lacks>, waiting: Vec<usize>, now: Duration) {
        let mut lacks: Vec<_> = lacks.iter().map(|(index, lacks)| (*index, *lacks)).collect();
        lacks.sort_unstable_by_key(|(index, _)| *index);
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        let call = self.router.ask(&lacks, &mut moment).expect("Redis is there");
        self.send(call, waiting);
    }

    fn send(&mut self, call: Call, waiting: Vec<usize>) {
        self.last += 1;
        self.news.calls.push((self.last, call.bytes.clone()));
        self.pending.insert(self.last, Pending { call, waiting });
    }
}
