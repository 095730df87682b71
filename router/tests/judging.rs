//! Stories of failures that are judged by their share, among successes of other workers.

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

use std::time::Duration;

use common::{Answer, World, group};
use llm_balancer_router::{Random, SplitMix};

/// Workers over one store, which have heard of each other.
fn workers(count: u32) -> Vec<World> {
    let first = World::of(&(group(&["paris", "oslo"], "") + "router_settings: {num_retries: 0}\n"));
    let others: Vec<World> = (2..=count).map(|vm| first.beside(vm)).collect();
    let mut worlds: Vec<World> = std::iter::once(first).chain(others).collect();
    for world in &mut worlds {
        world.chat("oslo", "", |_| Answer::Ok);
    }
    beat(&mut worlds);
    worlds
}

fn beat(worlds: &mut [World]) {
    worlds.iter_mut().for_each(|world| world.wait(1.0));
}

/// An attempt at one deployment; whether it cools down by then. `paris` is asked for by its id, which a cooldown does not stop.
fn attempt(world: &mut World, answer: Answer) -> bool {
    world.chat("paris", "", |_| answer);
    let (bytes, _) = llm_balancer_router::Store::get(&*world.store, "d/paris").unwrap();
    let record =
        llm_balancer_router::testing::decode::<llm_balancer_router::testing::Record>(&bytes).unwrap();
    record.cooldown.active_until(world.now).is_some()
}

/// Successes and failures in random order, never more failures than successes; and then one failure more.
fn cools_with_the_failure_that_makes_them_most(successes: u32, count: u32, random: &mut SplitMix) {
    let mut worlds = workers(count);
    let (mut answered, mut failed) = (0, 0);
    while failed < successes {
        let at = random.below(worlds.len());
        let fails = answered == successes || (failed < answered && random.below(2) == 0);
        let cools = attempt(&mut worlds[at], if fails { Answer::Status(500) } else { Answer::Ok });
        *(if fails { &mut failed } else { &mut answered }) += 1;
        assert!(!cools, "{count} workers: {failed} of {} failed", answered + failed);
        let pause = Duration::from_millis(random.below(20) as u64);
        worlds.iter_mut().for_each(|world| world.now += pause);
        if random.below(50) == 0 {
            worlds[at].wait(0.0);
        }
    }
    assert!(
        attempt(&mut worlds[0], Answer::Status(500)),
        "{count} workers: {} of {}",
        failed + 1,
        failed * 2 + 1
    );
}

#[test]
fn exactly_half_may_fail_whichever_workers_they_come_to_and_one_more_may_not() {
    let mut random = SplitMix::new(3);
    for workers in 1..=8 {
        for successes in [2, 3, 5, 10, 20, 31] {
            for _ in 0..5 {
                cools_with_the_failure_that_makes_them_most(successes, workers, &mut random);
            }
        }
    }
}

#[test]
fn successes_that_wait_are_not_overlooked_and_failures_in_the_end_neither() {
    let mut worlds = workers(4);
    for nth in 0..400 {
        assert!(!attempt(&mut worlds[nth % 4], Answer::Ok));
    }
    // As many fail at once, all on one worker that knows nothing of what waits in the others.
    for nth in 1..=400 {
        assert!(!attempt(&mut worlds[0], Answer::Status(500)), "{nth} of {}", 400 + nth);
    }
    (0..4).for_each(|_| beat(&mut worlds));
    assert!(attempt(&mut worlds[0], Answer::Status(500)), "401 of 801");
}

#[test]
fn a_success_is_not_counted_in_a_window_that_began_after_it() {
    let mut worlds = workers(2);
    for nth in 0..80 {
        attempt(&mut worlds[nth % 2], Answer::Ok);
    }
    // The window ends while successes wait that nothing has written.
    for world in &mut worlds {
        world.now += Duration::from_secs(61);
    }
    let cools: Vec<bool> = (0..5).map(|nth| attempt(&mut worlds[nth % 2], Answer::Status(500))).collect();
    assert_eq!(cools, [false, false, false, false, true], "five of five");
}

#[test]
fn successes_of_a_worker_without_further_requests_are_written_with_the_next_beat() {
    let mut worlds = workers(2);
    for _ in 0..100 {
        attempt(&mut worlds[1], Answer::Ok);
    }
    beat(&mut worlds);
    let (bytes, _) = llm_balancer_router::Store::get(&*worlds[0].store, "d/paris").unwrap();
    assert_eq!(
        llm_balancer_router::testing::decode::<llm_balancer_router::testing::Record>(&bytes)
            .unwrap()
            .outcomes
            .successes,
        100
    );
}
