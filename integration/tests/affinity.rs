//! Requests that go to the same deployment again, on the real Envoy: with one worker and with four,
//! and with two instances that know nothing of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use llm_balancer_integration::{Answer, Client, Launch, Provider, Reply, World, eventually, item};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

const CITIES: [&str; 4] = ["paris", "oslo", "rome", "bonn"];

fn sessions() -> String {
    let items: String = CITIES.iter().map(|name| item("gpt", name, "")).collect();
    format!("model_list:\n{items}router_settings: {{optional_pre_call_checks: [session_affinity]}}\n")
}

fn prefixes() -> String {
    let items: String =
        CITIES.iter().map(|name| item("gpt", name, ", llm_balancer: {affinity: prefix}")).collect();
    format!("model_list:\n{items}")
}

/// Two configurations with one worker and with four.
async fn with_one_and_four(config: &str, story: impl AsyncFn(World)) {
    let tell = async |workers| story(World::with_workers(workers, config).await).await;
    tokio::join!(tell(1), tell(4));
}

async fn of_session(client: &Client, id: &str) -> String {
    client.with_header("x-litellm-session-id", id).chat("gpt").await.served_by()
}

/// A turn of a conversation: a system prompt for all, and a first message of its own.
fn turn(conversation: usize, turns: usize) -> Value {
    let mut messages = vec![
        json!({"role": "system", "content": "You know every city. ".repeat(50)}),
        json!({"role": "user", "content": format!("Tell me of city {conversation}.")}),
    ];
    for turn in 0..turns {
        messages.push(json!({"role": "assistant", "content": format!("Answer {turn}.")}));
        messages.push(json!({"role": "user", "content": format!("And then, {turn}?")}));
    }
    json!({"model": "gpt", "messages": messages})
}

async fn of_turn(client: &Client, conversation: usize, turns: usize) -> String {
    client.post("/v1/chat/completions", &turn(conversation, turns)).await.served_by()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_worker_and_instance_sends_a_session_to_the_same_deployment() {
    let provider = Provider::start().await;
    let config = sessions().replace("PROVIDER", &provider.origin());
    let (one, four) = tokio::join!(
        Launch::new(&config).concurrency(1).start(),
        Launch::new(&config).concurrency(4).start()
    );
    let mut places = BTreeSet::new();
    for n in 0..30 {
        let id = format!("session-{n}");
        let first = of_session(&Client::new(one.port), &id).await;
        for _ in 0..8 {
            // A new connection may meet any worker.
            assert_eq!(of_session(&Client::new(four.port), &id).await, first, "{id}");
        }
        places.insert(first);
    }
    assert_eq!(places.len(), 4, "sessions spread: {places:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_moves_while_its_deployment_cools_down_and_returns() {
    with_one_and_four(&sessions(), async |world| {
        let home = of_session(&world, "abc").await;
        world.provider.script(&home, [Answer::status(429).retry_after("3")]);
        let second = of_session(&world, "abc").await;
        assert_ne!(second, home, "the retry went to the next one");
        for _ in 0..10 {
            assert_eq!(of_session(&world.newcomer(), "abc").await, second, "while it cools down");
        }
        let is_back = eventually(async || of_session(&world.newcomer(), "abc").await == home).await;
        assert!(is_back, "the session returns to {home}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_adds_a_deployment_moves_only_what_that_one_takes() {
    let world = World::with_workers(2, &sessions()).await;
    let mut before = Vec::new();
    for n in 0..60 {
        before.push(of_session(&world, &format!("session-{n}")).await);
    }
    let more = format!("{}router_settings:", item("gpt", "kyiv", ""));
    let config =
        sessions().replacen("router_settings:", &more, 1).replace("PROVIDER", &world.provider.origin());
    world.balancer.replace_file(&config);
    world.balancer.says("1 deployment added (kyiv)").await;
    let is_live = eventually(async || world.newcomer().chat("kyiv").await.status == 200).await;
    assert!(is_live, "kyiv serves");
    let mut moved = 0;
    for (n, before) in before.iter().enumerate() {
        let after = of_session(&world.newcomer(), &format!("session-{n}")).await;
        assert!(after == *before || after == "kyiv", "session {n} moved from {before} to {after}");
        moved += usize::from(after == "kyiv");
    }
    // A fifth of 60; four standard deviations are 12.
    assert!((1..=24).contains(&moved), "{moved} of 60");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_turns_of_a_conversation_go_to_one_deployment() {
    with_one_and_four(&prefixes(), async |world| {
        let mut places = BTreeSet::new();
        for conversation in 0..20 {
            let first = of_turn(&world, conversation, 0).await;
            for turns in 1..4 {
                assert_eq!(of_turn(&world.newcomer(), conversation, turns).await, first);
            }
            places.insert(first);
        }
        assert_eq!(places.len(), 4, "conversations spread: {places:?}");
        let counted = eventually(async || {
            let stats = world.balancer.stats().await;
            let of_affinity = |(name, _): &(&String, &u64)| name.contains("affinity_total");
            let hits: u64 = stats.iter().filter(of_affinity).map(|(_, count)| count).sum();
            hits == 80
        });
        assert!(counted.await, "every request is counted: {:?}", world.balancer.stats().await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_popular_prompt_is_shared_before_one_deployment_has_too_much() {
    with_one_and_four(&prefixes(), async |world| {
        for name in CITIES {
            world.provider.always(name, Answer::ok().after(Duration::from_millis(1500)));
        }
        let mut chats = JoinSet::new();
        for _ in 0..40 {
            let client = world.newcomer();
            chats.spawn(async move { client.post("/v1/chat/completions", &turn(1, 0)).await });
            sleep(Duration::from_millis(5)).await;
        }
        let replies = chats.join_all().await;
        let mut counts = BTreeMap::new();
        replies.iter().map(Reply::served_by).for_each(|name| *counts.entry(name).or_insert(0) += 1);
        // In a burst twice a share and two more; with four workers, of each: 4 * (2 * 2.75 + 2), where
        // a share counts the request itself.
        assert!(counts.values().all(|count| *count <= 30), "{counts:?}");
        assert!(counts.len() >= 2, "{counts:?}");
    })
    .await;
}
