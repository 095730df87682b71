//! How successes are written to records.

use std::time::Duration;

use crate::state::deployment_states::DeploymentStates;
use crate::state::pending_successes::{WrittenSuccesses, may_stay_pending};
use crate::state::record::Record;
use crate::state::store::Store;

impl DeploymentStates {
    /// Counts a success that changes nothing else. It is written with the next change or heartbeat,
    /// or at once where a decision may depend on it.
    pub fn succeed(&mut self, index: usize, now: Duration, store: &dyn Store) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let outcomes = entry.record.outcomes;
        let is_current = entry.last_read > self.reads_at_heartbeat && outcomes.at(now) == outcomes;
        if is_current && may_stay_pending(&outcomes) {
            entry.pending.add(&outcomes);
            return;
        }
        self.update(index, now, store, |record| {
            record.outcomes.successes = record.outcomes.successes.saturating_add(1);
        });
    }

    /// Which successes of a deployment are written to its record.
    pub fn written_successes(&self, index: usize) -> WrittenSuccesses {
        match self.entries.get(index) {
            Some(entry) if !self.is_single_worker() => entry.pending.written(),
            _ => WrittenSuccesses::All,
        }
    }

    pub(super) fn write_pending_successes(&mut self, now: Duration, store: &dyn Store) {
        for index in 0..self.entries.len() {
            if self.entries.get(index).is_some_and(|entry| entry.pending.any()) {
                self.update(index, now, store, |_| ());
            }
            if let Some(entry) = self.entries.get_mut(index) {
                entry.pending.heartbeat(entry.record.outcomes);
            }
        }
    }

    /// Changes a record atomically, and writes the pending successes with it.
    pub(super) fn update(
        &mut self,
        index: usize,
        now: Duration,
        store: &dyn Store,
        mut change: impl FnMut(&mut Record),
    ) {
        let pending = self.entries.get(index).map(|entry| entry.pending).unwrap_or_default();
        let updated = self.change(index, now, store, |record, _| {
            record.outcomes = record.outcomes.at(now);
            record.outcomes.successes =
                record.outcomes.successes.saturating_add(pending.of(&record.outcomes));
            change(record);
            Some(())
        });
        if let (Some(()), Some(entry)) = (updated, self.entries.get_mut(index)) {
            entry.pending.clear();
        }
    }
}
