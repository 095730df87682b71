//! Statistics that a client or a provider could multiply: Envoy keeps each name until it ends.

use std::collections::BTreeSet;

use llm_balancer_integration::{Answer, World, eventually, item};
use serde_json::json;

/// Names of series, without values of histograms.
async fn series(world: &World) -> BTreeSet<String> {
    world.balancer.stats().await.into_keys().collect()
}

/// Waits until so many requests to deployments are counted: each worker passes its counts on once a
/// second.
async fn flushed(world: &World, requests: u64) {
    let counted = async || {
        let stats = world.balancer.stats().await;
        let sends = stats.iter().filter(|(name, _)| name.contains("llm_balancer_requests_total"));
        sends.map(|(_, count)| *count).sum::<u64>() >= requests
    };
    assert!(eventually(counted).await, "{:?}", world.balancer.stats().await);
}

/// Requests that differ in everything that a client chooses.
async fn varied(world: &World, from: usize, count: usize) {
    for n in from..from + count {
        let client = world
            .with_header("x-envoy-upstream-alt-stat-name", &format!("alt-{n}"))
            .with_header("x-litellm-tags", &format!("tag-{n}"))
            .with_header("x-litellm-session-id", &format!("session-{n}"))
            .with_header("user-agent", &format!("agent-{n}"));
        let more = json!({"user": format!("user-{n}"), "metadata": {"tags": [format!("tag-{n}")], "session_id": n},
            "fallbacks": [format!("fallback-{n}")]});
        assert_eq!(client.chat_with(&format!("any-{n}"), &more).await.status, 200);
        assert_eq!(client.chat_with(&format!("none;x={n}"), &more).await.status, 400);
        client.get(&format!("/v1/path-{n}")).await.error(404);
        client.get(&format!("/v1/models/model-{n}")).await;
    }
}

#[tokio::test]
async fn what_a_client_names_adds_no_series() {
    let config = format!("model_list:\n{}{}", item("'any-*'", "paris", ""), item("gpt", "oslo", ""));
    let world = World::new(&config).await;
    varied(&world, 0, 3).await;
    flushed(&world, 3).await;
    let before = series(&world).await;
    varied(&world, 3, 100).await;
    flushed(&world, 103).await;
    let after = series(&world).await;
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
    assert!(before.iter().any(|name| name.contains("requests_total")), "{before:?}");
}

#[tokio::test]
async fn what_a_provider_answers_adds_a_series_per_status_at_most() {
    let world = World::group(&["paris"], "num_retries: 0, disable_cooldowns: true").await;
    for status in [200, 400, 500] {
        world.provider.script("paris", [Answer::status(status)]);
        world.chat("gpt").await;
    }
    flushed(&world, 3).await;
    let before = series(&world).await;
    for n in 0..100 {
        let error =
            format!("{{\"error\":{{\"message\":\"m{n}\",\"type\":\"type-{n}\",\"code\":\"code-{n}\"}}}}");
        let answer = Answer::status([400, 500][n % 2]).body(error).header("x-ratelimit-type", format!("{n}"));
        world.provider.script("paris", [answer.header(&format!("x-header-{n}"), "1")]);
        world.chat("gpt").await;
    }
    flushed(&world, 103).await;
    let after = series(&world).await;
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.len() <= 4, "{new:?}");
}
