//! Calls to Redis: one pipeline each.
//!
//! Requests wait for leases, and to learn where something was made that they refer to. They wait
//! together where they can, and not longer than 50 ms.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use llm_balancer_config::{Config, names};
use llm_balancer_router::{
    Amount, Awaited, Call, CallResult, Change, FollowUp, Membership, RedisTransition, Reference,
    WAIT_SECONDS, series,
};

use crate::decider::Decider;
use crate::hostcalls::WakeUp;
use crate::shared_data::SharedData;
use crate::stream_handle::StreamHandle;
use crate::{hostcalls, metrics};

/// How often calls are checked for their timeout, while requests wait for them.
const TICK: Duration = Duration::from_millis(10);
/// Ticks that a request waits: 50 ms. Ticks are counted and not time, because on a busy machine
/// both the ticks and the answers are late.
const PATIENCE: u8 = 5;
/// Ticks that a call may take which no request waits for.
const LONG_PATIENCE: u8 = PATIENCE * 20;
/// Envoy's timeout of a call. A late answer is of use: what it grants would be lost otherwise.
const TIMEOUT: Duration = Duration::from_secs(2);
/// That of a wait for other instances' requests.
const WAIT_TIMEOUT: Duration = Duration::from_secs(WAIT_SECONDS + 5);

/// The calls of one configuration on one worker.
pub(crate) struct Redis {
    /// Wakes up the root context. Where the host cannot, ticks do.
    wake_up: Option<WakeUp>,
    /// Whether the root context is awake, or is going to be.
    is_awake: Cell<bool>,
    outbox: RefCell<Outbox>,
    /// By the SDK's token.
    calls: RefCell<HashMap<u32, Pending>>,
    /// Requests that got nothing, while other instances are asked to give back: they acquire again
    /// with the next tick.
    parked: RefCell<Vec<AwaitsLease>>,
}

/// What streams have queued since the root context was last awake.
#[derive(Default)]
struct Outbox {
    leases: Vec<AwaitsLease>,
    refills: Vec<usize>,
    /// Requests, and what each refers to.
    origins: Vec<(StreamHandle, Vec<Reference>)>,
}

/// A request that lacks a lease of a deployment for so many tokens.
struct AwaitsLease {
    stream: StreamHandle,
    deployment: usize,
    tokens: u64,
}

struct Pending {
    call: Call,
    ticks: u8,
    has_timed_out: bool,
    /// Requests that wait for it.
    waiting: Vec<StreamHandle>,
}

impl Pending {
    fn may_time_out(&self) -> bool {
        !self.has_timed_out && !self.call.is_wait()
    }
}

impl Redis {
    /// For the configuration of this root context.
    pub(crate) fn new(vm: u32, root: u32, config: &Config) -> Self {
        let wake_up = config.redis.as_ref().map(|_| {
            // A configuration before this one may have found Redis down.
            set_up_gauge(!Membership::read(&SharedData).is_redis_down);
            // And its waits end with it.
            Membership::end_wait(&SharedData);
            WakeUp::new(vm, root)
        });
        Self {
            wake_up,
            is_awake: Cell::new(false),
            outbox: RefCell::default(),
            calls: RefCell::default(),
            parked: RefCell::default(),
        }
    }

    /// Queues a request for what it waits for.
    pub(crate) fn enqueue(&self, decider: &Decider, stream: StreamHandle, awaited: Awaited) {
        match awaited {
            Awaited::Lease { deployment, tokens } => {
                self.outbox.borrow_mut().leases.push(AwaitsLease { stream, deployment, tokens });
            }
            Awaited::Origin(references) => self.outbox.borrow_mut().origins.push((stream, references)),
        }
        self.wake_up(decider);
    }

    /// Queues a lease that is nearly used up.
    pub(crate) fn refill(&self, decider: &Decider, deployment: usize) {
        self.outbox.borrow_mut().refills.push(deployment);
        self.wake_up(decider);
    }

    /// Makes Envoy call `on_queue_ready` when this callback is over; by the next tick at the
    /// latest.
    pub(crate) fn wake_up(&self, decider: &Decider) {
        if decider.router.config().redis.is_none() || self.is_awake.replace(true) {
            return;
        }
        if !self.wake_up.as_ref().is_some_and(WakeUp::request) {
            decider.timers.request_tick(Some(TICK));
        }
    }

    /// The root context is awake: no wake-up is needed until [`Redis::sleep`].
    pub(crate) fn stay_awake(&self) {
        self.is_awake.set(true);
    }

