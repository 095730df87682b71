//! What the workers of one Envoy share: values under keys, each changed by compare-and-swap.
//!
//! Envoy's shared data is one store, `Memory` another, for tests and simulations; `contract.rs` says what all of them
//! have in common.

#[cfg(feature = "testing")]
pub mod contract;
#[cfg(any(test, feature = "testing"))]
mod memory;

#[cfg(any(test, feature = "testing"))]
pub use memory::Memory;

/// Which write of a value this is. Another write has another version; nothing else is promised.
pub type Version = u32;

/// Values under keys. There is no way to remove a key, so the set of keys has to be bounded.
pub trait Store {
    /// The value under a key with its version, or `None` where nobody has written.
    fn get(&self, key: &str) -> Option<(Vec<u8>, Version)>;

    /// Writes, if the value still has this version, and says whether it did. `None` is for a key that nobody has
    /// written: a worker that starts late must not begin the counts of the others anew.
    ///
    /// Envoy writes a missing key whatever version is asked for, and a present one only if it has that version or if 0
    /// is asked for. So `None` is any version there that no write is going to have, and not 0.
    fn swap(&self, key: &str, value: &[u8], version: Option<Version>) -> bool;
}

/// Lost races in a row before a change is given up. In each round of a race one worker wins, so with fewer workers than
/// this none is ever given up.
pub const TRIES: usize = 256;

/// Changes the value under a key, however many others do so at the same time: `change` sees it as it is, if it is there, and says
/// what it is to be, with what came of that; its `None` leaves it as it is.
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

/// What a decision may look at beside the configuration.
pub struct Moment<'a> {
    /// Time since the Unix epoch.
    pub now: std::time::Duration,
    /// Where randomness comes from.
    pub random: &'a mut dyn crate::random::Random,
    /// What the workers share.
    pub store: &'a dyn Store,
}

impl std::fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Moment({:?})", self.now)
    }
}
