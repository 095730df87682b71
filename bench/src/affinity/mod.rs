//! What affinity is worth on real processes: a fleet of fake vLLM workers behind the real Envoy, or
//! behind vllm-router. docs/affinity.md has the method.

mod client;
mod plot;
mod policy;
mod results;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fake_provider::vllm::{Counters, Model, Scenario, Workers, Workload};

use self::policy::Policy;
use self::results::Figures;
use crate::process::Process;
use crate::programs::Programs;
use crate::subject::free_port;
use crate::{http, machine};

/// The group, and the workers' model.
const MODEL: &str = "m";
/// Until the first answer; Python takes its time.
const START: Duration = Duration::from_secs(60);

/// Time to first token, cache hits and load of a fleet of fake vLLM workers
///
/// Seconds are those of the model: with --speed 4, a minute takes 15 s.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// chat, agents, templates, one, unique
    #[arg(long, value_delimiter = ',', default_value = "chat,agents,templates,unique")]
    scenarios: Vec<String>,
    /// What selects a worker; all by default
    #[arg(long, value_enum, value_delimiter = ',')]
    policies: Vec<Policy>,
    /// Deployments of the group
    #[arg(long, default_value_t = 8)]
    deployments: usize,
    /// In that of the scenario: how many requests arrive
    #[arg(long, default_value_t = 1.0)]
    load: f64,
    /// Seconds in which conversations begin and caches fill
    #[arg(long, default_value_t = 180)]
    warm_up: u64,
    /// Seconds after that
    #[arg(long, default_value_t = 240)]
    seconds: u64,
    /// How much faster than the model time passes
    #[arg(long, default_value_t = 4.0)]
    speed: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Envoy's workers
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Keeps the figures, and those of earlier runs
    #[arg(long, default_value = "target/affinity.jsonl")]
    out: PathBuf,
    /// Draws all figures that are kept
    #[arg(long, default_value = "target/affinity.svg")]
    plot: PathBuf,
    #[command(flatten)]
    programs: Programs,
}

impl Arguments {
    /// Runs all scenarios with all policies.
    pub fn run(&self) -> Result<(), Box<dyn Error>> {
        let all = <Policy as clap::ValueEnum>::value_variants();
        let policies = if self.policies.is_empty() { all } else { &self.policies };
        println!("{}\n\n{}", machine::describe(&self.programs.envoy)?, results::HEADER);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        for name in &self.scenarios {
            let scenario = Scenario::named(name).ok_or_else(|| format!("unknown scenario \"{name}\""))?;
            let until = (self.warm_up + self.seconds) * 1_000_000;
            let workload = Workload::new(&scenario, self.load, until, &Model::A100_8B, self.seed);
            let workload = Arc::new(workload);
            for policy in policies {
                match runtime.block_on(self.measure(&scenario, *policy, &workload)) {
                    Ok(figures) => {
                        println!("{}", figures.row());
                        results::keep(&self.out, &figures)?;
                    }
                    Err(error) => println!("{:10} {:27} {error}", scenario.name, policy.name()),
                }
            }
        }
        Ok(fs::write(&self.plot, plot::svg(&results::read(&self.out)?))?)
    }

    async fn measure(
        &self,
        scenario: &Scenario,
        policy: Policy,
        workload: &Arc<Workload>,
    ) -> Result<Figures, Box<dyn Error>> {
        let fleet = Workers::start(self.deployments, Model::A100_8B, self.speed).await?;
        let folder = tempfile::tempdir()?;
        let port = free_port();
        let command = policy.command(self, folder.path(), port, &fleet.ports())?;
        let processors = machine::processors()?;
        let mut process = Process::start(command, &folder.path().join("log"), &processors, &processors)?;
        tokio::task::block_in_place(|| wait(&mut process, port))?;
        let started = Instant::now();
        let warm = started + Duration::from_secs_f64(self.warm_up as f64 / self.speed);
        let clients = client::send_all(Arc::clone(workload), port, self.speed, started);
        let warmed_up = async {
            tokio::time::sleep_until(warm.into()).await;
            fleet.counters()
        };
        let (answered, before) = tokio::join!(clients, warmed_up);
        let counted = |turn: usize| workload.turns[turn].at >= self.warm_up * 1_000_000;
        let times: Vec<f64> = answered
            .iter()
            .filter(|one| counted(one.turn))
            .map(|one| one.first_token.as_secs_f64() * self.speed)
            .collect();
        let failures = workload.turns.len() - answered.len();
        let now = fleet.counters().into_iter().zip(before);
        let counters: Vec<Counters> = now.map(|(now, before)| now.since(before)).collect();
        let figures = Figures::of(scenario.name, policy.name(), times, &counters, failures);
        figures.ok_or_else(|| format!("no request was answered\n{}", process.last_words()).into())
    }
}

/// Waits for a first answer.
fn wait(process: &mut Process, port: u16) -> Result<(), Box<dyn Error>> {
    let body =
        format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"hello"}}],"max_tokens":1}}"#);
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    let started = Instant::now();
    loop {
        let Err(error) = http::chat(port, &body, &headers) else { return Ok(()) };
        if !process.runs() {
            return Err(format!("does not start: {}", process.last_words()).into());
        }
        if started.elapsed() > START {
            return Err(format!("does not answer: {error}\n{}", process.last_words()).into());
        }
        thread::sleep(Duration::from_millis(100));
    }
}
