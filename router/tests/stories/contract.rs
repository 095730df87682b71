//! The contract of a store, for the one in memory, and for faulty ones, whose faults it must find.

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
    fault: StoreFault,
    values: RefCell<HashMap<String, (Vec<u8>, Version)>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum StoreFault {
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
            StoreFault::CreatesAnyway => version.is_none() || version == now,
            StoreFault::IgnoresVersions => version.is_some() || now.is_none(),
            _ => version == now,
        };
        let next = now.map_or(1, |now| if self.fault == StoreFault::KeepsTheVersion { now } else { now + 1 });
        let end = match self.fault {
            StoreFault::CutsAtZero => value.iter().position(|byte| *byte == 0),
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
        if self.fault == StoreFault::SharesLongKeys { &key[..key.len().min(8)] } else { key }
    }
}

#[story(unsupported = test)]
fn the_contract_finds_the_fault_of_a_store() {
    for (fault, finding) in [
        (StoreFault::CreatesAnyway, "was created a second time"),
        (StoreFault::IgnoresVersions, "a write over a version that was replaced succeeded"),
        (StoreFault::KeepsTheVersion, "a write over a version that was replaced succeeded"),
        (StoreFault::CutsAtZero, "was written, and"),
        (StoreFault::SharesLongKeys, "a first write failed"),
    ] {
        let found = contract::check(&Faulty { fault, ..Faulty::default() }, "contract").unwrap_err();
        assert!(found.contains(finding), "{fault:?}: {found}");
    }
}
