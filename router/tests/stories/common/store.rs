//! A store that counts its calls.

use std::cell::Cell;

use llm_balancer_router::testing::Memory;
use llm_balancer_router::{Store, Version};

/// [`Memory`] with counters.
#[derive(Default)]
pub struct CountingStore {
    memory: Memory,
    gets: Cell<usize>,
    swaps: Cell<usize>,
}

impl Store for CountingStore {
    fn get(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.gets.set(self.gets.get() + 1);
        self.memory.get(key)
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<Version>) -> bool {
        self.swaps.set(self.swaps.get() + 1);
        self.memory.swap(key, value, version)
    }
}

impl CountingStore {
    /// The calls of `get` and `swap` so far.
    pub fn calls(&self) -> (usize, usize) {
        (self.gets.get(), self.swaps.get())
    }
}
