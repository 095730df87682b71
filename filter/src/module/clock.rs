//! When each worker wants to tick. Envoy has no timers for a worker without a connection, so a thread of
//! ours waits for the earliest of these times, and has the main thread wake the workers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::{locked, workers};
use crate::hostcalls;

/// How exact ticks are. Those that are due within it are one call.
const RESOLUTION: u128 = Duration::from_millis(10).as_nanos();

static NEXT_TICKS: Mutex<NextTicks> =
    Mutex::new(NextTicks { due: Vec::new(), waits_until: Some(Duration::ZERO) });
/// A tick is due earlier than what the clock waits for.
static IS_EARLIER: Condvar = Condvar::new();

/// When one worker wants to tick next.
pub(super) struct NextTick(usize);

impl NextTick {
    pub(super) fn new() -> Self {
        Self(locked(&NEXT_TICKS).add())
    }

    /// Sets the time, by the uptime; `None` for never.
    pub(super) fn set(&self, due: Option<Duration>) {
        self.change(|_| due);
    }

    /// Sets an earlier time.
    pub(super) fn not_later_than(&self, due: Duration) {
        self.change(|before| Some(before.map_or(due, |before| before.min(due))));
    }

    fn change(&self, change: impl FnOnce(Option<Duration>) -> Option<Duration>) {
        let is_earlier = locked(&NEXT_TICKS).change(self.0, change);
        if is_earlier {
            IS_EARLIER.notify_one();
        }
    }
}

/// Starts the clock, once.
pub(super) fn start() {
    static IS_STARTED: AtomicBool = AtomicBool::new(false);
    if IS_STARTED.swap(true, Ordering::AcqRel) {
        return;
    }
    if let Err(error) = thread::Builder::new().name("llm-clock".to_owned()).spawn(watch) {
        log::error!("cannot start the clock: {error}");
    }
}

fn watch() {
    let mut next_ticks = locked(&NEXT_TICKS);
    loop {
        let uptime = hostcalls::uptime();
        if next_ticks.take_due(uptime) {
            drop(next_ticks);
            workers::signal();
            next_ticks = locked(&NEXT_TICKS);
        }
        next_ticks = match next_ticks.wait(uptime) {
            Some(time) => IS_EARLIER.wait_timeout(next_ticks, time).unwrap_or_else(PoisonError::into_inner).0,
            None => IS_EARLIER.wait(next_ticks).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

struct NextTicks {
    /// By worker; `None` for never, and once it has been woken for that.
    due: Vec<Option<Duration>>,
    /// Until when the clock waits; `None` until it is notified.
    waits_until: Option<Duration>,
}

impl NextTicks {
    /// Adds a worker that wants no tick. Returns its place.
    fn add(&mut self) -> usize {
        self.due.push(None);
        self.due.len().saturating_sub(1)
    }

    /// Changes the time of a worker. Returns whether it is earlier than what the clock waits for.
    fn change(&mut self, place: usize, change: impl FnOnce(Option<Duration>) -> Option<Duration>) -> bool {
        let Some(due) = self.due.get_mut(place) else { return false };
        *due = change(*due);
        due.is_some_and(|due| self.waits_until.is_none_or(|until| due < until))
    }

    /// Whether a worker wants to tick now; then it wants that no more.
    fn take_due(&mut self, uptime: Duration) -> bool {
        let mut is_due = false;
        for due in self.due.iter_mut().filter(|due| due.is_some_and(|due| due <= uptime)) {
            *due = None;
            is_due = true;
        }
        is_due
    }

    /// How long the clock waits now; `None` until it is notified.
    fn wait(&mut self, uptime: Duration) -> Option<Duration> {
        self.waits_until = self.due.iter().flatten().min().map(|earliest| round_up(*earliest));
        self.waits_until.map(|until| until.saturating_sub(uptime))
    }
}

/// Ticks that are due soon after one another come at the same time.
fn round_up(time: Duration) -> Duration {
    let nanos = time.as_nanos().next_multiple_of(RESOLUTION);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    fn next_ticks(number: usize) -> NextTicks {
        let mut next_ticks = NextTicks { due: Vec::new(), waits_until: None };
        assert_eq!(
            (0..number).map(|_| next_ticks.add()).collect::<Vec<_>>(),
            (0..number).collect::<Vec<_>>()
        );
        next_ticks
    }

    #[test]
    fn an_idle_clock_does_not_wake() {
        let mut next_ticks = next_ticks(2);
        assert_eq!(next_ticks.wait(ms(5)), None);
        assert!(!next_ticks.take_due(ms(1_000_000)));
    }

    #[test]
    fn the_clock_waits_for_the_earliest_tick_and_takes_what_is_due() {
        let mut next_ticks = next_ticks(3);
        next_ticks.change(0, |_| Some(ms(1000)));
        next_ticks.change(1, |_| Some(ms(43)));
        next_ticks.change(2, |_| Some(ms(49)));
        assert_eq!(next_ticks.wait(ms(10)), Some(ms(40)), "until 50: both come at once");
        assert!(!next_ticks.take_due(ms(42)));
        assert!(next_ticks.take_due(ms(50)));
        assert!(!next_ticks.take_due(ms(50)), "they are taken");
        assert_eq!(next_ticks.wait(ms(50)), Some(ms(950)));
        assert_eq!(next_ticks.wait(ms(2000)), Some(ms(0)), "one that is late is not missed");
    }

    #[test]
    fn only_a_tick_that_is_earlier_than_its_wait_wakes_the_clock() {
        let mut next_ticks = next_ticks(2);
        assert!(next_ticks.change(0, |_| Some(ms(1000))), "the clock waits for nothing");
        next_ticks.wait(ms(0));
        assert!(!next_ticks.change(1, |_| Some(ms(1500))));
        assert!(!next_ticks.change(0, |_| None));
        assert!(next_ticks.change(1, |_| Some(ms(300))));
        assert!(!next_ticks.change(9, |_| Some(ms(1))), "there is no such worker");
    }
}
