//! What hooks leave to their end.

use std::cell::RefCell;
use std::collections::VecDeque;

/// A queue of which each hook takes only what it has put in. Envoy enters the module anew while
/// something is performed, as for the holding filter of a request that goes on. A hook that also took
/// what others wait for would be entered within itself, once for each, until the stack is full.
#[derive(Debug)]
pub(super) struct Queue<T>(RefCell<VecDeque<T>>);

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T> Queue<T> {
    pub(super) fn push(&self, item: T) {
        self.0.borrow_mut().push_back(item);
    }

    /// The end of the queue, from which on a hook that begins now finds its own.
    pub(super) fn end(&self) -> usize {
        self.0.borrow().len()
    }

    /// Performs what is there from this place on, and what comes meanwhile, while it may.
    pub(super) fn perform_from(&self, place: usize, may: impl Fn() -> bool, mut perform: impl FnMut(T)) {
        while may() {
            let Some(item) = self.take_from(place) else { return };
            perform(item);
        }
    }

    /// Takes the first item from this place on.
    fn take_from(&self, place: usize) -> Option<T> {
        self.0.borrow_mut().remove(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Performs what is there from `place` on: a request enters a hook that puts in something of its own.
    /// Returns how deep hooks were within one another.
    fn perform(queue: &Queue<&str>, place: usize) -> u32 {
        let mut deepest: u32 = 0;
        queue.perform_from(
            place,
            || true,
            |item| {
                if item == "request" {
                    let place = queue.end();
                    queue.push("its own");
                    deepest = deepest.max(perform(queue, place));
                }
            },
        );
        deepest.saturating_add(1)
    }

    #[test]
    fn a_thousand_requests_that_go_on_at_once_are_not_within_one_another() {
        let queue = Queue::default();
        (0..1000).for_each(|_| queue.push("request"));
        assert_eq!(perform(&queue, 0), 2);
        assert_eq!(queue.end(), 0);
    }

    #[test]
    fn the_order_stays() {
        let queue = Queue::default();
        (1..4).for_each(|item| queue.push(item));
        let place = queue.end();
        queue.push(4);
        assert_eq!((queue.take_from(place), queue.take_from(place)), (Some(4), None));
        assert_eq!([0; 4].map(|place| queue.take_from(place)), [Some(1), Some(2), Some(3), None]);
    }
}
