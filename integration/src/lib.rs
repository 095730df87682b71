//! The world around the product, for tests of the real thing: a fake provider that does what it is told, `llm-balancer` with its Envoy, and clients.
//!
//! In the order a test meets them: [`World`] puts the others together; [`Provider`] is the far side, told by [`Answer`]s what to do and keeping what it
//! [`Received`]; [`Balancer`] is the process under test; [`Client`] and [`raw`] are the near side; [`statistics`] judges what was counted. [`Redis`] is a
//! real one, [`Link`] the way to it, which can be cut and slowed, and a [`Fleet`] shares it. An [`Example`] is a bootstrap of `envoy/examples`. [`Prometheus`] is a real one, too. [`Containers`] is all of
//! this in Docker, with a [`Front`] before it.

mod answer;
mod balancer;
pub mod certificates;
mod client;
mod containers;
mod example;
pub mod fleet;
mod forward_proxy;
mod front;
mod link;
pub mod mesh;
pub mod minute;
mod openai;
mod ports;
pub mod prometheus;
mod provider;
pub mod raw;
pub mod redis;
pub mod sbom;
pub mod statistics;
pub mod wasm_image;
mod wire;
mod world;

pub use answer::Answer;
pub use balancer::{Balancer, Launch, Refusal};
pub use client::{Client, Events, Reply, ask};
pub use containers::{Containers, INSTANCES};
pub use example::{Example, Running};
pub use fleet::Fleet;
pub use forward_proxy::ForwardProxy;
pub use front::Front;
pub use link::Link;
pub use openai::DONE;
pub use ports::free_port;
pub use prometheus::Prometheus;
pub use provider::Provider;
pub use redis::Redis;
pub use wire::Received;
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
