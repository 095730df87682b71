//! What a decision of the router needs on this worker.

use std::cell::RefCell;
use std::rc::Rc;

use llm_balancer_router::{Moment, Router, SplitMix};

use crate::hostcalls;
use crate::shared_data::SharedData;
use crate::shared_router::SharedRouter;
use crate::timers::Timers;

/// The router of one configuration, with this worker's randomness and timers.
pub(crate) struct Decider {
    pub(crate) router: Rc<SharedRouter>,
    pub(crate) timers: Timers,
    random: RefCell<SplitMix>,
}

impl Decider {
    /// `seed` is random.
    pub(crate) fn new(router: Rc<SharedRouter>, seed: u64) -> Self {
        Self { router, timers: Timers::default(), random: RefCell::new(SplitMix::new(seed)) }
    }

    /// Asks the router for a decision, with this worker's clock, randomness and shared data.
    pub(crate) fn decide<T>(&self, decide: impl FnOnce(&Router, &mut Moment<'_>) -> T) -> T {
        let random = &mut *self.random.borrow_mut();
        decide(&self.router, &mut Moment { now: hostcalls::now(), random, store: &SharedData })
    }
}
