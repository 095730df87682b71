//! The record of a group: what this minute has used of its limits, for the x-ratelimit headers, and
//! what was released lately.

use std::time::Duration;

use crate::state::format;
use crate::state::limits::DeploymentLimits;
use crate::state::releases::{self, Stale};
use crate::state::store::{self, Store};
use crate::state::window::Window;

/// The limits of a group, for the x-ratelimit headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Limit and remaining requests of this minute.
    pub requests: Option<(u64, u64)>,
    /// Limit and remaining tokens of this minute.
    pub tokens: Option<(u64, u64)>,
    /// Until the minute ends, and with it what it has used.
    pub reset: Duration,
}

/// The limits of a group: the sums of its members'.
#[derive(Debug)]
pub struct GroupLimits {
    key: String,
    /// The id hash and the index of each member, sorted.
    members: Vec<(u32, usize)>,
    /// Of who they are, and which limits they have, in any order.
    fingerprint: u32,
    rpm: Option<u64>,
    tpm: Option<u64>,
    /// Some member has max_parallel_requests.
    has_max_parallel_requests: bool,
    /// The window by this worker's copy.
    window: Window,
    /// Releases that this worker's copies of the members include.
    known_releases: u32,
    /// The worker's number of reads when `known_releases` was last renewed.
    pub last_refresh: u64,
}

impl GroupLimits {
    /// A group without members.
    pub fn new(name: &str) -> Self {
        Self {
            key: format!("g/{name}"),
            members: Vec::new(),
            fingerprint: 1,
            rpm: None,
            tpm: None,
            has_max_parallel_requests: false,
            window: Window::default(),
            known_releases: 0,
            last_refresh: 0,
        }
    }

    /// Adds a member.
    pub fn include(&mut self, id_hash: u32, index: usize, limits: &DeploymentLimits) {
        let place = self.members.partition_point(|member| *member < (id_hash, index));
        self.members.insert(place, (id_hash, index));
        let kinds = u32::from(limits.rpm.is_some()) | u32::from(limits.tpm.is_some()) << 1;
        self.fingerprint = self.fingerprint.wrapping_add(id_hash.rotate_left(kinds));
        let add = |sum: Option<u64>, limit: Option<u64>| match (sum, limit) {
            (Some(sum), Some(limit)) => Some(sum.saturating_add(limit)),
            (sum, limit) => sum.or(limit),
        };
        self.rpm = add(self.rpm, limits.rpm);
        self.tpm = add(self.tpm, limits.tpm);
        self.has_max_parallel_requests |= limits.max_parallel_requests.is_some();
    }

    /// Whether it has one member.
    pub fn has_one_member(&self) -> bool {
        self.members.len() < 2
    }

    fn are_per_minute(&self) -> bool {
        self.rpm.is_some() || self.tpm.is_some()
    }

    /// Whether there is a record of it: a member may be full, and have room again before its time.
    fn has_record(&self) -> bool {
        self.are_per_minute() || self.has_max_parallel_requests
    }

    /// Whether releases are noted. A single member can be read as quickly itself.
    pub fn notes_releases(&self) -> bool {
        self.has_record() && !self.has_one_member()
    }

    /// Creates the record if it does not exist. To be called before the members are read.
    pub fn open(&mut self, store: &dyn Store) {
        if !self.has_record() {
            return;
        }
        match store.get(&self.key) {
            Some((bytes, _)) => self.known_releases = releases::count(parts(&bytes).0),
            None => {
                store.swap(&self.key, &value(&[], &self.window), None);
            }
        }
    }

    /// Counts the window of the members anew where the record is that of others, as after a reload
    /// that removes, moves or adds some. `add` adds that of a member. To be called when they are read.
    pub fn recount(&self, store: &dyn Store, add: impl Fn(usize, &mut Window)) {
        if !self.has_record() {
            return;
        }
        let fingerprint = self.fingerprint.to_le_bytes();
        store::change(store, &self.key, |bytes| {
            let head = parts(bytes.unwrap_or_default()).0;
            if head.ends_with(&fingerprint) {
                return None;
            }
            let mut window = Window::default();
            self.members.iter().for_each(|(_, index)| add(*index, &mut window));
            let mut head = head.get(..releases::LENGTH).unwrap_or_default().to_vec();
            head.resize(releases::LENGTH, 0);
            head.extend(fingerprint);
            Some((value(&head, &window), ()))
        });
    }

    /// The members whose copies are stale, because something was released there since this was last
    /// called. They are to be read now, at this worker's number of reads.
    pub fn take_stale(&mut self, reads: u64, store: &dyn Store) -> Vec<usize> {
        self.last_refresh = reads;
        match self.read_releases(store) {
            Stale::All => self.members.iter().map(|(_, index)| *index).collect(),
            Stale::Some(hashes) => hashes.into_iter().flat_map(|hash| self.with_hash(hash)).collect(),
        }
    }

    fn read_releases(&mut self, store: &dyn Store) -> Stale {
        let value = if self.notes_releases() { store.get(&self.key) } else { None };
        let Some((bytes, _)) = value else { return Stale::All };
        let log = parts(&bytes).0;
        let known = std::mem::replace(&mut self.known_releases, releases::count(log));
        releases::since(log, known)
    }

    fn with_hash(&self, hash: u32) -> impl Iterator<Item = usize> {
        let first = self.members.partition_point(|(of_member, _)| *of_member < hash);
        let members = self.members.get(first..).unwrap_or_default();
        members.iter().take_while(move |(of_member, _)| *of_member == hash).map(|(_, index)| *index)
    }

    /// Changes the window, if there is a record of it. `released` is the id hash of a deployment
    /// where something was released.
    pub fn update(
        &mut self,
        now: Duration,
        store: &dyn Store,
        mut change: impl FnMut(&mut Window),
        released: Option<u32>,
    ) {
        if !self.has_record() {
            return;
        }
        let changed = store::change(store, &self.key, |bytes| {
            let (log, window) = parts(bytes.unwrap_or_default());
            let mut window = window.at(now);
            change(&mut window);
            let mut value = value(log, &window);
            if let Some(released) = released {
                releases::add(&mut value, released);
            }
            Some((value, window))
        });
        self.window = changed.unwrap_or(self.window);
    }

    /// What remains of the limits, if there are any. `now` is called where there are.
    pub fn remaining(&mut self, now: &dyn Fn() -> Duration, store: &dyn Store) -> Option<RateLimits> {
        if !self.are_per_minute() {
            return None;
        }
        if let Some((bytes, _)) = store.get(&self.key) {
            self.window = parts(&bytes).1;
        }
        let now = now();
        let window = self.window.at(now);
        let remaining =
            |limit: Option<u64>, used: u64| limit.map(|limit| (limit, limit.saturating_sub(used)));
        Some(RateLimits {
            requests: remaining(self.rpm, u64::from(window.requests)),
            tokens: remaining(self.tpm, window.tokens),
            reset: window.ends().saturating_sub(now),
        })
    }
}

/// Bytes of the log of releases, and of the fingerprint behind it.
const HEAD: usize = releases::LENGTH + 4;

/// The head, and the window behind it.
fn parts(bytes: &[u8]) -> (&[u8], Window) {
    let (head, window) = bytes.split_at_checked(HEAD).unwrap_or_default();
    (head, format::decode(window).unwrap_or_default())
}

/// A record. A log that is missing reads as one without releases, a fingerprint as that of others.
fn value(head: &[u8], window: &Window) -> Vec<u8> {
    let mut value = head.to_vec();
    value.resize(HEAD, 0);
    value.extend(format::encode(window));
    value
}
