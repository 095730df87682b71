//! One instance: the product's router over a store of its own, with the filter's handling of calls
//! to Redis.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use llm_balancer_config::Config;
use llm_balancer_router::testing::Memory;
use llm_balancer_router::{
    Amount, Arrival, Attempt, Awaited, Call, Headers, Membership, Moment, ResponseSummary, RetryState,
    Router, SplitMix, Step,
};

const BODY: &[u8] = br#"{"model":"g","messages":[{"role":"user","content":"hi"}]}"#;
/// The filter's ticks, while requests wait for other instances to give something back.
const TICK: Duration = Duration::from_millis(10);

/// A request, the deployment that could serve it with a lease, and the tokens that it needs there.
type Waiting = (usize, (usize, u64));

struct Pending {
    call: Call,
    waiting: Vec<usize>,
}

/// What follows from the last event.
#[derive(Default)]
pub struct Outbox {
    /// Calls to Redis, by number.
    pub calls: Vec<(u64, Vec<u8>)>,
    pub admitted: Vec<(usize, Attempt)>,
    pub refused: Vec<(usize, u64)>,
}

pub struct Instance {
    router: Router,
    store: Memory,
    random: SplitMix,
    parked: Vec<Waiting>,
    retry_states: HashMap<usize, RetryState>,
    /// In the order in which they were sent.
    pending: BTreeMap<u64, Pending>,
    /// The number of the last call.
    last: u64,
    pub outbox: Outbox,
}

impl Instance {
    pub fn new(config: Config, number: u32) -> Self {
        let (router, store) = (Router::new(config, number), Memory::default());
        router.open(&store);
        Self {
            router,
            store,
            random: SplitMix::new(u64::from(number)),
            parked: Vec::new(),
            retry_states: HashMap::new(),
            pending: BTreeMap::new(),
            // Replies to the calls of an instance that was here before have other numbers.
            last: u64::from(number) << 32,
            outbox: Outbox::default(),
        }
    }

    /// A request has come.
    pub fn arrive(&mut self, request: usize, now: Duration) {
        if let Some(shortfall) = self.decide(request, None, now) {
            self.lease(vec![(request, shortfall)], now);
        }
    }

    /// A request has ended.
    pub fn serve(&mut self, attempt: Attempt, now: Duration) {
        let ended = ResponseSummary { status: 200, first_byte: Some(now), ..ResponseSummary::default() };
        let moment = Moment { now, random: &mut self.random, store: &self.store };
        drop(self.router.on_response_end(attempt, ended, &moment));
    }

    /// Redis has replied to a call; `None` where there is no reply.
    pub fn on_reply(&mut self, call: u64, reply: Option<&[u8]>, is_late: bool, now: Duration) {
        let Some(Pending { call, waiting }) = self.pending.remove(&call) else { return };
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        let result = self.router.apply_reply(&call, reply, is_late, &moment);
        let calls = self.router.fleet().expect("it has Redis").follow_up(result.follow_up, &mut moment);
        for call in calls {
            self.send(call, Vec::new());
        }
        let again = self.decide_again(waiting, now);
        if again.is_empty() {
            return;
        }
        if result.resumes {
            self.lease(again, now);
        } else {
            self.parked.extend(again);
        }
    }

    /// A call takes longer than requests wait.
    pub fn time_out(&mut self, call: u64, now: Duration) {
        let Some(pending) = self.pending.get_mut(&call).filter(|pending| !pending.call.is_wait()) else {
            return;
        };
        let waiting = std::mem::take(&mut pending.waiting);
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        self.router.fleet().expect("it has Redis").timed_out(&mut moment);
        let again = self.decide_again(waiting, now);
        self.parked.extend(again);
    }

    fn decide_again(&mut self, waiting: Vec<usize>, now: Duration) -> Vec<Waiting> {
        let mut again = Vec::new();
        for request in waiting {
            let retry_state = self.retry_states.remove(&request);
            if let Some(shortfall) = self.decide(request, retry_state, now) {
                again.push((request, shortfall));
            }
        }
        again
    }

    /// When the next tick is due.
    pub fn tick_due_within(&self) -> Option<Duration> {
        (!self.parked.is_empty()).then_some(TICK)
    }

    /// Looks for requests that wait.
    pub fn tick(&mut self, now: Duration) {
        let parked = std::mem::take(&mut self.parked);
        if !parked.is_empty() {
            self.lease(parked, now);
        }
    }

