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
mod verdict;
mod weather;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::time::{sleep, timeout};

use audit::Audit;
use clients::Crowd;
use disasters::{Gaps, Happened, Stage};
use journal::Journal;
use ledger::Ledger;
use plan::PATIENCE_IN_TRAP;

use crate::{Balancer, Launch, Provider, Redis, fleet, memory};

const INSTANCES: usize = 2;
/// The instance whose VMs trap. The other one shows what holds without traps.
const TRAPPING: usize = 1;
const WORKERS: u8 = 4;
/// Milliseconds.
const MINUTE: u64 = 60_000;
/// Seconds.
const STORM: u64 = 150;
/// Memory may grow by so many parts of a thousand after the first storm.
const GROWTH: u64 = 10;

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

    /// So many minutes: storms of two and a half, the first of which warms up.
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
        let mut stage = self.start(&provider).await;
        let ledger = Arc::new(Ledger::default());
        let mut audits = [0, 1].map(|number| Audit::of(number, &stage.instances[number]));
        let addresses = Arc::default();
        let mut used = Vec::new();
        let mut happened = Vec::new();
        for (number, time) in self.storms.iter().enumerate() {
            let crowd = Arc::new(Crowd {
                seed: self.seed,
                ports: stage.instances.each_ref().map(|balancer| balancer.port),
                journal: Arc::clone(&journal),
                ledger: Arc::clone(&ledger),
                stop: AtomicBool::new(false),
                addresses: Arc::clone(&addresses),
                size: self.clients,
                outlasts_traps: self.is_long,
                pause: Duration::from_millis(100),
            });
            happened.push(self.storm(number, *time, &crowd, &mut stage, &ledger).await);
            sleep(self.calm).await;
            for (audit, balancer) in audits.iter_mut().zip(&mut stage.instances) {
                audit.check(balancer, &ledger, &journal).await;
            }
            journal.forget();
            used.push([
                memory::used_by_envoy(&stage.instances[0]).await,
                memory::used_by_envoy(&stage.instances[1]).await,
            ]);
            println!("storm {number}: {}; kB in use: {:?}", happened[number], used[number]);
            keep_logs(&stage.instances);
        }
        self.report(&journal, &ledger, &audits, &happened, &used)
    }

    async fn start(&self, provider: &Provider) -> Stage {
        let redis = Redis::start().await;
        let origin = provider.origin();
        let configuration = plan::configuration(0, &origin, redis.port());
        let launch =
            || Launch::new(&configuration).program(&self.program).concurrency(WORKERS).stdout_apart().start();
        let instances = [launch().await, launch().await];
        sleep(fleet::ACQUAINTED).await;
        Stage { redis, instances, provider: origin, serves: [0; INSTANCES] }
    }

    /// Clients and disasters for so long, until the last client has its response.
    async fn storm(
        &self,
        number: usize,
        time: Duration,
        crowd: &Arc<Crowd>,
        stage: &mut Stage,
        ledger: &Ledger,
    ) -> Happened {
        let clients = crowd.spawn(number);
        let seed = format!("{}/{number}", self.seed);
        let happened = stage.disasters(&seed, self.gaps, Instant::now() + time, ledger).await;
        crowd.stop.store(true, Ordering::Relaxed);
        if timeout(2 * PATIENCE_IN_TRAP, clients.join_all()).await.is_err() {
            ledger.fault("a client does not end".to_owned());
        }
        happened
    }

    fn report(
        &self,
        journal: &Journal,
        ledger: &Ledger,
        audits: &[Audit],
        happened: &[Happened],
        used: &[[u64; INSTANCES]],
    ) -> Report {
        let mut entries = ledger.entries();
        let mut text = entries.table();
        match entries.unserved() {
            Ok(few) => text.push_str(&format!("\n{few}\n")),
            Err(many) => entries.fault(many),
        }
        if !entries.limits_were_reached() {
            entries.fault("no request was refused by limits, or none was served".to_owned());
        }
        for (deployment, percent, above) in journal.fullest_minutes() {
            text.push_str(&format!("{deployment}: {percent} % of its limit in the fullest minute\n"));
            if above > 0 {
                entries.fault(format!("{deployment} exceeds its limit in {above} minutes"));
            }
        }
        for instance in 0..INSTANCES {
            let [first, last] = [used.first(), used.last()].map(|used| used.map_or(0, |used| used[instance]));
            let all: Vec<_> = used.iter().map(|used| used[instance]).collect();
            text.push_str(&format!(
                "instance {instance}: {} lines, kB in use after each storm {all:?}\n",
                audits[instance].lines
            ));
            if self.is_long && last * 1000 > first * (1000 + GROWTH) {
                entries.fault(format!("the memory of instance {instance} grows from {first} to {last} kB"));
            }
            for (message, count) in &audits[instance].messages {
                text.push_str(&format!("  {count} x {message}\n"));
            }
        }
        text.push_str(&format!("{} attempts\n", journal.arrivals()));
        happened.iter().for_each(|happened| text.push_str(&format!("{happened}\n")));
        Report { faults: entries.faults.clone(), text }
    }
}

/// Copies the logs into the folder that SOAK_LOGS names, if it does.
fn keep_logs(instances: &[Balancer; INSTANCES]) {
    let Some(folder) = std::env::var_os("SOAK_LOGS").filter(|folder| !folder.is_empty()) else { return };
    for (number, balancer) in instances.iter().enumerate() {
        let to = |kind: &str| PathBuf::from(&folder).join(format!("instance-{number}.{kind}"));
        std::fs::copy(balancer.log_file(), to("log")).expect("the log can be copied");
        std::fs::copy(balancer.stdout_file(), to("access-log")).expect("the log can be copied");
    }
}

/// Random numbers of one part of a run: they do not depend on what others draw.
fn fork(seed: u64, part: &str) -> Rng {
    let mut hasher = DefaultHasher::new();
    (seed, part).hash(&mut hasher);
    Rng::with_seed(hasher.finish())
}
