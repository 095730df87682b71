//! Which deployment made what requests refer to: a bounded table of hashes that the workers share.
//!
//! It has 1,024 values in the store, each a list of entries, the oldest first. A full list
//! drops its oldest entry. An entry has twelve bytes: the reference, and the hash of the
//! deployment's id. Full, the table has 147,456 entries in 1.8 MB, so it holds the last 100,000
//! references: a bucket of 144 has 98 of those on average, with a standard deviation of 10.

use crate::request::references::Reference;
use crate::state::store::{Store, change};

/// Values in the store: one for each value of a reference's highest [`BUCKET_BITS`].
#[cfg(test)]
const BUCKETS: u64 = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 10;
/// Entries of each.
const ENTRIES: usize = 144;
/// Bytes of an entry.
const SIZE: usize = 12;

/// The key of a reference's bucket.
fn key(reference: Reference) -> String {
    format!("o/{}", reference.0 >> (u64::BITS - BUCKET_BITS))
}

/// The entries of a bucket, with the place of each.
fn entries(bucket: &[u8]) -> impl DoubleEndedIterator<Item = (Reference, u32)> {
    bucket.chunks_exact(SIZE).filter_map(|entry| {
        let (reference, deployment) = entry.split_first_chunk::<8>()?;
        let deployment = deployment.first_chunk::<4>()?;
        Some((Reference(u64::from_le_bytes(*reference)), u32::from_le_bytes(*deployment)))
    })
}

/// Writes the entries of a bucket without that of a reference, and leaves out the oldest if there
/// are more than so many.
fn without(bucket: &[u8], reference: Reference, most: usize) -> Vec<u8> {
    let others = || entries(bucket).filter(|(other, _)| *other != reference);
    let excess = others().count().saturating_sub(most);
    let mut bytes = Vec::with_capacity(bucket.len().saturating_add(SIZE));
    others().skip(excess).for_each(|entry| push(&mut bytes, entry));
    bytes
}

fn push(bytes: &mut Vec<u8>, (Reference(reference), deployment): (Reference, u32)) {
    bytes.extend_from_slice(&reference.to_le_bytes());
    bytes.extend_from_slice(&deployment.to_le_bytes());
}

/// Remembers the deployment with this hash as the origin.
pub fn remember(store: &dyn Store, reference: Reference, deployment: u32) {
    change(store, &key(reference), |bucket| {
        let bucket = bucket.unwrap_or_default();
        if entries(bucket).next_back() == Some((reference, deployment)) {
            return None;
        }
        let mut bytes = without(bucket, reference, ENTRIES.saturating_sub(1));
        push(&mut bytes, (reference, deployment));
        Some((bytes, ()))
    });
}

/// The hash of the deployment that is remembered.
pub fn find(store: &dyn Store, reference: Reference) -> Option<u32> {
    let (bucket, _) = store.get(&key(reference))?;
    entries(&bucket).find(|(other, _)| *other == reference).map(|(_, deployment)| deployment)
}

/// Drops a reference: what it referred to was deleted.
pub fn forget(store: &dyn Store, reference: Reference) {
    change(store, &key(reference), |bucket| Some((without(bucket?, reference, ENTRIES), ())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::store::Memory;

    fn reference(number: u32) -> Reference {
        Reference::response(&format!("resp_{number}"), 0)
    }

    #[test]
    fn a_reference_leads_to_the_deployment_that_was_remembered_last() {
        let store = Memory::default();
        assert_eq!(find(&store, reference(1)), None);
        remember(&store, reference(1), 7);
        remember(&store, reference(1), 7);
        assert_eq!(find(&store, reference(1)), Some(7));
        remember(&store, reference(1), 8);
        assert_eq!(find(&store, reference(1)), Some(8));
        forget(&store, reference(1));
        assert_eq!(find(&store, reference(1)), None);
        forget(&store, reference(2));
    }

    #[test]
    fn the_last_hundred_thousand_are_remembered_in_bounded_memory() {
        let store = Memory::default();
        let (all, last) = (400_000, 100_000);
        (0..all).for_each(|number| remember(&store, reference(number), number));
        let forgotten = (all - last..all).filter(|number| find(&store, reference(*number)) != Some(*number));
        // By chance a bucket may have got more of the last ones than it has room for.
        assert!(forgotten.count() <= 10);
        assert!((0..100_000).all(|number| find(&store, reference(number)).is_none()), "oldest out");
        let sizes = (0..BUCKETS).filter_map(|bucket| Some(store.get(&format!("o/{bucket}"))?.0.len()));
        assert!(sizes.clone().all(|size| size <= ENTRIES * SIZE));
        assert_eq!(sizes.sum::<usize>(), 1024 * 144 * 12, "every bucket is full, and has its bound");
    }

    #[test]
    fn a_damaged_bucket_is_no_reason_to_fall_over() {
        let store = Memory::default();
        for bytes in [&b"x"[..], &[0; 13], &[255; 5000]] {
            let key = key(reference(1));
            let version = store.get(&key).map(|(_, version)| version);
            assert!(store.swap(&key, bytes, version));
            assert_eq!(find(&store, reference(1)), None);
            remember(&store, reference(1), 7);
            assert_eq!(find(&store, reference(1)), Some(7));
        }
    }
}
