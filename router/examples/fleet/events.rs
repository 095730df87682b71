//! The events of a fleet, in the order of simulated time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

use llm_balancer_config::{Config, read};
use llm_balancer_router::{Attempt, Random, SplitMix};

use crate::instance::Instance;
use crate::redis::{Load, Redis};

/// Microseconds.
pub type Micros = u64;
pub const SECOND: Micros = 1_000_000;
pub const MINUTE: Micros = 60 * SECOND;
/// When the simulation begins: the turn of a minute, in 2025.
const NOON: Duration = Duration::from_secs(29_000_000 * 60);
/// Time to Redis or back, in one network: between these.
const WAY: (Micros, Micros) = (150, 600);
/// Time from a request to the end of its answer: between these.
const ANSWER: (Micros, Micros) = (SECOND / 2, SECOND * 2);

/// A request waits for Redis no longer than this.
const PATIENCE: Micros = 50_000;
/// The filter gives up a call after this.
const TIMEOUT: Micros = 2 * SECOND;

/// What happens to a call of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Open,
    /// It is refused at once, and open connections have ended.
    Refused,
    /// It gets no answer; Redis takes open connections for open.
    Silent,
    /// Its answer takes so long.
    Slow(Micros),
}

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Of one instance.
    Link(usize, Link),
    /// Of all of them.
    Links(Link),
    /// Redis restarts with nothing in it.
    Restart,
    /// An instance is killed: it gets no more requests.
    Kill(usize),
    /// An instance ends as by SIGTERM, unless it was killed, and a new one starts in its place.
    Replace(usize),
}

/// A fleet and its traffic.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What goes wrong, and when.
    pub faults: Vec<(Micros, Fault)>,
    /// Requests in a minute, at most.
    pub most: u64,
    pub instances: usize,
    pub deployments: usize,
    /// Of each deployment.
    pub rpm: u64,
    /// Requests per second in all.
    pub rate: u64,
    /// Percent of the traffic that goes to a tenth of the instances; 10 is an even share.
    pub favoured: u64,
    /// When the traffic begins and ends.
    pub from: Micros,
    pub until: Micros,
}

#[derive(Default)]
pub struct Measured {
    /// Requests admitted and refused, by minute.
    pub minutes: BTreeMap<u64, (u64, u64)>,
    /// Of those refused, how many had a retry-after that ends before the minute does.
    pub early_retries: u64,
    /// During the traffic.
    pub load: Load,
    /// Requests admitted by each deployment in each minute.
    pub by_deployment: BTreeMap<(u64, usize), u64>,
    /// When requests were refused.
    pub refused_at: Vec<Micros>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    /// A pipeline arrives at Redis.
    Call(usize, u64, Vec<u8>),
    /// Nothing where a call was refused or given up; late where requests no longer waited.
    Reply(usize, u64, Option<Vec<u8>>, bool),
    TimeOut(usize, u64),
    Fault(usize),
    ResponseEnd(usize, usize),
    Tick(usize),
    Heartbeat(usize),
}

struct Simulation {
    plan: Plan,
    config: Config,
    events: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    count: u64,
    random: SplitMix,
    instances: Vec<Instance>,
    /// How many have started.
    started: u32,
    /// The next tick of each instance.
    ticks: Vec<Option<Micros>>,
    redis: Redis,
    open: HashMap<usize, Attempt>,
    /// Requests so far.
    requests: usize,
    measured: Measured,
    links: Vec<Link>,
    killed: Vec<bool>,
    /// Requests that came in this minute.
    arrived: (u64, u64),
}

fn time(now: Micros) -> Duration {
    NOON + Duration::from_micros(now)
}

/// Runs the traffic through the fleet.
pub fn run(plan: Plan) -> Measured {
    let item = |n| {
        format!(
            "- model_name: g\n  litellm_params: {{model: openai/m, api_base: 'http://h{n}.test/v1', api_key: k, rpm: {}}}\n  model_info: {{id: d{n}}}\n",
            plan.rpm
        )
    };
    let items: String = (0..plan.deployments).map(item).collect();
    let yaml = format!("model_list:\n{items}router_settings: {{redis_host: redis.test}}\n");
    let config = read("config.yaml", &yaml, &|_| None).config.expect("a configuration");
    let instances: Vec<_> = (1..).take(plan.instances).map(|n| Instance::new(config.clone(), n)).collect();
    let mut simulation = Simulation {
        plan,
        config,
        events: BinaryHeap::new(),
        count: 0,
        random: SplitMix::new(7),
        ticks: vec![None; instances.len()],
        links: vec![Link::Open; instances.len()],
        killed: vec![false; instances.len()],
        arrived: (0, 0),
        started: u32::try_from(instances.len()).expect("a small fleet"),
        instances,
        redis: Redis::new(),
        open: HashMap::new(),
        requests: 0,
        measured: Measured::default(),
    };
    simulation.run();
    simulation.measured
}

