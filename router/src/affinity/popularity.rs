//! Over how many deployments the requests with one system prompt spread.
//!
//! A turn of a conversation repeats all of the conversation, so each conversation has an order of
//! deployments to itself. A single request repeats nothing but its system prompt, which is best
//! kept at as few deployments as its requests need. So a system prompt with single requests gets
//! one place for each quarter of a deployment's share that its requests take, and a request always
//! takes the same of these places.
//!
//! Each worker judges both by its own recent requests. docs/decisions/affinity.md has the figures.

use std::cell::Cell;

use llm_balancer_config::Config;

use crate::hash::mix;

/// Places for a deployment's share of the requests. With fewer, the places of a few system prompts
/// that fall on one deployment exceed its share of the load.
const PLACES: f64 = 4.0;
/// A system prompt has conversations if more than this part of its requests continue one. Of six
/// turns that are spread over sixteen workers, one in seven finds an earlier one at its worker.
const CONTINUED: f64 = 0.1;
/// The weight of what the group's requests say beside those of the system prompt, in requests.
const EVIDENCE: f64 = 8.0;
/// The weight of the assumption that a new group has conversations, in requests.
const DOUBT: f64 = 32.0;
/// Counters. System prompts may share one: those get a place too many.
const COUNTERS: u64 = 1024;
/// The last conversations that a worker recognizes.
const CONVERSATIONS: u64 = 4096;
/// Requests after which all counts are halved.
const WINDOW: u32 = 8192;

/// What a prompt begins with, as hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// The tools and the system prompt; `None` where a prompt does not tell them apart.
    pub system: Option<u64>,
    /// The same and the first message of the user.
    pub conversation: u64,
}

/// A worker's recent requests, by system prompt and by group. Empty where nothing depends on them.
#[derive(Debug, Default)]
pub(crate) struct Popularity {
    counts: Vec<Cell<Count>>,
    /// Of each conversation a part of its hash, at the place of another part.
    conversations: Vec<Cell<u16>>,
    requests: Cell<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    requests: u16,
    /// Those of them that continue a conversation.
    continued: u16,
}

impl Count {
    /// The part that continues a conversation, where `usual` is expected of so many requests.
    fn continued(self, usual: f64, expected: f64) -> f64 {
        (f64::from(self.continued) + usual * expected) / (f64::from(self.requests) + expected)
    }
}

impl Popularity {
    /// Without any requests.
    pub fn new(config: &Config) -> Self {
        if !config.deployments.iter().any(|deployment| deployment.affinity.is_bounded()) {
            return Self::default();
        }
        Self {
            counts: (0..COUNTERS).map(|_| Cell::default()).collect(),
            conversations: (0..CONVERSATIONS).map(|_| Cell::default()).collect(),
            requests: Cell::default(),
        }
    }

    /// The key of a request to a group of so many deployments, by which its order of deployments
    /// follows. `group` is a hash of the group's name; `is_new` says whether the request counts,
    /// which each does once.
    pub fn key(&self, group: u64, prompt: Beginning, deployments: usize, is_new: bool) -> u64 {
        let Beginning { system: Some(system), conversation } = prompt else { return prompt.conversation };
        let (own, all) = (mix(group ^ system), group);
        if is_new {
            self.age();
            let is_continued = self.is_known(mix(group ^ conversation));
            self.count(own, is_continued);
            self.count(all, is_continued);
        }
        let (own, all) = (self.counted(own), self.counted(all));
        if own.continued(all.continued(1.0, DOUBT), EVIDENCE) > CONTINUED {
            return conversation;
        }
        let deployments = deployments as f64;
        let share = f64::from(own.requests) / f64::from(all.requests).max(1.0);
        let places = (PLACES * share * deployments).ceil();
        if places >= deployments { conversation } else { system ^ place(conversation, places as u64) }
    }

    fn age(&self) {
        self.requests.set(self.requests.get().saturating_add(1));
        if self.requests.get() <= WINDOW {
            return;
        }
        self.requests.set(WINDOW / 2);
        for count in &self.counts {
            let Count { requests, continued } = count.get();
            count.set(Count { requests: requests / 2, continued: continued / 2 });
        }
    }

