//! Calls to Redis: one pipeline each, through a listener of this process that turns a POST into bytes on a connection.
//!
//! Requests wait for leases, and for nothing else; they wait together where they can, and never longer than a call may take.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use llm_balancer_config::names;
use llm_balancer_router::Headers;
use llm_balancer_router::Membership;
use llm_balancer_router::Shortfall;
use llm_balancer_router::{Call, CallResult, RedisTransition};
use llm_balancer_router::{Change, series};

use crate::Worker;
use crate::host::{self, BufferType, LogLevel, MapType};
use crate::metrics;
use crate::shared::SharedData;

/// How often we look whether a call takes too long.
const LOOK: Duration = Duration::from_millis(10);
/// After so many looks it does: what a request may wait is 50 ms. Looks are counted and not time, because on a machine that has
/// no time for us, both the looks and the answers come late.
const PATIENCE: u8 = 5;
/// What a call may take. An answer that comes late is of use: what it grants would be lost otherwise.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The calls of one worker.
#[derive(Default)]
pub(crate) struct Redis {
    /// By the host's token.
    calls: RefCell<HashMap<u32, Pending>>,
    /// Deployments that this worker has leased, as long as something may be left of it.
    held: RefCell<Vec<usize>>,
    /// Requests that got nothing, while others may be about to give back: they ask again with the next tick.
    parked: RefCell<Vec<Waiting>>,
}

/// A request by its context, and what it shortfall.
pub(crate) type Waiting = (u32, Vec<(usize, u64)>);

struct Pending {
    call: Call,
    looks: u8,
    /// NoDeployment waits for it any more.
    is_overdue: bool,
    /// Contexts of the requests that wait for it.
    waiting: Vec<u32>,
}

impl Redis {
    /// Says that it is there, until something else is known, as it may be from a configuration before this one.
    pub(crate) fn start() {
        is_up(!Membership::read(&SharedData).is_redis_down);
    }

    /// Tells the other instances that this one ends.
    pub(crate) fn say_goodbye(&self, worker: &Worker) {
        if let Some(call) = worker.decide(|router, moment| router.fleet()?.deregister(moment)) {
            self.send(worker, call, Vec::new());
        }
    }

    /// Whether this is the token of a call.
    pub(crate) fn knows(&self, token: u32) -> bool {
        self.calls.borrow().contains_key(&token)
    }

    /// How soon there is something to do with time, if there is.
    pub(crate) fn is_due_within(&self) -> Option<Duration> {
        let waits = self.calls.borrow().values().any(|pending| !pending.is_overdue);
        match waits || !self.parked.borrow().is_empty() {
            true => Some(LOOK),
            false => (!self.held.borrow().is_empty()).then_some(Duration::from_millis(20)),
        }
    }

    /// Lets requests wait for leases on any of these deployments, each for what it shortfall there; says whether they do.
    pub(crate) fn lease(&self, worker: &Worker, requests: Vec<Waiting>) -> bool {
        if !self.parked.borrow().is_empty() {
            self.park(worker, requests);
            return true;
        }
        let mut shortfall: HashMap<usize, Shortfall> = HashMap::new();
        for (index, tokens) in requests.iter().flat_map(|(_, shortfall)| shortfall) {
            let all = shortfall.entry(*index).or_default();
            all.requests = all.requests.saturating_add(1);
            all.tokens = all.tokens.saturating_add(*tokens);
        }
        let waiting: Vec<u32> = requests.iter().map(|(context, _)| *context).collect();
        if self.join(&shortfall, &waiting) {
            return true;
        }
        let shortfall: Vec<_> = shortfall.into_iter().collect();
        let call = worker.decide(|router, moment| router.fleet()?.acquire(&shortfall, moment));
        call.is_some_and(|call| self.send(worker, call, waiting))
    }

    /// Lets requests wait for the next tick.
    pub(crate) fn park(&self, worker: &Worker, requests: Vec<Waiting>) {
        self.parked.borrow_mut().extend(requests);
        self.hurry(worker);
    }

    fn hurry(&self, worker: &Worker) {
        worker.clock.hurry(self.is_due_within());
    }

    /// Waits for a call that is under way for one of the same deployments.
    fn join(&self, shortfall: &HashMap<usize, Shortfall>, waiting: &[u32]) -> bool {
        let mut calls = self.calls.borrow_mut();
        // One that has taken too long already is no use to wait for.
        let is_same = |pending: &&mut Pending| {
            !pending.is_overdue && pending.call.leases().any(|index| shortfall.contains_key(&index))
        };
        let same = calls.values_mut().find(is_same);
        if let Some(pending) = same {
            pending.waiting.extend_from_slice(waiting);
            return true;
        }
        false
    }

    /// Asks for more of a lease that is nearly used up, unless that is under way.
    pub(crate) fn refill(&self, worker: &Worker, index: usize) {
        let shortfall = HashMap::from([(index, Shortfall::default())]);
        if self.join(&shortfall, &[]) {
            return;
        }
        let call =
            worker.decide(|router, moment| router.fleet()?.acquire(&[(index, Shortfall::default())], moment));
        if let Some(call) = call {
            self.send(worker, call, Vec::new());
        }
    }

