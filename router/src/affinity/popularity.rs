//! Which part of a group's deployments serves the requests with one system prompt.
//!
//! All deployments lie on a line, each as long as its weight. On the same line lie the system
//! prompts, in the order of their hashes, each as long as its part of the recent requests. A
//! conversation has a point within its system prompt. So every deployment has its share of the
//! load, and few system prompts in its cache: with hashes alone it would have all of them.
//!
//! The workers add up what they count, and share one line, which stays until the counts differ from
//! it: where it changes, conversations move. docs/decisions/affinity.md has the figures.

use std::cell::RefCell;

use crate::hash::{hash, mix};
use crate::random::fraction;
use crate::state::store::{self, Store};

/// Counters of a group. System prompts that share one lie on the same part of the line.
const COUNTERS: usize = 1024;
/// Requests for each deployment after which all counts are halved. Counts of so many differ by
/// chance by a twentieth of a deployment's share.
const WINDOW: usize = 1024;
/// The line is drawn anew where it differs from the counts by this part of a deployment's share.
const TOLERANCE: f64 = 0.1;
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
    /// The point on the group's line, from 0 to below 1, whose deployment comes before all others.
    pub point: Option<f64>,
}

/// How many recent requests each system prompt has, by group. Only of groups that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Popularity {
    /// With the hashes of the groups' names, in their order.
    groups: RefCell<Vec<(u64, GroupCounts)>>,
}

impl Popularity {
    /// The place of a request. `deployments` is how many the group has; `is_new` says whether the
    /// request counts, which each does once.
    pub fn place(
        &self,
        group: &str,
        deployments: usize,
        prompt: Beginning,
        is_new: bool,
        store: &dyn Store,
    ) -> Place {
        let key = prompt.cache_key.unwrap_or(prompt.conversation);
        let without_line = Place { key, point: None };
        let Some(system) = prompt.cache_key.or(prompt.system) else {
            return without_line;
        };
        let mut groups = self.groups.borrow_mut();
        let name = hash(group.as_bytes());
        let place = groups.binary_search_by_key(&name, |(name, _)| *name).unwrap_or_else(|place| {
            groups.insert(place, (name, GroupCounts::read(group, store)));
            place
        });
        let Some((_, counts)) = groups.get_mut(place) else { return without_line };
        counts.deployments = deployments;
        let counter = system as usize % COUNTERS;
        if is_new && let Some(count) = counts.new.get_mut(counter) {
            *count = count.saturating_add(1);
        }
        if counts.ends.is_empty() {
            return without_line;
        }
        match counts.part(counter) {
            Some((start, end)) if end - start > EVERYWHERE && key == prompt.conversation => without_line,
            Some((start, end)) => {
                let point = start + (end - start) * fraction(mix(prompt.conversation));
                Place { key, point: Some(point) }
            }
            // So rare or so new that one deployment can serve it.
            None => Place { key: system, point: None },
        }
    }

    /// Adds this worker's counts to those of all, and reads these; to be called every second.
    pub fn beat(&self, store: &dyn Store) {
        self.groups.borrow_mut().iter_mut().for_each(|(_, counts)| counts.share(store));
    }
}

/// The requests to one group, by counter.
#[derive(Debug)]
struct GroupCounts {
    /// In the store.
    key: String,
    deployments: usize,
    /// Those of this worker that the store does not have.
    new: Vec<u16>,
    /// Where the part of each counter ends on the line, by this worker's copy. Empty without one.
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

    /// Where a counter's part of the line begins and ends; `None` if it has none.
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
        self.ends.extend(ends(&record.line));
    }
}

/// What the store has of a group: the requests of all workers, by counter.
struct Record {
    /// The recent ones.
    counts: Vec<u16>,
    /// Those by which the line was drawn.
    line: Vec<u16>,
}

