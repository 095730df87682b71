//! A cursor over a list that does not change: it visits every entry once in each round.
//!
//! Each list has a cursor of its own. One that is shared with other lists, or steps over a list
//! whose length varies, may visit only a few entries for good.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The cursor of one list.
#[derive(Debug, Default)]
pub struct Rotation(AtomicUsize);

impl Clone for Rotation {
    /// A cursor at the beginning, for another list.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Rotation {
    /// The index of the next entry, in a list of `count`; 0 where it is empty.
    pub fn next(&self, count: usize) -> usize {
        // Atomic because it is part of an `Arc`. One worker uses it at a time.
        let index = self.0.load(Ordering::Relaxed).checked_rem(count).unwrap_or_default();
        self.0.store(index.saturating_add(1), Ordering::Relaxed);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_visited_once_in_a_round() {
        for count in 1..10 {
            let rotation = Rotation::default();
            for _ in 0..3 {
                let mut round: Vec<usize> = (0..count).map(|_| rotation.next(count)).collect();
                round.sort_unstable();
                assert_eq!(round, (0..count).collect::<Vec<_>>());
            }
        }
        assert_eq!(Rotation::default().next(0), 0);
    }
}