    /// Tells the other instances what they should not have to wait for.
    pub(crate) fn tell_news(&self, worker: &Worker) {
        let begun = worker.router.fleet().map(|mut fleet| fleet.begun_cooldowns());
        for index in begun.unwrap_or_default() {
            if let Some(call) = worker.decide(|router, moment| router.fleet()?.publish(index, moment)) {
                self.send(worker, call, Vec::new());
            }
        }
    }

    /// What happens with time: nobody waits for too long, unused leases are given back, and once a second the instances
    /// exchange. Returns the requests that wait no longer.
    pub(crate) fn tick(&self, worker: &Worker, is_beat: bool) -> Vec<u32> {
        let mut released = self.timed_out(worker);
        let parked = self.parked.take();
        if !parked.is_empty() {
            let contexts: Vec<u32> = parked.iter().map(|(context, _)| *context).collect();
            if !self.lease(worker, parked) {
                released.extend(contexts);
            }
        }
        self.tell_news(worker);
        let mut held = self.held.take();
        let call = match held.is_empty() {
            true => None,
            false => worker.decide(|router, moment| router.fleet()?.release_unused(&mut held, moment)),
        };
        self.held.borrow_mut().extend(held);
        let exchange = match is_beat {
            true => worker.decide(|router, moment| Some(router.fleet()?.exchange(moment))),
            false => None,
        };
        for call in call.into_iter().chain(exchange.into_iter().flatten()) {
            self.send(worker, call, Vec::new());
        }
        self.hurry(worker);
        released
    }

    /// The requests that have waited for long enough.
    fn timed_out(&self, worker: &Worker) -> Vec<u32> {
        let mut released = Vec::new();
        let mut is_news = false;
        for pending in self.calls.borrow_mut().values_mut() {
            pending.looks = pending.looks.saturating_add(1);
            // What nobody waits for may take its time, on a machine or a line that is busy.
            let patience = if pending.waiting.is_empty() { PATIENCE.saturating_mul(20) } else { PATIENCE };
            if !pending.is_overdue && pending.looks >= patience {
                (pending.is_overdue, is_news) = (true, true);
                released.append(&mut pending.waiting);
            }
        }
        if is_news {
            log(worker.decide(|router, moment| Some(router.fleet()?.timed_out(moment))));
        }
        released
    }

    /// Sends a call on behalf of the worker, so that it does not end with the request that happened to make it.
    fn send(&self, worker: &Worker, call: Call, waiting: Vec<u32>) -> bool {
        let headers: Headers =
            [(":method", "POST"), (":path", "/"), (":authority", names::REDIS), (":scheme", "http")]
                .into_iter()
                .collect();
        let current = worker.current.get();
        let sent = host::set_effective_context(worker.root)
            .and_then(|()| host::call(names::REDIS_HOP, &headers, &call.bytes, TIMEOUT));
        if current != 0 {
            let _ = host::set_effective_context(current);
        }
        match sent {
            Ok(token) => {
                let pending = Pending { call, looks: 0, is_overdue: false, waiting };
                self.calls.borrow_mut().insert(token, pending);
                self.hurry(worker);
                true
            }
            Err(_) => {
                self.take_in(worker, call, None, false);
                false
            }
        }
    }

    /// An answer has come, or will not come any more: the requests that waited for it, and whether it grants anything.
    pub(crate) fn answered(&self, worker: &Worker, token: u32) -> (Vec<u32>, bool) {
        let Some(Pending { call, waiting, looks, .. }) = self.calls.borrow_mut().remove(&token) else {
            return (Vec::new(), false);
        };
        let is_ok = host::header(MapType::CallResponse, ":status").as_deref() == Some("200");
        let body = is_ok.then(|| host::buffer(BufferType::CallResponseBody));
        let granted = self.take_in(worker, call, body.as_deref(), looks >= PATIENCE);
        (waiting, granted)
    }

    fn take_in(&self, worker: &Worker, call: Call, answer: Option<&[u8]>, is_late: bool) -> bool {
        {
            let mut held = self.held.borrow_mut();
            for index in call.leases() {
                if !held.contains(&index) {
                    held.push(index);
                }
            }
        }
        let CallResult { transition, granted, needs_resync, .. } =
            worker.decide(|router, moment| router.apply_reply(&call, answer, is_late, moment));
        log(Some(transition));
        if needs_resync {
            let calls = worker.decide(|router, moment| Some(router.fleet()?.resync(moment)));
            for call in calls.into_iter().flatten() {
                self.send(worker, call, Vec::new());
            }
        }
        self.hurry(worker);
        granted
    }
}

/// Gauge: 1 while limits are shared, 0 while each instance has its share of them.
fn is_up(is_up: bool) {
    metrics::flush(&series("redis_up", &[]), Change::Gauge(u64::from(is_up)));
}

fn log(transition: Option<RedisTransition>) {
    let message = match transition {
        None | Some(RedisTransition::None) => return,
        Some(RedisTransition::Down(problem)) => {
            is_up(false);
            format!("Redis is unavailable: {problem}; this instance keeps to its share of the limits")
        }
        Some(RedisTransition::Up) => {
            is_up(true);
            "Redis is available again; limits are shared".to_owned()
        }
    };
    host::log(LogLevel::Warn, &format!("{}: {message}", names::FILTER));
}
