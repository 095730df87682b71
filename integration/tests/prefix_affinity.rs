//! Prefix affinity in front of a fleet of vLLM workers: what their prefix caches have of prompts,
//! and how the requests spread.

use std::collections::HashMap;
use std::sync::Arc;

use fake_provider::vllm::{Counters, Model, Scenario, Turn, Workers, Workload};
use llm_balancer_integration::{Client, Launch};
use serde_json::Value;
use tokio::task::JoinSet;

const WORKERS: usize = 8;
const CONVERSATIONS: usize = 200;
const TURNS: usize = 3;
/// How much faster than the model time passes.
const SPEED: f64 = 100.0;

/// Conversations of the same number of turns.
fn conversations() -> (Arc<Workload>, Vec<Vec<Turn>>) {
    let endless = Scenario { turns: 1_000.0, ..Scenario::CHAT };
    let workload = Workload::new(&endless, 160.0, 200_000_000, &Model::A100_8B, 1);
    let mut turns: HashMap<usize, Vec<Turn>> = HashMap::new();
    for turn in &workload.turns {
        turns.entry(turn.session).or_default().push(*turn);
    }
    let mut long: Vec<_> = turns.into_values().filter(|turns| turns.len() >= TURNS).collect();
    long.sort_by_key(|turns| turns[0].session);
    long.truncate(CONVERSATIONS);
    long.iter_mut().for_each(|turns| turns.truncate(TURNS));
    assert_eq!(long.len(), CONVERSATIONS);
    (Arc::new(workload), long)
}

/// Has all conversations at the same time; returns what each worker did.
async fn converse(settings: &str) -> Vec<Counters> {
    let fleet = Workers::start(WORKERS, Model::A100_8B, SPEED).await.unwrap();
    let item = |(n, port): (usize, u16)| {
        format!(
            "- {{model_name: m, litellm_params: {{model: openai/m, api_base: 'http://127.0.0.1:{port}/v1', api_key: k{settings}}}, model_info: {{id: gpu-{n}}}}}\n"
        )
    };
    let items: String = fleet.ports().into_iter().enumerate().map(item).collect();
    let balancer = Launch::new(&format!("model_list:\n{items}")).concurrency(2).start().await;
    let before = fleet.counters();
    let (workload, all) = conversations();
    let mut talks = JoinSet::new();
    for turns in all {
        let (workload, client) = (Arc::clone(&workload), Client::new(balancer.port));
        talks.spawn(async move {
            for turn in turns {
                let body: Value = serde_json::from_str(&workload.body(&turn, "m")).unwrap();
                let reply = client.post("/v1/chat/completions", &body).await;
                assert_eq!(reply.status, 200, "{}", reply.text());
            }
        });
    }
    talks.join_all().await;
    fleet.counters().into_iter().zip(before).map(|(now, before)| now.since(before)).collect()
}

fn hit_rate(workers: &[Counters]) -> f64 {
    let sum = |count: fn(&Counters) -> u64| workers.iter().map(count).sum::<u64>() as f64;
    sum(|worker| worker.cached_tokens) / sum(|worker| worker.prompt_tokens)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_find_their_prompts_in_the_cache_and_no_worker_gets_much_more_than_its_share() {
    let shuffled = converse("").await;
    let with_affinity = converse(", llm_balancer: {affinity: prefix}").await;

    let (without, with) = (hit_rate(&shuffled), hit_rate(&with_affinity));
    // 0.72 to 0.81 beside 0.47 to 0.49. A busy machine keeps more of the fleet's time in flight, so that
    // more requests go to the next worker: 0.67.
    assert!(with > without + 0.15, "{with:.3} of all tokens were cached, {without:.3} without affinity");
    let requests: Vec<_> = with_affinity.iter().map(|worker| worker.requests).collect();
    let all: u64 = requests.iter().sum();
    assert_eq!(all as usize, CONVERSATIONS * TURNS);
    let most = requests.iter().max().copied().unwrap_or_default() as f64;
    assert!(most <= 1.3 * all as f64 / WORKERS as f64, "{requests:?}");
}
