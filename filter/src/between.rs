//! What this worker remembers about requests between two of their attempts.
//!
//! All attempts of a request stay on one worker, and thus in one VM. A journey is put down here when an attempt has
//! failed and taken up when the next one arrives, a back-off of a millisecond later; while an attempt is under way
//! its journey travels with it. So what lies here for longer belongs to a client that has gone.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use llm_balancer_router::attempt::Journey;

/// Requests between two attempts at most; the oldest goes first. Far above what one worker can have under way within
/// a back-off of a millisecond.
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
pub fn put(stream: String, journey: Journey) {
    JOURNEYS.with_borrow_mut(|journeys| {
        if journeys.by_stream.insert(stream.clone(), journey).is_none() {
            journeys.oldest_first.push_back(stream);
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
        // Requests come back in the order in which they left, so this is the first entry nearly always.
        if let Some(place) = journeys.oldest_first.iter().position(|known| known == stream) {
            journeys.oldest_first.remove(place);
        }
        journey
    })
}
