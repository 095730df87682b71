//! The world around the product, for tests of the real thing.
//!
//! | folder | has |
//! |---|---|
//! | `product` | [`Balancer`]: the process under test; [`Containers`]: the product in Docker; [`Example`]: a bootstrap of `envoy/examples` |
//! | `clients` | [`Client`] and [`raw`]: the near side |
//! | `network` | [`Link`], [`ForwardProxy`], certificates and ports: what is in between |
//! | `fleet` | [`Fleet`]: instances that share a [`Redis`] and a [`Front`] |
//! | `mesh` | Istio and Envoy Gateway, played |
//! | `observe` | [`Prometheus`], [`statistics`] and [`memory`]: what was counted; [`Browser`]: what the status page shows |
//! | `soak` | [`Soak`]: random faults for as long as asked, and what must hold meanwhile |
//!
//! The far side is the crate `fake-provider`: a [`Provider`] that an [`Answer`] scripts and that
//! keeps what it [`Received`]. [`World`] puts a provider, a balancer and a client together for
//! tests that need no more.

use std::time::{Duration, Instant};

use tokio::time::sleep;

mod child_process;
mod clients;
pub mod fleet;
pub mod mesh;
mod network;
mod observe;
mod product;
mod soak;
mod world;

pub use clients::{Client, Events, Reply, ask, crowd, raw, times};
pub use fake_provider::{Answer, DONE, Provider, Received};
pub use fleet::{Fleet, Front, Redis, minute, redis};
pub use network::{ForwardProxy, Link, certificates, free_port};
pub use observe::{Browser, Prometheus, memory, prometheus, statistics};
pub use product::{Balancer, Clock, Containers, Envoy, Example, INSTANCES, Launch, Refusal, hops};
pub use soak::Soak;
pub use world::{World, item};

/// Longer than anything takes that happens at once, on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// Waits until `question` is answered with yes, for at most this long; says whether it was.
pub async fn within(limit: Duration, mut question: impl AsyncFnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if question().await {
            return true;
        }
        if begun.elapsed() >= limit {
            return false;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// [`within`] ten seconds.
pub async fn eventually(question: impl AsyncFnMut() -> bool) -> bool {
    within(SOON, question).await
}
