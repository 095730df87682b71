//! The router beside LiteLLM's algorithms: both balance the same requests over the same simulated
//! fleet.
//!
//! `make simulate` prints the table and fails where a target is missed. Time is simulated and
//! chance is seeded, so the same code prints the same table anywhere. The head of each file says
//! what is simulated, and why. cost-based-routing is left out: the price alone decides, and with
//! one price for all there is nothing to compare.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a simulation that goes wrong has to stop"
)]

mod events;
mod fleet;
mod litellm;
mod ours;
mod traffic;

use std::process::ExitCode;

use events::{Balancer, Observed, RECOVERED, UNTIL};
use fleet::{EQUAL, PAIR, Server, ServerProfile, UNEQUAL, roomy};
use litellm::{LiteLlm, Strategy};
use ours::Ours;
use traffic::SECOND;

/// One simulation each, with random requests of its own.
const SEEDS: [u64; 3] = [11, 23, 37];
/// The highest share of LiteLLM's 99th percentile under latency-based-routing.
const LATENCY: f64 = 0.7;
/// The highest load in shares of the mean, under least-busy among equals.
const BALANCE: f64 = 1.1;
/// Of two equal deployments, of which one was slow until a minute ago: an even share divided by the
/// share of that one.
const RECOVERY: f64 = 2.0;

/// The strategy's name, whether responses are streamed, and LiteLLM's strategy.
const ROWS: [(&str, bool, Strategy); 5] = [
    ("simple-shuffle", false, Strategy::SimpleShuffle),
    ("least-busy", false, Strategy::LeastBusy),
    ("usage-based-routing-v2", false, Strategy::UsageBased),
    ("latency-based-routing", false, Strategy::LatencyBased),
    ("latency-based-routing", true, Strategy::LatencyBased),
];

/// The figures of one balancer in a row.
struct Figures {
    median: f64,
    high: f64,
    errors: f64,
    imbalance: f64,
}

impl Figures {
    fn of(all: &[Observed]) -> Self {
        let mut latencies: Vec<f64> =
            all.iter().flat_map(|observed| observed.latencies.iter().copied()).collect();
        latencies.sort_by(f64::total_cmp);
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
        let errors = all.iter().map(|observed| observed.errors).sum::<usize>() as f64;
        let imbalance = |observed: &Observed| {
            let most = observed.loads.iter().copied().fold(0.0, f64::max);
            most * observed.loads.len() as f64 / observed.loads.iter().sum::<f64>()
        };
        Self {
            median: at(0.5),
            high: at(0.99),
            errors: errors / (errors + latencies.len() as f64) * 100.0,
            imbalance: all.iter().map(imbalance).sum::<f64>() / all.len() as f64,
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { median, high, errors, imbalance } = self;
        write!(f, "{median:7.2} {high:7.2} {errors:8.2} {imbalance:9.3}")
    }
}

fn figures(
    fleet: &[ServerProfile],
    rate: f64,
    is_stream: bool,
    balancer: &dyn Fn(u64) -> Box<dyn Balancer>,
) -> Figures {
    let of_seed = |seed: &u64| {
        let requests = traffic::requests(rate, UNTIL, *seed);
        events::run(fleet, &requests, *seed, is_stream, &mut *balancer(*seed))
    };
    Figures::of(&SEEDS.iter().map(of_seed).collect::<Vec<_>>())
}

/// The requests per second that use a fleet as intended.
fn rate(fleet: &[ServerProfile]) -> f64 {
    let capacity = |profile| Server::capacity(profile, traffic::mean_tokens());
    fleet.iter().map(capacity).sum::<f64>() * traffic::UTILISATION
}

/// Prints a fleet's table; returns our figures and LiteLLM's by row.
fn table(name: &str, fleet: &[ServerProfile], rate: f64) -> Vec<(Figures, Figures)> {
    println!("\n{name}, {rate:.1} requests/s");
    println!("{:30} {:^34} | {:^34} | ratio", "", "llm-balancer", "LiteLLM");
    let columns = format!("{:>7} {:>7} {:>8} {:>9}", "p50 s", "p99 s", "errors %", "max/mean");
    println!("{:30} {columns} | {columns} | of p99", "");
    let row = |(strategy, is_stream, theirs): &(&str, bool, Strategy)| {
        let (count, stream) = (fleet.len(), *is_stream);
        let ours = figures(fleet, rate, stream, &|seed| Box::new(Ours::new(strategy, count, stream, seed)));
        let theirs =
            figures(fleet, rate, stream, &|seed| Box::new(LiteLlm::new(*theirs, count, stream, seed)));
        let what = if stream { "  .. to the first token" } else { strategy };
        println!("{what:30} {ours} | {theirs} | {:5.2}", ours.high / theirs.high);
        (ours, theirs)
    };
    ROWS.iter().map(row).collect()
}

/// Prints and returns whether a target is met.
fn is_met(what: &str, figure: f64, target: f64) -> bool {
    let verdict = if figure <= target { "met" } else { "MISSED" };
    println!("{verdict}: {what}: {figure:.3}, at most {target}");
    figure <= target
}

/// An even share of the requests of a minute, divided by the share of a deployment that was slow
/// until a minute before.
fn recovery(is_stream: bool) -> f64 {
    let (mut own, mut all) = (0, 0);
    for seed in SEEDS {
        let requests = traffic::requests(2.0, UNTIL, seed);
        let mut balancer = Ours::new("latency-based-routing", PAIR.len(), is_stream, seed);
        let observed = events::run(&PAIR, &requests, seed, is_stream, &mut balancer);
        let minute = RECOVERED + 60 * SECOND..RECOVERED + 120 * SECOND;
        let sent = observed.sent.iter().filter(|(at, _)| minute.contains(at));
        for (_, deployment) in sent {
            all += 1;
            own += usize::from(*deployment == 0);
        }
    }
    all as f64 / PAIR.len() as f64 / own.max(1) as f64
}

fn main() -> ExitCode {
    let unequal = table("Eight unequal deployments, some of them troubled", &UNEQUAL, rate(&UNEQUAL));
    table("The same with room for all requests", &roomy(), rate(&UNEQUAL));
    let equal = table("Six equal deployments without trouble", &EQUAL, rate(&EQUAL));
    println!();
    let (ours, theirs) = &unequal[3];
    let latency = is_met("latency-based p99, in LiteLLM's", ours.high / theirs.high, LATENCY);
    let balance = is_met("least-busy max/mean load among equals", equal[1].0.imbalance, BALANCE);
    let whole = is_met("an even share in that of a recovered deployment", recovery(false), RECOVERY);
    let first = is_met(".. of one whose first tokens have recovered", recovery(true), RECOVERY);
    if latency && balance && whole && first { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
