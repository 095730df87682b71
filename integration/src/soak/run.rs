//! A run: storms, the calm after each of them, and the report.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::audit::Audit;
use super::clients::Crowd;
use super::disasters::{Happened, Stage};
use super::journal::Journal;
use super::ledger::Ledger;
use super::plan::{self, PATIENCE_IN_TRAP};
use super::{INSTANCES, Report, Soak, WORKERS};
use crate::{Launch, Provider, Redis, fleet, memory};

/// Storms that warm up.
const WARM_UP: usize = 2;
/// Memory may exceed the most of these by so many parts of a thousand.
const GROWTH: u64 = 10;

/// What a run has and what it has seen.
pub(super) struct Run<'a> {
    soak: &'a Soak,
    stage: Stage,
    journal: Arc<Journal>,
    ledger: Arc<Ledger>,
    audits: [Audit; INSTANCES],
    /// Of clients that disconnect, so far.
    addresses: Arc<AtomicU32>,
    happened: Vec<Happened>,
    /// Kilobytes that each Envoy uses after each storm.
    used: Vec<[u64; INSTANCES]>,
}

impl<'a> Run<'a> {
    /// Starts Redis and the instances.
    pub(super) async fn begin(soak: &'a Soak, provider: &Provider, journal: Arc<Journal>) -> Self {
        let redis = Redis::start().await;
        let origin = provider.origin();
        let configuration = plan::configuration(0, &origin, redis.port());
        let launch =
            || Launch::new(&configuration).program(&soak.program).concurrency(WORKERS).stdout_apart().start();
        let instances = [launch().await, launch().await];
        sleep(fleet::ACQUAINTED).await;
        let audits = [0, 1].map(|number| Audit::of(number, &instances[number]));
        Self {
            soak,
            stage: Stage { redis, instances, provider: origin, serves: [0; INSTANCES] },
            journal,
            ledger: Arc::default(),
            audits,
            addresses: Arc::default(),
            happened: Vec::new(),
            used: Vec::new(),
        }
    }

    /// Clients and disasters for so long, until the last client has its response.
    pub(super) async fn storm(&mut self, number: usize, time: Duration) {
        let crowd = Arc::new(Crowd {
            seed: self.soak.seed,
            ports: self.stage.instances.each_ref().map(|balancer| balancer.port),
            journal: Arc::clone(&self.journal),
            ledger: Arc::clone(&self.ledger),
            stop: AtomicBool::new(false),
            addresses: Arc::clone(&self.addresses),
            size: self.soak.clients,
            outlasts_traps: self.soak.is_long,
            pause: Duration::from_millis(100),
        });
        let clients = crowd.spawn(number);
        let (seed, until) = (format!("{}/{number}", self.soak.seed), Instant::now() + time);
        self.happened.push(self.stage.disasters(&seed, self.soak.gaps, until, &self.ledger).await);
        crowd.stop.store(true, Ordering::Relaxed);
        if timeout(2 * PATIENCE_IN_TRAP, clients.join_all()).await.is_err() {
            self.ledger.fault("a client does not end".to_owned());
        }
    }

    /// Waits until replaced configurations are gone, and checks everything.
    pub(super) async fn calm(&mut self, number: usize) {
        sleep(self.soak.calm).await;
        let mut used = [0; INSTANCES];
        for (instance, balancer) in self.stage.instances.iter_mut().enumerate() {
            self.audits[instance].check(balancer, &self.ledger, &self.journal).await;
            used[instance] = memory::used_by_envoy(balancer).await;
        }
        self.journal.forget();
        println!("storm {number}: {}; kB in use: {used:?}", self.happened[number]);
        self.used.push(used);
        self.keep_logs();
    }

    /// Copies the logs into the folder that SOAK_LOGS names, if it does.
    fn keep_logs(&self) {
        let Some(folder) = std::env::var_os("SOAK_LOGS").filter(|folder| !folder.is_empty()) else { return };
        for (number, balancer) in self.stage.instances.iter().enumerate() {
            let to = |kind: &str| PathBuf::from(&folder).join(format!("instance-{number}.{kind}"));
            std::fs::copy(balancer.log_file(), to("log")).expect("the log can be copied");
            std::fs::copy(balancer.stdout_file(), to("access-log")).expect("the log can be copied");
        }
    }

    /// Judges what only the whole run shows, and puts everything into words.
    pub(super) fn report(&self) -> Report {
        let mut text = self.outcomes();
        text.push_str(&self.limits());
        for instance in 0..INSTANCES {
            text.push_str(&self.instance(instance));
        }
        for (number, happened) in self.happened.iter().enumerate() {
            let _ = writeln!(text, "storm {number}: {happened}");
        }
        Report { faults: self.ledger.entries().faults.clone(), text }
    }

    fn outcomes(&self) -> String {
        let mut entries = self.ledger.entries();
        let mut text = entries.table();
        let _ = writeln!(text, "; {} attempts", self.journal.arrivals());
        match entries.unserved() {
            Ok(few) => text.push_str(&format!("{few}\n")),
            Err(many) => entries.fault(many),
        }
        if !entries.limits_were_reached() {
            entries.fault("no request was refused by limits, or none was served".to_owned());
        }
        text
    }

    fn limits(&self) -> String {
        let mut text = String::new();
        for (deployment, percent, above) in self.journal.fullest_minutes() {
            let _ = writeln!(text, "{deployment}: {percent} % of its limit in the fullest minute");
            if above > 0 {
                self.ledger.fault(format!("{deployment} exceeds its limit in {above} minutes"));
            }
        }
        text
    }

    fn instance(&self, instance: usize) -> String {
        let used: Vec<_> = self.used.iter().map(|used| used[instance]).collect();
        let (last, earlier) = used.split_last().unwrap_or((&0, &[]));
        let warm = earlier.iter().take(WARM_UP).max().unwrap_or(last);
        if self.soak.is_long && last * 1000 > warm * (1000 + GROWTH) {
            self.ledger.fault(format!("the memory of instance {instance} grows from {warm} to {last} kB"));
        }
        let Audit { lines, messages, .. } = &self.audits[instance];
        let mut text = format!("instance {instance}: {lines} lines, kB in use after each storm {used:?}\n");
        for (message, count) in messages {
            let _ = writeln!(text, "  {count} x {message}");
        }
        text
    }
}
