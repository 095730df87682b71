//! What is kept of clients' bodies on the edge, until their answers are accepted. A VM has a
//! gigabyte, and a body without large pieces is kept whole.

use std::cell::Cell;

use llm_balancer_router::Original;

/// Bytes that are kept at most in a VM. What does not fit has two hops, and Envoy keeps its body.
const MOST: usize = 128 * 1024 * 1024;

thread_local! {
    static KEPT: Cell<usize> = const { Cell::new(0) };
}

/// Whether a body of so many bytes may be kept.
pub(super) fn has_room(bytes: usize) -> bool {
    KEPT.get().saturating_add(bytes) <= MOST
}

/// What restores a client's body.
pub(super) struct KeptBody(Original);

impl KeptBody {
    pub(super) fn new(original: Original) -> Self {
        KEPT.set(KEPT.get().saturating_add(original.kept()));
        Self(original)
    }

    pub(super) fn original(&self) -> &Original {
        &self.0
    }
}

impl Drop for KeptBody {
    fn drop(&mut self) {
        KEPT.set(KEPT.get().saturating_sub(self.0.kept()));
    }
}
