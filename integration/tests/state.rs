//! What workers remember survives what happens to them: clients that go, configurations of any
//! size, and a long life.

use std::time::Duration;

use llm_balancer_integration::{Answer, World, eventually, item, memory, raw};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

/// One deployment with one slot: a request that does not release it blocks the next.
async fn one_slot(router_settings: &str) -> World {
    let item = item("gpt", "paris", ", max_parallel_requests: 1");
    let settings = format!("router_settings: {{disable_cooldowns: true, {router_settings}}}");
    World::with_workers(4, &format!("model_list:\n{item}{settings}\n")).await
}

/// Asserts that the slot is free, on whichever worker, and that nothing is left in flight.
async fn assert_free(world: &mut World, what: &str) {
    world.provider.script("paris", []);
    world.provider.always("paris", Answer::ok());
    let free = eventually(async || world.newcomer().chat("gpt").await.status == 200).await;
    assert!(free, "the slot was not given back: {what}");
    for _ in 0..4 {
        let reply = world.newcomer().chat("gpt").await;
        assert_eq!(reply.status, 200, "{what}: {}", reply.text());
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_client_that_goes_gives_its_slot_back_at_every_stage() {
    let mut world = one_slot("num_retries: 3").await;
    let plain = json!({"model": "gpt", "messages": []}).to_string();
    let stream = json!({"model": "gpt", "messages": [], "stream": true}).to_string();
    let pieces = || Answer::ok().events(1000).every(Duration::from_millis(20));
    let stages = [
        ("before the answer", &plain, Answer::ok().hang()),
        ("before its first byte", &plain, Answer::ok().hang_after(0)),
        ("before the first event", &stream, Answer::ok().hang_after(0)),
        ("in the middle of an answer", &plain, Answer::ok().hang_after(1)),
        ("in the middle of a stream", &stream, pieces()),
        ("in a stream that has fallen silent", &stream, Answer::ok().hang_after(2)),
        ("in the middle of an error", &plain, Answer::status(500).hang_after(1)),
        ("while waiting for a retry", &plain, Answer::status(429).retry_after("30")),
    ];
    for (what, body, answer) in stages {
        let asked = world.provider.count();
        world.provider.script("paris", [answer]);
        let mut socket = raw::connect(world.balancer.port).await;
        socket.write_all(&raw::chat(body, Some(body.len()))).await.unwrap();
        assert!(eventually(async || world.provider.count() > asked).await, "{what}");
        sleep(Duration::from_millis(150)).await;
        if !what.contains("retry") {
            assert_eq!(world.newcomer().chat("gpt").await.status, 429, "the slot is taken {what}");
        }
        drop(socket);
        assert_free(&mut world, what).await;
    }
}

#[tokio::test]
async fn an_attempt_that_fails_gives_its_slot_back_however_it_fails() {
    let mut world = one_slot("num_retries: 0, timeout: 0.7, stream_timeout: 0.7").await;
    for answer in [
        Answer::status(500),
        Answer::status(400),
        Answer::status(302),
        Answer::ok().reset(),
        Answer::ok().reset_after(0),
        Answer::ok().close_after(1),
        Answer::status(500).close_after(1),
        Answer::raw("no HTTP\r\n\r\n"),
        Answer::ok().hang(),
        Answer::ok().hang_after(0),
        Answer::ok().hang_after(1),
        Answer::status(500).hang_after(1),
    ] {
        let what = format!("{answer:?}");
        for stream in [false, true] {
            world.provider.script("paris", [answer.clone()]);
            let body = json!({"model": "gpt", "messages": [], "stream": stream});
            let mut events = world.newcomer().stream("/v1/chat/completions", &body).await;
            while events.next().await.is_some() {}
            assert_free(&mut world, &what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_many_clients_that_left_at_random_all_slots_are_free() {
    let items = item("gpt", "paris", ", max_parallel_requests: 20")
        + &item("gpt", "virginia", ", max_parallel_requests: 20");
    let config = format!("model_list:\n{items}router_settings: {{disable_cooldowns: true}}\n");
    let mut world = World::with_workers(4, &config).await;
    let streaming = Answer::ok().events(20).after(Duration::from_millis(30)).every(Duration::from_millis(10));
    world.provider.always("paris", streaming);
    world.provider.always("virginia", Answer::status(500).after(Duration::from_millis(20)));
    let body = json!({"model": "gpt", "messages": [], "stream": true}).to_string();
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..150_u64 {
        let (port, body) = (world.balancer.port, body.clone());
        clients.spawn(async move {
            let mut socket = raw::connect(port).await;
            let _ = socket.write_all(&raw::chat(&body, Some(body.len()))).await;
            sleep(Duration::from_millis(number * 37 % 400)).await;
        });
    }
    clients.join_all().await;
    // Those that were left behind may still be on their way out.
    world.provider.always("virginia", Answer::ok());
    world.assert_well("gpt").await;
    for name in ["paris", "virginia"] {
        world.provider.always(name, Answer::ok().after(Duration::from_millis(700)));
    }
    let replies = world.crowd(40, 40, "gpt").await;
    let refused = replies.iter().filter(|reply| reply.status != 200).count();
    assert_eq!(refused, 0, "of forty slots some were not given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_deployments_and_as_many_aliases_start_and_serve() {
    const MANY: usize = 10_000;
    let mut items = String::new();
    let mut aliases = String::new();
    for number in 0..MANY {
        // A group of a thousand, and nine thousand of one.
        let group = if number < 1000 { "large".to_owned() } else { format!("g{number}") };
        items.push_str(&item(&group, &format!("d{number}"), ", rpm: 100000"));
        aliases.push_str(&format!("    a{number}: {group}\n"));
    }
    let config = format!("model_list:\n{items}router_settings:\n  model_group_alias:\n{aliases}");
    let mut world = World::with_workers(4, &config).await;
    for number in [0, 1, 999, 1000, 5555, 9999] {
        let named = world.newcomer().chat(&format!("d{number}")).await;
        assert_eq!(named.served_by(), format!("d{number}"));
        let aliased = world.newcomer().chat(&format!("a{number}")).await;
        assert!(number < 1000 || aliased.served_by() == format!("d{number}"), "{}", aliased.served_by());
    }
    let picks = world.picks("large", 1000).await;
    assert!(picks.len() > 500, "only {} of a thousand were picked", picks.len());
    world.assert_well("large").await;
}

/// Kilobytes in memory, of the balancer and its Envoy.
fn resident(world: &World) -> u64 {
    memory::resident_of_all(&world.balancer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_with_everything_switched_on() {
    const WARM_UP: usize = 10_000;
    const REQUESTS: usize = 25_000;
    /// Of the allocators of Envoy and of four VMs.
    const NOISE: u64 = 2 * 1024;
    let items: String = ["paris", "virginia", "tokyo"]
        .map(|name| item("gpt", name, ", rpm: 1000000, tpm: 1000000000, max_parallel_requests: 1000"))
        .concat();
    let settings =
        "router_settings: {routing_strategy: latency-based-routing, cooldown_time: 1, num_retries: 2}";
    let mut world = World::with_workers(4, &format!("model_list:\n{items}{settings}\n")).await;
    world.provider.always("tokyo", Answer::status(429));
    many(&world, WARM_UP).await;
    let before = resident(&world);
    many(&world, REQUESTS).await;
    let after = resident(&world);
    let grown = after.saturating_sub(before);
    assert!(grown < NOISE, "from {before} to {after} kB over {REQUESTS} requests");
    world.assert_well("gpt").await;
}

async fn many(world: &World, requests: usize) {
    const AT_ONCE: usize = 5_000;
    for _ in 0..requests / AT_ONCE {
        let replies = world.crowd(16, AT_ONCE, "gpt").await;
        assert!(replies.iter().all(|reply| reply.status == 200));
        world.provider.forget();
    }
}
