//! The filter as a dynamic module of Envoy: what is different from WebAssembly. All other programs run
//! it as well, as `serve` does. `make testing-balancer` builds a module that panics on demand, and that
//! holds its store to the contract of every store.

use std::path::PathBuf;
use std::time::Duration;

use llm_balancer_integration::{Answer, Balancer, Client, Launch, Provider, eventually, item};
use serde_json::Value;

fn configuration(provider: &Provider) -> String {
    format!("model_list:\n{}", item("g", "a", ", max_parallel_requests: 2"))
        .replace("PROVIDER", &provider.origin())
}

async fn balancer(provider: &Provider, workers: u8) -> Balancer {
    let program = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/testing/llm-balancer"));
    let launch = Launch::new(&configuration(provider)).program(program).arg("--runtime=module");
    launch.concurrency(workers).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_panics_ends_its_request_and_no_other() {
    let provider = Provider::start().await;
    let mut balancer = balancer(&provider, 1).await;
    let client = Client::new(balancer.port);
    provider.script("a", [Answer::ok().after(Duration::from_millis(1500))]);
    let other = client.clone();
    let other = tokio::spawn(async move { other.chat("g").await });
    assert!(eventually(async || provider.calls().len() == 1).await);

    let panicking = client.clone().with_header("x-llm-trap", "1");
    for _ in 0..3 {
        panicking.chat("g").await.error(500);
    }
    assert!(
        eventually(async || balancer.log().matches("panicked on demand").count() == 3).await,
        "{}",
        balancer.log()
    );

    assert_eq!(other.await.unwrap().status, 200, "it was in flight on the same worker");
    assert_eq!(client.chat("g").await.status, 200);
    assert!(balancer.alive());
    let stats = balancer.stats().await;
    assert_eq!(stats.get("dynamicmodulescustom.llm_balancer_panics_total"), Some(&3), "{stats:?}");
    let in_flight = async || {
        let stats = balancer.stats().await;
        stats.iter().filter(|(name, _)| name.contains("llm_balancer_in_flight")).map(|(_, n)| *n).sum::<u64>()
    };
    assert!(eventually(async || in_flight().await == 0).await, "nothing is counted for ever");
    assert_eq!(faults(&balancer), 3, "{:?}", balancer.access_log());
}

/// Lines of requests that a fault of the filter has ended.
fn faults(balancer: &Balancer) -> usize {
    let is_fault = |line: &&Value| line["outcome"] == "server_error" && line["status"] == 500;
    balancer.access_log().iter().filter(is_fault).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_response_panics_gives_its_slot_back() {
    let provider = Provider::start().await;
    let balancer = balancer(&provider, 1).await;
    let client = Client::new(balancer.port);
    let panicking = client.clone().with_header("x-llm-trap", "2");
    for _ in 0..4 {
        panicking.chat("g").await.error(500);
    }
    assert_eq!(client.chat("g").await.status, 200, "{}", balancer.log());
    let settled = || balancer.access_log().len() == 5;
    assert!(eventually(async || settled()).await, "each has a line: {}", balancer.log());
    assert_eq!(faults(&balancer), 4, "{:?}", balancer.access_log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_workers_share_keeps_the_contract_of_stores() {
    let provider = Provider::start().await;
    let balancer = balancer(&provider, 4).await;
    // Four workers, each with the filter on the edge and the one behind it.
    let kept = || balancer.log().matches("the contract of stores is kept").count();
    assert!(eventually(async || kept() == 8).await, "{}", balancer.log());
    assert!(balancer.log().contains("the sum is Ok(8000)"), "{}", balancer.log());
}