    /// The callback of the root context is over.
    pub(crate) fn sleep(&self) {
        self.is_awake.set(false);
    }

    /// Sends what streams have queued. Returns the requests that need not wait, because Redis is
    /// down.
    pub(crate) fn flush(&self, decider: &Decider) -> Vec<StreamHandle> {
        if decider.router.config().redis.is_none() {
            return Vec::new();
        }
        self.publish_news(decider);
        let Outbox { leases, refills, origins } = self.outbox.take();
        let mut ready = self.find_origins(decider, origins);
        for deployment in refills {
            self.acquire(decider, HashMap::from([(deployment, Amount::default())]), &[]);
        }
        if leases.is_empty() {
            return ready;
        }
        if !self.parked.borrow().is_empty() {
            self.parked.borrow_mut().extend(leases);
            self.request_tick(decider);
            return ready;
        }
        ready.extend(self.acquire_for(decider, leases));
        ready
    }

    /// Asks for the origins of all requests in one call. Returns those that do not wait.
    fn find_origins(
        &self,
        decider: &Decider,
        requests: Vec<(StreamHandle, Vec<Reference>)>,
    ) -> Vec<StreamHandle> {
        let (waiting, references): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        if waiting.is_empty() {
            return waiting;
        }
        let references = references.concat();
        let call = decider.decide(|router, moment| router.fleet()?.find_origins(&references, moment));
        let is_sent = call.is_some_and(|call| self.send(decider, call, waiting.clone()));
        if is_sent { Vec::new() } else { waiting }
    }

    /// Sends what streams have queued, but lets requests wait for the next tick.
    pub(crate) fn park(&self, decider: &Decider) -> Vec<StreamHandle> {
        let leases = std::mem::take(&mut self.outbox.borrow_mut().leases);
        if !leases.is_empty() {
            self.parked.borrow_mut().extend(leases);
            self.request_tick(decider);
        }
        self.flush(decider)
    }

    /// Acquires leases for requests, each for what it lacks. Returns those that do not wait.
    fn acquire_for(&self, decider: &Decider, requests: Vec<AwaitsLease>) -> Vec<StreamHandle> {
        let mut shortfall: HashMap<usize, Amount> = HashMap::new();
        for AwaitsLease { deployment, tokens, .. } in &requests {
            let sum = shortfall.entry(*deployment).or_default();
            sum.requests = sum.requests.saturating_add(1);
            sum.tokens = sum.tokens.saturating_add(*tokens);
        }
        let waiting: Vec<StreamHandle> = requests.into_iter().map(|request| request.stream).collect();
        if self.acquire(decider, shortfall, &waiting) { Vec::new() } else { waiting }
    }

    /// Acquires leases, or joins a call for one of them. Returns whether the requests wait for it.
    fn acquire(
        &self,
        decider: &Decider,
        shortfall: HashMap<usize, Amount>,
        waiting: &[StreamHandle],
    ) -> bool {
        if self.join(&shortfall, waiting) {
            return true;
        }
        let shortfall: Vec<_> = shortfall.into_iter().collect();
        let call = decider.decide(|router, moment| router.fleet()?.acquire(&shortfall, moment));
        call.is_some_and(|call| self.send(decider, call, waiting.to_vec()))
    }

    /// Waits for a call that is under way for one of the same deployments, and has not timed out.
    fn join(&self, shortfall: &HashMap<usize, Amount>, waiting: &[StreamHandle]) -> bool {
        let mut calls = self.calls.borrow_mut();
        let is_same = |pending: &&mut Pending| {
            !pending.has_timed_out && pending.call.leases().any(|index| shortfall.contains_key(&index))
        };
        let Some(pending) = calls.values_mut().find(is_same) else { return false };
        pending.waiting.extend_from_slice(waiting);
        true
    }

    /// Publishes cooldowns that have begun and origins that became known to the other instances.
    fn publish_news(&self, decider: &Decider) {
        self.send_all(decider, decider.decide(|router, moment| Some(router.fleet()?.publish_news(moment))));
    }

    /// Whether calls other than waits are pending, and have not timed out.
    pub(crate) fn has_calls(&self) -> bool {
        self.calls.borrow().values().any(Pending::may_time_out)
    }

    /// Removes this instance from the fleet.
    pub(crate) fn deregister(&self, decider: &Decider) {
        self.send_all(decider, decider.decide(|router, moment| Some(router.fleet()?.deregister(moment))));
    }

