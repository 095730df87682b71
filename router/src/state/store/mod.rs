//! What the workers of one Envoy share: values under keys, each changed by compare-and-swap.
//!
//! Envoy's shared data is one store; `Memory` is another one, for tests and simulations.
//! `contract.rs` checks what all of them have to do.

#[cfg(feature = "testing")]
pub mod contract;
#[cfg(any(test, feature = "testing"))]
mod memory;

#[cfg(any(test, feature = "testing"))]
pub use memory::Memory;

/// Identifies a write of a value: another write has another version. Versions have no order.
pub type Version = u32;

/// Values under keys. There is no way to remove a key, so the set of keys has to be bounded.
pub trait Store {
    /// The value under a key with its version; `None` before the first write.
    fn get(&self, key: &str) -> Option<(Vec<u8>, Version)>;

    /// Writes the value if it still has this version, and says whether it did. `None` stands for a
    /// key without a value: a worker that starts late must not reset the counts of the others.
    ///
    /// Envoy writes a missing key at any version, and a present one only at its version or at 0. So
    /// Envoy's store passes a version that no write will have for `None`, and not 0.
    fn swap(&self, key: &str, value: &[u8], version: Option<Version>) -> bool;
}

/// After this many lost races in a row a change is given up. In each round of a race one worker
/// wins, so with fewer workers than this no change is given up.
pub const TRIES: usize = 256;

/// Changes the value under a key atomically. `change` gets the current value, if there is one, and
/// returns the new one with its result; with `None` the value stays as it is.
pub fn change<T>(
    store: &dyn Store,
    key: &str,
    mut change: impl FnMut(Option<&[u8]>) -> Option<(Vec<u8>, T)>,
) -> Option<T> {
    for _ in 0..TRIES {
        let (bytes, version) = store.get(key).unzip();
        let (bytes, result) = change(bytes.as_deref())?;
        if store.swap(key, &bytes, version) {
            return Some(result);
        }
    }
    None
}

/// What a decision depends on beside the configuration and the request.
pub struct Moment<'a> {
    /// Time since the Unix epoch.
    pub now: std::time::Duration,
    /// The source of randomness.
    pub random: &'a mut dyn crate::random::Random,
    /// The store that the workers share.
    pub store: &'a dyn Store,
}

impl std::fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Moment({:?})", self.now)
    }
}
