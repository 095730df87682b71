//! Random faults of everything around the product, and of its VMs, while clients send requests.
//! `make soak` runs the long one.

use std::path::PathBuf;

use llm_balancer_integration::Soak;

/// The product with the filter that traps when a request asks for it: `make testing-balancer`.
fn program() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/testing/llm-balancer"))
}

/// A number of the environment.
fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value:?}")))
}

async fn assert_lasts(soak: Soak) {
    let report = soak.run().await;
    println!("{}", report.text);
    assert!(report.faults.is_empty(), "{} faults:\n{}", report.faults.len(), report.faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_faults_loses_nothing() {
    assert_lasts(Soak::short(variable("SOAK_SEED").unwrap_or(1), program())).await;
}

#[ignore = "takes minutes: make soak"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_storm_of_faults_loses_nothing() {
    let seed = variable("SOAK_SEED").unwrap_or_else(|| fastrand::u64(..));
    assert_lasts(Soak::long(seed, variable("SOAK_MINUTES").unwrap_or(10), program())).await;
}
