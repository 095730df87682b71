//! Retry states of requests between two attempts.
//!
//! All attempts of a request run on one worker, and so in one VM. A failed attempt stores the
//! request's state here, and the next attempt takes it: after a back-off of a millisecond, or after
//! a wait. During an attempt its stream owns the state. What remains belongs to clients that left
//! between two attempts. A dropped request starts anew, with the retries that it has left.

use std::cell::RefCell;

use llm_balancer_router::RetryState;

use crate::by_stream::ByStream;

thread_local! {
    // Not in the root context: it survives a reload of the configuration.
    static STORE: RefCell<ByStream<RetryState>> = RefCell::default();
}

/// Stores the state of a request until its next attempt. `stream` is the edge's stream id.
pub(crate) fn put(stream: &str, state: RetryState) {
    STORE.with_borrow_mut(|store| store.put(stream, state));
}

/// Takes the state of a request out of the store.
pub(crate) fn take(stream: &str) -> Option<RetryState> {
    STORE.with_borrow_mut(|store| store.take(stream))
}
