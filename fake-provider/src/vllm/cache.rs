//! The cache of a vLLM worker: blocks of 16 tokens, known by the hash of all tokens up to their
//! end, least recently used out.
//!
//! As vLLM's automatic prefix caching (docs.vllm.ai, design/prefix_caching): only full blocks are
//! kept; a prompt takes the blocks of its longest known prefix; blocks of running requests are never
//! evicted; of the free ones those that were released first go first, and of one request its last
//! block before its first.

use std::collections::{BTreeMap, HashMap};

use super::Micros;

/// Tokens in a block: vLLM's default.
pub const BLOCK_TOKENS: usize = 16;

/// The hash of all tokens up to the end of a block.
pub type BlockHash = u64;

/// When a block was or will be released, and its place among those released at that time.
type Age = (Micros, u64);

/// The blocks that a worker keeps.
#[derive(Clone, Debug)]
pub struct PrefixCache {
    capacity: usize,
    ages: HashMap<BlockHash, Age>,
    by_age: BTreeMap<Age, BlockHash>,
    uses: u64,
}

impl PrefixCache {
    /// An empty cache of so many blocks.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, ages: HashMap::new(), by_age: BTreeMap::new(), uses: 0 }
    }

    /// The number of blocks at the start of a prompt that the cache has.
    pub fn known(&self, blocks: &[BlockHash]) -> usize {
        blocks.iter().take_while(|block| self.ages.contains_key(block)).count()
    }

    /// Keeps these blocks until `released`, and after that until others need their room. More blocks
    /// than the capacity are not refused; vLLM would let such a request wait.
    pub fn hold(&mut self, blocks: &[BlockHash], released: Micros) {
        for block in blocks.iter().rev() {
            self.uses += 1;
            let age = (released, self.uses);
            match self.ages.get(block).copied() {
                Some(later) if later >= age => continue,
                Some(earlier) => self.by_age.remove(&earlier),
                None => None,
            };
            self.ages.insert(*block, age);
            self.by_age.insert(age, *block);
        }
        while self.ages.len() > self.capacity {
            let Some((_, oldest)) = self.by_age.pop_first() else { break };
            self.ages.remove(&oldest);
        }
    }

    /// The number of blocks in the cache.
    pub fn len(&self) -> usize {
        self.ages.len()
    }

    /// Whether the cache has no blocks.
    pub fn is_empty(&self) -> bool {
        self.ages.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::PrefixCache;

    #[test]
    fn a_prompt_takes_the_blocks_of_its_longest_known_prefix() {
        let mut cache = PrefixCache::new(10);
        cache.hold(&[1, 2, 3], 0);
        assert_eq!(cache.known(&[1, 2, 3, 4]), 3);
        assert_eq!(cache.known(&[1, 2]), 2);
        assert_eq!(cache.known(&[2, 3]), 2, "a hash stands for all that comes before it");
        assert_eq!(cache.known(&[9, 2, 3]), 0, "what follows an unknown block is of no use");
    }

    #[test]
    fn what_was_released_first_is_evicted_first_and_the_end_of_a_prompt_before_its_start() {
        let mut cache = PrefixCache::new(5);
        cache.hold(&[1, 2, 3], 100);
        cache.hold(&[4, 5], 200);
        cache.hold(&[6], 300);
        assert_eq!(cache.known(&[1, 2, 3]), 2);
        cache.hold(&[7, 8], 400);
        assert_eq!((cache.known(&[1, 2, 3]), cache.known(&[4, 5]), cache.len()), (0, 2, 5));
    }

    #[test]
    fn a_prompt_that_is_used_again_stays() {
        let mut cache = PrefixCache::new(4);
        cache.hold(&[1, 2], 100);
        cache.hold(&[3, 4], 200);
        cache.hold(&[1, 2], 300);
        cache.hold(&[5, 6], 400);
        assert_eq!((cache.known(&[1, 2]), cache.known(&[3, 4])), (2, 0));
    }

    #[test]
    fn a_running_request_keeps_its_blocks_while_shorter_ones_come_and_go() {
        let mut cache = PrefixCache::new(4);
        cache.hold(&[1, 2], 1_000);
        for other in 0..20 {
            cache.hold(&[100 + other], 10 + other);
        }
        assert_eq!(cache.known(&[1, 2]), 2);
        cache.hold(&[1], 500);
        for other in 0..20 {
            cache.hold(&[200 + other], 600 + other);
        }
        assert_eq!(cache.known(&[1, 2]), 2, "an earlier end does not shorten a later one");
    }

    #[test]
    fn a_cache_without_room_keeps_nothing() {
        let mut cache = PrefixCache::new(0);
        cache.hold(&[1, 2], 100);
        assert!(cache.is_empty());
    }
}
