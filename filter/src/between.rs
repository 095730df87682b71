//! What this worker remembers about requests between two of their attempts.
//!
//! All attempts of a request stay on one worker, and thus in one VM. A retry_state is put down here when an attempt has
//! failed, and taken up when the next one arrives: a back-off of a millisecond later, or after the wait of a request that
//! has no untried deployment left. While an attempt is under way its retry_state travels with it. What is left behind belongs
//! to a client that went in between.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use llm_balancer_router::RetryState;

/// Requests between two attempts at most; the oldest goes first. One that is forgotten starts anew with the retries that
/// it has left.
const MOST: usize = 4096;

thread_local! {
    // Beside the root contexts, so that a retry_state survives a reload of the configuration.
    static RETRY_STATES: RefCell<Journeys> = RefCell::default();
}

#[derive(Default)]
struct Journeys {
    by_stream: HashMap<String, RetryState>,
    oldest_first: VecDeque<String>,
}

/// Puts a retry_state down until the next attempt of its stream.
pub fn put(stream: &str, retry_state: RetryState) {
    // Requests without an id must not take up one another's retry_states.
    if stream.is_empty() {
        return;
    }
    RETRY_STATES.with_borrow_mut(|retry_states| {
        if retry_states.by_stream.insert(stream.to_owned(), retry_state).is_none() {
            retry_states.oldest_first.push_back(stream.to_owned());
        }
        while retry_states.by_stream.len() > MOST {
            let Some(oldest) = retry_states.oldest_first.pop_front() else { break };
            retry_states.by_stream.remove(&oldest);
        }
    });
}

/// Takes up the retry_state of a stream.
pub fn take(stream: &str) -> Option<RetryState> {
    RETRY_STATES.with_borrow_mut(|retry_states| {
        let retry_state = retry_states.by_stream.remove(stream);
        // Most requests come back in the order in which they left, so this is among the first entries.
        if let Some(place) = retry_states.oldest_first.iter().position(|known| known == stream) {
            retry_states.oldest_first.remove(place);
        }
        retry_state
    })
}
