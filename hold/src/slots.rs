//! Which responses are held.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::rule::has_time;

/// By the last digits of a context's number: the rest of a body that goes on costs no host call.
static SLOTS: [Slot; LAST_DIGITS as usize + 1] = [const { Slot::new() }; LAST_DIGITS as usize + 1];

const LAST_DIGITS: u32 = 1023;

/// A response that is held. If another one with the same last digits begins, it takes the slot, and
/// this one is held no longer. It might have begun, and its next comment must not be late.
pub(crate) struct Slot {
    context: AtomicU32,
    /// When its filler began, in milliseconds, or [`NO_FILLER`].
    since: AtomicU32,
}

const NO_CONTEXT: u32 = 0;
const NO_FILLER: u32 = 0;

impl Slot {
    const fn new() -> Self {
        Self { context: AtomicU32::new(NO_CONTEXT), since: AtomicU32::new(NO_FILLER) }
    }

    fn of(context: u32) -> Option<&'static Self> {
        SLOTS.get((context & LAST_DIGITS) as usize)
    }

    /// Holds a response from its headers on.
    pub(crate) fn hold(context: u32) {
        if let Some(slot) = Self::of(context) {
            slot.context.store(context, Relaxed);
            slot.since.store(NO_FILLER, Relaxed);
        }
    }

    /// The slot of a response that is held.
    pub(crate) fn held(context: u32) -> Option<&'static Self> {
        Self::of(context).filter(|slot| slot.context.load(Relaxed) == context)
    }

    /// The rest of the response goes on.
    pub(crate) fn release(&self) {
        self.context.store(NO_CONTEXT, Relaxed);
    }

    /// Whether filler may be held for longer. Its time begins with the first of it. `now` is no
    /// [`NO_FILLER`].
    pub(crate) fn may_wait(&self, now: u32) -> bool {
        match self.since.load(Relaxed) {
            NO_FILLER => {
                self.since.store(now, Relaxed);
                true
            }
            since => has_time(since, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_held_until_it_is_released() {
        assert!(Slot::held(1).is_none());
        Slot::hold(1);
        Slot::held(1).unwrap().release();
        assert!(Slot::held(1).is_none());
    }

    #[test]
    fn a_response_that_has_lost_its_slot_is_held_no_longer() {
        let (older, newer) = (7, 7 + LAST_DIGITS + 1);
        Slot::hold(older);
        Slot::hold(newer);
        assert!(Slot::held(older).is_none() && Slot::held(newer).is_some());
        Slot::held(newer).unwrap().release();
        assert!(Slot::held(older).is_none());
    }

    #[test]
    fn the_time_of_filler_begins_anew_with_each_response() {
        for context in [9, 9 + LAST_DIGITS + 1] {
            Slot::hold(context);
            let slot = Slot::held(context).unwrap();
            for (now, expected) in [(5_001, true), (6_999, true), (7_001, false)] {
                assert_eq!(slot.may_wait(now + context), expected, "{context} {now}");
            }
        }
    }
}
