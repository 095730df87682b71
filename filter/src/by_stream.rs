//! What is kept of requests between two streams, by the edge's id.

use std::collections::{HashMap, VecDeque};

/// Entries at most; the oldest is dropped first.
const CAPACITY: usize = 4096;

/// A map that cannot grow without end.
pub(crate) struct ByStream<T> {
    entries: HashMap<String, T>,
    oldest_first: VecDeque<String>,
}

impl<T> Default for ByStream<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), oldest_first: VecDeque::new() }
    }
}

impl<T> ByStream<T> {
    /// Keeps what belongs to a request.
    pub(crate) fn put(&mut self, stream: &str, kept: T) {
        // Requests without an id must not get what is another's.
        if stream.is_empty() {
            return;
        }
        if self.entries.insert(stream.to_owned(), kept).is_none() {
            self.oldest_first.push_back(stream.to_owned());
        }
        while self.entries.len() > CAPACITY {
            let Some(oldest) = self.oldest_first.pop_front() else { break };
            self.entries.remove(&oldest);
        }
    }

    /// What belongs to a request.
    pub(crate) fn get(&self, stream: &str) -> Option<&T> {
        self.entries.get(stream)
    }

    /// Takes out what belongs to a request.
    pub(crate) fn take(&mut self, stream: &str) -> Option<T> {
        let kept = self.entries.remove(stream)?;
        // Most requests return in the order in which they left, so this is among the first entries.
        if let Some(place) = self.oldest_first.iter().position(|known| known == stream) {
            self.oldest_first.remove(place);
        }
        Some(kept)
    }
}
