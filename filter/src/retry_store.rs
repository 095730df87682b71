//! Retry states of requests between two attempts.
//!
//! All attempts of a request run on one worker, and so in one VM. A failed attempt stores the
//! request's state here, and the next attempt takes it: after a back-off of a millisecond, or after
//! a wait. During an attempt its stream owns the state. What remains belongs to clients that left
//! between two attempts.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use llm_balancer_router::RetryState;

/// Requests between two attempts at most; the oldest is dropped first. A dropped request starts
/// anew, with the retries that it has left.
const CAPACITY: usize = 4096;

thread_local! {
    // Not in the root context: it survives a reload of the configuration.
    static STORE: RefCell<RetryStore> = RefCell::default();
}

#[derive(Default)]
struct RetryStore {
    by_stream: HashMap<String, RetryState>,
    oldest_first: VecDeque<String>,
}

/// Stores the state of a request until its next attempt. `stream` is the edge's stream id.
pub(crate) fn put(stream: &str, state: RetryState) {
    // Requests without an id must not get one another's state.
    if stream.is_empty() {
        return;
    }
    STORE.with_borrow_mut(|store| {
        if store.by_stream.insert(stream.to_owned(), state).is_none() {
            store.oldest_first.push_back(stream.to_owned());
        }
        while store.by_stream.len() > CAPACITY {
            let Some(oldest) = store.oldest_first.pop_front() else { break };
            store.by_stream.remove(&oldest);
        }
    });
}

/// Takes the state of a request out of the store.
pub(crate) fn take(stream: &str) -> Option<RetryState> {
    STORE.with_borrow_mut(|store| {
        let state = store.by_stream.remove(stream);
        // Most requests return in the order in which they left, so this is among the first entries.
        if let Some(place) = store.oldest_first.iter().position(|known| known == stream) {
            store.oldest_first.remove(place);
        }
        state
    })
}
