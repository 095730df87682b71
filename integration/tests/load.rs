//! Many clients at once while most attempts fail: no client notices.

use std::time::{Duration, Instant};

use llm_balancer_integration::{Answer, Client, Launch, Provider, World, free_port};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_two_clients_see_no_error_though_two_attempts_fail_before_each_success() {
    let (limited, good) = (Provider::start().await, Provider::start().await);
    limited.always("paris", Answer::status(429));
    let config = format!(
        "
model_list:
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: {}/paris/v1, api_key: k, weight: 1000000}}}}
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: 'http://127.0.0.1:{}/virginia/v1', api_key: k, weight: 1000}}}}
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: {}/tokyo/v1, api_key: k, weight: 1}}}}
router_settings: {{num_retries: 2, disable_cooldowns: true}}
",
        limited.origin(),
        free_port(),
        good.origin()
    );
    let balancer = Launch::new(&config).concurrency(2).start().await;
    let mut world = World { client: Client::new(balancer.port), balancer, provider: good };
    let started = Instant::now();
    let replies = world.crowd(32, 4000, "gpt").await;
    let errors: Vec<_> = replies
        .iter()
        .filter(|reply| reply.status != 200)
        .map(|reply| (reply.status, reply.text()))
        .collect();
    assert!(errors.is_empty(), "{} of {} failed, first {:?}", errors.len(), replies.len(), errors.first());
    let mean: f64 =
        replies.iter().map(|reply| f64::from(reply.retries())).sum::<f64>() / replies.len() as f64;
    assert!(mean > 1.9, "two attempts before each success, not {mean}");
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    // Connections are kept: thousands of attempts, a few connections more than clients.
    let connections = (limited.connections(), world.provider.connections());
    assert!(connections.0 <= 100 && connections.1 <= 100, "{connections:?} connections to the providers");
    world.assert_well("gpt").await;
    let stats = world.balancer.stats().await;
    let inner: u64 = stats
        .iter()
        .filter(|(name, _)| name.starts_with("cluster.attempts.") && name.ends_with("upstream_cx_total"))
        .map(|(_, count)| count)
        .sum();
    assert!(inner <= 200, "{inner} connections inside");
    let overflow: u64 =
        stats.iter().filter(|(name, _)| name.contains("overflow")).map(|(_, count)| count).sum();
    assert_eq!(overflow, 0, "a circuit breaker of ours was in the way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_clients_share_a_connection_and_see_no_error_either() {
    let mut world = World::group(&["paris", "virginia", "tokyo"], "disable_cooldowns: true").await;
    world.provider.always("paris", Answer::status(429));
    world.provider.always("virginia", Answer::ok().reset());
    world.client = Client::http2(world.balancer.port);
    let replies = world.crowd(32, 2000, "gpt").await;
    let errors: Vec<_> = replies
        .iter()
        .filter(|reply| reply.status != 200)
        .map(|reply| (reply.status, reply.text()))
        .collect();
    assert!(errors.is_empty(), "{} of {} failed, first {:?}", errors.len(), replies.len(), errors.first());
    assert!(replies.iter().all(|reply| reply.served_by() == "tokyo"));
    world.assert_well("gpt").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_in_parallel_do_not_mix() {
    let world = World::group(&["paris", "virginia", "tokyo"], "").await;
    for name in ["paris", "virginia", "tokyo"] {
        world.provider.always(name, Answer::ok().events(10).every(Duration::from_millis(5)));
    }
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..48 {
        let client = world.client.clone();
        streams.spawn(async move {
            let mut events = client.stream_chat("gpt").await;
            let name = events.header("x-litellm-model-id").unwrap_or_default().to_owned();
            let text = events.rest().await;
            assert!(!events.broken);
            assert_eq!(text.matches(&format!("from {name} ")).count(), 10, "{text}");
        });
    }
    streams.join_all().await;
}
