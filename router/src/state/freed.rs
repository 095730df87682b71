//! What was given back in a group lately, for workers that keep copies of its records.
//!
//! A copy that says that a deployment is full stays true until something is given back there: tokens that an answer did not take, a
//! slot of `max_parallel_requests`, a lease. Whoever gives back says so in the group's record, so a worker that is about to refuse a
//! request reads that and the deployments that it names, and not the whole group.

/// Give-backs that are named. A worker that has missed more reads the whole group.
const NAMED: usize = 64;
/// Bytes: how many there were so far, and the marks of the latest, each at its number modulo [`NAMED`].
pub const LENGTH: usize = 4 + NAMED * 4;

/// What a worker has to read to be up to date.
#[derive(Debug, PartialEq, Eq)]
pub enum Stale {
    /// The deployments with these marks, perhaps none.
    Some(Vec<u32>),
    /// All of the group.
    All,
}

/// How many there were so far; it wraps around.
pub fn count(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |count| u32::from_le_bytes(*count))
}

fn place(number: u32) -> usize {
    let slot = usize::try_from(number).unwrap_or_default().checked_rem(NAMED).unwrap_or_default();
    slot.saturating_mul(4).saturating_add(4)
}

/// Adds the mark of a deployment where something was given back.
pub fn add(bytes: &mut [u8], mark: u32) {
    let count = count(bytes);
    let place = place(count);
    if let Some(slot) = bytes.get_mut(place..place.saturating_add(4)) {
        slot.copy_from_slice(&mark.to_le_bytes());
    }
    if let Some(head) = bytes.first_chunk_mut::<4>() {
        *head = count.wrapping_add(1).to_le_bytes();
    }
}

/// What was given back after the first `seen`.
pub fn since(bytes: &[u8], seen: u32) -> Stale {
    let new = count(bytes).wrapping_sub(seen);
    if usize::try_from(new).is_ok_and(|new| new > NAMED) {
        return Stale::All;
    }
    let mark = |nth: u32| {
        let place = place(seen.wrapping_add(nth));
        bytes.get(place..)?.first_chunk::<4>().map(|mark| u32::from_le_bytes(*mark))
    };
    let mut marks: Vec<u32> = (0..new).filter_map(mark).collect();
    marks.sort_unstable();
    marks.dedup();
    Stale::Some(marks)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_named_once_and_beyond_a_number_not_at_all() {
        let mut bytes = vec![0; LENGTH];
        for mark in [7, 9, 7] {
            add(&mut bytes, mark);
        }
        assert_eq!(since(&bytes, 0), Stale::Some(vec![7, 9]));
        assert_eq!(since(&bytes, 2), Stale::Some(vec![7]));
        assert_eq!(since(&bytes, 3), Stale::Some(Vec::new()));
        (0..61).for_each(|mark| add(&mut bytes, 100 + mark));
        assert!(matches!(since(&bytes, 0), Stale::Some(marks) if marks.len() == 63));
        add(&mut bytes, 1);
        assert_eq!(since(&bytes, 0), Stale::All);
        assert_eq!(since(&bytes, 66), Stale::All, "the count was lost");
    }
}
