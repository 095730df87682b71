//! A cursor over a list that does not change: every entry comes up again within as many steps as the list has entries.
//!
//! Each list has a cursor of its own. A cursor that is shared with other lists, or that steps over a list whose length varies, can
//! come round to the same few entries for good.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The cursor of one list.
#[derive(Debug, Default)]
pub struct Rotation(AtomicUsize);

impl Clone for Rotation {
    /// The cursor of another list, which begins anew.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Rotation {
    /// The index of the next entry of a list with so many; 0 where it is empty.
    pub fn next(&self, count: usize) -> usize {
        // One worker uses it at a time. It is atomic because it lies behind an `Arc`.
        let index = self.0.load(Ordering::Relaxed).checked_rem(count).unwrap_or_default();
        self.0.store(index.saturating_add(1), Ordering::Relaxed);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_comes_up_once_in_a_round() {
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
