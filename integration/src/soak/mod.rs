//! Endurance: clients, providers, Redis, files and VMs do what they should not, at random, and the
//! product keeps what it promises.
//!
//! | module | has |
//! |---|---|
//! | `plan` | groups and what is promised of each, configurations |
//! | `weather` | what a provider does with an attempt |
//! | `journal` | what it did, and what arrived in each minute |
//! | `clients` | clients that wait, clients that disconnect |
//! | `verdict` | what became of a request, held against the journal |
//! | `ledger` | the sums |
//! | `disasters` | reloads, Redis, traps |
//! | `audit` | what must hold for an instance when all clients have gone |
//! | `run` | storms, calms, and the report |
//!
//! A run is a row of storms. After each there is a calm, in which everything is checked. All that is
//! random follows from one seed, but for the order in which concurrent events happen.

mod audit;
mod clients;
mod disasters;
mod journal;
mod ledger;
mod log_tail;
mod plan;
mod run;
mod verdict;
mod weather;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use crate::Provider;
use disasters::Gaps;
use journal::Journal;
use run::Run;

const INSTANCES: usize = 2;
/// The instance whose VMs trap. The other one shows what holds without traps.
const TRAPPING: usize = 1;
const WORKERS: u8 = 4;
/// Milliseconds.
const MINUTE: u64 = 60_000;
/// Seconds.
const STORM: u64 = 150;

/// A run, from what it depends on.
#[derive(Clone, Debug)]
pub struct Soak {
    seed: u64,
    program: PathBuf,
    storms: Vec<Duration>,
    /// After it a replaced configuration is gone.
    calm: Duration,
    clients: usize,
    gaps: Gaps,
    /// Whether there is time to compare memory, and to wait for Envoy to end what a trap has left.
    is_long: bool,
}

/// What a run did.
#[derive(Debug)]
pub struct Report {
    /// All that must not happen and did.
    pub faults: Vec<String>,
    /// Everything, for people.
    pub text: String,
}

impl Soak {
    /// Less than a minute. `program` has the filter that traps when a request asks for it.
    pub fn short(seed: u64, program: impl Into<PathBuf>) -> Self {
        let s = Duration::from_secs;
        Self {
            seed,
            program: program.into(),
            storms: vec![s(30)],
            calm: s(1),
            clients: 24,
            gaps: Gaps { reload: s(3), redis: s(5), trap: s(3), after_traps: s(15) },
            is_long: false,
        }
    }

    /// So many minutes: storms of two and a half, the first two of which warm up.
    pub fn long(seed: u64, minutes: u64, program: impl Into<PathBuf>) -> Self {
        let s = Duration::from_secs;
        let storms = usize::try_from(minutes * 60 / STORM).unwrap_or(usize::MAX).max(2);
        Self {
            storms: vec![s(STORM); storms],
            calm: s(15),
            clients: 48,
            gaps: Gaps { reload: s(8), redis: s(12), trap: s(6), after_traps: s(80) },
            is_long: true,
            ..Self::short(seed, program)
        }
    }

    /// Runs it to its end.
    pub async fn run(self) -> Report {
        println!("seed {}", self.seed);
        let journal = Arc::new(Journal::new(self.seed));
        let decides = Arc::clone(&journal);
        let provider = Provider::deciding(move |request| decides.decide(request)).await;
        let mut run = Run::begin(&self, &provider, journal).await;
        for (number, time) in self.storms.iter().enumerate() {
            run.storm(number, *time).await;
            run.calm(number).await;
        }
        run.report()
    }
}

/// Random numbers of one part of a run: they do not depend on what others draw.
fn fork(seed: u64, part: &str) -> Rng {
    let mut hasher = DefaultHasher::new();
    (seed, part).hash(&mut hasher);
    Rng::with_seed(hasher.finish())
}
