//! The product under test: `llm-balancer` as a process, by a clock that a test sets, in containers,
//! and an Envoy with one of its example bootstraps, or with a filter that traps.

mod balancer;
mod clock;
mod containers;
pub(crate) mod envoy;
mod example;
mod launch;
mod trapping;

pub use balancer::Balancer;
pub use clock::Clock;
pub use containers::{Containers, INSTANCES};
pub use envoy::Envoy;
pub use example::Example;
pub use launch::{Launch, Refusal, hops};
