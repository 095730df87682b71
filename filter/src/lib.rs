//! The filter: Envoy's callbacks on one side, the router on the other. It decides nothing.
//!
//! It runs once per attempt: the edge sends a request through an internal listener to here, the router picks a
//! deployment, and a response that is marked for retry comes back through the same door as a new request.

#![cfg(target_family = "wasm")]

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
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType, LogLevel};

use crate::clock::Clock;
use crate::exchange::Exchange;

#[allow(missing_docs, reason = "the macro exports the function that Envoy calls first")]
mod start {
    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(super::Root::default()));
    }}
}

/// What the requests of one configuration on one worker share.
pub(crate) struct Worker {
    pub(crate) router: Router,
    pub(crate) clock: Clock,
    pub(crate) random: RefCell<SplitMix>,
}

#[derive(Default)]
struct Root {
    worker: Option<Rc<Worker>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = host::buffer(BufferType::PluginConfiguration);
        let reading = read("config.yaml", &String::from_utf8_lossy(&text), &|name| std::env::var(name).ok());
        for finding in reading.findings.iter().filter(|finding| finding.severity == Severity::Refused) {
            host::log(LogLevel::Error, &format!("{}: {finding}", names::FILTER));
        }
        self.worker = reading.config.map(|config| {
            Rc::new(Worker {
                router: Router::new(config),
                clock: Clock::default(),
                // std seeds its hashers from the host's source of randomness.
                random: RefCell::new(SplitMix::new(RandomState::new().hash_one(text.len()))),
            })
        });
        // Without a configuration Envoy refuses to start, or keeps the one that it has.
        self.worker.is_some()
    }

    fn on_tick(&mut self) {
        if let Some(worker) = &self.worker {
            worker.clock.tick();
        }
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Exchange::new(context, self.worker.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