impl Record {
    /// Zeros for what is no record.
    fn decode(bytes: &[u8]) -> Self {
        let (numbers, _) = bytes.as_chunks::<2>();
        let (counts, line) = numbers.split_at(numbers.len().min(COUNTERS));
        let numbers = |of: &[[u8; 2]]| match of.len() {
            COUNTERS => of.iter().map(|number| u16::from_le_bytes(*number)).collect(),
            _ => vec![0; COUNTERS],
        };
        Self { counts: numbers(counts), line: numbers(line) }
    }

    fn encode(&self) -> Vec<u8> {
        self.counts.iter().chain(&self.line).flat_map(|number| number.to_le_bytes()).collect()
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
            counts.iter_mut().for_each(|count| *count /= 2);
        }
        self.counts = counts.into_iter().map(|count| u16::try_from(count).unwrap_or(u16::MAX)).collect();
        let tolerance = TOLERANCE / deployments as f64;
        let is_far = |(now, line): (f64, f64)| (now - line).abs() > tolerance;
        let is_off = ends(&self.counts).zip(ends(&self.line)).any(is_far);
        if is_off {
            self.line.clone_from(&self.counts);
        }
    }
}

/// Where the part of each counter ends on a line of length 1; nowhere without any counts.
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
            popularity.place("m", 4, prompt(system, n), true, &Memory::default());
        }
    }

    /// The place of a request that does not count.
    fn place(popularity: &Popularity, prompt: Beginning) -> Place {
        popularity.place("m", 4, prompt, false, &Memory::default())
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
    fn a_system_prompt_has_as_much_of_the_line_as_it_has_of_the_requests() {
        let (popularity, store) = (popularity(), Memory::default());
        count(&popularity, 1, 100);
        count(&popularity, 2, 250);
        count(&popularity, 3, 150);
        popularity.beat(&store);
        assert_part(&popularity, 1, (0.0, 0.2));
        assert_part(&popularity, 2, (0.2, 0.7));
        assert_part(&popularity, 3, (0.7, 1.0));
        let first = place(&popularity, prompt(2, 7));
        let again = popularity.place("m", 4, prompt(2, 7), true, &store);
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
        new.place("m", 4, prompt(3, 0), false, &store);
        for worker in [&one, &other, &new] {
            assert_part(worker, 1, (0.0, 0.75));
            assert_part(worker, 2, (0.75, 1.0));
        }
    }

    #[test]
    fn a_request_that_is_selected_for_again_counts_once() {
        let (popularity, store) = (popularity(), Memory::default());
        count(&popularity, 1, 100);
        part(&popularity, 2);
        count(&popularity, 3, 100);
        popularity.beat(&store);
        assert_part(&popularity, 1, (0.0, 0.5));
    }

    #[test]
    fn groups_have_lines_of_their_own() {
        let (popularity, store) = (popularity(), Memory::default());
        count(&popularity, 1, 100);
        count(&popularity, 2, 100);
        for n in 0..1000 {
            popularity.place("other", 4, prompt(1, n), true, &store);
        }
        popularity.beat(&store);
        assert_part(&popularity, 1, (0.0, 0.5));
    }

    #[test]
    fn without_a_line_and_where_it_has_nearly_all_of_it_a_conversation_has_an_order_to_itself() {
        let (popularity, store) = (popularity(), Memory::default());
        let own = Place { key: mix(1), point: None };
        assert_eq!(popularity.place("m", 4, prompt(1, 1), true, &store), own, "no line");
        count(&popularity, 1, 94);
        count(&popularity, 2, 5);
        popularity.beat(&store);
        assert_eq!(place(&popularity, prompt(1, 1)), own, "95 %");
        let unknown = Beginning { system: None, ..prompt(1, 1) };
        assert_eq!(place(&popularity, unknown), own, "not told apart");
    }

    #[test]
    fn a_system_prompt_that_is_not_on_the_line_has_one_order_for_all_conversations() {
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
        let first = popularity.place("m", 4, named(1), true, &store);
        assert_eq!(first, Place { key: 5, point: None }, "no line");
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
