//! Limits that instances share, whatever happens between them and Redis: fleets in simulated time, as
//! `make simulate` has them, with random faults.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    reason = "a simulation that goes wrong has failed; the tables of the example are not printed"
)]

#[path = "../examples/fleet/data.rs"]
mod data;
#[path = "../examples/fleet/events.rs"]
mod events;
#[path = "../examples/fleet/instance.rs"]
mod instance;
#[path = "fleet/peers.rs"]
mod peers;
#[path = "../examples/fleet/redis.rs"]
mod redis;

use events::{Fault, Link, MINUTE, Measured, Micros, Plan, SECOND, run};
use proptest::prelude::*;

const RPM: u64 = 240;
const DEPLOYMENTS: usize = 2;
/// Of both deployments.
const LIMIT: u64 = RPM * DEPLOYMENTS as u64;

/// A fleet in its third minute when it ends, with as much traffic as there may be.
fn plan(instances: usize, favoured: u64, most: u64, faults: Vec<(Micros, Fault)>) -> Plan {
    Plan {
        faults,
        most,
        instances,
        deployments: DEPLOYMENTS,
        rpm: RPM,
        // More than is let through in a minute, so that all of it comes.
        rate: most.div_ceil(40).max(2),
        favoured,
        from: 10 * SECOND,
        until: 4 * MINUTE,
    }
}

fn assert_no_limit_is_exceeded(measured: &Measured) {
    for ((minute, deployment), admitted) in &measured.by_deployment {
        assert!(*admitted <= RPM, "deployment {deployment} in minute {minute}: {admitted} of {RPM}");
    }
}

fn assert_none_is_refused(measured: &Measured) {
    let refused: Vec<f64> = measured.refused_at.iter().map(|at| *at as f64 / 1e6).collect();
    assert!(refused.is_empty(), "{} refused at second {:?}", refused.len(), &refused[..refused.len().min(8)]);
    assert!(measured.minutes.values().all(|(admitted, _)| *admitted > 0), "{:?}", measured.minutes);
}

fn link() -> impl Strategy<Value = Link> {
    prop_oneof![Just(Link::Refused), Just(Link::Silent), (10_000..900_000_u64).prop_map(Link::Slow),]
}

/// Seconds 10 to 180, at any moment of a minute.
fn moment() -> impl Strategy<Value = Micros> {
    10 * SECOND..180 * SECOND
}

/// Shares have followed the traffic by then. Before, an instance to which all of it comes has a fifth of
/// the limit, which is less than a quarter.
const SETTLED: Micros = 3 * SECOND;

/// Redis is away, or has lost its data, for any time.
fn of_all() -> impl Strategy<Value = Vec<(Micros, Fault)>> {
    let all = (moment(), link(), SECOND / 10..150 * SECOND).prop_map(|(at, link, length)| {
        vec![(at, Fault::Links(link)), (at + length, Fault::Links(Link::Open))]
    });
    let empty = (moment(), SECOND / 10..100 * SECOND).prop_map(|(at, length)| {
        let back = at + length;
        vec![(at, Fault::Links(Link::Refused)), (back - 1, Fault::Restart), (back, Fault::Links(Link::Open))]
    });
    prop_oneof![all, empty, restart()]
}

fn restart() -> impl Strategy<Value = Vec<(Micros, Fault)>> {
    moment().prop_map(|at| vec![(at, Fault::Restart)])
}

/// One instance is cut off, without an answer for any time, or with closed connections for less than
/// those of an instance that has ended.
fn of_one() -> impl Strategy<Value = Vec<(Micros, Fault)>> {
    (moment(), link(), SECOND / 10..150 * SECOND).prop_map(|(at, link, length)| {
        let length = if link == Link::Refused { length.min(20 * SECOND) } else { length };
        vec![(at, Fault::Link(0, link)), (at + length, Fault::Link(0, Link::Open))]
    })
}

fn faults() -> impl Strategy<Value = Vec<(Micros, Fault)>> {
    prop_oneof![of_all(), of_one()]
}

/// Two of them, at different times or at once.
fn two_faults() -> impl Strategy<Value = Vec<(Micros, Fault)>> {
    let both = |(first, second): (Vec<_>, Vec<_>)| first.into_iter().chain(second).collect();
    prop_oneof![(of_all(), of_all()).prop_map(both), (of_one(), restart()).prop_map(both)]
}

