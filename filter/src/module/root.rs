//! One configuration on one worker, which WebAssembly's host calls a root context.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::config::FilterConfig;
use crate::filter::Filter;

pub(super) struct Root {
    pub(super) config: Arc<FilterConfig>,
    /// `None` until it is configured, and if that fails.
    filter: RefCell<Option<Rc<Filter>>>,
    /// How often it ticks; zero for never.
    period: Cell<Duration>,
    /// When it ticks next, by the uptime.
    due: Cell<Duration>,
}

impl Root {
    pub(super) fn new(config: Arc<FilterConfig>) -> Self {
        Self { config, filter: RefCell::default(), period: Cell::default(), due: Cell::default() }
    }

    pub(super) fn filter(&self) -> Option<Rc<Filter>> {
        self.filter.borrow().clone()
    }

    pub(super) fn set_filter(&self, filter: Option<Filter>) {
        *self.filter.borrow_mut() = filter.map(Rc::new);
    }

    /// Sets the interval of its ticks, of which the next one is due then.
    pub(super) fn set_period(&self, period: Duration, due: Duration) {
        self.period.set(period);
        self.due.set(due);
    }

    /// When its next tick is due; `None` for never.
    pub(super) fn due(&self) -> Option<Duration> {
        (!self.period.get().is_zero()).then_some(self.due.get())
    }

    /// Whether it ticks now.
    pub(super) fn takes_tick(&self, uptime: Duration) -> bool {
        let is_due = self.due().is_some_and(|due| due <= uptime);
        if is_due {
            // Late ticks do not delay the next one.
            self.due.set(self.due.get().saturating_add(self.period.get()).max(uptime));
        }
        is_due
    }
}
