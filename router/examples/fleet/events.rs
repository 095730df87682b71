//! What happens to a fleet, in the order of simulated time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

use llm_balancer_config::read;
use llm_balancer_router::Attempt;
use llm_balancer_router::{Random, SplitMix};

use crate::instance::Instance;
use crate::redis::{Asked, Redis};

/// Microseconds.
pub type Micros = u64;
pub const SECOND: Micros = 1_000_000;
pub const MINUTE: Micros = 60 * SECOND;
/// When the simulation begins: the turn of a minute, in 2025.
const NOON: Duration = Duration::from_secs(29_000_000 * 60);
/// The way to Redis or back, in one network: between these.
const WAY: (Micros, Micros) = (150, 600);
/// How long an answer takes.
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
    /// So much of the traffic goes to a tenth of the instances, in percent; 10 is an even share.
    pub favoured: u64,
    /// When requests begin and end to come.
    pub from: Micros,
    pub until: Micros,
}

#[derive(Default)]
pub struct Snapshot {
    /// Requests admitted and refused, by minute.
    pub minutes: BTreeMap<u64, (u64, u64)>,
    /// Of those refused, how many were to come back before the minute turns.
    pub in_vain: u64,
    /// While requests came.
    pub asked: Asked,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    /// A pipeline gets to Redis.
    Reach(usize, u64, Vec<u8>),
    Answer(usize, u64, Vec<u8>),
    StreamEnd(usize, usize),
    Tick(usize),
    Beat(usize),
}

struct Simulation {
    plan: Plan,
    events: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    count: u64,
    random: SplitMix,
    instances: Vec<Instance>,
    /// When each instance looks next.
    ticks: Vec<Option<Micros>>,
    redis: Redis,
    open: HashMap<usize, Attempt>,
    /// Requests so far.
    requests: usize,
    seen: Snapshot,
}

fn time(now: Micros) -> Duration {
    NOON + Duration::from_micros(now)
}

/// Lets the fleet work off its traffic.
pub fn run(plan: Plan) -> Snapshot {
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
        seen: Snapshot::default(),
    };
    simulation.run();
    simulation.seen
}

impl Simulation {
    fn run(&mut self) {
        for instance in 0..self.instances.len() {
            // They know one another before there is traffic.
            let at = self.plan.from.saturating_sub(2 * SECOND) + self.between((0, SECOND));
            self.plan(at, Event::Beat(instance));
        }
        self.plan(self.plan.from, Event::Arrive);
        let mut before = None;
        while let Some(Reverse((now, _, event))) = self.events.pop() {
            if now >= self.plan.from && before.is_none() {
                before = Some(self.redis.asked());
            }
            if now >= self.plan.until {
                break;
            }
            self.happen(event, now);
        }
        let (asked, before) = (self.redis.asked(), before.unwrap_or_default());
        self.seen.asked = asked.since(before);
    }

    fn plan(&mut self, at: Micros, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at, self.count, event)));
    }

    fn between(&mut self, (from, to): (Micros, Micros)) -> Micros {
        from + (self.random.bits() >> 16) % (to - from)
    }

    /// Which instance a request comes to.
    fn somebody(&mut self) -> usize {
        let tenth = (self.instances.len() / 10).max(1);
        let is_favoured = self.random.bits() >> 16 & 0xffff < self.plan.favoured * 0x10000 / 100;
        match is_favoured || tenth == self.instances.len() {
            true => self.random.below(tenth),
            false => tenth + self.random.below(self.instances.len() - tenth),
        }
    }

    fn happen(&mut self, event: Event, now: Micros) {
        let instance = match event {
            Event::Reach(instance, call, bytes) => {
                let milliseconds = u64::try_from(time(now).as_millis()).expect("a time of this age");
                let answer = self.redis.answer(&bytes, milliseconds);
                let at = now + self.between(WAY);
                return self.plan(at, Event::Answer(instance, call, answer));
            }
            Event::Arrive => {
                // Poisson's process.
                let luck = (self.random.bits() >> 11) as f64 / (1_u64 << 53) as f64;
                let gap = -(1.0 - luck).ln() / self.plan.rate as f64 * SECOND as f64;
                self.plan(now + gap as Micros, Event::Arrive);
                let instance = self.somebody();
                self.requests += 1;
                self.instances[instance].arrive(self.requests, time(now));
                instance
            }
            Event::Answer(instance, call, bytes) => {
                self.instances[instance].answered(call, &bytes, time(now));
                instance
            }
            Event::StreamEnd(instance, request) => {
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
            Event::Beat(instance) => {
                self.plan(now + SECOND, Event::Beat(instance));
                self.instances[instance].beat(time(now));
                instance
            }
        };
        self.take_in(instance, now);
    }

    /// What an instance has decided or wants.
    fn take_in(&mut self, instance: usize, now: Micros) {
        let outbox = std::mem::take(&mut self.instances[instance].outbox);
        for (call, bytes) in outbox.calls {
            let at = now + self.between(WAY);
            self.plan(at, Event::Reach(instance, call, bytes));
        }
        let minute = self.seen.minutes.entry(now / MINUTE).or_default();
        minute.0 += outbox.admitted.len() as u64;
        minute.1 += outbox.refused.len() as u64;
        // Whole seconds; in the last one, a second is right.
        let left = (MINUTE - now % MINUTE) / SECOND;
        self.seen.in_vain += outbox.refused.iter().filter(|(_, seconds)| seconds + 1 < left).count() as u64;
        for (request, attempt) in outbox.admitted {
            let at = now + self.between(ANSWER);
            self.open.insert(request, attempt);
            self.plan(at, Event::StreamEnd(instance, request));
        }
        let due = self.instances[instance].is_due_within().map(|wait| now + micros(wait));
        if let Some(due) = due.filter(|due| self.ticks[instance].is_none_or(|planned| planned > *due)) {
            self.ticks[instance] = Some(due);
            self.plan(due, Event::Tick(instance));
        }
    }
}

fn micros(time: Duration) -> Micros {
    u64::try_from(time.as_micros()).expect("a short time")
}
