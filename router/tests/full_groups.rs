//! Stories of groups that are full: what refusing costs, and that no request is refused where there
//! is room.

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

use common::{CHAT, NOON, group};
use llm_balancer_config::read;
use llm_balancer_router::Attempt;
use llm_balancer_router::Usage;
use llm_balancer_router::testing::Memory;
use llm_balancer_router::{Arrival, ResponseSummary, Router, Step, StreamEnd};
use llm_balancer_router::{Moment, Store, Version};
use llm_balancer_router::{Random, SplitMix};

/// A store that counts calls.
#[derive(Default)]
struct Counting {
    memory: Memory,
    gets: Cell<usize>,
    swaps: Cell<usize>,
}

impl Store for Counting {
    fn get(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.gets.set(self.gets.get() + 1);
        self.memory.get(key)
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<Version>) -> bool {
        self.swaps.set(self.swaps.get() + 1);
        self.memory.swap(key, value, version)
    }
}

impl Counting {
    /// Gets and swaps of what is done.
    fn calls<T>(&self, act: impl FnOnce() -> T) -> (usize, usize, T) {
        let before = (self.gets.get(), self.swaps.get());
        let result = act();
        (self.gets.get() - before.0, self.swaps.get() - before.1, result)
    }
}

fn yaml(size: usize, params: &str, strategy: &str) -> String {
    let ids: Vec<String> = (0..size).map(|nth| format!("d{nth}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    group(&ids, params) + &format!("router_settings: {{num_retries: 0, routing_strategy: {strategy}}}\n")
}

fn worker(yaml: &str, vm: u32, store: &dyn Store) -> Router {
    let router = Router::new(read("config.yaml", yaml, &|_| None).config.expect("a configuration"), vm);
    router.open(store);
    router
}

/// A request for so many tokens; the attempt, or the status of the refusal.
fn ask(router: &Router, model: &str, tokens: u64, at: Duration, store: &dyn Store) -> Result<Attempt, u16> {
    let headers = [(":method", "POST"), (":path", CHAT)].into_iter().collect();
    let Arrival::Hold(request) = router.on_request_headers(&headers, false) else { panic!("not held") };
    let body = format!(r#"{{"model":"{model}","messages":[],"max_tokens":{tokens}}}"#);
    let mut random = SplitMix::new(tokens ^ 5);
    match router.on_request_body(
        &request,
        body.as_bytes(),
        None,
        &mut Moment { now: at, random: &mut random, store },
    ) {
        Step::Send(sending) => Ok(sending.attempt),
        Step::Reply(reply, _) => Err(reply.status),
        Step::AcquireLease(_) => panic!("there is no Redis"),
    }
}

fn end(router: &Router, attempt: Attempt, total: u64, at: Duration, store: &dyn Store) {
    let usage = Some(Usage { prompt: 0, completion: total, total });
    let ended = ResponseSummary { status: 200, first_byte: Some(at), usage, end: StreamEnd::Complete };
    let moment = Moment { now: at, random: &mut SplitMix::new(1), store };
    drop(router.on_response_end(attempt, ended, &moment));
}

/// Two workers that know of each other, and a group of which every deployment is full.
fn full(size: usize, params: &str, strategy: &str, store: &dyn Store) -> (Router, Router, Vec<Attempt>) {
    let yaml = yaml(size, params, strategy);
    let (one, other) = (worker(&yaml, 1, store), worker(&yaml, 2, store));
    let open: Vec<Attempt> =
        (0..size).map(|nth| ask(&other, &format!("d{nth}"), 100, NOON, store).expect("room")).collect();
    assert_eq!(ask(&one, "g", 100, NOON, store).err(), Some(429));
    for router in [&one, &other] {
        router.beat(NOON, store);
    }
    (one, other, open)
}

const KINDS: [(&str, &str); 4] = [
    (", tpm: 100", "simple-shuffle"),
    (", tpm: 100", "least-busy"),
    (", max_parallel_requests: 1", "simple-shuffle"),
    (", max_parallel_requests: 1, rpm: 999999", "usage-based-routing"),
];

#[test]
fn refusing_a_request_of_a_full_group_costs_as_much_whatever_its_size() {
    for (params, strategy) in KINDS {
        for size in [2, 10, 1000] {
            let store = Counting::default();
            let (one, ..) = full(size, params, strategy, &store);
            ask(&one, "g", 100, NOON, &store).expect_err("full");
            for _ in 0..10 {
                let (gets, swaps, refused) = store.calls(|| ask(&one, "g", 100, NOON, &store));
                assert_eq!(refused.err(), Some(429));
                assert!(gets <= 4 && swaps == 0, "{size}, {params}: {gets} gets, {swaps} swaps");
            }
        }
    }
}

#[test]
fn what_another_worker_releases_is_found_at_once_and_costs_as_much_whatever_the_size() {
    for (params, strategy) in KINDS {
        for size in [2, 10, 1000] {
            let store = Counting::default();
            let (one, other, mut open) = full(size, params, strategy, &store);
            for _ in 0..size.min(20) {
                ask(&one, "g", 100, NOON, &store).expect_err("full");
                let ended = open.swap_remove(open.len() / 2);
                let released = ended.deployment;
                end(&other, ended, 0, NOON, &store);
                let (gets, _, found) = store.calls(|| ask(&one, "g", 100, NOON, &store));
                let found = found.unwrap_or_else(|status| panic!("{size}, {params}: {status}, {gets} gets"));
                assert_eq!(found.deployment, released, "{size}, {params}");
                assert!(gets <= 12, "{size}, {params}: {gets} gets");
            }
        }
    }
}

#[test]
fn no_request_is_refused_where_there_is_room_however_much_was_released() {
    for (params, strategy) in KINDS {
        let (size, store) = (150, Counting::default());
        let (one, other, open) = full(size, params, strategy, &store);
        let workers = [&one, &other];
        let mut open: Vec<(usize, Attempt)> = open.into_iter().map(|attempt| (1, attempt)).collect();
        let mut random = SplitMix::new(11);
        for _ in 0..20 {
            let most = if random.below(2) == 0 { 10 } else { open.len() };
            let released = random.below(most) + 1;
            for (worker, attempt) in open.drain(..released) {
                end(workers[worker], attempt, 0, NOON, &store);
            }
            for nth in 0..released {
                let worker = random.below(2);
                let found = ask(workers[worker], "g", 100, NOON, &store);
                open.push((worker, found.unwrap_or_else(|_| panic!("{params}: {nth} of {released}"))));
            }
            assert_eq!(ask(&one, "g", 100, NOON, &store).err(), Some(429), "{params}");
        }
    }
}

#[test]
fn a_group_that_others_fill_meanwhile_is_read_a_few_times_and_not_once_for_each_member() {
    for strategy in ["simple-shuffle", "least-busy", "usage-based-routing"] {
        let size = 1000;
        let store = &Counting::default();
        let yaml = yaml(size, ", rpm: 1", strategy);
        let (one, other) = (worker(&yaml, 1, store), worker(&yaml, 2, store));
        let minute_ago = NOON - Duration::from_secs(60);
        for (router, id) in [(&one, "d0"), (&other, "d1")] {
            ask(router, id, 0, minute_ago, store).expect("room");
            router.beat(minute_ago, store);
        }
        other.beat(NOON, store);
        one.beat(NOON, store);
        // The copies of `one` say that there is room everywhere.
        for nth in 0..size {
            ask(&other, &format!("d{nth}"), 0, NOON, store).expect("room");
        }
        let (gets, _, refused) = store.calls(|| ask(&one, "g", 0, NOON, store));
        assert_eq!(refused.err(), Some(429));
        assert!(gets <= size + 100, "{strategy}: {gets} gets");
    }
}

#[test]
fn a_request_that_is_served_makes_as_many_calls_whatever_the_size_of_the_group() {
    for (params, strategy, most) in [
        ("", "simple-shuffle", (2, 1)),
        (", rpm: 1000000", "simple-shuffle", (4, 3)),
        ("", "least-busy", (5, 2)),
        ("", "usage-based-routing", (5, 2)),
        (", tpm: 1000000", "usage-based-routing", (7, 4)),
    ] {
        for size in [3, 60, 1000] {
            let store = Counting::default();
            let yaml = yaml(size, params, strategy);
            let (one, other) = (worker(&yaml, 1, &store), worker(&yaml, 2, &store));
            for router in [&one, &other, &one] {
                let attempt = ask(router, "g", 100, NOON, &store).expect("room");
                end(router, attempt, 50, NOON, &store);
                router.beat(NOON, &store);
            }
            for _ in 0..100 {
                let (gets, swaps, ()) = store.calls(|| {
                    let attempt = ask(&one, "g", 100, NOON, &store).expect("room");
                    end(&one, attempt, 50, NOON, &store);
                });
                assert!(gets <= most.0 && swaps <= most.1, "{strategy}, {size}: {gets} gets, {swaps} swaps");
            }
        }
    }
}
