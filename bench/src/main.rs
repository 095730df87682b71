//! CPU per request of llm-balancer, beside plain Envoy and other gateways. docs/PERFORMANCE.md has
//! the method.

mod affinity;
mod bootstrap;
mod http;
mod load;
mod machine;
mod peers;
mod process;
mod product;
mod programs;
mod provider;
mod run;
mod statistics;
mod streams;
mod subject;
mod table;
mod wrk;

use std::error::Error;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::load::Load;
use crate::peers::Peer;
use crate::programs::Programs;
use crate::run::Plan;
use crate::subject::{Row, Scenario};

/// Prints one table: CPU per request and more, each row beside plain Envoy in the same rounds
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    #[command(subcommand)]
    other: Option<Other>,
    /// Rounds of each row
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Loads
    #[arg(long, value_enum, value_delimiter = ',', default_value = "1kb,100kb,sse")]
    loads: Vec<Load>,
    /// Rows beside plain Envoy; all by default, with 4 workers those of the product without Redis
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<Scenario>,
    /// Other gateways, with one worker
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Envoy's workers
    #[arg(long, value_delimiter = ',', default_value = "1,4", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Vec<u16>,
    /// Routing strategy of the product
    #[arg(long, default_value = "simple-shuffle")]
    strategy: String,
    #[command(flatten)]
    programs: Programs,
    /// Further builds, each beside the first one
    #[arg(value_name = "NAME=PROGRAM", value_parser = build)]
    builds: Vec<(String, PathBuf)>,
}

/// What the bench measures beside CPU.
#[derive(Debug, Subcommand)]
enum Other {
    Affinity(affinity::Arguments),
}

fn build(text: &str) -> Result<(String, PathBuf), String> {
    let (name, program) = text.split_once('=').ok_or("expected NAME=PROGRAM")?;
    Ok((name.to_owned(), program.into()))
}

impl Arguments {
    fn rows(&self, workers: u16) -> Vec<Row> {
        let default: &[Scenario] = match workers {
            1 => &[
                Scenario::PlainThousand,
                Scenario::TwoHops,
                Scenario::TwoHopsFilter,
                Scenario::Product,
                Scenario::Limits,
                Scenario::Redis,
                Scenario::Thousand,
                Scenario::Wasm,
            ],
            _ => &[Scenario::Product, Scenario::Limits],
        };
        let scenarios = if self.rows.is_empty() { default } else { &self.rows };
        let builds = || {
            let first = ("llm-balancer".to_owned(), self.programs.product.clone());
            std::iter::once(first).chain(self.builds.iter().cloned())
        };
        let rows = scenarios.iter().flat_map(|scenario| {
            if scenario.is_product() {
                builds().map(|(name, program)| Row::Product(*scenario, name, program)).collect()
            } else {
                vec![Row::Envoy(*scenario)]
            }
        });
        let peers = self.peers.iter().filter(|_| workers == 1).map(|peer| Row::Peer(*peer));
        rows.chain(peers).collect()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::parse();
    if let Some(Other::Affinity(affinity)) = arguments.other {
        return affinity.run();
    }
    // Peers run in folders of their own.
    arguments.programs.peers_in = std::path::absolute(&arguments.programs.peers_in)?;
    let processors = machine::processors()?;
    println!("{}", machine::describe(&arguments.programs.envoy)?);
    if let Some(warning) = machine::warning()? {
        println!("{warning}");
    }
    let plan = Plan {
        envoy: &arguments.programs.envoy,
        peers_in: &arguments.programs.peers_in,
        strategy: &arguments.strategy,
        rounds: arguments.rounds.into(),
        processors: &processors,
    };
    println!("{} rounds, mean +- standard error\n\n{}", plan.rounds, table::HEADER);
    let mut notes = Vec::new();
    for workers in &arguments.workers {
        for load in &arguments.loads {
            let measured = plan.run(*load, (*workers).into(), &arguments.rows(*workers))?;
            let workers = (*workers).into();
            table::rows(*load, workers, &measured).iter().for_each(|row| println!("{row}"));
            notes.extend(table::builds(*load, workers, &measured));
            notes.extend(table::warnings(*load, workers, &measured));
        }
    }
    println!();
    notes.iter().for_each(|note| println!("{note}"));
    Ok(())
}
