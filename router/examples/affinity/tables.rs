//! The tables: a scenario each, a policy in each row.

use std::process::ExitCode;

use fake_provider::vllm::Scenario;

use crate::others::{Bound, CacheAware, Key, Ranked};
use crate::ours::Ours;
use crate::replay::{self, Observed, Policy, Requests};

/// One simulation each, with random requests of its own.
const SEEDS: [u64; 3] = [1, 2, 3];

/// Of the scenario `chat`: the median of prefix affinity in that of simple-shuffle.
const MEDIAN: f64 = 0.5;
/// The load of a deployment in the mean of all.
const LOAD: f64 = 1.3;

/// The figures of a row, over all seeds.
struct Figures {
    median: f64,
    high: f64,
    hits: f64,
    in_flight: f64,
    requests: f64,
}

impl Figures {
    fn of(all: &[Observed]) -> Self {
        let mut times: Vec<f64> =
            all.iter().flat_map(|observed| observed.first_tokens.iter().copied()).collect();
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        let counters = || all.iter().flat_map(|observed| &observed.counters);
        let cached: u64 = counters().map(|counters| counters.cached_tokens).sum();
        let tokens: u64 = counters().map(|counters| counters.prompt_tokens).sum();
        let mean = |figure: &dyn Fn(&Observed) -> f64| all.iter().map(figure).sum::<f64>() / all.len() as f64;
        Self {
            median: at(0.5),
            high: at(0.99),
            hits: cached as f64 / tokens as f64,
            in_flight: mean(&|one| excess(one.counters.iter().map(|counters| counters.in_flight))),
            requests: mean(&|one| excess(one.counters.iter().map(|counters| counters.requests))),
        }
    }
}

/// The largest in the mean.
fn excess(loads: impl Iterator<Item = u64> + Clone) -> f64 {
    let most = loads.clone().max().unwrap_or(0) as f64;
    most * loads.clone().count() as f64 / loads.sum::<u64>().max(1) as f64
}

type Make = Box<dyn Fn(u64) -> Box<dyn Policy>>;

fn product(strategy: &'static str, llm_balancer: &'static str) -> Make {
    Box::new(move |seed| Box::new(Ours::new(strategy, llm_balancer, seed)) as Box<dyn Policy>)
}

fn ranked(key: Key, bound: Bound) -> Make {
    Box::new(move |_| Box::new(Ranked::new(key, bound)))
}

/// What a user may choose.
fn rows() -> Vec<(String, Make)> {
    vec![
        ("simple-shuffle".into(), product("simple-shuffle", "")),
        ("least-busy".into(), product("least-busy", "")),
        ("latency-based-routing".into(), product("latency-based-routing", "")),
        ("affinity: prefix".into(), product("simple-shuffle", "affinity: prefix")),
        (
            ".. with prompt_cache_key".into(),
            Box::new(|seed| {
                let ours = Ours::new("simple-shuffle", "affinity: prefix", seed);
                Box::new(ours.with_prompt_cache_key())
            }),
        ),
        ("cache_aware, simulated".into(), Box::new(|_| Box::new(CacheAware::default()))),
    ]
}

/// Other keys and bounds.
fn variants() -> Vec<(String, Make)> {
    let keys = [
        Key::System,
        Key::Subset(2),
        Key::FirstMessage,
        Key::Partition(1),
        Key::Partition(2),
        Key::Partition(4),
        Key::Session,
    ];
    let bounds = [Bound::None, Bound::Times(1.25), Bound::Times(1.5), Bound::Usual(1.15, 2.0)];
    let both = keys.into_iter().flat_map(|key| bounds.map(|bound| (key, bound)));
    both.map(|(key, bound)| (format!("{key:?} {bound:?}"), ranked(key, bound))).collect()
}

/// Prints a table; returns its figures by row.
fn table(scenario: &Scenario, load: f64, rows: &[(String, Make)]) -> Vec<Figures> {
    println!("\n{}: {}, {:.0} requests/s", scenario.name, scenario.what, scenario.rate * load);
    println!(
        "{:34} {:>7} {:>7} {:>7}  load: {:>9} {:>9}",
        "", "p50 s", "p99 s", "hits %", "in flight", "requests"
    );
    let requests: Vec<_> = SEEDS.iter().map(|seed| Requests::new(scenario, load, *seed)).collect();
    let row = |(name, make): &(String, Make)| {
        let run = |(requests, seed): (&Requests, &u64)| replay::run(requests, &mut *make(*seed));
        let Figures { median, high, hits, in_flight, requests } =
            Figures::of(&requests.iter().zip(&SEEDS).map(run).collect::<Vec<_>>());
        println!(
            "{name:34} {median:7.3} {high:7.3} {:7.1}        {in_flight:9.2} {requests:9.2}",
            hits * 100.0
        );
        Figures { median, high, hits, in_flight, requests }
    };
    rows.iter().map(row).collect()
}

/// Prints and returns whether a target is met.
fn is_met(what: &str, figure: f64, target: f64) -> bool {
    let verdict = if figure <= target { "met" } else { "MISSED" };
    println!("{verdict}: {what}: {figure:.3}, at most {target:.3}");
    figure <= target
}

/// Prints the tables of the scenarios that the arguments name, or of all. With the argument
/// `variants`, other keys and bounds as well.
pub fn print() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut rows = rows();
    if arguments.iter().any(|argument| argument == "variants") {
        rows.extend(variants());
    }
    println!("8 deployments of 8,192 blocks, 10,000 tokens/s of prompts; 'load' is the largest in the mean");
    let mut all_met = true;
    for scenario in Scenario::ALL {
        let is_named = |name: &&String| *name != "variants";
        let mut names = arguments.iter().filter(is_named).peekable();
        if names.peek().is_some() && !names.any(|name| name == scenario.name) {
            continue;
        }
        let figures = table(&scenario, 1.0, &rows);
        let (shuffle, affinity, cache_aware) = (&figures[0], &figures[3], &figures[5]);
        all_met &= is_met("load of affinity", affinity.in_flight.max(affinity.requests), LOAD);
        if scenario.name == Scenario::CHAT.name {
            all_met &=
                is_met("p50 of affinity in simple-shuffle's", affinity.median / shuffle.median, MEDIAN);
            all_met &= is_met(
                "misses of affinity in cache_aware's",
                (1.0 - affinity.hits) / (1.0 - cache_aware.hits),
                1.0,
            );
        }
    }
    if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