impl Simulation {
    fn run(&mut self) {
        for instance in 0..self.instances.len() {
            // All instances know each other before the traffic begins.
            let at = self.plan.from.saturating_sub(8 * SECOND) + self.between((0, SECOND));
            self.plan(at, Event::Heartbeat(instance));
        }
        self.plan(self.plan.from, Event::Arrive);
        for nth in 0..self.plan.faults.len() {
            self.plan(self.plan.faults[nth].0, Event::Fault(nth));
        }
        let mut before = None;
        while let Some(Reverse((now, _, event))) = self.events.pop() {
            if now >= self.plan.from && before.is_none() {
                before = Some(self.redis.load());
            }
            if now >= self.plan.until {
                break;
            }
            self.handle(event, now);
        }
        let (load, before) = (self.redis.load(), before.unwrap_or_default());
        self.measured.load = load.since(before);
    }

    fn plan(&mut self, at: Micros, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at, self.count, event)));
    }

    fn between(&mut self, (from, to): (Micros, Micros)) -> Micros {
        from + (self.random.bits() >> 16) % (to - from)
    }

    /// The instance that a request comes to.
    fn pick_instance(&mut self) -> usize {
        let tenth = (self.instances.len() / 10).max(1);
        let is_favoured = self.random.bits() >> 16 & 0xffff < self.plan.favoured * 0x10000 / 100;
        let picked = if is_favoured || tenth == self.instances.len() {
            self.random.below(tenth)
        } else {
            tenth + self.random.below(self.instances.len() - tenth)
        };
        let mut alive = (picked..self.instances.len()).chain(0..picked);
        alive.find(|instance| !self.killed[*instance]).expect("one is alive")
    }

    fn handle(&mut self, event: Event, now: Micros) {
        let instance = match event {
            Event::Call(instance, call, bytes) => return self.call(instance, call, &bytes, now),
            Event::Fault(nth) => return self.fail(self.plan.faults[nth].1, now),
            Event::Arrive => {
                // A Poisson process.
                let luck = (self.random.bits() >> 11) as f64 / (1_u64 << 53) as f64;
                let gap = -(1.0 - luck).ln() / self.plan.rate as f64 * SECOND as f64;
                self.plan(now + gap as Micros, Event::Arrive);
                let minute = now / MINUTE;
                let before = if self.arrived.0 == minute { self.arrived.1 } else { 0 };
                if before >= self.plan.most {
                    return;
                }
                self.arrived = (minute, before + 1);
                let instance = self.pick_instance();
                self.requests += 1;
                self.instances[instance].arrive(self.requests, time(now));
                instance
            }
            Event::Reply(instance, call, bytes, is_late) => {
                self.instances[instance].on_reply(call, bytes.as_deref(), is_late, time(now));
                instance
            }
            Event::TimeOut(instance, call) => {
                self.instances[instance].time_out(call, time(now));
                instance
            }
            Event::ResponseEnd(instance, request) => {
                if let Some(attempt) = self.open.remove(&request) {
                    self.instances[instance].serve(attempt, time(now));
                }
                instance
            }
            Event::Tick(instance) => {
                if self.ticks[instance] != Some(now) {
                    return;
                }
                self.ticks[instance] = None;
                self.instances[instance].tick(time(now));
                instance
            }
            Event::Heartbeat(instance) if self.killed[instance] => return,
            Event::Heartbeat(instance) => {
                self.plan(now + SECOND, Event::Heartbeat(instance));
                self.instances[instance].heartbeat(time(now));
                instance
            }
        };
        self.drain_outbox(instance, now);
    }

    /// A pipeline arrives at Redis, or does not.
    fn call(&mut self, instance: usize, call: u64, bytes: &[u8], now: Micros) {
        let delay = match self.links[instance] {
            Link::Refused => return self.plan(now, Event::Reply(instance, call, None, false)),
            Link::Silent => {
                self.plan(now + PATIENCE, Event::TimeOut(instance, call));
                return self.plan(now + TIMEOUT, Event::Reply(instance, call, None, true));
            }
            Link::Slow(delay) => delay,
            Link::Open => 0,
        };
        let milliseconds = u64::try_from(time(now).as_millis()).expect("a time of this age");
        if let Some(reply) = self.redis.reply((instance, call), bytes, milliseconds) {
            let at = now + delay + self.between(WAY);
            if delay > PATIENCE {
                self.plan(now + PATIENCE, Event::TimeOut(instance, call));
            }
            self.plan(at, Event::Reply(instance, call, Some(reply), delay > PATIENCE));
        }
        for ((instance, call), reply) in self.redis.woken() {
            // What is sent on a silent link is lost.
            if self.links[instance] != Link::Silent {
                let at = now + self.between(WAY);
                self.plan(at, Event::Reply(instance, call, Some(reply), false));
            }
        }
    }

    fn fail(&mut self, fault: Fault, now: Micros) {
        match fault {
            Fault::Link(instance, link) => self.set_link(instance, link, now),
            Fault::Links(link) => (0..self.instances.len()).for_each(|nth| self.set_link(nth, link, now)),
            Fault::Restart => {
                self.redis.restart();
                (0..self.instances.len()).for_each(|nth| self.end_waits(nth, now));
            }
            Fault::Kill(instance) => {
                self.killed[instance] = true;
                self.redis.close(|(of, _)| of == instance);
            }
            Fault::Replace(instance) => self.replace(instance, now),
        }
    }

    fn replace(&mut self, instance: usize, now: Micros) {
        if self.killed[instance] {
            self.killed[instance] = false;
            self.plan(now, Event::Heartbeat(instance));
        } else {
            for end in self.instances[instance].end(time(now)) {
                self.plan(now, Event::Call(instance, u64::MAX, end));
            }
        }
        self.redis.close(|(of, _)| of == instance);
        self.started += 1;
        self.instances[instance] = Instance::new(self.config.clone(), self.started);
    }

    fn set_link(&mut self, instance: usize, link: Link, now: Micros) {
        self.links[instance] = link;
        if link == Link::Refused {
            self.redis.close(|(of, _)| of == instance);
            self.end_waits(instance, now);
        }
    }

    fn end_waits(&mut self, instance: usize, now: Micros) {
        for call in self.instances[instance].waits() {
            self.plan(now, Event::Reply(instance, call, None, false));
        }
    }

    /// Schedules what follows from an instance's decisions.
    fn drain_outbox(&mut self, instance: usize, now: Micros) {
        let outbox = std::mem::take(&mut self.instances[instance].outbox);
        if self.killed[instance] {
            return;
        }
        for (call, bytes) in outbox.calls {
            let at = now + self.between(WAY);
            self.plan(at, Event::Call(instance, call, bytes));
        }
        let minute = self.measured.minutes.entry(now / MINUTE).or_default();
        minute.0 += outbox.admitted.len() as u64;
        minute.1 += outbox.refused.len() as u64;
        self.measured.refused_at.extend(outbox.refused.iter().map(|_| now));
        // In whole seconds; in the last one, a second is right.
        let remaining = (MINUTE - now % MINUTE) / SECOND;
        self.measured.early_retries +=
            outbox.refused.iter().filter(|(_, seconds)| seconds + 1 < remaining).count() as u64;
        for (request, attempt) in outbox.admitted {
            *self.measured.by_deployment.entry((now / MINUTE, attempt.deployment)).or_default() += 1;
            let at = now + self.between(ANSWER);
            self.open.insert(request, attempt);
            self.plan(at, Event::ResponseEnd(instance, request));
        }
        let due = self.instances[instance].tick_due_within().map(|wait| now + micros(wait));
        if let Some(due) = due.filter(|due| self.ticks[instance].is_none_or(|planned| planned > *due)) {
            self.ticks[instance] = Some(due);
            self.plan(due, Event::Tick(instance));
        }
    }
}

fn micros(time: Duration) -> Micros {
    u64::try_from(time.as_micros()).expect("a short time")
}
