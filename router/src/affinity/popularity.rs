//! Which part of a group's deployments serves the requests with one system prompt.
//!
//! The interval from 0 to 1 is divided among the deployments by their weights, and among the system
//! prompts, in the order of their hashes, by their parts of the recent requests. A conversation has
//! a point within the part of its system prompt. So every deployment has its share of the load, and
//! few system prompts in its cache: with hashes alone it would have all of them.
//! docs/decisions/affinity.md has the figures.

use std::cell::{RefCell, RefMut};

use crate::affinity::partition::Partition;
use crate::hash::{hash, mix};
use crate::random::fraction;
use crate::state::store::Store;

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
pub(crate) struct PromptPlace {
    /// What ranks the deployments.
    pub key: u64,
    /// The point from 0 to below 1 whose deployment comes before all others.
    pub point: Option<f64>,
}

/// How many recent requests each system prompt has, by group. Only of groups that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Popularity {
    /// With the hashes of the groups' names, in their order.
    groups: RefCell<Vec<(u64, Partition)>>,
}

impl Beginning {
    /// What is counted: the client's own name, or else the system prompt.
    fn popular(&self) -> Option<u64> {
        self.cache_key.or(self.system)
    }
}

impl PromptPlace {
    /// That of a request whose conversation has an order of the deployments to itself.
    pub fn by_hash(prompt: &Beginning) -> Self {
        Self { key: prompt.cache_key.unwrap_or(prompt.conversation), point: None }
    }
}

impl Popularity {
    /// Counts a request, which is to happen once for each. `deployments` is how many the group has.
    pub fn count(&self, group: &str, deployments: usize, prompt: &Beginning, store: &dyn Store) {
        let Some(popular) = prompt.popular() else { return };
        if let Some(mut partition) = self.partition(group, store) {
            partition.count(popular, deployments);
        }
    }

    /// The place of a request.
    pub fn place(&self, group: &str, prompt: &Beginning, store: &dyn Store) -> PromptPlace {
        let by_hash = PromptPlace::by_hash(prompt);
        let Some(popular) = prompt.popular() else { return by_hash };
        let Some(partition) = self.partition(group, store).filter(|own| !own.is_empty()) else {
            return by_hash;
        };
        match partition.part(popular) {
            Some((start, end)) if end - start > EVERYWHERE && prompt.cache_key.is_none() => by_hash,
            Some((start, end)) => {
                let point = start + (end - start) * fraction(mix(prompt.conversation));
                PromptPlace { point: Some(point), ..by_hash }
            }
            // So rare or so new that one deployment can serve it.
            None => PromptPlace { key: popular, point: None },
        }
    }

    fn partition(&self, group: &str, store: &dyn Store) -> Option<RefMut<'_, Partition>> {
        let mut groups = self.groups.borrow_mut();
        let name = hash(group.as_bytes());
        let index = groups.binary_search_by_key(&name, |(name, _)| *name).unwrap_or_else(|index| {
            groups.insert(index, (name, Partition::read(group, store)));
            index
        });
        RefMut::filter_map(groups, |groups| groups.get_mut(index).map(|(_, partition)| partition)).ok()
    }

    /// Adds this worker's counts to those of all, and reads these; to be called every second.
    pub fn beat(&self, store: &dyn Store) {
        self.groups.borrow_mut().iter_mut().for_each(|(_, partition)| partition.share(store));
    }
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
            popularity.count("m", 4, &prompt(system, n), &Memory::default());
        }
    }

    fn place(popularity: &Popularity, prompt: Beginning) -> PromptPlace {
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
    fn a_request_that_is_selected_for_again_counts_once() {
        let (popularity, store) = (popularity(), Memory::default());
        count(&popularity, 1, 100);
        part(&popularity, 2);
        count(&popularity, 3, 100);
        popularity.beat(&store);
        assert_part(&popularity, 1, (0.0, 0.5));
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
        let own = PromptPlace { key: mix(1), point: None };
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
            assert_eq!(place(&popularity, prompt(3, conversation)), PromptPlace { key: 3, point: None });
        }
    }

    #[test]
    fn a_cache_key_stands_for_the_system_prompt_and_has_a_part_even_where_it_is_alone() {
        let (popularity, store) = (popularity(), Memory::default());
        let named = |conversation| Beginning { cache_key: Some(5), ..prompt(1, conversation) };
        popularity.count("m", 4, &named(1), &store);
        assert_eq!(
            popularity.place("m", &named(1), &store),
            PromptPlace { key: 5, point: None },
            "no partition"
        );
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
