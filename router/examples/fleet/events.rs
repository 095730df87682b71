//! The events of a fleet, in the order of simulated time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

use llm_balancer_config::read;
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

/// A fleet and its traffic.
#[derive(Clone, Copy)]
pub struct Plan {
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
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    /// A pipeline arrives at Redis.
    Call(usize, u64, Vec<u8>),
    Reply(usize, u64, Vec<u8>),
    ResponseEnd(usize, usize),
    Tick(usize),
    Heartbeat(usize),
}

struct Simulation {
    plan: Plan,
    events: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    count: u64,
    random: SplitMix,
    instances: Vec<Instance>,
    /// The next tick of each instance.
    ticks: Vec<Option<Micros>>,
    redis: Redis,
    open: HashMap<usize, Attempt>,
    /// Requests so far.
    requests: usize,
    measured: Measured,
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
        events: BinaryHeap::new(),
        count: 0,
        random: SplitMix::new(7),
        ticks: vec![None; instances.len()],
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
            let at = self.plan.from.saturating_sub(2 * SECOND) + self.between((0, SECOND));
            self.plan(at, Event::Heartbeat(instance));
        }
        self.plan(self.plan.from, Event::Arrive);
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
        match is_favoured || tenth == self.instances.len() {
            true => self.random.below(tenth),
            false => tenth + self.random.below(self.instances.len() - tenth),
        }
    }

    fn handle(&mut self, event: Event, now: Micros) {
        let instance = match event {
            Event::Call(instance, call, bytes) => {
                let milliseconds = u64::try_from(time(now).as_millis()).expect("a time of this age");
                let reply = self.redis.reply(&bytes, milliseconds);
                let at = now + self.between(WAY);
                return self.plan(at, Event::Reply(instance, call, reply));
            }
            Event::Arrive => {
                // A Poisson process.
                let luck = (self.random.bits() >> 11) as f64 / (1_u64 << 53) as f64;
                let gap = -(1.0 - luck).ln() / self.plan.rate as f64 * SECOND as f64;
                self.plan(now + gap as Micros, Event::Arrive);
                let instance = self.pick_instance();
                self.requests += 1;
                self.instances[instance].arrive(self.requests, time(now));
                instance
            }
            Event::Reply(instance, call, bytes) => {
                self.instances[instance].on_reply(call, &bytes, time(now));
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
            Event::Heartbeat(instance) => {
                self.plan(now + SECOND, Event::Heartbeat(instance));
                self.instances[instance].heartbeat(time(now));
                instance
            }
        };
        self.drain_outbox(instance, now);
    }

    /// Schedules what follows from an instance's decisions.
    fn drain_outbox(&mut self, instance: usize, now: Micros) {
        let outbox = std::mem::take(&mut self.instances[instance].outbox);
        for (call, bytes) in outbox.calls {
            let at = now + self.between(WAY);
            self.plan(at, Event::Call(instance, call, bytes));
        }
        let minute = self.measured.minutes.entry(now / MINUTE).or_default();
        minute.0 += outbox.admitted.len() as u64;
        minute.1 += outbox.refused.len() as u64;
        // In whole seconds; in the last one, a second is right.
        let remaining = (MINUTE - now % MINUTE) / SECOND;
        self.measured.early_retries +=
            outbox.refused.iter().filter(|(_, seconds)| seconds + 1 < remaining).count() as u64;
        for (request, attempt) in outbox.admitted {
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
