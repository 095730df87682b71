//! Calls to Redis: one pipeline each, through a listener of this process that turns a POST into bytes on a connection.
//!
//! Requests wait for leases, and for nothing else; they wait together where they can, and never longer than a call may take.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use llm_balancer_config::names;
use llm_balancer_router::headers::Headers;
use llm_balancer_router::lease::Lacks;
use llm_balancer_router::{Call, Told};

use crate::Worker;
use crate::host::{self, BufferType, LogLevel, MapType};

/// What a call may take. It is what a request may wait, less the time to act on it.
const TIMEOUT: Duration = Duration::from_millis(45);

/// The calls of one worker.
#[derive(Default)]
pub(crate) struct Redis {
    /// By the host's token.
    calls: RefCell<HashMap<u32, Pending>>,
    /// Deployments that this worker has leased, as long as something may be left of it.
    held: RefCell<Vec<usize>>,
}

struct Pending {
    call: Call,
    /// Contexts of the requests that wait for it.
    waiting: Vec<u32>,
}

impl Redis {
    /// Whether this is the token of a call.
    pub(crate) fn knows(&self, token: u32) -> bool {
        self.calls.borrow().contains_key(&token)
    }

    /// Whether a lease is held that may have to be given back soon.
    pub(crate) fn holds(&self) -> bool {
        !self.held.borrow().is_empty()
    }

    /// Lets requests wait for leases on any of these deployments, each for what it lacks there; says whether they do.
    pub(crate) fn lease(&self, worker: &Worker, requests: &[(u32, Vec<(usize, u64)>)]) -> bool {
        let mut lacks: HashMap<usize, Lacks> = HashMap::new();
        for (index, tokens) in requests.iter().flat_map(|(_, lacks)| lacks) {
            let all = lacks.entry(*index).or_default();
            all.requests = all.requests.saturating_add(1);
            all.tokens = all.tokens.saturating_add(*tokens);
        }
        let waiting: Vec<u32> = requests.iter().map(|(context, _)| *context).collect();
        if self.join(&lacks, &waiting) {
            return true;
        }
        let lacks: Vec<_> = lacks.into_iter().collect();
        let call = worker.decide(|router, moment| router.ask(&lacks, moment));
        call.is_some_and(|call| self.send(worker, call, waiting))
    }

    /// Waits for a call that is under way for one of the same deployments.
    fn join(&self, lacks: &HashMap<usize, Lacks>, waiting: &[u32]) -> bool {
        let mut calls = self.calls.borrow_mut();
        let same =
            calls.values_mut().find(|pending| pending.call.leases().any(|index| lacks.contains_key(&index)));
        if let Some(pending) = same {
            pending.waiting.extend_from_slice(waiting);
            return true;
        }
        false
    }

    /// Asks for more of a lease that is nearly used up, unless that is under way.
    pub(crate) fn refill(&self, worker: &Worker, index: usize) {
        let lacks = HashMap::from([(index, Lacks::default())]);
        if self.join(&lacks, &[]) {
            return;
        }
        let call = worker.decide(|router, moment| router.ask(&[(index, Lacks::default())], moment));
        if let Some(call) = call {
            self.send(worker, call, Vec::new());
        }
    }

    /// Tells the other instances what they should not have to wait for.
    pub(crate) fn tell_news(&self, worker: &Worker) {
        for index in worker.router.news() {
            if let Some(call) = worker.decide(|router, moment| router.tell(index, moment)) {
                self.send(worker, call, Vec::new());
            }
        }
    }

    /// What happens with time: unused leases are given back, and once a second the instances exchange.
    pub(crate) fn tick(&self, worker: &Worker, is_beat: bool) {
        let mut held = self.held.take();
        let call = match held.is_empty() {
            true => None,
            false => worker.decide(|router, moment| router.surrender(&mut held, moment)),
        };
        self.held.borrow_mut().extend(held);
        let exchange = match is_beat {
            true => worker.decide(llm_balancer_router::Router::exchange),
            false => Vec::new(),
        };
        for call in call.into_iter().chain(exchange) {
            self.send(worker, call, Vec::new());
        }
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
                self.calls.borrow_mut().insert(token, Pending { call, waiting });
                true
            }
            Err(_) => {
                self.take_in(worker, call, None);
                false
            }
        }
    }

    /// An answer has come, or will not come any more: the requests that waited for it.
    pub(crate) fn answered(&self, worker: &Worker, token: u32) -> Vec<u32> {
        let Some(Pending { call, waiting }) = self.calls.borrow_mut().remove(&token) else {
            return Vec::new();
        };
        let is_ok = host::header(MapType::CallResponse, ":status").as_deref() == Some("200");
        let body = is_ok.then(|| host::buffer(BufferType::CallResponseBody));
        self.take_in(worker, call, body.as_deref());
        waiting
    }

    fn take_in(&self, worker: &Worker, call: Call, answer: Option<&[u8]>) {
        {
            let mut held = self.held.borrow_mut();
            for index in call.leases() {
                if !held.contains(&index) {
                    held.push(index);
                }
            }
        }
        match worker.decide(|router, moment| router.told(call, answer, moment)) {
            Told::Fine => {}
            Told::Away(problem) => host::log(
                LogLevel::Warn,
                &format!(
                    "{}: Redis: {problem}; limits are held by this instance's share of them",
                    names::FILTER
                ),
            ),
            Told::Back => host::log(
                LogLevel::Warn,
                &format!("{}: Redis is back; limits are shared again", names::FILTER),
            ),
        }
    }
}
