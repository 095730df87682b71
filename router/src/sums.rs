//! The limits of a group as a whole, and what its minute has left of them: what clients are told in x-ratelimit headers.

use std::time::Duration;

use crate::store::{self, Store};
use crate::terms::Terms;
use crate::window::Window;

/// What clients are told about the limits of a group (x-ratelimit-*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Limit and remainder of requests in this minute.
    pub requests: Option<(u64, u64)>,
    /// Limit and remainder of tokens in this minute.
    pub tokens: Option<(u64, u64)>,
}

/// The sums of a group.
#[derive(Debug)]
pub struct Sums {
    key: String,
    members: usize,
    rpm: Option<u64>,
    tpm: Option<u64>,
    /// As it was last seen.
    window: Window,
}

impl Sums {
    /// Of a group without members.
    pub fn new(name: &str) -> Self {
        Self { key: format!("g/{name}"), members: 0, rpm: None, tpm: None, window: Window::default() }
    }

    /// With one member more.
    pub fn include(&mut self, terms: &Terms) {
        self.members = self.members.saturating_add(1);
        let add = |sum: Option<u64>, limit: Option<u64>| match (sum, limit) {
            (Some(sum), Some(limit)) => Some(sum.saturating_add(limit)),
            (sum, limit) => sum.or(limit),
        };
        self.rpm = add(self.rpm, terms.rpm);
        self.tpm = add(self.tpm, terms.tpm);
    }

    /// How many members it has.
    pub fn members(&self) -> usize {
        self.members
    }

    /// Whether there is anything to tell.
    pub fn are_limited(&self) -> bool {
        self.rpm.is_some() || self.tpm.is_some()
    }

    /// Creates what is not there yet.
    pub fn open(&self, store: &dyn Store) {
        if self.are_limited() && store.get(&self.key).is_none() {
            store.swap(&self.key, &self.window.encode(), None);
        }
    }

    /// Changes the minute, if anybody wants to know of it.
    pub fn update(&mut self, now: Duration, store: &dyn Store, mut change: impl FnMut(&mut Window)) {
        if !self.are_limited() {
            return;
        }
        let changed = store::change(store, &self.key, |bytes| {
            let mut window = bytes.and_then(Window::decode).unwrap_or_default().at(now);
            change(&mut window);
            Some((window.encode(), window))
        });
        self.window = changed.unwrap_or(self.window);
    }

    /// What is left, as it was last seen; looked at again with a store.
    pub fn left(&mut self, now: Duration, store: Option<&dyn Store>) -> Option<RateLimits> {
        if !self.are_limited() {
            return None;
        }
        if let Some((bytes, _)) = store.and_then(|store| store.get(&self.key)) {
            self.window = Window::decode(&bytes).unwrap_or_default();
        }
        let window = self.window.at(now);
        let left = |limit: Option<u64>, used: u64| limit.map(|limit| (limit, limit.saturating_sub(used)));
        Some(RateLimits {
            requests: left(self.rpm, u64::from(window.requests)),
            tokens: left(self.tpm, window.tokens),
        })
    }
}
