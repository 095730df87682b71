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

mod child_process;
mod clients;
pub mod fleet;
pub mod mesh;
mod network;
mod observe;
mod product;
mod soak;
mod world;

pub use clients::{Client, Events, Reply, ask, raw};
pub use fake_provider::{Answer, DONE, Provider, Received};
pub use fleet::{Fleet, Front, Redis, minute, redis};
pub use network::{ForwardProxy, Link, certificates, free_port};
pub use observe::{Browser, Prometheus, memory, prometheus, statistics};
pub use product::{Balancer, Clock, Containers, Envoy, Example, INSTANCES, Launch, Refusal, hops};
pub use soak::Soak;
pub use world::{World, item};

/// Waits until `question` is answered with yes, for at most five seconds; says whether it was.
pub async fn eventually<F: AsyncFnMut() -> bool>(mut question: F) -> bool {
    for _ in 0..250 {
        if question().await {
            return true;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    false
}
