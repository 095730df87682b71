//! Policies to compare with: vllm-router's `cache_aware`, and other keys and bounds of prefix
//! affinity. All of them know what is in flight exactly.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use fake_provider::vllm::{BlockHash, Micros, Turn, Workload};

use crate::replay::{DEPLOYMENTS, Policy, Requests};

/// Requests in flight at each deployment.
#[derive(Default)]
struct InFlight {
    counts: [usize; DEPLOYMENTS],
    places: HashMap<usize, usize>,
}

impl InFlight {
    fn begin(&mut self, id: usize, place: usize) -> usize {
        self.counts[place] += 1;
        self.places.insert(id, place);
        place
    }

    fn end(&mut self, id: usize) {
        if let Some(place) = self.places.remove(&id) {
            self.counts[place] -= 1;
        }
    }

    fn least(&self) -> usize {
        (0..DEPLOYMENTS).min_by_key(|place| self.counts[*place]).unwrap_or(0)
    }
}

/// vllm-router's `cache_aware` with its default options, by its documentation: the worker whose past
/// requests share the longest prefix with this one, if that is more than 0.3 of it, else the one
/// with the smallest record; the least busy one while the busiest has 64 requests more than the
/// idlest and 1.5 times as many. Nothing is evicted from its records here.
#[derive(Default)]
pub struct CacheAware {
    in_flight: InFlight,
    seen: [HashSet<BlockHash>; DEPLOYMENTS],
}

impl Policy for CacheAware {
    fn select(&mut self, requests: &Requests, id: usize, _now: Micros) -> usize {
        let prompt = requests.blocks[id].work().prompt;
        let known = |place: usize| prompt.iter().take_while(|block| self.seen[place].contains(block)).count();
        let best = (0..DEPLOYMENTS).max_by_key(|place| known(*place)).unwrap_or(0);
        let counts = &self.in_flight.counts;
        let (most, least) =
            (counts.iter().max().copied().unwrap_or(0), counts.iter().min().copied().unwrap_or(0));
        let place = if most - least > 64 && most as f64 > least as f64 * 1.5 {
            self.in_flight.least()
        } else if known(best) as f64 > prompt.len() as f64 * 0.3 {
            best
        } else {
            (0..DEPLOYMENTS).min_by_key(|place| self.seen[*place].len()).unwrap_or(0)
        };
        self.seen[place].extend(prompt);
        self.in_flight.begin(id, place)
    }

    fn ended(&mut self, id: usize, _first: Micros, _now: Micros) {
        self.in_flight.end(id);
    }
}

/// What of a prompt is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The system prompt.
    System,
    /// All up to the first message of the user.
    FirstMessage,
    /// So many deployments by the system prompt, one of them by the first message.
    Subset(usize),
    /// The point of the first message in a partition by system prompts, of which so many workers or
    /// instances each have one, by the requests that they saw.
    Partition(usize),
    /// The conversation itself, which a gateway does not know: the best that a key can do.
    Session,
}

/// How much of the load a deployment may have, of what is in flight.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    None,
    /// So many times the mean, rounded up.
    Times(f64),
    /// So many times the mean on average over recent requests, and the second at any time; 1.25 times
    /// beyond that average.
    Usual(f64, f64),
}

impl Bound {
    fn most(self, in_flight: usize) -> f64 {
        let mean = (in_flight + 1) as f64 / DEPLOYMENTS as f64;
        match self {
            Self::None => f64::INFINITY,
            Self::Times(times) => (mean * times).ceil(),
            Self::Usual(_, times) => (mean * times).ceil(),
        }
    }
}

/// Rendezvous hashing with a bounded load.
pub struct Ranked {
    key: Key,
    bound: Bound,
    in_flight: InFlight,
    average: [f64; DEPLOYMENTS],
    /// The requests of each worker by system prompt.
    counts: Vec<BTreeMap<u64, usize>>,
}

impl Ranked {
    pub fn new(key: Key, bound: Bound) -> Self {
        let workers = if let Key::Partition(workers) = key { workers } else { 0 };
        Self {
            key,
            bound,
            in_flight: InFlight::default(),
            average: [0.0; DEPLOYMENTS],
            counts: vec![BTreeMap::new(); workers],
        }
    }

    /// The deployment at the point of a key within its system prompt.
    fn in_partition(counts: &mut BTreeMap<u64, usize>, system: u64, key: u64) -> usize {
        *counts.entry(system).or_default() += 1;
        let before: usize = counts.range(..system).map(|(_, count)| count).sum();
        let point = before as f64 + counts[&system] as f64 * (key as f64 / u64::MAX as f64);
        let place = point / counts.values().sum::<usize>() as f64 * DEPLOYMENTS as f64;
        (place as usize).min(DEPLOYMENTS - 1)
    }

    fn order(&mut self, workload: &Workload, turn: &Turn) -> Vec<usize> {
        let mut texts = workload.texts(turn);
        let system = texts.next();
        let user = texts.next();
        let ranked = |key: u64| {
            let mut order: Vec<usize> = (0..DEPLOYMENTS).collect();
            order.sort_by_key(|place| hash(&(key, place)));
            order
        };
        match self.key {
            Key::System => ranked(hash(&system)),
            Key::FirstMessage => ranked(hash(&(system, user))),
            Key::Session => ranked(turn.session as u64),
            Key::Partition(workers) => {
                let key = hash(&(system, user));
                let worker = hash(&(turn.at, turn.session)) as usize % workers;
                let first = Self::in_partition(&mut self.counts[worker], hash(&system), key);
                let mut order = ranked(key);
                order.sort_by_key(|place| *place != first);
                order
            }
            Key::Subset(size) => {
                let mut order = ranked(hash(&system));
                let key = hash(&(system, user));
                order[..size].sort_by_key(|place| hash(&(key, place)));
                order
            }
        }
    }
}

impl Policy for Ranked {
    fn select(&mut self, requests: &Requests, id: usize, _now: Micros) -> usize {
        let order = self.order(&requests.workload, requests.turn(id));
        let most = self.bound.most(self.in_flight.counts.iter().sum());
        for (average, now) in self.average.iter_mut().zip(self.in_flight.counts) {
            *average += (now as f64 - *average) / 256.0;
        }
        let usual = match self.bound {
            Bound::Usual(times, _) => self.average.iter().sum::<f64>() / DEPLOYMENTS as f64 * times + 0.5,
            _ => f64::INFINITY,
        };
        let mean = self.in_flight.counts.iter().sum::<usize>() as f64 / DEPLOYMENTS as f64;
        let admits = |place: &&usize| {
            let now = self.in_flight.counts[**place] as f64;
            now < most && (self.average[**place] < usual || now < (mean * 1.25).ceil())
        };
        let place = order.iter().find(admits).copied().unwrap_or_else(|| self.in_flight.least());
        self.in_flight.begin(id, place)
    }

    fn ended(&mut self, id: usize, _first: Micros, _now: Micros) {
        self.in_flight.end(id);
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
