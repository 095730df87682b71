//! The contract of a store, run for the one in memory, and the proof that it notices a store which breaks it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a story that cannot go on has failed"
)]

use std::cell::RefCell;
use std::collections::HashMap;

use llm_balancer_router::testing::{Memory, contract};
use llm_balancer_router::{Store, Version};
use wasm_bindgen_test::wasm_bindgen_test as story;

#[story(unsupported = test)]
fn memory_keeps_the_contract() {
    assert_eq!(contract::check(&Memory::default(), "contract"), Ok(()));
}

#[cfg(not(target_family = "wasm"))]
#[test]
fn nothing_is_lost_between_threads() {
    const WORKERS: u32 = 8;
    const TIMES: u32 = 5_000;
    let store = Memory::default();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| contract::add(&store, "sum", TIMES).unwrap());
        }
    });
    assert_eq!(contract::number(&store, "sum"), Ok(WORKERS * TIMES));
}

/// A store with one fault.
#[derive(Default)]
struct Faulty {
    fault: AttemptError,
    values: RefCell<HashMap<String, (Vec<u8>, Version)>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum AttemptError {
    #[default]
    CreatesAnyway,
    IgnoresVersions,
    KeepsTheVersion,
    CutsAtZero,
    SharesLongKeys,
}

impl Store for Faulty {
    fn get(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.values.borrow().get(self.key(key)).cloned()
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<Version>) -> bool {
        let mut values = self.values.borrow_mut();
        let now = values.get(self.key(key)).map(|(_, version)| *version);
        let may_write = match self.fault {
            AttemptError::CreatesAnyway => version.is_none() || version == now,
            AttemptError::IgnoresVersions => version.is_some() || now.is_none(),
            _ => version == now,
        };
        let next =
            now.map_or(1, |now| if self.fault == AttemptError::KeepsTheVersion { now } else { now + 1 });
        let end = match self.fault {
            AttemptError::CutsAtZero => value.iter().position(|byte| *byte == 0),
            _ => None,
        };
        if may_write {
            values.insert(self.key(key).to_owned(), (value[..end.unwrap_or(value.len())].to_vec(), next));
        }
        may_write
    }
}

impl Faulty {
    fn key<'k>(&self, key: &'k str) -> &'k str {
        if self.fault == AttemptError::SharesLongKeys { &key[..key.len().min(8)] } else { key }
    }
}

#[story(unsupported = test)]
fn a_store_that_breaks_the_contract_is_found_out() {
    for (fault, finding) in [
        (AttemptError::CreatesAnyway, "was created a second time"),
        (AttemptError::IgnoresVersions, "a write over a version that was replaced succeeded"),
        (AttemptError::KeepsTheVersion, "a write over a version that was replaced succeeded"),
        (AttemptError::CutsAtZero, "was written, and"),
        (AttemptError::SharesLongKeys, "a first write failed"),
    ] {
        let found = contract::check(&Faulty { fault, ..Faulty::default() }, "contract").unwrap_err();
        assert!(found.contains(finding), "{fault:?}: {found}");
    }
}
