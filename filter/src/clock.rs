//! What has to happen later on this worker: a retry whose wait is over, a stream that has been silent for too long; and
//! once a second, the sign that the worker is alive.
//!
//! The host can only tick, so a worker ticks often while it has something to watch, and slowly otherwise.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use llm_balancer_router::BEAT;

use crate::host;

/// How exact waits and gaps are.
pub const PERIOD: Duration = Duration::from_millis(50);

/// What is watched, by the id of the request's context.
#[derive(Default)]
pub struct Clock {
    watched: RefCell<HashMap<u32, Watch>>,
    /// How often the host ticks now.
    period: Cell<Duration>,
    /// How often something else wants to be looked at, that is not watched here.
    hurried: Cell<Option<Duration>>,
    /// When the worker last said that it is alive.
    beat: Cell<Duration>,
}

enum Watch {
    /// A failed response that is held back until then.
    Wait { until: Duration },
    /// A response that must not be silent for longer than `gap`.
    Gap { gap: Duration, progress: Rc<Cell<Progress>>, seen: u32, since: Duration },
}

/// How far a response has come, told by its request to the clock.
#[derive(Clone, Copy, Default)]
pub struct Progress {
    /// Chunks so far.
    pub chunks: u32,
    /// Set by the clock when the gap was too long.
    pub timed_out: bool,
}

impl Clock {
    /// Begins to tick.
    pub fn start(&self) {
        self.adjust(false);
    }

    /// Lets a paused response go on after a wait.
    pub fn resume_after(&self, context: u32, wait: Duration) {
        self.watch(context, Watch::Wait { until: host::now().saturating_add(wait) });
    }

    /// Ends a response that is silent for longer than `gap`.
    pub fn limit_gaps(&self, context: u32, gap: Duration) -> Rc<Cell<Progress>> {
        let progress = Rc::<Cell<Progress>>::default();
        let watch = Watch::Gap { gap, progress: Rc::clone(&progress), seen: 0, since: host::now() };
        self.watch(context, watch);
        progress
    }

    /// Forgets a request that has ended.
    pub fn forget(&self, context: u32) {
        if let Ok(mut watched) = self.watched.try_borrow_mut() {
            watched.remove(&context);
        }
    }

    fn watch(&self, context: u32, watch: Watch) {
        if let Ok(mut watched) = self.watched.try_borrow_mut() {
            watched.insert(context, watch);
        }
        self.adjust(true);
    }

    /// Ticks as often as somebody needs it, if that is more often than now. A new period begins anew, so one that were changed with
    /// every request would never end; only a tick lengthens it.
    fn adjust(&self, watches: bool) {
        let period = self.needed(watches);
        if period < self.period.get() || self.period.get().is_zero() {
            self.period.set(period);
            host::set_tick_period(period);
        }
    }

    fn needed(&self, watches: bool) -> Duration {
        let watched = if watches { PERIOD } else { BEAT };
        self.hurried.get().map_or(watched, |hurried| hurried.min(watched))
    }

    /// The end of a tick: the next one comes when it is needed.
    pub fn rest(&self) {
        let watches = self.watched.try_borrow().is_ok_and(|watched| !watched.is_empty());
        let period = self.needed(watches);
        if self.period.replace(period) != period {
            host::set_tick_period(period);
        }
    }

    /// Acts on everything that is due.
    pub fn tick(&self, now: Duration) {
        let Ok(mut watched) = self.watched.try_borrow_mut() else { return };
        watched.retain(|context, watch| !watch.act(*context, now));
    }

    /// Ticks more often for the sake of something that is not watched here, or not any more.
    pub fn hurry(&self, period: Option<Duration>) {
        self.hurried.set(period);
        // Whoever watches is in the middle of a tick, which looks again at its end.
        if let Ok(watched) = self.watched.try_borrow() {
            self.adjust(!watched.is_empty());
        }
    }

    /// Whether it is time to say that the worker is alive. Ticks may come a little early.
    pub fn is_beat(&self, now: Duration) -> bool {
        let is_due = now.abs_diff(self.beat.get()) >= BEAT.saturating_sub(PERIOD);
        if is_due {
            self.beat.set(now);
        }
        is_due
    }
}

impl Watch {
    /// Does what is due, and says whether that was all.
    fn act(&mut self, context: u32, now: Duration) -> bool {
        match self {
            Self::Wait { until } => {
                let due = *until <= now;
                if due && host::set_effective_context(context).is_ok() {
                    host::resume_response();
                }
                due
            }
            Self::Gap { gap, progress, seen, since } => {
                let Progress { chunks, .. } = progress.get();
                if chunks != *seen {
                    (*seen, *since) = (chunks, now);
                    return false;
                }
                let due = now.saturating_sub(*since) > *gap;
                if due && host::set_effective_context(context).is_ok() {
                    progress.set(Progress { chunks, timed_out: true });
                    host::close_response();
                }
                due
            }
        }
    }
}
