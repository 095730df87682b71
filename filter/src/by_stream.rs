//! What is kept of requests between two streams, by the edge's id.

use std::collections::HashMap;
use std::time::Duration;

use llm_balancer_config::waits::LONGEST_RETRY_WAIT;

use crate::hostcalls;

/// Bytes from which on nothing more is kept in a VM, and a request that fails is not sent again. The
/// oldest must stay: its client still waits for its retry.
const MOST: usize = 64 * 1024 * 1024;
/// What an entry takes beside its content, about.
const OVERHEAD: usize = 256;
/// How long an entry is kept: what is older is of a request that has ended.
const MAX_AGE: Duration = LONGEST_RETRY_WAIT.saturating_add(Duration::from_secs(60));

/// A map that cannot grow without end.
pub(crate) struct ByStream<T> {
    entries: HashMap<String, Entry<T>>,
    bytes: usize,
}

struct Entry<T> {
    kept: T,
    bytes: usize,
    /// By the uptime.
    since: Duration,
}

impl<T> Default for ByStream<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), bytes: 0 }
    }
}

impl<T> ByStream<T> {
    /// Whether there is room for one more.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < MOST
    }

    /// Keeps what belongs to a request, of so many bytes, unless there is no room.
    pub(crate) fn put(&mut self, stream: &str, kept: T, bytes: usize) {
        self.take(stream);
        // Requests without an id must not get what is another's.
        if stream.is_empty() || !self.has_room() {
            return;
        }
        let bytes = bytes.saturating_add(OVERHEAD);
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.insert(stream.to_owned(), Entry { kept, bytes, since: hostcalls::uptime() });
    }

    /// What belongs to a request.
    pub(crate) fn get(&self, stream: &str) -> Option<&T> {
        self.entries.get(stream).map(|entry| &entry.kept)
    }

    /// Takes out what belongs to a request.
    pub(crate) fn take(&mut self, stream: &str) -> Option<T> {
        let entry = self.entries.remove(stream)?;
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        Some(entry.kept)
    }

    /// Drops what no request comes back for.
    pub(crate) fn drop_old(&mut self, uptime: Duration) {
        self.entries.retain(|_, entry| {
            let is_old = uptime.saturating_sub(entry.since) > MAX_AGE;
            if is_old {
                self.bytes = self.bytes.saturating_sub(entry.bytes);
            }
            !is_old
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_requests_may_wait_for_a_retry_at_once() {
        let mut waiting = ByStream::default();
        (0..10_000).for_each(|number: u32| waiting.put(&number.to_string(), number, 2_000));
        assert!(waiting.has_room());
        assert_eq!(waiting.take("0"), Some(0));
    }

    #[test]
    fn where_there_is_no_room_the_new_request_is_refused_and_the_old_ones_stay() {
        let mut waiting = ByStream::default();
        waiting.put("first", 1, 0);
        waiting.put("large", 2, MOST);
        assert!(!waiting.has_room());
        waiting.put("late", 3, 0);
        assert_eq!(["first", "large", "late"].map(|stream| waiting.take(stream)), [Some(1), Some(2), None]);
        assert!(waiting.has_room() && waiting.bytes == 0);
    }

    #[test]
    fn what_no_request_comes_back_for_is_dropped() {
        let mut waiting = ByStream::default();
        waiting.put("gone", 1, MOST);
        waiting.drop_old(hostcalls::uptime().saturating_add(LONGEST_RETRY_WAIT));
        assert_eq!(waiting.get("gone"), Some(&1), "it may still wait");
        waiting.drop_old(hostcalls::uptime().saturating_add(MAX_AGE).saturating_add(Duration::from_secs(1)));
        assert_eq!(waiting.get("gone"), None);
        assert!(waiting.has_room());
    }

    #[test]
    fn a_request_without_an_id_is_not_kept() {
        let mut waiting = ByStream::default();
        waiting.put("", 1, 0);
        assert_eq!(waiting.take(""), None);
    }
}
