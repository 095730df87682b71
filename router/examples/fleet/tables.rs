//! What is simulated, and what is printed of it.

use std::process::ExitCode;

use crate::events::{self, MINUTE, Plan, SECOND};

/// How far below the limit a minute may stay: half a percent. It may not be above at all.
const SHORT: f64 = 0.005;

/// Of the requests that are refused, so many at most are told to come back before the minute turns: while leases come back.
const IN_VAIN: f64 = 0.01;

/// A hundred instances before fifty deployments, asked for a tenth more than they may.
const FLEET: Plan = Plan {
    instances: 100,
    deployments: 50,
    rpm: 120,
    rate: 110,
    favoured: 10,
    from: 57 * SECOND,
    until: 2 * MINUTE,
};

/// Prints both tables.
pub fn print() -> ExitCode {
    println!("100 instances, 50 deployments of 120 requests per minute, asked for a tenth more");
    println!("{:34} {:>9} {:>9} {:>9} {:>9}", "", "limit", "admitted", "refused", "of it %");
    let even = admits("an even share for everybody", FLEET);
    let uneven = admits("two thirds come to a tenth of them", Plan { favoured: 67, ..FLEET });
    let waits = wait_for_the_minute();
    println!("\nWhat Redis is asked per second, at 80 requests per second on the same 50 deployments");
    println!(
        "{:>9} {:>12} {:>9} {:>9} {:>9} {:>9} {:>16}",
        "instances", "connections", "leases", "exchange", "presence", "commands", "leases/admitted"
    );
    [2, 10, 30, 100, 300, 1000].into_iter().for_each(load);
    if even && uneven && waits { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether every whole minute admits the limit.
fn admits(name: &str, plan: Plan) -> bool {
    let limit = plan.rpm * plan.deployments as u64;
    let seen = events::run(plan);
    let whole = seen.minutes.range(1..plan.until / MINUTE);
    let mut is_met = true;
    for (minute, (admitted, refused)) in whole {
        let share = *admitted as f64 / limit as f64;
        let is_near = (1.0 - SHORT..=1.0).contains(&share);
        is_met &= is_near;
        let verdict = if is_near { "met" } else { "MISSED" };
        let name = format!("{name}, minute {minute}");
        println!("{name:34} {limit:>9} {admitted:>9} {refused:>9} {:>9.3} {verdict}", share * 100.0);
    }
    is_met
}

/// Whether requests that are refused are told to wait for the next minute, in a fleet that is asked for twice its limit.
fn wait_for_the_minute() -> bool {
    let plan = Plan { instances: 10, deployments: 3, rpm: 600, rate: 60, ..FLEET };
    let seen = events::run(plan);
    let refused: u64 = seen.minutes.values().map(|(_, refused)| refused).sum();
    let share = seen.in_vain as f64 / refused.max(1) as f64;
    let is_met = refused > 0 && share <= IN_VAIN;
    let verdict = if is_met { "met" } else { "MISSED" };
    println!("\n10 instances, 3 deployments of 600 requests per minute, asked for twice as much");
    println!(
        "of {refused} refused are to come back before the minute turns: {:.3} % {verdict}",
        share * 100.0
    );
    is_met
}

/// What a fleet of this size asks of Redis, while limits are not reached.
fn load(instances: usize) {
    let (from, until) = (2 * SECOND, 3 * SECOND);
    let plan = Plan { instances, rate: 80, from, until, ..FLEET };
    let seen = events::run(plan);
    let per_second = |count: u64| count * SECOND / (until - from);
    let asked = seen.asked;
    let admitted: u64 = seen.minutes.values().map(|(admitted, _)| admitted).sum();
    println!(
        "{instances:>9} {:>12} {:>9} {:>9} {:>9} {:>9} {:>16.2}",
        per_second(asked.pipelines),
        per_second(asked.leases),
        per_second(asked.exchanges),
        per_second(asked.presences),
        per_second(asked.commands),
        asked.leases as f64 / admitted.max(1) as f64,
    );
}
