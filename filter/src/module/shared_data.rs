//! What workers share, as Envoy's shared data is for WebAssembly.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard};

/// A value and its version, which each write changes.
type Entry = (Vec<u8>, u32);

static ENTRIES: LazyLock<Mutex<HashMap<String, Entry>>> = LazyLock::new(Mutex::default);

fn entries() -> MutexGuard<'static, HashMap<String, Entry>> {
    super::locked(&ENTRIES)
}

/// A value and its version; `None` before the first write.
pub(crate) fn get(key: &str) -> Option<Entry> {
    entries().get(key).cloned()
}

/// Writes a value that is missing, or that has this version. Returns whether it did.
pub(crate) fn set(key: &str, value: &[u8], version: u32) -> bool {
    let mut entries = entries();
    match entries.get_mut(key) {
        None => {
            entries.insert(key.to_owned(), (value.to_vec(), 1));
            true
        }
        Some((old, at)) if *at == version => {
            // Never 0 and never the highest, with which a key is created.
            (*old, *at) = (value.to_vec(), at.checked_add(1).filter(|next| *next != u32::MAX).unwrap_or(1));
            true
        }
        Some(_) => false,
    }
}
