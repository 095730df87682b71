//! What clients sent and what became of it, by group and by instance.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::INSTANCES;
use super::plan::{GROUPS, Promise};
use super::verdict::Verdict;

/// Requests that may have failed though a healthy deployment had room, of a million.
const UNSERVED_PER_MILLION: u64 = 100;
/// Envoy replaces a VM that is younger than this only when it has this age: a second, and by chance
/// up to half a second more.
const BACK_OFF: Duration = Duration::from_millis(1500);
/// Faults that are kept in words.
const WORDS: usize = 40;

/// What became of requests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) served: u64,
    pub(super) broken_off: u64,
    pub(super) spoilt: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) lost_to_trap: u64,
    pub(super) unserved: u64,
    pub(super) faults: u64,
}

/// What one instance got.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Requests whose client waited.
    pub(super) awaited: u64,
    /// Requests whose client disconnected.
    pub(super) abandoned: u64,
    /// Requests that trapped.
    pub(super) traps: u64,
    /// Requests that were in flight in a VM that trapped, as far as their clients saw it.
    pub(super) lost: u64,
    /// Those that were abandoned, by their client's address, until the access log has them.
    pub(super) unlogged: HashMap<IpAddr, Abandoned>,
    /// Responses by the id of the call, until the access log has them.
    pub(super) replies: HashMap<String, Replied>,
}

/// A request whose client disconnected.
#[derive(Clone, Debug)]
pub(super) struct Abandoned {
    pub(super) nonce: String,
    /// When and how.
    pub(super) about: String,
    /// Its line may be lost.
    pub(super) in_trap: bool,
}

/// A response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replied {
    pub(super) status: u16,
    /// Its line may be lost.
    pub(super) in_trap: bool,
}

/// A VM that trapped.
#[derive(Clone, Copy, Debug)]
struct Trap {
    instance: usize,
    /// When the request that asked for it had its response.
    until: Option<Instant>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
pub(super) struct Entries {
    groups: BTreeMap<&'static str, Counts>,
    pub(super) sent: [Sent; INSTANCES],
    traps: Vec<Trap>,
    /// The slowest response, in milliseconds.
    pub(super) slowest: u128,
    pub(super) faults: Vec<String>,
}

impl Ledger {
    pub(super) fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A trap begins; returns its number.
    pub(super) fn trap(&self, instance: usize) -> usize {
        let mut entries = self.entries();
        entries.sent[instance].traps += 1;
        entries.traps.push(Trap { instance, until: None });
        entries.traps.len() - 1
    }

    pub(super) fn trapped(&self, number: usize) {
        self.entries().traps[number].until = Some(Instant::now());
    }

    /// Whether a VM of this instance has trapped since, or was not replaced yet.
    pub(super) fn in_trap(&self, instance: usize, since: Instant) -> bool {
        let entries = self.entries();
        let overlaps = |trap: &Trap| {
            trap.instance == instance && trap.until.is_none_or(|until| until + BACK_OFF >= since)
        };
        entries.traps.iter().any(overlaps)
    }

    pub(super) fn fault(&self, what: String) {
        self.entries().fault(what);
    }

    pub(super) fn record(&self, group: &'static str, instance: usize, verdict: &Verdict, about: &str) {
        let mut entries = self.entries();
        if *verdict == Verdict::LostToTrap {
            entries.sent[instance].lost += 1;
        }
        let counts = entries.groups.entry(group).or_default();
        let count = match verdict {
            Verdict::Served => &mut counts.served,
            Verdict::BrokenOff => &mut counts.broken_off,
            Verdict::Spoilt => &mut counts.spoilt,
            Verdict::Refused => &mut counts.refused,
            Verdict::Failed => &mut counts.failed,
            Verdict::LostToTrap => &mut counts.lost_to_trap,
            Verdict::Unserved(_) => &mut counts.unserved,
            Verdict::Fault(_) => &mut counts.faults,
        };
        *count += 1;
        match verdict {
            Verdict::Unserved(what) => println!("unserved: {group}, {what}; {about}"),
            Verdict::Fault(what) => entries.fault(format!("{group}: {what}; {about}")),
            _ => {}
        }
    }
}

impl Entries {
    /// A client sends a request, and will disconnect.
    pub(super) fn abandon(&mut self, instance: usize, address: IpAddr, abandoned: Abandoned) {
        self.sent[instance].abandoned += 1;
        self.sent[instance].unlogged.insert(address, abandoned);
    }

    pub(super) fn fault(&mut self, what: String) {
        println!("fault: {what}");
        if self.faults.len() < WORDS {
            self.faults.push(what);
        }
    }

    /// Of a million requests that a healthy deployment had room for, those which failed; an error if
    /// they are too many.
    pub(super) fn unserved(&self) -> Result<String, String> {
        let promised = GROUPS.iter().filter(|group| group.promise == Promise::Served);
        let counts: Vec<_> = promised.filter_map(|group| self.groups.get(group.name)).collect();
        let unserved: u64 = counts.iter().map(|counts| counts.unserved + counts.faults).sum();
        let all = unserved + counts.iter().map(|counts| counts.served).sum::<u64>();
        let text = format!("{unserved} of {all} requests failed though a healthy deployment had room");
        if all > 0 && unserved * 1_000_000 <= all * UNSERVED_PER_MILLION { Ok(text) } else { Err(text) }
    }

    /// Whether limits refused something and let something pass, so that they were tested.
    pub(super) fn limits_were_reached(&self) -> bool {
        let of = |name| self.groups.get(name).copied().unwrap_or_default();
        ["limited", "tokens"].iter().all(|name| of(name).refused > 0 && of(name).served > 0)
    }

    /// Requests by group and by what became of them.
    pub(super) fn table(&self) -> String {
        let mut text = String::from(
            "| group | served | provider broke off | provider's nonsense | 429 | failed | lost to a trap | unserved | faults |\n|---|---|---|---|---|---|---|---|---|\n",
        );
        for (name, counts) in &self.groups {
            let Counts { served, broken_off, spoilt, refused, failed, lost_to_trap, unserved, faults } =
                counts;
            let _ = writeln!(
                text,
                "| {name} | {served} | {broken_off} | {spoilt} | {refused} | {failed} | {lost_to_trap} | {unserved} | {faults} |"
            );
        }
        let sum = |of: fn(&Sent) -> u64| self.sent.iter().map(of).sum::<u64>();
        let _ = write!(
            text,
            "{} requests whose client waited, {} whose client disconnected, {} traps; slowest response {} ms",
            sum(|sent| sent.awaited),
            sum(|sent| sent.abandoned),
            sum(|sent| sent.traps),
            self.slowest
        );
        text
    }
}