    /// Whether a conversation is among the last ones; it is now.
    fn is_known(&self, conversation: u64) -> bool {
        let Some(known) = self.conversations.get((conversation % CONVERSATIONS) as usize) else {
            return true;
        };
        let name = (conversation >> 48) as u16;
        known.replace(name) == name
    }

    fn count(&self, key: u64, is_continued: bool) {
        let Some(count) = self.counts.get((key % COUNTERS) as usize) else { return };
        let Count { requests, continued } = count.get();
        let continued = continued.saturating_add(is_continued.into());
        count.set(Count { requests: requests.saturating_add(1), continued });
    }

    fn counted(&self, key: u64) -> Count {
        self.counts.get((key % COUNTERS) as usize).map(Cell::get).unwrap_or_default()
    }
}

/// The place of a conversation: the one with the highest hash, so that one place more takes only
/// its own conversations from the others.
fn place(conversation: u64, places: u64) -> u64 {
    let mut highest = (0, 0);
    for place in 1..=places.max(1) {
        let hash = mix(conversation ^ mix(place));
        if hash >= highest.1 {
            highest = (place, hash);
        }
    }
    mix(highest.0)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::strategy::tests::group;

    const GROUP: u64 = 1;
    const DEPLOYMENTS: usize = 8;
    /// The system prompt whose keys are looked at.
    const OWN: u64 = 7;

    fn popularity() -> Popularity {
        Popularity::new(&group(&[", llm_balancer: {affinity: prefix}"]))
    }

    fn key(popularity: &Popularity, system: u64, conversation: u64) -> u64 {
        let prompt = Beginning { system: Some(system), conversation: mix(conversation) };
        popularity.key(GROUP, prompt, DEPLOYMENTS, true)
    }

    /// The keys of so many requests with one system prompt, of which one request in `every` has
    /// it, while each conversation has so many turns.
    fn keys(every: u64, turns: u64, count: u64) -> BTreeSet<u64> {
        let popularity = popularity();
        let request = |n: u64| {
            let system = if n.is_multiple_of(every) { OWN } else { mix(n / turns) };
            (system, key(&popularity, system, n / every / turns + mix(system)))
        };
        for n in 0..20_000 {
            request(n);
        }
        let own = (0..every * count).map(|n| request(n + 1_000_000 * every));
        own.filter(|(system, _)| *system == OWN).map(|(_, key)| key).collect()
    }

    #[test]
    fn the_more_single_requests_have_a_system_prompt_the_more_places_it_has() {
        assert_eq!(keys(200, 1, 50).len(), 1);
        let few = keys(16, 1, 50).len();
        assert!((2..=3).contains(&few), "a half of a share: {few}");
        assert_eq!(keys(2, 1, 500).len(), 500, "each request for itself");
    }

    #[test]
    fn conversations_have_an_order_to_themselves_however_rare_their_system_prompt_is() {
        assert_eq!(keys(200, 4, 200).len(), 50);
        // Before anything is known of a group.
        let new = popularity();
        let keys: BTreeSet<_> = (0..10).map(|n| key(&new, OWN, n)).collect();
        assert_eq!(keys.len(), 10);
    }

    #[test]
    fn a_request_that_is_selected_for_again_keeps_its_key_and_counts_once() {
        let popularity = popularity();
        for n in 0..2000 {
            let (system, conversation) = (n % 100, mix(n));
            let prompt = Beginning { system: Some(system), conversation };
            let first = popularity.key(GROUP, prompt, DEPLOYMENTS, true);
            assert_eq!(popularity.key(GROUP, prompt, DEPLOYMENTS, false), first);
        }
        assert_eq!(key(&popularity, OWN, 1), key(&popularity, OWN, 2), "single requests");
    }

    #[test]
    fn a_prompt_without_a_system_prompt_of_its_own_has_its_own_order() {
        let popularity = popularity();
        let prompt = |conversation| Beginning { system: None, conversation };
        let keys = (0..2000).map(|n| popularity.key(GROUP, prompt(n), DEPLOYMENTS, true));
        assert!(keys.eq(0..2000));
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
