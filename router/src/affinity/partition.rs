//! The parts of one group's system prompts, by the requests that all workers count.
//!
//! The workers add up what they count, and share one partition, which stays until the counts differ
//! from it: where it changes, conversations move. docs/decisions/affinity.md has the figures.

use crate::state::store::{self, Store};

/// Counters of a group. System prompts that share one share a part.
const COUNTERS: usize = 1024;
/// Requests for each deployment after which all counts are halved.
const WINDOW: usize = 1024;
/// The partition is made anew where an end of it differs from the counts by this part of a
/// deployment's share, and by more than chance ([`CHANCE`]).
const TOLERANCE: f64 = 0.1;
/// Ends of a window of `n` requests differ by chance by less than this divided by the root of `n`, in
/// 49 of 50 windows.
const CHANCE: f64 = 1.5;

/// A worker's copy of a partition, and what the worker has counted since.
#[derive(Debug)]
pub(super) struct Partition {
    /// In the store.
    key: String,
    deployments: usize,
    /// Counts of this worker that the store does not have.
    new: Vec<u16>,
    /// Where the part of each counter ends. Empty before the first count of any worker.
    ends: Vec<f64>,
}

impl Partition {
    /// With what the other workers, and those with earlier configurations, have counted.
    pub fn read(group: &str, store: &dyn Store) -> Self {
        let key = format!("p/{group}");
        let mut own = Self { key, deployments: 0, new: vec![0; COUNTERS], ends: Vec::new() };
        own.share(store);
        own
    }

    /// Counts a request to a group of so many deployments, by the hash of its system prompt.
    pub fn count(&mut self, system: u64, deployments: usize) {
        self.deployments = deployments;
        if let Some(count) = self.new.get_mut(counter(system)) {
            *count = count.saturating_add(1);
        }
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Where the part of a system prompt begins and ends, from 0 to 1; `None` if it has none.
    pub fn part(&self, system: u64) -> Option<(f64, f64)> {
        let counter = counter(system);
        let end = *self.ends.get(counter)?;
        let start = counter.checked_sub(1).map_or(Some(0.0), |before| self.ends.get(before).copied())?;
        (end > start).then_some((start, end))
    }

    /// Adds this worker's counts to those of all, and reads these.
    pub fn share(&mut self, store: &dyn Store) {
        let record = if self.new.iter().all(|count| *count == 0) {
            store.get(&self.key).map(|(bytes, _)| PartitionRecord::decode(&bytes))
        } else {
            store::change(store, &self.key, |bytes| {
                let mut record = PartitionRecord::decode(bytes.unwrap_or_default());
                record.add(&self.new, self.deployments);
                Some((record.encode(), record))
            })
        };
        let Some(record) = record else { return };
        self.new.fill(0);
        self.ends.clear();
        self.ends.extend(ends(&record.partition));
    }
}

fn counter(system: u64) -> usize {
    system as usize % COUNTERS
}

/// What the store has of a group: the requests of all workers, by counter.
struct PartitionRecord {
    /// The recent ones.
    counts: Vec<u16>,
    /// Those by which the partition was made.
    partition: Vec<u16>,
}

impl PartitionRecord {
    /// Zeros for what is no record.
    fn decode(bytes: &[u8]) -> Self {
        let (numbers, _) = bytes.as_chunks::<2>();
        let (counts, partition) = numbers.split_at(numbers.len().min(COUNTERS));
        let numbers = |of: &[[u8; 2]]| match of.len() {
            COUNTERS => of.iter().map(|number| u16::from_le_bytes(*number)).collect(),
            _ => vec![0; COUNTERS],
        };
        Self { counts: numbers(counts), partition: numbers(partition) }
    }

    fn encode(&self) -> Vec<u8> {
        self.counts.iter().chain(&self.partition).flat_map(|number| number.to_le_bytes()).collect()
    }

    /// Adds the counts of a worker.
    fn add(&mut self, own: &[u16], deployments: usize) {
        let most = WINDOW.saturating_mul(deployments).min(u16::MAX.into());
        let mut counts: Vec<u32> = self
            .counts
            .iter()
            .zip(own)
            .map(|(all, own)| u32::from(*all).saturating_add((*own).into()))
            .collect();
        let mut all: u32 = counts.iter().sum();
        while all as usize > most {
            halve(&mut counts);
            all = counts.iter().sum();
        }
        self.counts = counts.into_iter().map(|count| u16::try_from(count).unwrap_or(u16::MAX)).collect();
        let tolerance = (TOLERANCE / deployments as f64).max(CHANCE / f64::from(all).sqrt());
        let is_far = |(now, then): (f64, f64)| (now - then).abs() > tolerance;
        let has_partition = self.partition.iter().any(|count| *count > 0);
        if !has_partition || ends(&self.counts).zip(ends(&self.partition)).any(is_far) {
            self.partition.clone_from(&self.counts);
        }
    }
}

/// Halves where each count's part ends, so that rare counts together lose no more than a half.
fn halve(counts: &mut [u32]) {
    let (mut end, mut half) = (0_u32, 0_u32);
    for count in counts {
        end = end.saturating_add(*count);
        *count = (end / 2).saturating_sub(half);
        half = end / 2;
    }
}

/// Where the part of each counter ends, from 0 to 1; 0 without any counts.
fn ends(counts: &[u16]) -> impl Iterator<Item = f64> {
    let all: u32 = counts.iter().map(|count| u32::from(*count)).sum();
    let length = if all == 0 { 0.0 } else { 1.0 / f64::from(all) };
    counts.iter().scan(0_u32, move |end, count| {
        *end = end.saturating_add((*count).into());
        Some(f64::from(*end) * length)
    })
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;
    use crate::hash::mix;
    use crate::random::{Random, SplitMix};
    use crate::state::store::Memory;

    #[test]
    fn many_rare_system_prompts_leave_a_popular_one_its_part() {
        let store = Memory::default();
        let mut partition = Partition::read("m", &store);
        let parts = (1..200_u64).map(|second| {
            for n in 0..100 {
                let rare = if n % 5 == 0 { mix(second * 100 + n) } else { 1 };
                partition.count(rare, 4);
            }
            partition.share(&store);
            let (start, end) = partition.part(1).unwrap();
            end - start
        });
        let (low, high) =
            parts.skip(30).fold((1.0_f64, 0.0_f64), |(low, high), part| (low.min(part), high.max(part)));
        assert!(low > 0.78 && high < 0.82, "{low} to {high}");
    }

    #[test]
    fn chance_does_not_change_the_partition_of_a_large_group() {
        let store = Memory::default();
        let mut partition = Partition::read("m", &store);
        let mut random = SplitMix::new(5);
        let mut partitions = 0;
        let mut ends = Vec::new();
        for _ in 0..600 {
            for _ in 0..500 {
                partition.count(random.below(12) as u64, 100);
            }
            partition.share(&store);
            let now = partition.ends.clone();
            partitions += u32::from(now != ends);
            ends = now;
        }
        assert!(partitions <= 8, "{partitions} partitions in ten minutes");
    }
}
