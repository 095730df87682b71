//! Stories of what a worker does every 20 ms with the leases that it holds.

use std::time::Duration;

use llm_balancer_router::testing::{Lease, Minute, Record, UnixMillis, Window};
use llm_balancer_router::{Moment, SplitMix, Store};

use crate::common::{NOON, World, group};

const LEASED: usize = 100;

/// A worker with leases of ten requests on a hundred deployments. Each has admitted `used` of them,
/// the last at this time.
fn leased(used: u32, last: Duration) -> (World, Vec<usize>) {
    let ids: Vec<String> = (0..LEASED).map(|nth| format!("d{nth}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let yaml = group(&ids, ", rpm: 100") + "router_settings: {redis_host: redis.test}\n";
    let world = World::of(&yaml);
    ids.iter().for_each(|id| write(&world, id, used, last));
    (world.reloaded(&yaml), (0..LEASED).collect())
}

fn write(world: &World, id: &str, used: u32, last: Duration) {
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
    let version = world.store.get(&key).map(|(_, version)| version);
    assert!(world.store.swap(
        &key,
        &llm_balancer_router::testing::encode(&Record { window, lease, ..Record::default() }),
        version
    ));
}

/// The calls of the store in a tick, and whether something is given back.
fn tick(world: &World, held: &mut Vec<usize>, now: Duration) -> (usize, bool) {
    let before = world.store.calls();
    let mut moment = Moment { now, random: &mut SplitMix::new(1), store: &*world.store };
    let call = world.router.fleet().unwrap().release_unused(held, &mut moment);
    let after = world.store.calls();
    (after.0 + after.1 - before.0 - before.1, call.is_some())
}

fn after(ms: u64) -> Duration {
    NOON + Duration::from_millis(ms)
}

#[test]
fn a_tick_reads_nothing_while_requests_keep_coming() {
    let (world, mut held) = leased(3, after(1000));
    assert_eq!(tick(&world, &mut held, after(1010)), (0, false));
    assert_eq!(held.len(), LEASED);
}

#[test]
fn a_lease_that_another_worker_uses_is_read_and_kept() {
    let (world, mut held) = leased(3, after(1000));
    (0..LEASED).for_each(|nth| write(&world, &format!("d{nth}"), 5, after(1030)));
    let (calls, gives_back) = tick(&world, &mut held, after(1040));
    assert!(calls <= LEASED + 1 && !gives_back, "{calls} calls");
    assert_eq!(tick(&world, &mut held, after(1049)), (0, false), "it is known to be in use");
    assert_eq!(held.len(), LEASED);
}

#[test]
fn an_idle_lease_is_given_back_with_the_next_tick_and_then_read_rarely() {
    let (world, mut held) = leased(3, after(1000));
    let (_, gives_back) = tick(&world, &mut held, after(1020));
    assert!(gives_back && held.len() == LEASED);
    let calls: usize = (2..52).map(|nth| tick(&world, &mut held, after(1000 + 20 * nth)).0).sum();
    assert!(calls <= 10 * (LEASED + 1), "{calls} calls in a second");
    // Until long after its last use.
    (0..200).for_each(|nth| {
        tick(&world, &mut held, after(2000 + 20 * nth));
    });
    assert!(held.is_empty());
}

#[test]
fn tokens_that_an_answer_returns_later_are_given_back_within_a_tenth_of_a_second() {
    let (world, mut held) = leased(10, after(1000));
    for nth in 1..10 {
        assert!(!tick(&world, &mut held, after(1000 + 20 * nth)).1);
    }
    // Another worker finds that one of the ten was not used.
    write(&world, "d7", 9, after(1000));
    let returned = (10..16).position(|nth| tick(&world, &mut held, after(1000 + 20 * nth)).1);
    assert!(returned.is_some_and(|ticks| ticks <= 5), "{returned:?}");
}
