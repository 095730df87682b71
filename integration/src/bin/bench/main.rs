//! What the product costs, beside plain Envoy and beside itself: CPU of the Envoy process per
//! request, measured in alternating rounds.
//!
//! Ratios of one run on one machine mean something; single times do not. Every round measures both
//! sides, and the printed figure is the median of the rounds' ratios.

mod configuration;
mod load;
mod plain;
mod process;
mod sharing;
mod upstream;

use std::time::Duration;

use llm_balancer_integration::{Balancer, Launch, Redis};

use crate::configuration::Configuration;
use crate::load::Load;
use crate::process::Process;

/// Connections of the load, as in the budget.
const CONNECTIONS: usize = 8;
/// Rounds of each comparison; the first warms up and does not count.
const ROUNDS: usize = 8;

#[derive(Clone, Copy)]
struct Comparison {
    name: &'static str,
    body: usize,
    deployments: usize,
    requests: usize,
    rate: Option<u32>,
    most: f64,
}

const KB: Comparison = Comparison {
    name: "1 KB body, 3 deployments",
    body: 1024,
    deployments: 3,
    requests: 6_000,
    rate: Some(2_000),
    most: 1.7,
};

const COMPARISONS: [Comparison; 4] = [
    KB,
    Comparison { name: "the same, as fast as it goes", requests: 12_000, rate: None, ..KB },
    Comparison {
        name: "100 KB body, 3 deployments",
        body: 102_400,
        rate: Some(1_000),
        requests: 3_000,
        most: 1.6,
        ..KB
    },
    Comparison { name: "1 KB body, 1000 deployments", deployments: 1000, most: 1.96, ..KB },
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let upstream = upstream::start().await;
    println!(
        "CPU of the Envoy process per request, {CONNECTIONS} connections, one worker, median of {} rounds",
        ROUNDS - 1
    );
    println!("| what | plain us | ours us | x plain (at most) | requests/s, x plain |");
    println!("|---|---|---|---|---|");
    for comparison in COMPARISONS.iter().filter(|comparison| is_wanted(comparison.name)) {
        compare(comparison, upstream).await;
    }
    println!("\n| what | less us | more us | x (at most) |");
    println!("|---|---|---|---|");
    let few = Configuration { deployments: 3, ..Configuration::default() };
    let limited = Configuration { strategy: "latency-based-routing", limits: true, ..few };
    compare_with_itself(
        "limits, cooldowns and latencies over simple-shuffle alone",
        few,
        limited,
        1.1,
        upstream,
    )
    .await;
    for strategy in configuration::STRATEGIES {
        let few = Configuration { strategy, limits: true, ..few };
        let name = format!("{strategy}: 1000 deployments over 3");
        compare_with_itself(&name, few, Configuration { deployments: 1000, ..few }, 1.15, upstream).await;
    }
    share(limited, upstream).await;
    let filter = std::fs::metadata("target/wasm32-wasip1/release/llm_balancer_filter.wasm");
    println!("\nfilter: {} KB (at most 700)", filter.map_or(0, |file| file.len() / 1024));
    let start = Launch::new(&few.text(upstream)).start().await;
    println!("from start to first answer: {} ms (at most 2000)", start.ready_after.as_millis());
}

/// What limits cost that are shared through Redis.
async fn share(limited: Configuration, upstream: u16) {
    let name = "limits through Redis over limits of one instance";
    if is_wanted(name) {
        let redis = Redis::start().await;
        let shared = Configuration { redis: Some(redis.port()), ..limited };
        compare_with_itself(name, limited, shared, 1.05, upstream).await;
    }
    println!();
    let name = "callouts to Redis per admitted request";
    if is_wanted(name) {
        sharing::callouts_of_steady_load(name, upstream).await;
    }
    let name = "p99 of requests that wait for a lease of Redis";
    if is_wanted(name) {
        sharing::wait_for_a_lease(name, upstream).await;
    }
}

/// Whether a comparison is asked for: all are, or those that have the argument in their names.
fn is_wanted(name: &str) -> bool {
    std::env::args().nth(1).is_none_or(|part| name.contains(&part))
}

/// One configuration beside another one.
async fn compare_with_itself(name: &str, less: Configuration, more: Configuration, most: f64, upstream: u16) {
    if !is_wanted(name) {
        return;
    }
    let (less, more) =
        (Launch::new(&less.text(upstream)).start().await, Launch::new(&more.text(upstream)).start().await);
    let processes = [&less, &more].map(|side| Process::below(side.pid(), "envoy"));
    let load =
        |port| Load { port, body: KB.body, connections: CONNECTIONS, requests: KB.requests, rate: KB.rate };
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let costs = [processes[0].cost(load(less.port)).await, processes[1].cost(load(more.port)).await];
        if round > 0 {
            rounds.push(costs.map(|cost| cost.cpu.as_secs_f64() * 1e6));
        }
    }
    let of = |value: &dyn Fn(&[f64; 2]) -> f64| median(rounds.iter().map(value).collect());
    let ratio = of(&|[less, more]| more / less);
    let missed = if ratio > most { " MISSED" } else { "" };
    println!(
        "| {name} | {:.0} | {:.0} | {ratio:.2} ({most:.2}){missed} |",
        of(&|cost| cost[0]),
        of(&|cost| cost[1])
    );
}

async fn compare(comparison: &Comparison, upstream: u16) {
    let configuration = Configuration { deployments: comparison.deployments, ..Configuration::default() };
    let plain = plain::start(upstream).await;
    let ours: Balancer = Launch::new(&configuration.text(upstream)).start().await;
    let ours_process = Process::below(ours.pid(), "envoy");
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let load = |port| Load {
            port,
            body: comparison.body,
            connections: CONNECTIONS,
            requests: comparison.requests,
            rate: comparison.rate,
        };
        let plain = plain.process.cost(load(plain.port)).await;
        let ours = ours_process.cost(load(ours.port)).await;
        if round > 0 {
            rounds.push((plain, ours));
        }
    }
    let of =
        |value: &dyn Fn(&(process::Cost, process::Cost)) -> f64| median(rounds.iter().map(value).collect());
    let micros = |cpu: Duration| cpu.as_secs_f64() * 1e6;
    let ratio = of(&|(plain, ours)| micros(ours.cpu) / micros(plain.cpu));
    println!(
        "| {} | {:.0} | {:.0} | {:.2} ({:.2}){} | {:.2} |",
        comparison.name,
        of(&|(plain, _)| micros(plain.cpu)),
        of(&|(_, ours)| micros(ours.cpu)),
        ratio,
        comparison.most,
        if ratio > comparison.most { " MISSED" } else { "" },
        of(&|(plain, ours)| ours.rate / plain.rate),
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