    /// Once a second.
    pub fn heartbeat(&mut self, now: Duration) {
        self.router.beat(now, &self.store);
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        let calls = self.router.fleet().expect("it has Redis").exchange(&mut moment);
        for call in calls {
            self.send(call, Vec::new());
        }
    }

    /// The instance ends: its last calls to Redis, if it has made any.
    pub fn end(&mut self, now: Duration) -> Vec<Vec<u8>> {
        Membership::deregister(&self.store);
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        self.router
            .fleet()
            .expect("it has Redis")
            .deregister(&mut moment)
            .into_iter()
            .map(|call| call.bytes)
            .collect()
    }

    /// The lease that a request needs before it can be decided: the deployment, and the tokens.
    fn decide(
        &mut self,
        request: usize,
        retry_state: Option<RetryState>,
        now: Duration,
    ) -> Option<(usize, u64)> {
        let headers: Headers = [(":method", "POST"), (":path", "/v1/chat/completions")].into_iter().collect();
        let Arrival::Hold(held) = self.router.on_request_headers(&headers, false) else {
            panic!("it has a body")
        };
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        match self.router.on_request_body(&held, BODY, retry_state, &mut moment) {
            Step::AwaitRedis(retry_state, Awaited::Lease { deployment, tokens }) => {
                self.retry_states.insert(request, *retry_state);
                return Some((deployment, tokens));
            }
            Step::AwaitRedis(_, Awaited::Origin(_)) => panic!("chats refer to nothing"),
            Step::Reply(reply, _) => {
                let wait = reply.headers.iter().find(|(name, _)| *name == "retry-after");
                let seconds = wait.and_then(|(_, seconds)| seconds.parse().ok()).unwrap_or_default();
                self.outbox.refused.push((request, seconds));
            }
            Step::Send(sending) => {
                let (deployment, low) = (sending.attempt.deployment, sending.attempt.ticket.lease_low);
                self.outbox.admitted.push((request, sending.attempt));
                let shortfall = HashMap::from([(deployment, Amount::default())]);
                if low && !self.join(&shortfall, &[]) {
                    self.ask(&shortfall, Vec::new(), now);
                }
            }
        }
        None
    }

    fn lease(&mut self, requests: Vec<Waiting>, now: Duration) {
        if !self.parked.is_empty() {
            return self.parked.extend(requests);
        }
        let mut shortfall: HashMap<usize, Amount> = HashMap::new();
        for (_, (index, tokens)) in &requests {
            let all = shortfall.entry(*index).or_default();
            (all.requests, all.tokens) = (all.requests + 1, all.tokens + tokens);
        }
        let waiting: Vec<usize> = requests.iter().map(|(request, _)| *request).collect();
        if !self.join(&shortfall, &waiting) {
            self.ask(&shortfall, waiting, now);
        }
    }

    /// Waits for a call that is under way for one of the same deployments.
    fn join(&mut self, shortfall: &HashMap<usize, Amount>, waiting: &[usize]) -> bool {
        let same = |pending: &&mut Pending| pending.call.leases().any(|index| shortfall.contains_key(&index));
        match self.pending.values_mut().find(same) {
            Some(pending) => {
                pending.waiting.extend_from_slice(waiting);
                true
            }
            None => false,
        }
    }

    fn ask(&mut self, shortfall: &HashMap<usize, Amount>, waiting: Vec<usize>, now: Duration) {
        let mut shortfall: Vec<_> = shortfall.iter().map(|(index, shortfall)| (*index, *shortfall)).collect();
        shortfall.sort_unstable_by_key(|(index, _)| *index);
        let mut moment = Moment { now, random: &mut self.random, store: &self.store };
        let call = self.router.fleet().expect("it has Redis").acquire(&shortfall, &mut moment);
        match call {
            Some(call) => self.send(call, waiting),
            None => {
                let again = self.decide_again(waiting, now);
                self.parked.extend(again);
            }
        }
    }

    /// The calls that wait for other instances.
    pub fn waits(&self) -> Vec<u64> {
        self.pending.iter().filter(|(_, pending)| pending.call.is_wait()).map(|(call, _)| *call).collect()
    }

    fn send(&mut self, call: Call, waiting: Vec<usize>) {
        self.last += 1;
        self.outbox.calls.push((self.last, call.bytes.clone()));
        self.pending.insert(self.last, Pending { call, waiting });
    }
}
