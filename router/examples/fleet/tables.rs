//! The simulated fleets, and the tables of their results.

use std::process::ExitCode;

use crate::events::{self, Fault, Link, MINUTE, Plan, SECOND};

/// How far below the limit a minute may stay: half a percent. None may exceed it.
const SHORTFALL: f64 = 0.005;

/// The same where a few of many instances have most of the traffic: the others keep a request each
/// on every deployment (docs/decisions/leases.md).
const SKEWED_SHORTFALL: f64 = 0.08;

/// Of the refused requests, the part whose retry-after may end before the minute: while leases are
/// returned.
const EARLY_RETRIES: f64 = 0.01;

/// A hundred instances and fifty deployments, with a tenth more traffic than the limits.
const FLEET: Plan = Plan {
    instances: 100,
    deployments: 50,
    rpm: 120,
    rate: 110,
    favoured: 10,
    from: 57 * SECOND,
    until: 2 * MINUTE,
    faults: Vec::new(),
    most: u64::MAX,
};

/// Prints all tables.
pub fn print() -> ExitCode {
    println!("100 instances, 50 deployments of 120 requests per minute, a tenth more traffic");
    println!("{:34} {:>9} {:>9} {:>9} {:>9}", "", "limit", "admitted", "refused", "of it %");
    let even = admits("an even share for each", FLEET, SHORTFALL);
    let uneven = admits("two thirds for a tenth of them", Plan { favoured: 67, ..FLEET }, SKEWED_SHORTFALL);
    let waits = wait_for_the_minute();
    let plenty = outages();
    let calls = calls_per_request();
    println!("\nLoad on Redis per second, at 80 requests per second on the same 50 deployments");
    println!(
        "{:>9} {:>12} {:>9} {:>9} {:>9} {:>9} {:>16}",
        "instances", "connections", "leases", "exchange", "presence", "commands", "leases/admitted"
    );
    [2, 10, 30, 100, 300, 1000].into_iter().for_each(load);
    if even && uneven && waits && plenty && calls { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether every whole minute admits the limit, but for this part of it.
fn admits(name: &str, plan: Plan, shortfall: f64) -> bool {
    let (limit, minutes) = (plan.rpm * plan.deployments as u64, plan.until / MINUTE);
    let measured = events::run(plan);
    let whole = measured.minutes.range(1..minutes);
    let mut is_met = true;
    for (minute, (admitted, refused)) in whole {
        let share = *admitted as f64 / limit as f64;
        let is_near = (1.0 - shortfall..=1.0).contains(&share);
        is_met &= is_near;
        let verdict = if is_near { "met" } else { "MISSED" };
        let name = format!("{name}, minute {minute}");
        println!("{name:34} {limit:>9} {admitted:>9} {refused:>9} {:>9.3} {verdict}", share * 100.0);
    }
    is_met
}

/// Whether retry-after names the next minute, in a fleet with twice as much traffic as its limits.
fn wait_for_the_minute() -> bool {
    let plan = Plan { instances: 10, deployments: 3, rpm: 600, rate: 60, ..FLEET };
    let measured = events::run(plan);
    let refused: u64 = measured.minutes.values().map(|(_, refused)| refused).sum();
    let share = measured.early_retries as f64 / refused.max(1) as f64;
    let is_met = refused > 0 && share <= EARLY_RETRIES;
    let verdict = if is_met { "met" } else { "MISSED" };
    println!("\n10 instances, 3 deployments of 600 requests per minute, twice as much traffic");
    println!("of {refused} refused have an early retry-after: {:.3} % {verdict}", share * 100.0);
    is_met
}

/// Two deployments of 240 requests per minute.
const SMALL: Plan = Plan {
    instances: 1,
    deployments: 2,
    rpm: 240,
    rate: 1,
    favoured: 100,
    from: 10 * SECOND,
    until: 4 * MINUTE,
    faults: Vec::new(),
    most: 0,
};
/// Percent of their limit that come in a minute.
const LOADS: [u64; 6] = [25, 50, 75, 90, 100, 150];

/// Refusals by the time of an outage and by the load. Whether a quarter is never refused, and no
/// limit exceeded.
fn outages() -> bool {
    println!("\nRefused % while Redis does not answer for 90 s, by load in % of the limit");
    print!("{:34}", "instances, traffic, outage begins");
    LOADS.iter().for_each(|load| print!("{load:>8}"));
    println!();
    let mut is_met = true;
    for (instances, favoured, name) in [
        (1, 100, "one"),
        (2, 50, "two, even"),
        (2, 100, "two, at one"),
        (5, 20, "five, even"),
        (5, 100, "five, at one"),
    ] {
        for second in [61, 75, 90, 105, 119] {
            print!("{:34}", format!("{name}, at second {}", second - 60));
            for load in LOADS {
                let (at, most) = (second * SECOND, SMALL.rpm * 2 * load / 100);
                let faults =
                    vec![(at, Fault::Links(Link::Silent)), (at + 90 * SECOND, Fault::Links(Link::Open))];
                let plan = Plan { instances, favoured, faults, most, rate: most.div_ceil(50), ..SMALL };
                let measured = events::run(plan);
                let during = at..at + 90 * SECOND;
                let refused = measured.refused_at.iter().filter(|refused| during.contains(refused)).count();
                let requests = most as f64 * 1.5;
                print!("{:>8.1}", refused as f64 * 100.0 / requests);
                is_met &= measured.by_deployment.values().all(|admitted| *admitted <= SMALL.rpm);
                is_met &= load > 25 || measured.refused_at.is_empty();
            }
            println!();
        }
    }
    println!("{}", if is_met { "a quarter is never refused, and no limit exceeded: met" } else { "MISSED" });
    is_met
}

/// Calls to Redis for each admitted request, at most, with steady traffic.
const CALLS: f64 = 0.05;

fn calls_per_request() -> bool {
    println!("\nCalls per admitted request, two deployments of 6,000 per minute, 78 requests per second");
    let mut is_met = true;
    for (instances, favoured, name) in [(1, 100, "one"), (2, 50, "two, even"), (2, 100, "two, at one")] {
        let (from, until) = (10 * SECOND, 3 * MINUTE);
        let plan = Plan { instances, favoured, deployments: 2, rpm: 6000, rate: 78, from, until, ..FLEET };
        let measured = events::run(plan);
        let admitted: u64 = measured.minutes.values().map(|(admitted, _)| admitted).sum();
        let calls = measured.load.pipelines as f64 / admitted.max(1) as f64;
        is_met &= calls <= CALLS;
        println!("{name:34} {calls:>9.3} {}", if calls <= CALLS { "met" } else { "MISSED" });
    }
    is_met
}

/// The load of a fleet of this size on Redis, while limits are not reached.
fn load(instances: usize) {
    // Instances start in the minute before, so that each has its share.
    let (from, until) = (62 * SECOND, 63 * SECOND);
    let plan = Plan { instances, rate: 80, from, until, ..FLEET };
    let measured = events::run(plan);
    let per_second = |count: u64| count * SECOND / (until - from);
    let redis = measured.load;
    let admitted: u64 = measured.minutes.values().map(|(admitted, _)| admitted).sum();
    println!(
        "{instances:>9} {:>12} {:>9} {:>9} {:>9} {:>9} {:>16.2}",
        per_second(redis.pipelines),
        per_second(redis.leases),
        per_second(redis.exchanges),
        per_second(redis.presences),
        per_second(redis.commands),
        redis.leases as f64 / admitted.max(1) as f64,
    );
}
