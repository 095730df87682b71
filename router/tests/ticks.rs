//! Stories of what a worker does every 20 ms with the leases that it holds.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a story that cannot go on, or overflows, has failed"
)]

mod common;

use std::cell::Cell;
use std::time::Duration;

use common::{NOON, group};
use llm_balancer_config::read;
use llm_balancer_router::Router;
use llm_balancer_router::SplitMix;
use llm_balancer_router::testing::Lease;
use llm_balancer_router::testing::Memory;
use llm_balancer_router::testing::Record;
use llm_balancer_router::testing::Window;
use llm_balancer_router::testing::encode;
use llm_balancer_router::testing::{Minute, UnixMillis};
use llm_balancer_router::{Moment, Store, Version};

#[derive(Default)]
struct Counting {
    memory: Memory,
    calls: Cell<usize>,
}

impl Store for Counting {
    fn get(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.calls.set(self.calls.get() + 1);
        self.memory.get(key)
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<Version>) -> bool {
        self.calls.set(self.calls.get() + 1);
        self.memory.swap(key, value, version)
    }
}

const LEASED: usize = 100;

/// A worker that holds leases of ten requests on a hundred deployments, with `used` requests
/// admitted at each, the last at `last`.
fn leased(used: u32, last: Duration, store: &Counting) -> (Router, Vec<usize>) {
    let ids: Vec<String> = (0..LEASED).map(|nth| format!("d{nth}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let yaml = group(&ids, ", rpm: 100") + "router_settings: {redis_host: redis.test}\n";
    for id in ids {
        write(id, used, last, store);
    }
    let router = Router::new(read("config.yaml", &yaml, &|_| None).config.expect("a configuration"), 1);
    router.open(store);
    (router, (0..LEASED).collect())
}

fn write(id: &str, used: u32, last: Duration, store: &Counting) {
    let (minute, at) = (Minute::of(NOON), UnixMillis::of(last));
    let lease = Lease {
        minute,
        requests: 10,
        remaining_requests: 50,
        answered_at: at,
        last_admitted_at: at,
        request_gap: 1.0,
        ..Lease::default()
    };
    let window = Window { minute, requests: used, tokens: 0 };
    let key = format!("d/{id}");
    let version = store.memory.get(&key).map(|(_, version)| version);
    assert!(store.memory.swap(&key, &encode(&Record { window, lease, ..Record::default() }), version));
}

/// Calls of the store in a tick, and whether it returns something.
fn tick(router: &Router, held: &mut Vec<usize>, now: Duration, store: &Counting) -> (usize, bool) {
    let before = store.calls.get();
    let mut moment = Moment { now, random: &mut SplitMix::new(1), store };
    let call = router.fleet().unwrap().release_unused(held, &mut moment);
    (store.calls.get() - before, call.is_some())
}

fn after(ms: u64) -> Duration {
    NOON + Duration::from_millis(ms)
}

#[test]
fn a_tick_reads_nothing_while_requests_keep_coming() {
    let store = Counting::default();
    let (router, mut held) = leased(3, after(1000), &store);
    assert_eq!(tick(&router, &mut held, after(1010), &store), (0, false));
    assert_eq!(held.len(), LEASED);
}

#[test]
fn a_lease_that_another_worker_uses_is_read_and_kept() {
    let store = Counting::default();
    let (router, mut held) = leased(3, after(1000), &store);
    (0..LEASED).for_each(|nth| write(&format!("d{nth}"), 5, after(1030), &store));
    let (calls, returns) = tick(&router, &mut held, after(1040), &store);
    assert!(calls <= LEASED + 1 && !returns, "{calls} calls");
    assert_eq!(tick(&router, &mut held, after(1049), &store), (0, false), "the copy says that it is in use");
    assert_eq!(held.len(), LEASED);
}

#[test]
fn an_idle_lease_is_returned_with_the_next_tick_and_then_read_seldom() {
    let store = Counting::default();
    let (router, mut held) = leased(3, after(1000), &store);
    let (_, returns) = tick(&router, &mut held, after(1020), &store);
    assert!(returns && held.len() == LEASED);
    let calls: usize = (2..52).map(|nth| tick(&router, &mut held, after(1000 + 20 * nth), &store).0).sum();
    assert!(calls <= 10 * (LEASED + 1), "{calls} calls in a second");
    // Until long after its last use.
    (0..200).for_each(|nth| {
        tick(&router, &mut held, after(2000 + 20 * nth), &store);
    });
    assert!(held.is_empty());
}

#[test]
fn what_becomes_unused_later_is_returned_within_a_tenth_of_a_second() {
    let store = Counting::default();
    let (router, mut held) = leased(10, after(1000), &store);
    for nth in 1..10 {
        assert!(!tick(&router, &mut held, after(1000 + 20 * nth), &store).1);
    }
    // Another worker finds that one of the ten was not used.
    write("d7", 9, after(1000), &store);
    let returned = (10..16).position(|nth| tick(&router, &mut held, after(1000 + 20 * nth), &store).1);
    assert!(returned.is_some_and(|ticks| ticks <= 5), "{returned:?}");
}
