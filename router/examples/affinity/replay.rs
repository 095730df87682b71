//! The requests of a scenario, in the order of simulated time, on a fleet of simulated vLLM workers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fake_provider::vllm::{Blocks, Counters, Engine, Micros, Model, Scenario, Turn, Workload};

pub const SECOND: Micros = 1_000_000;
/// Deployments of the group.
pub const DEPLOYMENTS: usize = 8;
/// Nothing counts before this time, in which conversations begin and caches fill.
pub const WARM: Micros = 240 * SECOND;
/// When requests end to arrive.
pub const UNTIL: Micros = 600 * SECOND;

/// The requests of a scenario, with what workers need to know of them.
pub struct Requests {
    pub workload: Workload,
    pub blocks: Vec<Blocks>,
}

impl Requests {
    pub fn new(scenario: &Scenario, load: f64, seed: u64) -> Self {
        let workload = Workload::new(scenario, load, UNTIL, &Model::A100_8B, seed);
        let blocks = workload.turns.iter().map(|turn| workload.blocks(turn)).collect();
        Self { workload, blocks }
    }

    pub fn turn(&self, id: usize) -> &Turn {
        &self.workload.turns[id]
    }
}

/// Selects deployments for requests.
pub trait Policy {
    fn select(&mut self, requests: &Requests, id: usize, now: Micros) -> usize;
    /// The answer has ended, whose first token arrived at `first`.
    fn ended(&mut self, id: usize, first: Micros, now: Micros);
    /// A second has passed.
    fn beat(&mut self, _now: Micros) {}
}

/// What clients and workers observed after the warm-up.
#[derive(Default)]
pub struct Observed {
    /// Seconds to the first token.
    pub first_tokens: Vec<f64>,
    /// Of each deployment.
    pub counters: Vec<Counters>,
}

/// Runs all requests through a policy.
pub fn run(requests: &Requests, policy: &mut dyn Policy) -> Observed {
    let mut engines = vec![Engine::new(Model::A100_8B); DEPLOYMENTS];
    let mut ends = BinaryHeap::new();
    let (mut observed, mut before, mut next_beat) = (Observed::default(), None, 0);
    for (id, turn) in requests.workload.turns.iter().enumerate() {
        let now = turn.at;
        while let Some(Reverse((end, first, id))) = ends.peek().copied()
            && end <= now
        {
            ends.pop();
            policy.ended(id, first, end);
        }
        while next_beat <= now {
            policy.beat(next_beat);
            next_beat += SECOND;
        }
        if now >= WARM && before.is_none() {
            before = Some(engines.iter().map(Engine::counters).collect::<Vec<_>>());
        }
        let deployment = policy.select(requests, id, now);
        let served = engines[deployment].serve(requests.blocks[id].work(), now);
        ends.push(Reverse((served.end, served.first, id)));
        if now >= WARM {
            observed.first_tokens.push((served.first - now) as f64 / SECOND as f64);
        }
    }
    let before = before.unwrap_or_default();
    let counters = engines.iter().zip(before);
    observed.counters = counters.map(|(engine, before)| engine.counters().since(before)).collect();
    observed
}
