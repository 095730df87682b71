//! What happens, in the order of simulated time: requests go to whomever the balancer names, and come back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::fleet::{Kind, Server};
use crate::traffic::{self, Micros, Request, SECOND};

/// The time that is simulated, without what is under way at its end.
pub const UNTIL: Micros = 900 * SECOND;
/// When a deployment that was slow is as fast again as before.
pub const RECOVERED: Micros = UNTIL / 5 * 3;
/// What happens before this does not count: nobody knows anything yet.
const WARM: Micros = 60 * SECOND;
/// Set for both, in place of LiteLLM's 6,000 s, with which nothing would ever time out.
pub const TIMEOUT: Micros = 120 * SECOND;
/// A refusal takes no work, but the way there and back and some thought.
const REFUSAL: Micros = SECOND / 10;

/// How an attempt failed.
#[derive(Clone, Copy, Debug)]
pub enum Error {
    Internal,
    /// With `retry-after`, in seconds.
    RateLimited(u64),
    TimedOut,
}

/// Whoever decides where requests go.
pub trait Balancer {
    /// Who serves, and how long it takes until the provider is called; `None` refuses.
    fn choose(&mut self, request: usize, now: Micros) -> Option<(usize, Micros)>;
    /// The provider is called.
    fn called(&mut self, _request: usize) {}
    /// The answer has ended. `first` is when its first token was there.
    fn served(&mut self, request: usize, first: Micros, tokens: f64, now: Micros);
    /// How long to wait for another attempt; `None` gives up.
    fn failed(&mut self, request: usize, error: Error, now: Micros) -> Option<Micros>;
    /// Another second has gone by.
    fn beat(&mut self, _now: Micros) {}
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// It arrives, or begins anew.
    Attempt(usize),
    Call(usize),
    Fail(usize),
    TimeOut(usize, u64),
    /// A deployment has got somewhere, if the plan still stands.
    Work(usize, u64),
    /// The last bit of an answer comes in.
    StreamEnd(usize, Micros),
    Beat,
}

/// Where a request is.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    attempt: u64,
    deployment: usize,
    fails: Option<Error>,
    is_over: bool,
}

/// What clients saw.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Seconds to the end of each answer, or to its first token.
    pub latencies: Vec<f64>,
    pub errors: usize,
    /// Requests in flight at each deployment, on average.
    pub loads: Vec<f64>,
    /// When attempts were sent, and to which deployment.
    pub sent: Vec<(Micros, usize)>,
}

pub struct Simulation<'a> {
    requests: &'a [Request],
    ways: Vec<Way>,
    servers: Vec<Server>,
    events: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    /// Events so far: what is due at the same time happens in the order in which it was planned.
    count: u64,
    seed: u64,
    is_stream: bool,
    seen: Snapshot,
}

/// Lets a balancer serve all requests.
pub fn run(
    fleet: &[Kind],
    requests: &[Request],
    seed: u64,
    is_stream: bool,
    balancer: &mut dyn Balancer,
) -> Snapshot {
    let slowed = (UNTIL / 5 * 2, RECOVERED);
    let server = |kind: &Kind| Server::new(*kind, slowed, (WARM, UNTIL));
    let mut simulation = Simulation {
        requests,
        ways: vec![Way::default(); requests.len()],
        servers: fleet.iter().map(server).collect(),
        events: BinaryHeap::new(),
        count: 0,
        seed,
        is_stream,
        seen: Snapshot::default(),
    };
    for (id, request) in requests.iter().enumerate() {
        simulation.plan(request.at, Event::Attempt(id));
    }
    // A second is a round number: whoever slows down does so at a beat, and is looked at.
    for second in 0..=UNTIL / SECOND * 2 {
        simulation.plan(second * SECOND, Event::Beat);
    }
    while let Some(Reverse((now, _, event))) = simulation.events.pop() {
        simulation.happen(event, now, balancer);
    }
    let time = (UNTIL - WARM) as f64;
    simulation.seen.loads = simulation.servers.iter().map(|server| server.load / time).collect();
    simulation.seen
}