fn shape() -> impl Strategy<Value = (usize, u64)> {
    // Of two and of five, a tenth is one.
    prop_oneof![Just((1, 100)), Just((2, 50)), Just((2, 100)), Just((5, 20)), Just((5, 60)), Just((5, 100))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_quarter_of_a_limit_is_never_refused((instances, favoured) in shape(), faults in faults()) {
        let faults = faults.into_iter().map(|(at, fault)| (at + SETTLED, fault)).collect();
        let measured = run(plan(instances, favoured, LIMIT / 4, faults));
        assert_none_is_refused(&measured);
        assert_no_limit_is_exceeded(&measured);
    }

    #[test]
    fn no_fault_makes_the_fleet_exceed_a_limit(
        (instances, favoured) in shape(),
        faults in two_faults(),
        part in 1..8_u64,
    ) {
        assert_no_limit_is_exceeded(&run(plan(instances, favoured, LIMIT * part / 4, faults)));
    }

    #[test]
    fn without_a_fault_a_limit_is_admitted_to_the_last_request((instances, favoured) in shape(), part in 5..8_u64) {
        let measured = run(plan(instances, favoured, LIMIT * part / 4, Vec::new()));
        assert_no_limit_is_exceeded(&measured);
        let whole: Vec<_> = measured.minutes.range(1..4).map(|(_, (admitted, _))| *admitted).collect();
        assert_eq!(whole, [LIMIT; 3]);
    }
}

proptest! {
    // Each starts up to five instances more.
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_end_of_an_instance_makes_the_fleet_exceed_a_limit_after_redis_lost_its_data(
        (instances, favoured) in shape(),
        lost in 10 * SECOND..100 * SECOND,
        // When all have reported. Of one that ends before, only the lost data tell what it has used.
        replaced in prop::collection::vec((3 * SECOND..130 * SECOND, 0..5_usize), 1..6),
        part in 4..8_u64,
    ) {
        let replaced = replaced.into_iter().map(|(after, nth)| (lost + after, Fault::Replace(nth % instances)));
        let faults = std::iter::once((lost, Fault::Restart)).chain(replaced).collect();
        assert_no_limit_is_exceeded(&run(plan(instances, favoured, LIMIT * part / 4, faults)));
    }
}

/// Redis restarts empty while an instance is cut off: in later minutes, too, that one serves its share,
/// of which only the others can tell the new Redis.
#[test]
fn a_share_that_redis_has_lost_is_not_given_to_others_in_a_later_minute() {
    let faults = vec![
        (70 * SECOND, Fault::Link(0, Link::Silent)),
        (131 * SECOND, Fault::Restart),
        (200 * SECOND, Fault::Link(0, Link::Open)),
    ];
    assert_no_limit_is_exceeded(&run(plan(5, 20, LIMIT * 2, faults)));
}

/// Redis restarts empty, and one of three instances has ended just before it could report its share.
/// Then the fleet grows, so that shares are lowered, and is rolled. Only the share that was
/// not reported stays taken.
#[test]
fn what_is_given_up_after_redis_lost_its_data_is_free() {
    let lost = [(70 * SECOND, Fault::Kill(2)), (70 * SECOND, Fault::Restart)];
    let grown = [(80 * SECOND, Fault::Replace(3)), (80 * SECOND, Fault::Replace(4))];
    let rolled =
        [0, 1, 3, 4].map(|instance| ((190 + 5 * instance as u64) * SECOND, Fault::Replace(instance)));
    let before = [(SECOND, Fault::Kill(3)), (SECOND, Fault::Kill(4))];
    let faults: Vec<_> = before.into_iter().chain(lost).chain(grown).chain(rolled).collect();
    let measured = run(Plan { until: 5 * MINUTE, ..plan(5, 20, LIMIT * 2, faults) });
    assert_no_limit_is_exceeded(&measured);
    let admitted: Vec<_> = measured.minutes.values().map(|(admitted, _)| *admitted).collect();
    let reported = LIMIT * 2 / 3;
    assert!([admitted[2], admitted[4]].iter().all(|minute| *minute >= reported - 4), "{admitted:?}");
}

/// A restart: nothing else holds a part of the limit.
#[test]
fn what_an_instance_has_not_used_when_it_ends_is_served_by_the_next_one() {
    for instances in [1, 2] {
        let replaced = (0..instances).map(|instance| (80 * SECOND, Fault::Replace(instance))).collect();
        let measured = run(plan(instances, 100, LIMIT, replaced));
        assert_no_limit_is_exceeded(&measured);
        let (admitted, refused) = measured.minutes[&1];
        assert!(admitted >= LIMIT - 2, "{instances}: {admitted} of {LIMIT}, {refused:?} refused");
    }
}

/// Redis restarts empty within a minute, and all requests come to one of two instances.
#[test]
fn what_is_not_used_is_recalled_in_the_minute_in_which_redis_lost_its_data() {
    let measured = run(plan(2, 100, LIMIT * 5 / 4, vec![(70 * SECOND, Fault::Restart)]));
    assert_no_limit_is_exceeded(&measured);
    assert_eq!(measured.minutes[&1].0, LIMIT, "{:?}", measured.minutes);
}

/// The call by which Redis sees that an instance has not ended was just over, and the next one is lost.
#[test]
fn an_instance_that_is_cut_off_between_two_waits_keeps_its_share() {
    for micros in (86_570_000..86_590_000).step_by(1_000) {
        let faults = vec![(micros, Fault::Link(0, Link::Silent))];
        assert_no_limit_is_exceeded(&run(plan(5, 20, LIMIT * 5 / 4, faults)));
    }
}

#[test]
fn a_killed_instance_costs_the_others_its_share_for_half_a_minute() {
    let killed = vec![(70 * SECOND, Fault::Kill(1))];
    let measured = run(plan(2, 50, LIMIT * 2, killed));
    assert_no_limit_is_exceeded(&measured);
    let admitted: Vec<_> = measured.minutes.values().map(|(admitted, _)| *admitted).collect();
    assert_eq!(admitted[2..], [LIMIT; 2], "{admitted:?}");
}

#[test]
fn an_instance_that_may_be_serving_keeps_its_share() {
    let silent = vec![(70 * SECOND, Fault::Link(1, Link::Silent))];
    let measured = run(plan(2, 50, LIMIT * 2, silent));
    assert_no_limit_is_exceeded(&measured);
    let admitted: Vec<_> = measured.minutes.values().map(|(admitted, _)| *admitted).collect();
    assert_eq!(admitted[2..], [LIMIT; 2], "each its half: {admitted:?}");
}
