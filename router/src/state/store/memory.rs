//! A store for tests and simulations.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Store, Version};

/// A store in the memory of this process, which threads may share.
#[derive(Debug, Default)]
pub struct Memory {
    values: Mutex<HashMap<String, (Vec<u8>, Version)>>,
}

impl Store for Memory {
    fn get(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<Version>) -> bool {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let now = values.get(key).map(|(_, version)| *version);
        if version != now {
            return false;
        }
        let next = now.unwrap_or_default().wrapping_add(1);
        values.insert(key.to_owned(), (value.to_vec(), next));
        true
    }
}