impl Simulation<'_> {
    fn plan(&mut self, at: Micros, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at, self.count, event)));
    }

    fn happen(&mut self, event: Event, now: Micros, balancer: &mut dyn Balancer) {
        match event {
            Event::Attempt(id) => self.attempt(id, now, balancer),
            Event::Call(id) => {
                balancer.called(id);
                self.call(id, now);
            }
            Event::Fail(id) => {
                if let Some(error) = self.ways[id].fails {
                    self.fail(id, error, now, balancer);
                }
            }
            Event::TimeOut(id, attempt) => {
                if !self.ways[id].is_over && self.ways[id].attempt == attempt {
                    let deployment = self.ways[id].deployment;
                    self.change(deployment, now, |server| server.drop(id));
                    self.fail(id, Error::TimedOut, now, balancer);
                }
            }
            Event::Work(deployment, plan) => {
                if self.servers[deployment].plan == plan {
                    self.change(deployment, now, |_| ());
                }
            }
            Event::StreamEnd(id, first) => self.end(id, first, now, balancer),
            Event::Beat => {
                balancer.beat(now);
                (0..self.servers.len()).for_each(|deployment| self.change(deployment, now, |_| ()));
            }
        }
    }

    fn attempt(&mut self, id: usize, now: Micros, balancer: &mut dyn Balancer) {
        let Some((deployment, delay)) = balancer.choose(id, now) else { return self.final_answer(id) };
        self.seen.sent.push((now, deployment));
        let way = &mut self.ways[id];
        *way = Way { attempt: way.attempt + 1, deployment, ..Way::default() };
        self.plan(now + delay, Event::Call(id));
    }

    fn call(&mut self, id: usize, now: Micros) {
        let Way { attempt, deployment, .. } = self.ways[id];
        let luck = traffic::luck(self.seed, id, attempt, deployment);
        self.change(deployment, now, |_| ());
        let server = &self.servers[deployment];
        let fails = match server.limited() {
            Some(wait) => Some(Error::RateLimited(wait)),
            None if luck.fails < server.kind.fails => Some(Error::Internal),
            None => None,
        };
        self.ways[id].fails = fails;
        if fails.is_some() {
            return self.plan(now + REFUSAL + luck.network, Event::Fail(id));
        }
        self.plan(now + TIMEOUT, Event::TimeOut(id, attempt));
        let tokens = self.requests[id].tokens;
        self.change(deployment, now, |server| server.begin(id, luck.first, tokens));
    }

    /// Brings a deployment up to date, changes it, and plans when to look at it again.
    fn change(&mut self, deployment: usize, now: Micros, change: impl FnOnce(&mut Server)) {
        let server = &mut self.servers[deployment];
        server.work(now);
        change(server);
        let done = server.take_done();
        let next = (server.next(), server.plan);
        for (id, first) in done {
            let attempt = self.ways[id].attempt;
            self.ways[id].is_over = true;
            let network = traffic::luck(self.seed, id, attempt, deployment).network;
            self.plan(now + network, Event::StreamEnd(id, first + network));
        }
        if let (Some(at), plan) = next {
            self.plan(at, Event::Work(deployment, plan));
        }
    }

    fn end(&mut self, id: usize, first: Micros, now: Micros, balancer: &mut dyn Balancer) {
        let request = self.requests[id];
        balancer.served(id, first, request.tokens, now);
        if request.at >= WARM {
            let end = if self.is_stream { first } else { now };
            self.seen.latencies.push((end - request.at) as f64 / SECOND as f64);
        }
    }

    fn fail(&mut self, id: usize, error: Error, now: Micros, balancer: &mut dyn Balancer) {
        match balancer.failed(id, error, now) {
            Some(wait) => self.plan(now + wait, Event::Attempt(id)),
            None => self.final_answer(id),
        }
    }

    fn final_answer(&mut self, id: usize) {
        self.ways[id].is_over = true;
        if self.requests[id].at >= WARM {
            self.seen.errors += 1;
        }
    }
}
