//! Stories of groups that are full: the cost of a refusal, and that no request is refused where
//! there is room.

use std::time::Duration;

use llm_balancer_router::{Attempt, Random, SplitMix};

use crate::common::{World, group};

fn yaml(size: usize, params: &str, strategy: &str) -> String {
    let ids: Vec<String> = (0..size).map(|nth| format!("d{nth}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    group(&ids, params) + &format!("router_settings: {{num_retries: 0, routing_strategy: {strategy}}}\n")
}

/// Two workers of one store.
fn two_workers(yaml: &str) -> (World, World) {
    let one = World::of(yaml);
    let other = one.beside(2);
    (one, other)
}

/// A request for this many tokens; the attempt, or the status of the refusal.
fn ask(world: &mut World, model: &str, tokens: u64) -> Result<Attempt, u16> {
    world.begin(model, &format!(r#""max_tokens":{tokens}"#)).map_err(|reply| reply.status)
}

/// The calls of `get` and `swap` that something makes.
fn calls<T>(world: &mut World, act: impl FnOnce(&mut World) -> T) -> (usize, usize, T) {
    let before = world.store.calls();
    let result = act(world);
    let after = world.store.calls();
    (after.0 - before.0, after.1 - before.1, result)
}

/// Two workers that know of each other, and a group in which every deployment is full.
fn full(size: usize, params: &str, strategy: &str) -> (World, World, Vec<Attempt>) {
    let (mut one, mut other) = two_workers(&yaml(size, params, strategy));
    let open: Vec<Attempt> =
        (0..size).map(|nth| ask(&mut other, &format!("d{nth}"), 100).expect("room")).collect();
    assert_eq!(ask(&mut one, "g", 100).err(), Some(429));
    for world in [&mut one, &mut other] {
        world.wait(0.0);
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
            let (mut one, ..) = full(size, params, strategy);
            ask(&mut one, "g", 100).expect_err("full");
            for _ in 0..10 {
                let (gets, swaps, refused) = calls(&mut one, |one| ask(one, "g", 100));
                assert_eq!(refused.err(), Some(429));
                assert!(gets <= 4 && swaps == 0, "{size}, {params}: {gets} gets, {swaps} swaps");
            }
        }
    }
}

#[test]
fn a_slot_that_another_worker_frees_is_found_at_once_and_costs_as_much_whatever_the_size() {
    for (params, strategy) in KINDS {
        for size in [2, 10, 1000] {
            let (mut one, mut other, mut open) = full(size, params, strategy);
            for _ in 0..size.min(20) {
                ask(&mut one, "g", 100).expect_err("full");
                let ended = open.swap_remove(open.len() / 2);
                let freed = ended.deployment;
                other.end(ended, Some(0));
                let (gets, _, found) = calls(&mut one, |one| ask(one, "g", 100));
                let found = found.unwrap_or_else(|status| panic!("{size}, {params}: {status}, {gets} gets"));
                assert_eq!(found.deployment, freed, "{size}, {params}");
                assert!(gets <= 12, "{size}, {params}: {gets} gets");
            }
        }
    }
}

#[test]
fn no_request_is_refused_where_there_is_room_however_much_was_given_back() {
    for (params, strategy) in KINDS {
        let (one, other, open) = full(150, params, strategy);
        let mut workers = [one, other];
        let mut open: Vec<(usize, Attempt)> = open.into_iter().map(|attempt| (1, attempt)).collect();
        let mut random = SplitMix::new(11);
        for _ in 0..20 {
            let most = if random.below(2) == 0 { 10 } else { open.len() };
            let freed = random.below(most) + 1;
            for (worker, attempt) in open.drain(..freed) {
                workers[worker].end(attempt, Some(0));
            }
            for nth in 0..freed {
                let worker = random.below(2);
                let found = ask(&mut workers[worker], "g", 100);
                open.push((worker, found.unwrap_or_else(|_| panic!("{params}: {nth} of {freed}"))));
            }
            assert_eq!(ask(&mut workers[0], "g", 100).err(), Some(429), "{params}");
        }
    }
}

#[test]
fn a_group_that_others_fill_meanwhile_is_read_a_few_times_and_not_once_for_each_member() {
    for strategy in ["simple-shuffle", "least-busy", "usage-based-routing"] {
        let size = 1000;
        let (mut one, mut other) = two_workers(&yaml(size, ", rpm: 1", strategy));
        for (world, id) in [(&mut one, "d0"), (&mut other, "d1")] {
            world.now -= Duration::from_secs(60);
            ask(world, id, 0).expect("room");
            world.wait(0.0);
        }
        other.wait(60.0);
        one.wait(60.0);
        // The snapshots of the first worker have room everywhere.
        for nth in 0..size {
            ask(&mut other, &format!("d{nth}"), 0).expect("room");
        }
        let (gets, _, refused) = calls(&mut one, |one| ask(one, "g", 0));
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
            let (mut one, mut other) = two_workers(&yaml(size, params, strategy));
            let serve = |world: &mut World| {
                let attempt = ask(world, "g", 100).expect("room");
                world.end(attempt, Some(50));
            };
            for nth in 0..3 {
                let world = if nth == 1 { &mut other } else { &mut one };
                serve(world);
                world.wait(0.0);
            }
            for _ in 0..100 {
                let (gets, swaps, ()) = calls(&mut one, serve);
                assert!(gets <= most.0 && swaps <= most.1, "{strategy}, {size}: {gets} gets, {swaps} swaps");
            }
        }
    }
}
