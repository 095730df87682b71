//! The product's own router as a balancer of the simulation: several workers, each with a VM of its
//! own, and one store.

use std::collections::HashMap;
use std::time::Duration;

use llm_balancer_config::read;
use llm_balancer_router::testing::Memory;
use llm_balancer_router::{
    Arrival, Attempt, ErrorResponse, Failure, Headers, Moment, Random, ResponseSummary, RetryState, Router,
    SplitMix, Step, Usage, Verdict,
};

use crate::events::{Balancer, Error, TIMEOUT};
use crate::traffic::{Micros, SECOND};

/// Workers of one Envoy. Each request belongs to one of them, at random.
const WORKERS: u32 = 4;
/// When the simulation begins: the turn of a minute, in 2025.
const NOON: Duration = Duration::from_secs(29_000_000 * 60);

pub struct Ours {
    workers: Vec<Router>,
    store: Memory,
    random: SplitMix,
    body: String,
    /// The worker and the state of each request between two attempts.
    retry_states: HashMap<usize, (usize, RetryState)>,
    open: HashMap<usize, (usize, Attempt)>,
}

fn time(now: Micros) -> Duration {
    NOON + Duration::from_micros(now)
}

impl Ours {
    pub fn new(strategy: &str, count: usize, is_stream: bool, seed: u64) -> Self {
        let item = |index| {
            format!(
                "- model_name: g\n  litellm_params: {{model: openai/m, api_base: 'http://h{index}.test/v1', api_key: k}}\n  model_info: {{id: d{index}}}\n"
            )
        };
        let items: String = (0..count).map(item).collect();
        let timeout = TIMEOUT / SECOND;
        let yaml = format!(
            "model_list:\n{items}router_settings: {{routing_strategy: {strategy}, timeout: {timeout}}}\n"
        );
        let store = Memory::default();
        let worker = |vm| {
            let reading = read("config.yaml", &yaml, &|_| None);
            let router = Router::new(reading.config.expect("a configuration"), vm);
            router.open(&store);
            router
        };
        let workers = (1..=WORKERS).map(worker).collect();
        let body = format!(r#"{{"model":"g","messages":[],"stream":{is_stream}}}"#);
        let (retry_states, open) = (HashMap::new(), HashMap::new());
        Self { workers, store, random: SplitMix::new(seed), body, retry_states, open }
    }
}

impl Balancer for Ours {
    fn select(&mut self, request: usize, now: Micros) -> Option<(usize, Micros)> {
        let (place, retry_state) = match self.retry_states.remove(&request) {
            Some((place, retry_state)) => (place, Some(retry_state)),
            None => (self.random.below(self.workers.len()), None),
        };
        let worker = &self.workers[place];
        let headers: Headers = [(":method", "POST"), (":path", "/v1/chat/completions")].into_iter().collect();
        let Arrival::Hold(held) = worker.on_request_headers(&headers, false) else { return None };
        let mut moment = Moment { now: time(now), random: &mut self.random, store: &self.store };
        match worker.on_request_body(&held, self.body.as_bytes(), retry_state, &mut moment) {
            Step::AcquireLease(_) | Step::FindOrigin(_) => None,
            Step::Send(sending) => {
                let deployment = sending.attempt.deployment;
                self.open.insert(request, (place, sending.attempt));
                Some((deployment, 0))
            }
            Step::Reply(..) => None,
        }
    }

    fn served(&mut self, request: usize, first: Micros, tokens: f64, now: Micros) {
        let Some((place, attempt)) = self.open.remove(&request) else { return };
        let tokens = tokens as u64;
        let usage = Some(Usage { prompt: 0, completion: tokens, total: tokens });
        let ended = ResponseSummary {
            status: 200,
            first_byte: Some(time(first)),
            usage,
            ..ResponseSummary::default()
        };
        let moment = Moment { now: time(now), random: &mut self.random, store: &self.store };
        drop(self.workers[place].on_response_end(attempt, ended, &moment));
    }

    fn failed(&mut self, request: usize, error: Error, now: Micros) -> Option<Micros> {
        let (place, attempt) = self.open.remove(&request)?;
        let provider = |status, retry_after| Failure::Provider { status, retry_after };
        let failure = match error {
            Error::Internal => provider(500, None),
            Error::RateLimited(seconds) => provider(429, Some(Duration::from_secs(seconds))),
            Error::TimedOut => Failure::TimedOut,
        };
        let mut moment = Moment { now: time(now), random: &mut self.random, store: &self.store };
        match self.workers[place].on_attempt_failed(attempt, failure, &ErrorResponse::default, &mut moment) {
            Verdict::Retry(retry_state, wait) => {
                self.retry_states.insert(request, (place, *retry_state));
                u64::try_from(wait.as_micros()).ok()
            }
            Verdict::Relay(..) | Verdict::Reply(..) => None,
        }
    }

    fn beat(&mut self, now: Micros) {
        self.workers.iter().for_each(|worker| worker.beat(time(now), &self.store));
    }
}
