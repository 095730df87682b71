//! The log of releases in a group's record: where tokens, a slot of `max_parallel_requests` or a
//! lease were released lately.
//!
//! A worker's copy that says that a deployment is full is true until something is released there.
//! The worker that releases it adds the deployment to the log. So a worker that is about to refuse
//! a request reads the log and the deployments in it, and not the whole group.

use std::collections::BinaryHeap;

/// Releases in the log. A worker that has missed more reads the whole group.
const LOGGED: usize = 64;
/// Bytes of the log: how many releases there were so far, and the id hashes of the latest, each at
/// its number modulo [`LOGGED`].
pub const LENGTH: usize = 4 + LOGGED * 4;

/// Which of a worker's copies are stale.
#[derive(Debug, PartialEq, Eq)]
pub enum Stale {
    /// Those of the deployments with these id hashes, perhaps none.
    Some(Vec<u32>),
    /// Those of the whole group.
    All,
}

/// How many releases there were so far; it wraps around.
pub fn count(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |count| u32::from_le_bytes(*count))
}

fn place(number: u32) -> usize {
    let slot = usize::try_from(number).unwrap_or_default().checked_rem(LOGGED).unwrap_or_default();
    slot.saturating_mul(4).saturating_add(4)
}

/// Adds a release at the deployment with this id hash.
pub fn add(bytes: &mut [u8], id_hash: u32) {
    let count = count(bytes);
    let place = place(count);
    if let Some(slot) = bytes.get_mut(place..place.saturating_add(4)) {
        slot.copy_from_slice(&id_hash.to_le_bytes());
    }
    if let Some(head) = bytes.first_chunk_mut::<4>() {
        *head = count.wrapping_add(1).to_le_bytes();
    }
}

/// What is stale in copies that include the first `known` releases.
pub fn since(bytes: &[u8], known: u32) -> Stale {
    let new = count(bytes).wrapping_sub(known);
    if usize::try_from(new).is_ok_and(|new| new > LOGGED) {
        return Stale::All;
    }
    let id_hash = |nth: u32| {
        let place = place(known.wrapping_add(nth));
        bytes.get(place..)?.first_chunk::<4>().map(|hash| u32::from_le_bytes(*hash))
    };
    let hashes: BinaryHeap<u32> = (0..new).filter_map(id_hash).collect();
    let mut hashes = hashes.into_sorted_vec();
    hashes.dedup();
    Stale::Some(hashes)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_stale_once_and_after_too_many_releases_the_whole_group_is() {
        let mut bytes = vec![0; LENGTH];
        for hash in [7, 9, 7] {
            add(&mut bytes, hash);
        }
        assert_eq!(since(&bytes, 0), Stale::Some(vec![7, 9]));
        assert_eq!(since(&bytes, 2), Stale::Some(vec![7]));
        assert_eq!(since(&bytes, 3), Stale::Some(Vec::new()));
        (0..61).for_each(|nth| add(&mut bytes, 100 + nth));
        assert!(matches!(since(&bytes, 0), Stale::Some(hashes) if hashes.len() == 63));
        add(&mut bytes, 1);
        assert_eq!(since(&bytes, 0), Stale::All);
        assert_eq!(since(&bytes, 66), Stale::All, "the count was lost");
    }
}
