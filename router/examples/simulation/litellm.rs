//! How LiteLLM 1.109.1 balances, as observed: its strategies, its retries and its cooldowns.
//!
//! Wherever there was a choice it is the kinder one: a single process that knows everything at once (two of them overwrite
//! each other's latencies), no counter drifts, and the zero that it puts down for a deployment it has not seen is not kept.

use std::collections::{HashMap, VecDeque};

use llm_balancer_router::{Random, SplitMix};

use crate::events::{Balancer, Error};
use crate::traffic::{Micros, SECOND};

/// From the choice to the call of the provider, where least-busy counts it: 8 to 14 ms were seen.
const OVERHEAD: Micros = SECOND / 100;
const RETRIES: u32 = 2;
const COOLDOWN: Micros = 5 * SECOND;
const MINUTE: Micros = 60 * SECOND;
/// What a timeout counts as, in seconds.
const TIMED_OUT: f64 = 1000.0;
/// `max_latency_list_size`
const SAMPLES: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    SimpleShuffle,
    LeastBusy,
    UsageBased,
    LatencyBased,
}

#[derive(Clone, Debug, Default)]
struct Known {
    in_flight: u32,
    /// Seconds for each token, and to the first one.
    latencies: VecDeque<f64>,
    firsts: VecDeque<f64>,
    /// The minute, and the tokens of what was answered in it.
    tokens: (Micros, f64),
    cooldown: Micros,
    /// Since when they are counted, and how many.
    successes: (Micros, f64),
    failures: (Micros, f64),
}

#[derive(Clone, Copy, Debug)]
struct Open {
    deployment: usize,
    called: Micros,
    retries: u32,
}

pub struct LiteLlm {
    strategy: Strategy,
    known: Vec<Known>,
    open: HashMap<usize, Open>,
    is_stream: bool,
    random: SplitMix,
}

impl LiteLlm {
    pub fn new(strategy: Strategy, count: usize, is_stream: bool, seed: u64) -> Self {
        let known = vec![Known::default(); count];
        Self { strategy, known, open: HashMap::new(), is_stream, random: SplitMix::new(seed) }
    }

    fn healthy(&self, now: Micros) -> Vec<usize> {
        (0..self.known.len()).filter(|index| self.known[*index].cooldown <= now).collect()
    }

    fn pick(&mut self, now: Micros) -> Option<usize> {
        let healthy = self.healthy(now);
        let known = &self.known;
        match self.strategy {
            // No weights, rpm or tpm are set.
            Strategy::SimpleShuffle => any(&healthy, &mut self.random),
            // The first of several wins.
            Strategy::LeastBusy => healthy.into_iter().min_by_key(|index| known[*index].in_flight),
            Strategy::UsageBased => {
                let used = |index: usize| match known[index].tokens {
                    (minute, tokens) if minute == now / MINUTE => tokens,
                    _ => 0.0,
                };
                any(&lowest(&healthy, used), &mut self.random)
            }
            Strategy::LatencyBased => {
                let latency = |index: usize| known[index].latency(self.is_stream);
                any(&lowest(&healthy, latency), &mut self.random)
            }
        }
    }

    /// Whether a failure makes a deployment sit out, and for how long.
    fn cool_down(&mut self, deployment: usize, error: Error, now: Micros) {
        let known = &mut self.known[deployment];
        count(&mut known.failures, now);
        let of_minute = |(since, count): (Micros, f64)| if now < since + MINUTE { count } else { 0.0 };
        let (failures, successes) = (of_minute(known.failures), of_minute(known.successes));
        let all = failures + successes;
        match error {
            Error::RateLimited(seconds) => known.cooldown = now + seconds * SECOND,
            _ if all >= 5.0 && failures > all / 2.0 => known.cooldown = now + COOLDOWN,
            _ => {}
        }
    }
}

impl Known {
    /// The mean of what was measured; 0 where nothing was. Streams go by their first tokens, where there are any.
    fn latency(&self, is_stream: bool) -> f64 {
        let samples = if is_stream && !self.firsts.is_empty() { &self.firsts } else { &self.latencies };
        samples.iter().sum::<f64>() / samples.len().max(1) as f64
    }
}

impl Balancer for LiteLlm {
    fn choose(&mut self, request: usize, now: Micros) -> Option<(usize, Micros)> {
        let deployment = self.pick(now)?;
        let before = self.open.get(&request).map_or(0, |open| open.retries);
        self.open.insert(request, Open { deployment, called: now + OVERHEAD, retries: before });
        Some((deployment, OVERHEAD))
    }

    fn called(&mut self, request: usize) {
        self.known[self.open[&request].deployment].in_flight += 1;
    }

    fn served(&mut self, request: usize, first: Micros, tokens: f64, now: Micros) {
        let Some(open) = self.open.remove(&request) else { return };
        let since = |time: Micros| (time - open.called) as f64 / SECOND as f64;
        let known = &mut self.known[open.deployment];
        known.in_flight -= 1;
        count(&mut known.successes, now);
        sample(&mut known.latencies, since(now) / tokens);
        if self.is_stream {
            sample(&mut known.firsts, since(first));
        }
        if known.tokens.0 != now / MINUTE {
            known.tokens = (now / MINUTE, 0.0);
        }
        known.tokens.1 += tokens;
    }

    fn failed(&mut self, request: usize, error: Error, now: Micros) -> Option<Micros> {
        let open = self.open.get_mut(&request)?;
        open.retries += 1;
        let Open { deployment, retries, .. } = *open;
        let known = &mut self.known[deployment];
        known.in_flight -= 1;
        // Only the first failure of a request is seen by what follows.
        if retries == 1 {
            if matches!(error, Error::TimedOut) {
                sample(&mut known.latencies, TIMED_OUT);
            }
            self.cool_down(deployment, error, now);
        }
        if retries > RETRIES || self.healthy(now).is_empty() {
            self.open.remove(&request);
            return None;
        }
        // With somebody healthy in a group of several it does not wait.
        Some(0)
    }
}

fn sample(samples: &mut VecDeque<f64>, seconds: f64) {
    samples.push_back(seconds);
    if samples.len() > SAMPLES {
        samples.pop_front();
    }
}

/// Counts within a minute that begins with the first.
fn count(counter: &mut (Micros, f64), now: Micros) {
    if now >= counter.0 + MINUTE || counter.1 == 0.0 {
        *counter = (now, 0.0);
    }
    counter.1 += 1.0;
}

fn lowest(members: &[usize], score: impl Fn(usize) -> f64) -> Vec<usize> {
    let lowest = members.iter().map(|index| score(*index)).fold(f64::INFINITY, f64::min);
    members.iter().copied().filter(|index| score(*index) <= lowest).collect()
}

fn any(members: &[usize], random: &mut SplitMix) -> Option<usize> {
    members.get(random.below(members.len())).copied()
}
