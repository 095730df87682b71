//! What this worker remembers about requests between two of their attempts.
//!
//! All attempts of a request stay on one worker, and thus in one VM. A journey is put down here when an attempt has
//! failed, and taken up when the next one arrives: a back-off of a millisecond later, or after the wait of a request that
//! has no untried deployment left. While an attempt is under way its journey travels with it. What is left behind belongs
//! to a client that went in between.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use llm_balancer_router::attempt::Journey;

/// Requests between two attempts at most; the oldest goes first. One that is forgotten starts anew with the retries that
/// it has left.
const MOST: usize = 4096;

thread_local! {
    // Beside the root contexts, so that a journey survives a reload of the configuration.
    static JOURNEYS: RefCell<Journeys> = RefCell::default();
}

#[derive(Default)]
struct Journeys {
    by_stream: HashMap<String, Journey>,
    oldest_first: VecDeque<String>,
}

/// Puts a journey down until the next attempt of its stream.
pub fn put(stream: &str, journey: Journey) {
    // Requests without an id must not take up one another's journeys.
    if stream.is_empty() {
        return;
    }
    JOURNEYS.with_borrow_mut(|journeys| {
        if journeys.by_stream.insert(stream.to_owned(), journey).is_none() {
            journeys.oldest_first.push_back(stream.to_owned());
        }
        while journeys.by_stream.len() > MOST {
            let Some(oldest) = journeys.oldest_first.pop_front() else { break };
            journeys.by_stream.remove(&oldest);
        }
    });
}

/// Takes up the journey of a stream.
pub fn take(stream: &str) -> Option<Journey> {
    JOURNEYS.with_borrow_mut(|journeys| {
        let journey = journeys.by_stream.remove(stream);
        // Most requests come back in the order in which they left, so this is among the first entries.
        if let Some(place) = journeys.oldest_first.iter().position(|known| known == stream) {
            journeys.oldest_first.remove(place);
        }
        journey
    })
}
