//! The product's own router as a policy: several workers, each with a VM of its own, and one store.

use std::collections::HashMap;
use std::time::Duration;

use fake_provider::vllm::Micros;
use llm_balancer_config::read;
use llm_balancer_router::testing::Memory;
use llm_balancer_router::{
    Arrival, Attempt, Headers, Moment, Random, ResponseSummary, Router, SplitMix, Step, Usage,
};

use crate::replay::{DEPLOYMENTS, Policy, Requests};

/// Workers of one Envoy. Each request belongs to one of them, at random.
const WORKERS: u32 = 4;
/// When the simulation begins: the turn of a minute, in 2025.
const NOON: Duration = Duration::from_secs(29_000_000 * 60);

pub struct Ours {
    workers: Vec<Router>,
    store: Memory,
    random: SplitMix,
    names_application: bool,
    open: HashMap<usize, (usize, Attempt, u64)>,
}

fn time(now: Micros) -> Duration {
    NOON + Duration::from_micros(now)
}

impl Ours {
    /// With this strategy, and these settings of each deployment under `llm_balancer`.
    pub fn new(strategy: &str, llm_balancer: &str, seed: u64) -> Self {
        let item = |index| {
            format!(
                "- model_name: m\n  litellm_params: {{model: openai/m, api_base: 'http://h{index}.test/v1', api_key: k, llm_balancer: {{{llm_balancer}}}}}\n  model_info: {{id: d{index}}}\n"
            )
        };
        let items: String = (0..DEPLOYMENTS).map(item).collect();
        let yaml = format!("model_list:\n{items}router_settings: {{routing_strategy: {strategy}}}\n");
        let store = Memory::default();
        let worker = |vm| {
            let reading = read("config.yaml", &yaml, &|_| None);
            let router = Router::new(reading.config.expect("a configuration"), vm);
            router.open(&store);
            router
        };
        let workers = (1..=WORKERS).map(worker).collect();
        Self { workers, store, random: SplitMix::new(seed), names_application: false, open: HashMap::new() }
    }
}

impl Ours {
    /// Clients name their application in OpenAI's `prompt_cache_key`.
    pub fn with_prompt_cache_key(self) -> Self {
        Self { names_application: true, ..self }
    }
}

impl Policy for Ours {
    fn select(&mut self, requests: &Requests, id: usize, now: Micros) -> usize {
        let turn = requests.turn(id);
        let mut body = requests.workload.body(turn, "m");
        if self.names_application
            && let Some((_, system)) = requests.workload.texts(turn).next()
        {
            // The beginning of a system prompt, which differs between applications.
            let name = system.get(..40).unwrap_or(system);
            body.insert_str(1, &format!(r#""prompt_cache_key":"{name}","#));
        }
        let place = self.random.below(self.workers.len());
        let worker = &self.workers[place];
        let headers: Headers = [(":method", "POST"), (":path", "/v1/chat/completions")].into_iter().collect();
        let Arrival::Hold(held) = worker.on_request_headers(&headers, false) else {
            panic!("a chat is not answered before its body")
        };
        let mut moment = Moment { now: time(now), random: &mut self.random, store: &self.store };
        match worker.on_request_body(&held, body.as_bytes(), None, &mut moment) {
            Step::Send(sending) => {
                let deployment = sending.attempt.deployment;
                self.open.insert(id, (place, sending.attempt, turn.answer as u64));
                deployment
            }
            _ => panic!("a group without limits serves every request"),
        }
    }

    fn ended(&mut self, id: usize, first: Micros, now: Micros) {
        let Some((place, attempt, completion)) = self.open.remove(&id) else { return };
        let ended = ResponseSummary {
            status: 200,
            first_byte: Some(time(first)),
            usage: Some(Usage { prompt: 0, completion, total: completion }),
            ..ResponseSummary::default()
        };
        let moment = Moment { now: time(now), random: &mut self.random, store: &self.store };
        drop(self.workers[place].on_response_end(attempt, ended, &moment));
    }

    fn beat(&mut self, now: Micros) {
        self.workers.iter().for_each(|worker| worker.beat(time(now), &self.store));
    }
}
