//! A filter that traps takes nothing with it but the requests that it was looking at. `make
//! testing-filter` builds one that traps on demand, and that holds Envoy's shared data to the
//! contract of every store.

use std::time::Duration;

use llm_balancer_integration::{
    Answer, Client, Envoy, Provider, ask, eventually, hops, item, minute, within,
};
use tokio::time::timeout;

/// An Envoy with the testing filter, which soon ends a stream that no filter ends.
async fn trapping(config: &str, workers: u8) -> Envoy {
    let long = "idle_timeout: 75s\n";
    Envoy::trapping(config, workers, |bootstrap| {
        assert!(bootstrap.contains(long), "{bootstrap}");
        bootstrap.replace(long, "idle_timeout: 4s\n")
    })
    .await
}

/// Ends the VM of one worker.
async fn trap(envoy: &Envoy) {
    let client = Client::new(envoy.port).with_header("x-llm-trap", "1");
    // Another attempt may find another VM, which the same header ends as well.
    let status = client.chat("g").await.status;
    assert_eq!(status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn envoys_shared_data_keeps_the_contract_of_stores() {
    let provider = Provider::start().await;
    let envoy = trapping(&configuration(&provider, ""), 4).await;
    // Four workers, and the main thread, which reads every configuration twice; with one hop, each
    // for the edge as well.
    let times = if hops() == "1" { 12 } else { 6 };
    let kept = || envoy.messages().matches("the contract of stores is kept").count();
    assert!(eventually(async || kept() == times).await, "{}", envoy.messages());
    assert!(envoy.messages().contains(&format!("the sum is Ok({times}000)")), "{}", envoy.messages());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_a_trapped_vm_took_with_it_are_forgotten_within_seconds() {
    let provider = Provider::start().await;
    let envoy = trapping(&configuration(&provider, ", max_parallel_requests: 1"), 1).await;
    let client = Client::new(envoy.port);
    provider.script("a", [Answer::ok().hang()]);
    let hanging = client.clone();
    let hanging = tokio::spawn(async move { hanging.chat("g").await });
    assert!(eventually(async || provider.calls().len() == 1).await);
    assert_eq!(client.chat("g").await.status, 429, "its only slot is taken");

    trap(&envoy).await;
    let is_free = within(Duration::from_secs(15), async || client.chat("g").await.status == 200).await;
    assert!(is_free, "{}", envoy.messages());
    hanging.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_outlive_a_vm_that_traps() {
    let provider = Provider::start().await;
    let envoy = trapping(&configuration(&provider, ", rpm: 6"), 1).await;
    minute::with_room_for(Duration::from_secs(12)).await;
    let client = Client::new(envoy.port);
    for _ in 0..4 {
        assert_eq!(client.chat("g").await.status, 200);
    }
    trap(&envoy).await;
    assert!(eventually(async || client.answers("/health/liveliness").await).await, "{}", envoy.messages());
    let mut served = 0;
    for _ in 0..8 {
        served += u32::from(client.chat("g").await.status == 200);
    }
    assert_eq!(served, 2, "four of six were counted before the trap");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_vm_trapped_ends_though_nothing_happens_to_it() {
    const LATEST: Duration = Duration::from_secs(20);
    let provider = Provider::start().await;
    let settings = "router_settings: {num_retries: 2, timeout: 2}\n";
    let envoy = trapping(&(configuration(&provider, "") + settings), 1).await;
    let client = Client::new(envoy.port);
    // A stream that has begun, and a request that waits before its retry.
    provider.script("a", [Answer::ok().hang_after(1), Answer::status(429).retry_after("60")]);
    let mut stream = client.stream_chat("g").await;
    assert!(stream.next().await.is_some());
    let waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.try_post("/v1/chat/completions", &ask("g")).await });
    assert!(eventually(async || provider.calls().len() == 2).await);
    trap(&envoy).await;

    let rest = timeout(LATEST, stream.until_end());
    let (rest, waited) = tokio::join!(rest, timeout(LATEST, waiting));
    assert!(rest.is_ok() && stream.broken, "the stream is still open: {}", envoy.messages());
    let reply = waited.expect("a response in time").unwrap().expect("a response");
    // With two hops it starts anew.
    let status = if hops() == "1" { 504 } else { 200 };
    assert_eq!(reply.status, status, "{}", reply.text());
}

/// One deployment.
fn configuration(provider: &Provider, params: &str) -> String {
    format!("model_list:\n{}", item("g", "a", params)).replace("PROVIDER", &provider.origin())
}
