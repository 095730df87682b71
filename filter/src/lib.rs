//! The filter: Envoy's callbacks on one side, the router on the other. It decides nothing.
//!
//! It runs once per attempt: the edge sends a request through an internal listener to here, the router picks a
//! deployment, and a response that is marked for retry comes back through the same door as a new request.

#![cfg(target_family = "wasm")]

mod abi;
mod answering;
mod between;
mod clock;
mod exchange;
mod host;
mod large;
mod metrics;
mod probe;
mod redis;
mod shared;
#[cfg(feature = "testing")]
mod testing;

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, RandomState};
use std::rc::Rc;
use std::time::Duration;

use llm_balancer_config::{Config, Severity, names, read};
use llm_balancer_router::Membership;
use llm_balancer_router::Moment;
use llm_balancer_router::Router;
use llm_balancer_router::SplitMix;

use crate::clock::Clock;
use crate::host::{BufferType, LogLevel};
use crate::redis::Redis;
use crate::shared::SharedData;

/// What the requests of one configuration on one worker share.
pub(crate) struct Worker {
    pub(crate) router: Router,
    pub(crate) clock: Clock,
    pub(crate) random: RefCell<SplitMix>,
    pub(crate) redis: Redis,
    /// The host's number for all that is not one request's.
    pub(crate) root: u32,
    /// Of several configurations the newest has the highest.
    pub(crate) generation: u32,
    /// The host's number for the request that is being looked at; 0 for none.
    pub(crate) current: Cell<u32>,
    /// Ticks until this instance says goodbye to the others; 0 for not at all.
    leaves_in: Cell<u32>,
}

thread_local! {
    /// The number of this VM, which its counts are kept under. A VM that takes its place has another.
    static VM: u32 = (RandomState::new().hash_one("vm") >> 32) as u32;
}

impl Worker {
    /// Asks the router for a decision, here and now.
    pub(crate) fn decide<T>(&self, decide: impl FnOnce(&Router, &mut Moment<'_>) -> T) -> T {
        let random = &mut *self.random.borrow_mut();
        decide(&self.router, &mut Moment { now: host::now(), random, store: &SharedData })
    }

    /// What happens with time. Returns the requests that wait for Redis no longer. Of several configurations on one worker, only
    /// the newest speaks to the other instances.
    pub(crate) fn tick(&self, is_newest: bool) -> Vec<u32> {
        let now: Duration = host::now();
        self.clock.tick(now);
        let is_beat = self.clock.is_beat(now);
        if is_beat {
            self.router.beat(now, &SharedData);
            self.router.flush(now, &SharedData, &mut metrics::flush);
        }
        let released = match self.router.config().redis {
            Some(_) => self.redis.tick(self, is_beat && is_newest),
            None => Vec::new(),
        };
        self.leave();
        self.clock.rest();
        released
    }
}

impl Drop for Worker {
    /// What was counted since the last tick is counted all the same.
    fn drop(&mut self) {
        self.router.close(&SharedData, &mut metrics::flush);
    }
}

impl Worker {
    /// Says goodbye when it is time. Every worker does, as no harm is in saying it twice.
    fn leave(&self) {
        match self.leaves_in.get() {
            0 => return,
            1 => self.redis.say_goodbye(self),
            _ => self.clock.hurry(Some(clock::PERIOD)),
        }
        self.leaves_in.set(self.leaves_in.get().saturating_sub(1));
    }
}

/// Whether this is the last configuration of this instance, which has to part from others.
fn is_leaving(config: &Config) -> bool {
    config.redis.is_some()
        && host::property("plugin_root_id").as_deref() == Some(names::DEREGISTER.as_bytes())
}

/// The number of this configuration, where those who render it count them: the root id ends in it, since Envoy would take one
/// that comes back for the one that it still has.
fn number() -> Option<u32> {
    let root_id = host::property("plugin_root_id")?;
    std::str::from_utf8(&root_id).ok()?.strip_prefix(names::FILTER)?.strip_prefix('-')?.parse().ok()
}

/// Ticks from the last exchange to the goodbye: what is on its way then arrives before.
const GOODBYE: u32 = 3;

/// Reads the configuration that Envoy holds ready. Without one Envoy refuses to start, or keeps the one that it has.
fn configure(root: u32) -> Option<Rc<Worker>> {
    let text = host::body(BufferType::PluginConfiguration);
    let reading = read("config.yaml", &String::from_utf8_lossy(&text), &|name| std::env::var(name).ok());
    for finding in reading.findings.iter().filter(|finding| finding.severity == Severity::Error) {
        host::log(LogLevel::Error, &format!("{}: {finding}", names::FILTER));
    }
    let config = reading.config?;
    large::expect(config.server.max_body_bytes);
    let router = Router::new(config, VM.with(|vm| *vm));
    let is_single_hop = host::property("plugin_root_id").as_deref() == Some(names::SINGLE_HOP.as_bytes());
    let router = if is_single_hop { router.in_single_hop() } else { router };
    #[cfg(feature = "testing")]
    testing::check_the_store();
    router.open(&SharedData);
    // Of the fingerprint, all VMs make the same, because they run the same code.
    let fingerprint = BuildHasherDefault::<DefaultHasher>::default().hash_one(&*text);
    let generation = router.announce(number(), fingerprint, RandomState::new().hash_one(root), &SharedData);
    if router.config().redis.is_some() {
        Redis::start();
    }
    let clock = Clock::default();
    clock.start();
    let leaves = is_leaving(router.config());
    if leaves {
        Membership::deregister(&SharedData);
        clock.hurry(Some(clock::PERIOD));
    }
    Some(Rc::new(Worker {
        router,
        clock,
        // std seeds its hashers from the host's source of randomness.
        random: RefCell::new(SplitMix::new(RandomState::new().hash_one(text.len()))),
        redis: Redis::default(),
        root,
        generation,
        current: Cell::new(0),
        leaves_in: Cell::new(if leaves { GOODBYE } else { 0 }),
    }))
}
