//! Which part of a group's deployments serves the requests with one system prompt.
//!
//! The interval from 0 to 1 is divided among the deployments by their weights, and among the system
//! prompts, in the order of their hashes, by their parts of the recent requests. A conversation has
//! a point within the part of its system prompt. So every deployment has its share of the load, and
//! few system prompts in its cache: with hashes alone it would have all of them.
//!
//! The workers add up what they count, and share one partition, which stays until the counts differ
//! from it: where it changes, conversations move. docs/decisions/affinity.md has the figures.

use std::cell::{RefCell, RefMut};

use crate::hash::{hash, mix};
use crate::random::fraction;
use crate::state::store::{self, Store};

/// Counters of a group. System prompts that share one share a part.
const COUNTERS: usize = 1024;
/// Requests for each deployment after which all counts are halved.
const WINDOW: usize = 1024;
/// The partition is made anew where it differs from the counts by this part of a deployment's share, and
/// by more than chance: by [`CHANCE`] divided by the root of all counts.
const TOLERANCE: f64 = 0.1;
/// An end among `n` counts differs by chance by half of `1 / sqrt(n)`, and the one of all ends that
/// differs most by less than this much of it, in 49 of 50 windows.
const CHANCE: f64 = 1.5;
/// A system prompt with more than this part of the requests is at every deployment anyway: hashes
/// spread its conversations as well, and a deployment that is added moves fewer of them.
const EVERYWHERE: f64 = 0.9;

/// What a prompt begins with, as hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// The client's own name of what belongs together.
    pub cache_key: Option<u64>,
    /// The tools and the system prompt; `None` where a prompt does not tell them apart.
    pub system: Option<u64>,
    /// All of the above and the first message of the user.
    pub conversation: u64,
}

/// Where a request belongs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// What ranks the deployments.
    pub key: u64,
    /// The point from 0 to below 1 whose deployment comes before all others.
    pub point: Option<f64>,
}

/// How many recent requests each system prompt has, by group. Only of groups that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Popularity {
    /// With the hashes of the groups' names, in their order.
    groups: RefCell<Vec<(u64, GroupCounts)>>,
}

impl Beginning {
    /// What is counted: the client's own name, or else the system prompt.
    fn popular(&self) -> Option<u64> {
        self.cache_key.or(self.system)
    }
}

impl Place {
    /// That of a request whose conversation has an order of the deployments to itself.
    pub fn by_hash(prompt: &Beginning) -> Self {
        Self { key: prompt.cache_key.unwrap_or(prompt.conversation), point: None }
    }
}

impl Popularity {
    /// Counts a request, which is to happen once for each. `deployments` is how many the group has.
    pub fn count(&self, group: &str, deployments: usize, prompt: &Beginning, store: &dyn Store) {
        let Some(popular) = prompt.popular() else { return };
        let Some(mut counts) = self.counts(group, store) else { return };
        counts.deployments = deployments;
        if let Some(count) = counts.new.get_mut(counter(popular)) {
            *count = count.saturating_add(1);
        }
    }

    /// The place of a request.
    pub fn place(&self, group: &str, prompt: &Beginning, store: &dyn Store) -> Place {
        let by_hash = Place::by_hash(prompt);
        let Some(popular) = prompt.popular() else { return by_hash };
        let Some(counts) = self.counts(group, store).filter(|counts| !counts.ends.is_empty()) else {
            return by_hash;
        };
        match counts.part(counter(popular)) {
            Some((start, end)) if end - start > EVERYWHERE && prompt.cache_key.is_none() => by_hash,
            Some((start, end)) => {
                let point = start + (end - start) * fraction(mix(prompt.conversation));
                Place { point: Some(point), ..by_hash }
            }
            // So rare or so new that one deployment can serve it.
            None => Place { key: popular, point: None },
        }
    }

    fn counts(&self, group: &str, store: &dyn Store) -> Option<RefMut<'_, GroupCounts>> {
        let mut groups = self.groups.borrow_mut();
        let name = hash(group.as_bytes());
        let index = groups.binary_search_by_key(&name, |(name, _)| *name).unwrap_or_else(|index| {
            groups.insert(index, (name, GroupCounts::read(group, store)));
            index
        });
        RefMut::filter_map(groups, |groups| groups.get_mut(index).map(|(_, counts)| counts)).ok()
    }

    /// Adds this worker's counts to those of all, and reads these; to be called every second.
    pub fn beat(&self, store: &dyn Store) {
        self.groups.borrow_mut().iter_mut().for_each(|(_, counts)| counts.share(store));
    }
}

fn counter(popular: u64) -> usize {
    popular as usize % COUNTERS
}

/// The requests to one group, by counter.
#[derive(Debug)]
struct GroupCounts {
    /// In the store.
    key: String,
    deployments: usize,
    /// Those of this worker that the store does not have.
    new: Vec<u16>,
    /// Where the part of each counter ends, by this worker's copy. Empty without a partition.
    ends: Vec<f64>,
}

