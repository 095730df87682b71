//! The router of a configuration. The filter on the edge and the one behind it have the same one on
//! each worker, so each knows at once what the other has decided.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::{Rc, Weak};
use std::time::Duration;

use llm_balancer_config::Config;
use llm_balancer_router::Router;

use crate::filter::random;
use crate::shared_data::SharedData;
use crate::timers::Heartbeat;
use crate::{hostcalls, metrics};

/// What a router is found by: filters with equal keys have one router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouterKey {
    /// Of the file.
    pub(crate) fingerprint: u64,
    /// The configuration's, where its renderer counts them.
    pub(crate) number: Option<u32>,
    pub(crate) is_single_hop: bool,
}

/// A router, and what it does once for all its filters.
pub(crate) struct SharedRouter {
    router: Router,
    key: RouterKey,
    /// Identifies this worker where one publishes for all.
    own: u64,
    heartbeat: Heartbeat,
}

thread_local! {
    /// Those that have a filter.
    static ROUTERS: RefCell<Vec<Weak<SharedRouter>>> = const { RefCell::new(Vec::new()) };
}

impl SharedRouter {
    /// The router with this key; `read` reads the file if no filter has it. `vm` is the number of
    /// this VM.
    pub(crate) fn get(key: RouterKey, vm: u32, read: impl FnOnce() -> Option<Config>) -> Option<Rc<Self>> {
        let known =
            ROUTERS.with_borrow(|all| all.iter().filter_map(Weak::upgrade).find(|router| router.key == key));
        if known.is_some() {
            return known;
        }
        let router = Router::new(read()?, vm);
        let router = if key.is_single_hop { router.in_single_hop() } else { router };
        router.open(&SharedData);
        let shared = Rc::new(Self { router, key, own: random()?, heartbeat: Heartbeat::default() });
        ROUTERS.with_borrow_mut(|all| {
            all.retain(|router| router.strong_count() > 0);
            all.push(Rc::downgrade(&shared));
        });
        Some(shared)
    }

    /// Registers this worker and its configuration. Returns the revision.
    pub(crate) fn register(&self) -> u32 {
        self.router.announce(self.key.number, self.key.fingerprint, self.own, &SharedData)
    }

    /// Publishes what this worker has counted, with the first filter that ticks in a second.
    pub(crate) fn on_heartbeat(&self, uptime: Duration) {
        if self.heartbeat.is_due(uptime) {
            let now = hostcalls::now();
            self.router.beat(now, &SharedData);
            self.router.flush(now, &SharedData, &mut metrics::flush);
        }
    }
}

impl Deref for SharedRouter {
    type Target = Router;

    fn deref(&self) -> &Router {
        &self.router
    }
}

impl Drop for SharedRouter {
    /// Flushes what was counted since the last tick.
    fn drop(&mut self) {
        self.router.close(&SharedData, &mut metrics::flush);
    }
}
