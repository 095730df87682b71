//! Events in the order of simulated time: requests go to the deployments that a balancer selects,
//! and end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::fleet::{Server, ServerProfile};
use crate::traffic::{self, Micros, Request, SECOND};

/// The simulated time; requests that are in flight at its end still end.
pub const UNTIL: Micros = 900 * SECOND;
/// When a deployment that slowed down is fast again.
pub const RECOVERED: Micros = UNTIL / 5 * 3;
/// Nothing counts before this time, in which the balancers have no measurements.
const WARM: Micros = 60 * SECOND;
/// The timeout of both balancers. With LiteLLM's 6,000 s nothing would time out.
pub const TIMEOUT: Micros = 120 * SECOND;
/// A refusal takes no work of the server, only this time.
const REFUSAL: Micros = SECOND / 10;

/// How an attempt failed.
#[derive(Clone, Copy, Debug)]
pub enum Error {
    Internal,
    /// With a `retry-after` in seconds.
    RateLimited(u64),
    TimedOut,
}

/// Selects deployments for requests.
pub trait Balancer {
    /// The deployment, and the time until it is called; `None` refuses the request.
    fn select(&mut self, request: usize, now: Micros) -> Option<(usize, Micros)>;
    /// The deployment is called.
    fn called(&mut self, _request: usize) {}
    /// The response has ended, whose first token arrived at `first`.
    fn served(&mut self, request: usize, first: Micros, tokens: f64, now: Micros);
    /// The wait before another attempt; `None` ends the request.
    fn failed(&mut self, request: usize, error: Error, now: Micros) -> Option<Micros>;
    /// A second has passed.
    fn beat(&mut self, _now: Micros) {}
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A request arrives, or is retried.
    Attempt(usize),
    Call(usize),
    Fail(usize),
    TimeOut(usize, u64),
    /// A deployment has finished some work, if this is still its plan.
    Work(usize, u64),
    /// The last byte of a response arrives.
    End(usize, Micros),
    Beat,
}

/// The state of a request.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    attempt: u64,
    deployment: usize,
    fails: Option<Error>,
    is_over: bool,
}

/// What clients observed.
#[derive(Debug, Default)]
pub struct Observed {
    /// Seconds to the end of each response, or to its first token.
    pub latencies: Vec<f64>,
    pub errors: usize,
    /// The average number of requests in flight at each deployment.
    pub loads: Vec<f64>,
    /// The time and the deployment of each attempt.
    pub sent: Vec<(Micros, usize)>,
}

pub struct Simulation<'a> {
    requests: &'a [Request],
    progress: Vec<Progress>,
    servers: Vec<Server>,
    events: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    /// The number of planned events. Events of the same time happen in the order of their planning.
    count: u64,
    seed: u64,
    is_stream: bool,
    observed: Observed,
}

/// Runs all requests through a balancer.
pub fn run(
    fleet: &[ServerProfile],
    requests: &[Request],
    seed: u64,
    is_stream: bool,
    balancer: &mut dyn Balancer,
) -> Observed {
    let slowed = (UNTIL / 5 * 2, RECOVERED);
    let server = |profile: &ServerProfile| Server::new(*profile, slowed, (WARM, UNTIL));
    let mut simulation = Simulation {
        requests,
        progress: vec![Progress::default(); requests.len()],
        servers: fleet.iter().map(server).collect(),
        events: BinaryHeap::new(),
        count: 0,
        seed,
        is_stream,
        observed: Observed::default(),
    };
    for (id, request) in requests.iter().enumerate() {
        simulation.plan(request.at, Event::Attempt(id));
    }
    // Deployments change their speed at full seconds, so that a beat brings them up to date.
    for second in 0..=UNTIL / SECOND * 2 {
        simulation.plan(second * SECOND, Event::Beat);
    }
    while let Some(Reverse((now, _, event))) = simulation.events.pop() {
        simulation.happen(event, now, balancer);
    }
    let time = (UNTIL - WARM) as f64;
    simulation.observed.loads = simulation.servers.iter().map(|server| server.load / time).collect();
    simulation.observed
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
                if let Some(error) = self.progress[id].fails {
                    self.fail(id, error, now, balancer);
                }
            }
            Event::TimeOut(id, attempt) => {
                if !self.progress[id].is_over && self.progress[id].attempt == attempt {
                    let deployment = self.progress[id].deployment;
                    self.change(deployment, now, |server| server.drop(id));
                    self.fail(id, Error::TimedOut, now, balancer);
                }
            }
            Event::Work(deployment, plan) => {
                if self.servers[deployment].plan == plan {
                    self.change(deployment, now, |_| ());
                }
            }
            Event::End(id, first) => self.end(id, first, now, balancer),
            Event::Beat => {
                balancer.beat(now);
                (0..self.servers.len()).for_each(|deployment| self.change(deployment, now, |_| ()));
            }
        }
    }

    fn attempt(&mut self, id: usize, now: Micros, balancer: &mut dyn Balancer) {
        let Some((deployment, delay)) = balancer.select(id, now) else { return self.reject(id) };
        self.observed.sent.push((now, deployment));
        let progress = &mut self.progress[id];
        *progress = Progress { attempt: progress.attempt + 1, deployment, ..Progress::default() };
        self.plan(now + delay, Event::Call(id));
    }

    fn call(&mut self, id: usize, now: Micros) {
        let Progress { attempt, deployment, .. } = self.progress[id];
        let luck = traffic::luck(self.seed, id, attempt, deployment);
        self.change(deployment, now, |_| ());
        let server = &self.servers[deployment];
        let fails = match server.limited() {
            Some(wait) => Some(Error::RateLimited(wait)),
            None if luck.fails < server.profile.fails => Some(Error::Internal),
            None => None,
        };
        self.progress[id].fails = fails;
        if fails.is_some() {
            return self.plan(now + REFUSAL + luck.network, Event::Fail(id));
        }
        self.plan(now + TIMEOUT, Event::TimeOut(id, attempt));
        let tokens = self.requests[id].tokens;
        self.change(deployment, now, |server| server.begin(id, luck.first, tokens));
    }

    /// Brings a deployment up to date, changes it, and plans its next event.
    fn change(&mut self, deployment: usize, now: Micros, change: impl FnOnce(&mut Server)) {
        let server = &mut self.servers[deployment];
        server.work(now);
        change(server);
        let done = server.take_done();
        let next = (server.next(), server.plan);
        for (id, first) in done {
            let attempt = self.progress[id].attempt;
            self.progress[id].is_over = true;
            let network = traffic::luck(self.seed, id, attempt, deployment).network;
            self.plan(now + network, Event::End(id, first + network));
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
            self.observed.latencies.push((end - request.at) as f64 / SECOND as f64);
        }
    }

    fn fail(&mut self, id: usize, error: Error, now: Micros, balancer: &mut dyn Balancer) {
        match balancer.failed(id, error, now) {
            Some(wait) => self.plan(now + wait, Event::Attempt(id)),
            None => self.reject(id),
        }
    }

    fn reject(&mut self, id: usize) {
        self.progress[id].is_over = true;
        if self.requests[id].at >= WARM {
            self.observed.errors += 1;
        }
    }
}
