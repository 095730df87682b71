//! The record of a group: what its minute has left of its limits, which clients are told in x-ratelimit headers, and what was
//! given back lately.

use std::time::Duration;

use crate::state::freed::{self, Stale};
use crate::state::limits::DeploymentLimits;
use crate::state::store::{self, Store};
use crate::state::window::Window;

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
pub struct GroupLimits {
    key: String,
    members: usize,
    rpm: Option<u64>,
    tpm: Option<u64>,
    /// Some have slots.
    parallel: bool,
    /// As it was last seen.
    window: Window,
    /// Give-backs that the copies of its members know.
    freed: u32,
    /// Which of the worker's reads last renewed `freed`.
    pub caught_up: u64,
}

impl GroupLimits {
    /// Of a group without members.
    pub fn new(name: &str) -> Self {
        Self {
            key: format!("g/{name}"),
            members: 0,
            rpm: None,
            tpm: None,
            parallel: false,
            window: Window::default(),
            freed: 0,
            caught_up: 0,
        }
    }

    /// With one member more.
    pub fn include(&mut self, terms: &DeploymentLimits) {
        self.members = self.members.saturating_add(1);
        let add = |sum: Option<u64>, limit: Option<u64>| match (sum, limit) {
            (Some(sum), Some(limit)) => Some(sum.saturating_add(limit)),
            (sum, limit) => sum.or(limit),
        };
        self.rpm = add(self.rpm, terms.rpm);
        self.tpm = add(self.tpm, terms.tpm);
        self.parallel |= terms.parallel.is_some();
    }

    /// How many members it has.
    pub fn members(&self) -> usize {
        self.members
    }

    /// Whether there is anything to tell.
    pub fn are_limited(&self) -> bool {
        self.rpm.is_some() || self.tpm.is_some()
    }

    /// Whether there is a record of it: something may be full, and have room again before its time.
    fn is_kept(&self) -> bool {
        self.are_limited() || self.parallel
    }

    /// Whether what is given back is noted. A single member is as quickly read itself.
    pub fn notes_what_is_freed(&self) -> bool {
        self.is_kept() && self.members > 1
    }

    /// Creates what is not there yet. To be called before the members are read.
    pub fn open(&mut self, store: &dyn Store) {
        if !self.is_kept() {
            return;
        }
        match store.get(&self.key) {
            Some((bytes, _)) => self.freed = freed::count(parts(&bytes).1),
            None => {
                store.swap(&self.key, &self.window.encode(), None);
            }
        }
    }

    /// What the copies of its members do not know yet, and do once it has been read.
    pub fn catch_up(&mut self, reads: u64, store: &dyn Store) -> Stale {
        self.caught_up = reads;
        if !self.notes_what_is_freed() {
            return Stale::All;
        }
        let Some((bytes, _)) = store.get(&self.key) else { return Stale::All };
        let freed = parts(&bytes).1;
        let stale = freed::since(freed, self.freed);
        self.freed = freed::count(freed);
        stale
    }

    /// Changes the minute, if anybody wants to know of it; with the mark of a deployment where something was given back.
    pub fn update(
        &mut self,
        now: Duration,
        store: &dyn Store,
        mut change: impl FnMut(&mut Window),
        mark: Option<u32>,
    ) {
        if !self.is_kept() {
            return;
        }
        let changed = store::change(store, &self.key, |bytes| {
            let (window, freed) = parts(bytes.unwrap_or_default());
            let mut window = Window::decode(window).unwrap_or_default().at(now);
            change(&mut window);
            let mut value = window.encode();
            let head = value.len();
            value.extend_from_slice(freed);
            // What another version wrote, or nobody, reads as if nothing had been given back.
            value.resize(head.saturating_add(freed::LENGTH), 0);
            if let (Some(mark), Some(freed)) = (mark, value.get_mut(head..)) {
                freed::add(freed, mark);
            }
            Some((value, window))
        });
        self.window = changed.unwrap_or(self.window);
    }

    /// What is left, as it was last seen; looked at again with a store.
    pub fn left(&mut self, now: Duration, store: Option<&dyn Store>) -> Option<RateLimits> {
        if !self.are_limited() {
            return None;
        }
        if let Some((bytes, _)) = store.and_then(|store| store.get(&self.key)) {
            self.window = Window::decode(parts(&bytes).0).unwrap_or_default();
        }
        let window = self.window.at(now);
        let left = |limit: Option<u64>, used: u64| limit.map(|limit| (limit, limit.saturating_sub(used)));
        Some(RateLimits {
            requests: left(self.rpm, u64::from(window.requests)),
            tokens: left(self.tpm, window.tokens),
        })
    }
}

/// The minute, and what was given back.
fn parts(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at_checked(Window::LENGTH).unwrap_or((bytes, &[]))
}
