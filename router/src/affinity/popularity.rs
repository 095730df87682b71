//! Over how many deployments the requests with one system prompt spread.
//!
//! A system prompt that few requests have is best kept at one deployment. One that many have needs
//! several, and then each conversation is best kept at one of them. So a system prompt gets one
//! place for each quarter of a deployment's share that its requests take, by what this worker has
//! seen of late, and a conversation always takes the same of these places. Without requests so
//! far, conversations spread over all deployments.

use std::cell::Cell;

use llm_balancer_config::Config;

use crate::hash::mix;

/// Places for a deployment's share of the requests. With fewer, the places of a few system prompts
/// that fall on one deployment exceed its share of the load.
const PLACES: f64 = 4.0;
/// Counters, which a few system prompts may share: those get a place too many.
const COUNTERS: usize = 1024;
/// Requests after which all counts are halved.
const WINDOW: u32 = 8192;

/// Counts of this worker's recent requests, by system prompt and by group. Empty where nothing
/// depends on them.
#[derive(Debug, Default)]
pub(crate) struct Popularity {
    counts: Vec<Cell<u16>>,
    requests: Cell<u32>,
}

impl Popularity {
    /// Without any requests.
    pub fn new(config: &Config) -> Self {
        let is_needed = config.deployments.iter().any(|deployment| deployment.affinity.is_bounded());
        Self { counts: vec![Cell::default(); if is_needed { COUNTERS } else { 0 }], ..Self::default() }
    }

    /// Counts a request with a system prompt to a group of so many deployments. Returns the key
    /// that its conversation has.
    pub fn key(&self, group: u64, system: u64, conversation: u64, deployments: usize) -> u64 {
        self.requests.set(self.requests.get().saturating_add(1));
        if self.requests.get() > WINDOW {
            self.requests.set(WINDOW / 2);
            self.counts.iter().for_each(|count| count.set(count.get() / 2));
        }
        let share = self.count(mix(group ^ system)) / self.count(group).max(1.0);
        let places = (PLACES * share * deployments as f64).ceil();
        if places >= deployments as f64 { conversation } else { system ^ place(conversation, places as u64) }
    }

    fn count(&self, key: u64) -> f64 {
        let Some(count) = self.counts.get((key % COUNTERS as u64) as usize) else { return 0.0 };
        count.set(count.get().saturating_add(1));
        f64::from(count.get())
    }
}

/// The place of a conversation: the one with the highest hash, so that one place more takes only
/// its own conversations from the others.
fn place(conversation: u64, places: u64) -> u64 {
    let places = (0..places.max(1)).map(|place| mix(conversation ^ mix(place)));
    let mut highest = (0, 0);
    for (place, hash) in (1..).zip(places) {
        if hash >= highest.1 {
            highest = (place, hash);
        }
    }
    mix(highest.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::strategy::tests::group;

    fn popularity() -> Popularity {
        Popularity::new(&group(&[", llm_balancer: {affinity: prefix}"]))
    }

    /// The keys of so many conversations with one system prompt, of which one request in `every`
    /// has it.
    fn keys(every: u64, conversations: u64) -> BTreeSet<u64> {
        let popularity = popularity();
        let request = |n: u64| {
            let system = if n.is_multiple_of(every) { 7 } else { mix(n) };
            (system, popularity.key(1, system, mix(n + 1_000_000), 8))
        };
        (0..20_000).for_each(|n| drop(request(n)));
        let own = (0..every * conversations).map(request).filter(|(system, _)| *system == 7);
        own.map(|(_, key)| key).collect()
    }

    #[test]
    fn the_more_requests_have_a_system_prompt_the_more_places_it_has() {
        assert_eq!(keys(200, 50).len(), 1);
        let few = keys(16, 50).len();
        assert!((2..=3).contains(&few), "a half of a share: {few}");
        assert_eq!(keys(2, 500).len(), 500, "each conversation for itself");
    }

    #[test]
    fn one_place_more_takes_only_its_own_conversations() {
        let mut moved = 0;
        for n in 0..1000 {
            let (before, after) = (place(mix(n), 4), place(mix(n), 5));
            assert!(before == after || after == mix(5), "{n}");
            moved += usize::from(before != after);
        }
        // A fifth; four standard deviations are 51.
        assert!((149..251).contains(&moved), "{moved}");
    }
}
