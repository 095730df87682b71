//! Timers of a worker's streams: a retry whose wait is over, a response that is silent for too long
//! or whose start is held for long enough; and the worker's heartbeat, once a second.
//!
//! Envoy only ticks. So the worker ticks every 50 ms while a timer runs, and once a second
//! otherwise. What time it is says [`hostcalls::uptime`], so a clock that is set moves no timer.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use llm_balancer_router::HEARTBEAT;
use llm_balancer_router::response_check::MAX_HELD_TIME;
use llm_balancer_router::stream::Due;

use crate::hostcalls;
use crate::stream_handle::StreamHandle;

/// How exact timers are.
pub(crate) const PERIOD: Duration = Duration::from_millis(50);

/// The timers of one configuration on one worker.
#[derive(Default)]
pub(crate) struct Timers {
    /// By the id of the stream's context; one timer per stream.
    running: RefCell<HashMap<u32, (StreamHandle, Timer)>>,
    /// How often the host ticks now.
    period: Cell<Duration>,
    /// How often something else needs a tick.
    requested: Cell<Option<Duration>>,
    heartbeat: Heartbeat,
}

/// When something was last done that is due once a second.
#[derive(Default)]
pub(crate) struct Heartbeat(Cell<Duration>);

impl Heartbeat {
    /// Whether it is due by the uptime; then it is done. Ticks may come a little early.
    pub(crate) fn is_due(&self, uptime: Duration) -> bool {
        let is_due = uptime.saturating_sub(self.0.get()) >= HEARTBEAT.saturating_sub(PERIOD);
        if is_due {
            self.0.set(uptime);
        }
        is_due
    }
}

enum Timer {
    /// Holds a failed response until then.
    RetryWait { until: Duration },
    /// Ends a response that is silent for longer than `limit`. `held` is until when its first chunk may
    /// be held, once there is one.
    IdleTimeout { limit: Duration, chunks: Rc<Cell<u32>>, seen: u32, since: Duration, held: Option<Duration> },
}

impl Timers {
    /// Starts to tick: at once, so that other instances soon know of this one, and then as needed.
    pub(crate) fn start(&self) {
        self.shorten_period(true);
    }

    /// Fires once, after the wait before a retry.
    pub(crate) fn start_retry_wait(&self, stream: StreamHandle, wait: Duration) {
        self.insert(stream, Timer::RetryWait { until: hostcalls::uptime().saturating_add(wait) });
    }

    /// Fires when the number of chunks, which the stream counts, is the same for longer than `limit`;
    /// and before that, once, when the first of them has been held for long enough.
    pub(crate) fn start_idle_timeout(&self, stream: StreamHandle, limit: Duration) -> Rc<Cell<u32>> {
        let chunks = Rc::<Cell<u32>>::default();
        let since = hostcalls::uptime();
        let timer = Timer::IdleTimeout { limit, chunks: Rc::clone(&chunks), seen: 0, since, held: None };
        self.insert(stream, timer);
        chunks
    }

    /// Drops the timer of a stream that has ended.
    pub(crate) fn forget(&self, context: u32) {
        self.running.borrow_mut().remove(&context);
    }

    /// What is due by the uptime. Takes out the timers that have ended.
    pub(crate) fn due(&self, uptime: Duration) -> Vec<(StreamHandle, Due)> {
        let mut all_due = Vec::new();
        self.running.borrow_mut().retain(|_, (stream, timer)| {
            let due = timer.due(uptime);
            all_due.extend(due.map(|due| (stream.clone(), due)));
            matches!(due, None | Some(Due::Held))
        });
        all_due
    }

    fn insert(&self, stream: StreamHandle, timer: Timer) {
        self.running.borrow_mut().insert(stream.context(), (stream, timer));
        self.shorten_period(true);
    }

    /// Asks for ticks at this interval, for something that has no timer here.
    pub(crate) fn request_tick(&self, period: Option<Duration>) {
        self.requested.set(period);
        self.shorten_period(!self.running.borrow().is_empty());
    }

    /// Ticks more often if needed. Setting a period restarts it, so one that was set with every
    /// request would never end: only a tick makes it longer.
    fn shorten_period(&self, has_timers: bool) {
        let period = self.needed_period(has_timers);
        if period < self.period.get() || self.period.get().is_zero() {
            self.period.set(period);
            hostcalls::set_tick_period(period);
        }
    }

    /// To be called at the end of a tick: the next one comes when it is needed.
    pub(crate) fn reschedule(&self) {
        let period = self.needed_period(!self.running.borrow().is_empty());
        if self.period.replace(period) != period {
            hostcalls::set_tick_period(period);
        }
    }

    fn needed_period(&self, has_timers: bool) -> Duration {
        let period = if has_timers { PERIOD } else { HEARTBEAT };
        self.requested.get().map_or(period, |requested| requested.min(period))
    }

    /// Whether a heartbeat is due.
    pub(crate) fn is_heartbeat(&self, uptime: Duration) -> bool {
        self.heartbeat.is_due(uptime)
    }
}

impl Timer {
    fn due(&mut self, uptime: Duration) -> Option<Due> {
        match self {
            Self::RetryWait { until } => (*until <= uptime).then_some(Due::Retry),
            Self::IdleTimeout { limit, chunks, seen, since, held } => {
                if chunks.get() != *seen {
                    (*seen, *since) = (chunks.get(), uptime);
                    held.get_or_insert(uptime.saturating_add(MAX_HELD_TIME));
                } else if uptime.saturating_sub(*since) > *limit {
                    return Some(Due::Idle);
                }
                let is_held_for_long = hostcalls::RESUMES_BODIES && held.is_some_and(|until| until <= uptime);
                is_held_for_long.then(|| {
                    *held = Some(Duration::MAX);
                    Due::Held
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_held_for_so_long_at_most_and_may_be_silent_for_so_long() {
        let chunks = Rc::new(Cell::new(0));
        let at = Duration::from_secs;
        let (limit, since, held) = (at(8), at(0), None);
        let mut timer = Timer::IdleTimeout { limit, chunks: Rc::clone(&chunks), seen: 0, since, held };
        assert_eq!(timer.due(at(7)), None, "nothing is held");
        chunks.set(1);
        assert_eq!(timer.due(at(8)), None);
        assert_eq!(timer.due(at(12)), None);
        assert_eq!(timer.due(at(13)), Some(Due::Held));
        assert_eq!(timer.due(at(14)), None, "once");
        assert_eq!(timer.due(at(17)), Some(Due::Idle));
    }
}