impl GroupCounts {
    /// With what the other workers, and those with earlier configurations, have counted.
    fn read(group: &str, store: &dyn Store) -> Self {
        let key = format!("p/{group}");
        let mut own = Self { key, deployments: 0, new: vec![0; COUNTERS], ends: Vec::new() };
        own.share(store);
        own
    }

    /// Where a counter's part begins and ends; `None` if it has none.
    fn part(&self, counter: usize) -> Option<(f64, f64)> {
        let end = *self.ends.get(counter)?;
        let start = counter.checked_sub(1).map_or(Some(0.0), |before| self.ends.get(before).copied())?;
        (end > start).then_some((start, end))
    }

    fn share(&mut self, store: &dyn Store) {
        let record = if self.new.iter().all(|count| *count == 0) {
            store.get(&self.key).map(|(bytes, _)| Record::decode(&bytes))
        } else {
            store::change(store, &self.key, |bytes| {
                let mut record = Record::decode(bytes.unwrap_or_default());
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

/// What the store has of a group: the requests of all workers, by counter.
struct Record {
    /// The recent ones.
    counts: Vec<u16>,
    /// Those by which the partition was made.
    partition: Vec<u16>,
}

impl Record {
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
        while counts.iter().sum::<u32>() as usize > most {
            halve(&mut counts);
        }
        self.counts = counts.into_iter().map(|count| u16::try_from(count).unwrap_or(u16::MAX)).collect();
        let all: u32 = self.counts.iter().map(|count| u32::from(*count)).sum();
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
    use crate::random::{Random, SplitMix};
    use crate::state::store::{Memory, Version};

    fn popularity() -> Popularity {
        Popularity::default()
    }

    fn prompt(system: u64, conversation: u64) -> Beginning {
        Beginning { cache_key: None, system: Some(system), conversation: mix(conversation) }
    }

    /// Counts so many requests of a system prompt.
    fn count(popularity: &Popularity, system: u64, requests: u64) {
        for n in 0..requests {
            popularity.count("m", 4, &prompt(system, n), &Memory::default());
        }
    }

    fn place(popularity: &Popularity, prompt: Beginning) -> Place {
        popularity.place("m", &prompt, &Memory::default())
    }

    fn point(popularity: &Popularity, prompt: Beginning) -> Option<f64> {
        place(popularity, prompt).point
    }

    /// The first and the last point of many conversations.
    fn part(popularity: &Popularity, system: u64) -> (f64, f64) {
        let points = (0..2000).filter_map(|n| point(popularity, prompt(system, n)));
        points.fold((1.0, 0.0), |(first, last), point| (point.min(first), point.max(last)))
    }

    /// Compared to three digits.
    fn assert_part(popularity: &Popularity, system: u64, (start, end): (f64, f64)) {
        let (first, last) = part(popularity, system);
        assert!((first - start).abs() < 0.002 && (last - end).abs() < 0.002, "{system}: {first} to {last}");
    }

    #[test]
    fn a_system_prompt_has_as_large_a_part_as_it_has_of_the_requests() {
        let (popularity, store) = (popularity(), Memory::default());
        count(&popularity, 1, 100);
        count(&popularity, 2, 250);
        count(&popularity, 3, 150);
        popularity.beat(&store);
        assert_part(&popularity, 1, (0.0, 0.2));
        assert_part(&popularity, 2, (0.2, 0.7));
        assert_part(&popularity, 3, (0.7, 1.0));
        let first = place(&popularity, prompt(2, 7));
        count(&popularity, 2, 1);
        popularity.beat(&store);
        let again = place(&popularity, prompt(2, 7));
        assert_eq!(first, again, "a conversation keeps its place");
    }

    #[test]
    fn all_workers_agree_and_a_new_one_knows_what_the_others_counted() {
        let (one, other, store) = (popularity(), popularity(), Memory::default());
        count(&one, 1, 300);
        count(&other, 2, 100);
        one.beat(&store);
        other.beat(&store);
        one.beat(&store);
        let new = popularity();
        new.place("m", &prompt(3, 0), &store);
        for worker in [&one, &other, &new] {
            assert_part(worker, 1, (0.0, 0.75));
            assert_part(worker, 2, (0.75, 1.0));
        }
    }

    #[test]
    fn many_rare_system_prompts_leave_a_popular_one_its_part() {
        let (popularity, store) = (popularity(), Memory::default());
        let parts = (1..200_u64).map(|second| {
            for n in 0..100 {
                let rare = if n % 5 == 0 { mix(second * 100 + n) } else { 1 };
                popularity.count("m", 4, &prompt(rare, n), &store);
            }
            popularity.beat(&store);
            let (start, end) = popularity.groups.borrow()[0].1.part(1).unwrap();
            end - start
        });
        let (low, high) =
            parts.skip(30).fold((1.0_f64, 0.0_f64), |(low, high), part| (low.min(part), high.max(part)));
        assert!(low > 0.78 && high < 0.82, "{low} to {high}");
    }

    #[test]
    fn chance_does_not_change_the_partition_of_a_large_group() {
        let (popularity, store) = (popularity(), Memory::default());
        let mut random = SplitMix::new(5);
        let mut partitions = 0;
        let mut ends = Vec::new();
        for _ in 0..600 {
            for n in 0..500 {
                popularity.count("m", 100, &prompt(random.below(12) as u64, n), &store);
            }
            popularity.beat(&store);
            let now = popularity.groups.borrow()[0].1.ends.clone();
            partitions += u32::from(now != ends);
            ends = now;
        }
        assert!(partitions <= 8, "{partitions} partitions in ten minutes");
    }

    #[test]
    fn groups_have_partitions_of_their_own() {
        let (popularity, store) = (popularity(), Memory::default());
        count(&popularity, 1, 100);
        count(&popularity, 2, 100);
        for n in 0..1000 {
            popularity.count("other", 4, &prompt(1, n), &store);
        }
        popularity.beat(&store);
        assert_part(&popularity, 1, (0.0, 0.5));
    }

    #[test]
    fn without_a_partition_and_where_it_has_nearly_all_of_it_a_conversation_has_an_order_to_itself() {
        let (popularity, store) = (popularity(), Memory::default());
        let own = Place { key: mix(1), point: None };
        assert_eq!(popularity.place("m", &prompt(1, 1), &store), own, "no partition");
        count(&popularity, 1, 94);
        count(&popularity, 2, 5);
        popularity.beat(&store);
        assert_eq!(place(&popularity, prompt(1, 1)), own, "95 %");
        let unknown = Beginning { system: None, ..prompt(1, 1) };
        assert_eq!(place(&popularity, unknown), own, "not told apart");
    }

    #[test]
    fn a_system_prompt_without_a_part_has_one_order_for_all_conversations() {
        let (popularity, store) = (popularity(), Memory::default());
        count(&popularity, 1, 50);
        count(&popularity, 2, 50);
        popularity.beat(&store);
        for conversation in 0..10 {
            assert_eq!(place(&popularity, prompt(3, conversation)), Place { key: 3, point: None });
        }
    }

    #[test]
    fn a_cache_key_stands_for_the_system_prompt_and_has_a_part_even_where_it_is_alone() {
        let (popularity, store) = (popularity(), Memory::default());
        let named = |conversation| Beginning { cache_key: Some(5), ..prompt(1, conversation) };
        popularity.count("m", 4, &named(1), &store);
        assert_eq!(popularity.place("m", &named(1), &store), Place { key: 5, point: None }, "no partition");
        popularity.beat(&store);
        let points: Vec<f64> = (0..200).filter_map(|n| point(&popularity, named(n))).collect();
        let (below, above) = points.iter().partition::<Vec<f64>, _>(|point| **point < 0.5);
        assert!(below.len() > 70 && above.len() > 70, "{} and {}", below.len(), above.len());
    }

    #[test]
    fn what_was_counted_long_ago_fades() {
        let (popularity, store) = (popularity(), Memory::default());
        count(&popularity, 1, 4000);
        popularity.beat(&store);
        for _ in 0..20 {
            count(&popularity, 2, 1000);
            count(&popularity, 3, 1000);
            popularity.beat(&store);
        }
        let (first, last) = part(&popularity, 1);
        assert!(last - first < 0.01, "{first} to {last}");
        assert_eq!(part(&popularity, 2).1.total_cmp(&0.4), std::cmp::Ordering::Greater);
    }

    #[test]
    fn a_worker_may_count_any_number_in_a_second() {
        let (popularity, store) = (popularity(), Memory::default());
        count(&popularity, 1, 100_000);
        count(&popularity, 2, 65_535);
        popularity.beat(&store);
        assert_part(&popularity, 1, (0.0, 0.5));
    }

    /// A store in which every race is lost.
    struct Lost;

    impl Store for Lost {
        fn get(&self, _: &str) -> Option<(Vec<u8>, Version)> {
            None
        }

        fn swap(&self, _: &str, _: &[u8], _: Option<Version>) -> bool {
            false
        }
    }

    #[test]
    fn counts_that_could_not_be_written_are_written_later_whatever_the_store_holds() {
        let (popularity, store) = (popularity(), Memory::default());
        count(&popularity, 1, 100);
        popularity.beat(&Lost);
        count(&popularity, 2, 100);
        assert!(store.swap("p/m", b"no counts", None));
        popularity.beat(&store);
        assert_part(&popularity, 1, (0.0, 0.5));
        assert_part(&popularity, 2, (0.5, 1.0));
    }
}
