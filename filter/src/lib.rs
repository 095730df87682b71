//! The filter: Envoy's callbacks on one side, the router on the other. It decides nothing.
//!
//! It runs once per attempt: the edge sends a request through an internal listener to here, the router picks a
//! deployment, and a response that is marked for retry comes back through the same door as a new request.

#![cfg(target_family = "wasm")]

mod abi;
mod between;
mod clock;
mod exchange;
mod host;
mod probe;

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use llm_balancer_config::{Severity, names, read};
use llm_balancer_router::Router;
use llm_balancer_router::random::SplitMix;

use crate::clock::Clock;
use crate::host::{BufferType, LogLevel};

/// What the requests of one configuration on one worker share.
pub(crate) struct Worker {
    pub(crate) router: Router,
    pub(crate) clock: Clock,
    pub(crate) random: RefCell<SplitMix>,
}

/// Reads the configuration that Envoy holds ready. Without one Envoy refuses to start, or keeps the one that it has.
fn configure() -> Option<Rc<Worker>> {
    let text = host::buffer(BufferType::PluginConfiguration);
    let reading = read("config.yaml", &String::from_utf8_lossy(&text), &|name| std::env::var(name).ok());
    for finding in reading.findings.iter().filter(|finding| finding.severity == Severity::Refused) {
        host::log(LogLevel::Error, &format!("{}: {finding}", names::FILTER));
    }
    let config = reading.config?;
    Some(Rc::new(Worker {
        router: Router::new(config),
        clock: Clock::default(),
        // std seeds its hashers from the host's source of randomness.
        random: RefCell::new(SplitMix::new(RandomState::new().hash_one(text.len()))),
    }))
}
