//! The configurations that Envoy has read. The main thread reads them, each worker makes its filter
//! of them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// One configuration.
pub(super) struct FilterConfig {
    /// From 1.
    pub(super) number: u32,
    /// What the filter is for, by the renderer's names.
    pub(super) root_id: String,
    /// The user's file, after parsing.
    pub(super) file: Vec<u8>,
}

/// Those that Envoy has not dropped yet, in their order.
static ALL: Mutex<Vec<Arc<FilterConfig>>> = Mutex::new(Vec::new());

/// Counts their changes.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Which configurations there are, as a number.
pub(super) fn generation() -> u32 {
    GENERATION.load(Ordering::Acquire)
}

fn all() -> MutexGuard<'static, Vec<Arc<FilterConfig>>> {
    super::locked(&ALL)
}

/// Adds a configuration, and returns its number.
pub(super) fn add(root_id: String, file: Vec<u8>) -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    all().push(Arc::new(FilterConfig { number, root_id, file }));
    GENERATION.fetch_add(1, Ordering::Release);
    number
}

/// Envoy has dropped this one, and all its streams.
pub(super) fn remove(number: u32) {
    all().retain(|config| config.number != number);
    GENERATION.fetch_add(1, Ordering::Release);
}

/// Whether Envoy has not dropped this one.
pub(super) fn is_there(number: u32) -> bool {
    all().iter().any(|config| config.number == number)
}

/// All of them, the oldest first.
pub(super) fn list() -> Vec<Arc<FilterConfig>> {
    all().clone()
}