    /// Times out calls, and once a second exchanges with the other instances. Returns the requests
    /// that no longer wait.
    pub(crate) fn on_tick(&self, decider: &Decider, is_heartbeat: bool) -> Vec<StreamHandle> {
        let mut released = self.time_out(decider);
        let parked = self.parked.take();
        if !parked.is_empty() {
            released.extend(self.acquire_for(decider, parked));
        }
        self.publish_news(decider);
        if is_heartbeat {
            self.send_all(decider, decider.decide(|router, moment| Some(router.fleet()?.exchange(moment))));
        }
        self.request_tick(decider);
        released
    }

    /// Returns the requests that have waited for long enough.
    fn time_out(&self, decider: &Decider) -> Vec<StreamHandle> {
        let mut released = Vec::new();
        let mut has_timed_out = false;
        for pending in self.calls.borrow_mut().values_mut().filter(|pending| !pending.call.is_wait()) {
            pending.ticks = pending.ticks.saturating_add(1);
            let patience = if pending.waiting.is_empty() { LONG_PATIENCE } else { PATIENCE };
            if !pending.has_timed_out && pending.ticks >= patience {
                (pending.has_timed_out, has_timed_out) = (true, true);
                released.append(&mut pending.waiting);
            }
        }
        if has_timed_out {
            report(decider.decide(|router, moment| Some(router.fleet()?.timed_out(moment))));
        }
        released
    }

    /// Sends calls that no request waits for; `None` without Redis.
    fn send_all(&self, decider: &Decider, calls: Option<Vec<Call>>) {
        for call in calls.into_iter().flatten() {
            self.send(decider, call, Vec::new());
        }
    }

    /// Sends a call. To be called from the root context only: the SDK gives it the answer.
    fn send(&self, decider: &Decider, call: Call, waiting: Vec<StreamHandle>) -> bool {
        let timeout = if call.is_wait() { WAIT_TIMEOUT } else { TIMEOUT };
        match hostcalls::call_redis(&call.bytes, call.is_wait(), timeout) {
            Ok(token) => {
                let pending = Pending { call, ticks: 0, has_timed_out: false, waiting };
                self.calls.borrow_mut().insert(token, pending);
                self.request_tick(decider);
                true
            }
            Err(_) => {
                self.apply_reply(decider, call, None, false);
                false
            }
        }
    }

    /// Applies an answer, or that there is none. Returns the requests that waited for it, and
    /// whether those that need to wait again acquire at once.
    pub(crate) fn on_reply(&self, decider: &Decider, token: u32) -> (Vec<StreamHandle>, bool) {
        let Some(Pending { call, waiting, ticks, .. }) = self.calls.borrow_mut().remove(&token) else {
            return (Vec::new(), false);
        };
        let replies = hostcalls::redis_replies();
        let resumes = self.apply_reply(decider, call, replies.as_deref(), ticks >= PATIENCE);
        (waiting, resumes)
    }

    fn apply_reply(&self, decider: &Decider, call: Call, answer: Option<&[u8]>, is_late: bool) -> bool {
        let CallResult { transition, resumes, follow_up, .. } =
            decider.decide(|router, moment| router.apply_reply(&call, answer, is_late, moment));
        report(Some(transition));
        if follow_up != FollowUp::None {
            let calls = decider.decide(|router, moment| Some(router.fleet()?.follow_up(follow_up, moment)));
            self.send_all(decider, calls);
        }
        self.request_tick(decider);
        resumes
    }

    fn request_tick(&self, decider: &Decider) {
        decider.timers.request_tick(self.tick_interval());
    }

    fn tick_interval(&self) -> Option<Duration> {
        let is_due = self.has_calls() || !self.parked.borrow().is_empty();
        is_due.then_some(TICK)
    }
}

/// Gauge: 1 while instances share the limits, 0 while each has what it holds of them.
fn set_up_gauge(is_up: bool) {
    metrics::flush(&series("redis_up", &[]), Change::Gauge(u64::from(is_up)));
}

fn report(transition: Option<RedisTransition>) {
    match transition {
        None | Some(RedisTransition::None) => {}
        Some(RedisTransition::Down(problem)) => {
            set_up_gauge(false);
            let effect = "this instance keeps to its share of the limits";
            log::warn!("{}: Redis is unavailable: {problem}; {effect}", names::FILTER);
        }
        Some(RedisTransition::Up) => {
            set_up_gauge(true);
            log::warn!("{}: Redis is available again; limits are shared", names::FILTER);
        }
    }
}
