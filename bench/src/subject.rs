//! The processes that are measured, and how each is started.

use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::Value;

use crate::load::Load;
use crate::machine::Processors;
use crate::peers::Peer;
use crate::process::Process;
use crate::product::Configuration;
use crate::{bootstrap, http, product, wrk};

/// Until the first answer; Python takes its time.
const START: Duration = Duration::from_secs(90);

/// Deployments, or clusters, of the rows with many.
const THOUSAND: usize = 1000;

/// What a row of the table is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// One listener, one route, one cluster: the reference
    #[value(skip)]
    Plain,
    /// The same with a thousand clusters, of which each request names one
    PlainThousand,
    /// One hop, with a filter that holds the request until its body is complete
    OneHopFilter,
    /// An edge listener and an internal listener, without a filter
    TwoHops,
    /// The same with that filter
    TwoHopsFilter,
    /// Three deployments, simple-shuffle
    Product,
    /// Three deployments with rpm and tpm
    Limits,
    /// Limits that are shared through Redis
    Redis,
    /// A thousand deployments
    Thousand,
    /// Three deployments, with the filter in WebAssembly
    Wasm,
}

impl Scenario {
    fn words(self) -> &'static str {
        match self {
            Self::Plain => "plain Envoy",
            Self::PlainThousand => "plain Envoy, 1,000 clusters",
            Self::OneHopFilter => "one hop, empty filter",
            Self::TwoHops => "two hops, no filter",
            Self::TwoHopsFilter => "two hops, empty filter",
            Self::Product => "",
            Self::Limits => ", limits",
            Self::Redis => ", limits, Redis",
            Self::Thousand => ", 1,000 deployments",
            Self::Wasm => ", WebAssembly",
        }
    }

    fn configuration(self) -> Option<Configuration> {
        let few = Configuration { deployments: 3, limits: false, redis: false };
        match self {
            Self::Product | Self::Wasm => Some(few),
            Self::Limits => Some(Configuration { limits: true, ..few }),
            Self::Redis => Some(Configuration { limits: true, redis: true, ..few }),
            Self::Thousand => Some(Configuration { deployments: THOUSAND, ..few }),
            Self::Plain | Self::PlainThousand | Self::OneHopFilter | Self::TwoHops | Self::TwoHopsFilter => {
                None
            }
        }
    }

    /// Whether it is a build of llm-balancer.
    pub fn is_product(self) -> bool {
        self.configuration().is_some()
    }
}

/// A row of the table.
#[derive(Clone, Debug)]
pub enum Row {
    Envoy(Scenario),
    /// A build of llm-balancer under this name.
    Product(Scenario, String, PathBuf),
    Peer(Peer),
}

impl Row {
    pub fn name(&self) -> String {
        match self {
            Self::Envoy(scenario) => scenario.words().to_owned(),
            Self::Product(scenario, name, _) => format!("{name}{}", scenario.words()),
            Self::Peer(peer) => peer.name().to_owned(),
        }
    }
}

/// What every process of a run is started with.
#[derive(Debug)]
pub struct Setting<'a> {
    pub envoy: &'a Path,
    /// Folders of the peers.
    pub peers_in: &'a Path,
    pub strategy: &'a str,
    pub folder: &'a Path,
    pub load: Load,
    pub workers: usize,
    pub processors: &'a Processors,
    /// The provider's port.
    pub provider: u16,
}

/// A process that answers.
#[derive(Debug)]
pub struct Subject {
    pub process: Process,
    pub port: u16,
    /// For wrk.
    pub script: PathBuf,
    /// Redis.
    _companion: Option<Process>,
}

impl Setting<'_> {
    /// Starts a row's process and waits for its first answer.
    ///
    /// # Errors
    ///
    /// In plain words, with the end of the process's output.
    pub fn start(&self, row: &Row, number: usize) -> Result<Subject, Box<dyn Error>> {
        let folder = self.folder.join(number.to_string());
        fs::create_dir(&folder)?;
        let port = free_port();
        let mut companion = None;
        let (command, headers) = match row {
            Row::Envoy(scenario) => {
                let mut headers = product::headers();
                if *scenario == Scenario::PlainThousand {
                    headers.push((bootstrap::CLUSTER.to_owned(), "d0".to_owned()));
                }
                (self.envoy(*scenario, &folder, port)?, headers)
            }
            Row::Product(scenario, _, program) => {
                let configuration = scenario.configuration().ok_or("not a configuration of the product")?;
                let redis = configuration.redis.then(free_port);
                companion = redis.map(|port| self.redis(&folder, port)).transpose()?;
                let file = folder.join("config.yaml");
                fs::write(&file, configuration.text(self.provider, redis, self.strategy))?;
                let mut command = product::command(self, program, &file, port);
                if *scenario == Scenario::Wasm {
                    command.args(["--runtime", "wasm"]);
                }
                (command, product::headers())
            }
            Row::Peer(peer) => peer.command(self, &folder, port)?,
        };
        let (on, back_to) = (&self.processors.subject, &self.processors.load);
        let mut process = Process::start(command, &folder.join("log"), on, back_to)?;
        let body = self.load.body();
        wait(&mut process, port, &body, &headers)?;
        let script = folder.join("wrk.lua");
        let text = wrk::script(&folder, &body, &headers)?;
        let draws = matches!(row, Row::Envoy(Scenario::PlainThousand));
        let text = if draws { wrk::with_a_drawn_cluster(&text, THOUSAND) } else { text };
        fs::write(&script, text)?;
        Ok(Subject { process, port, script, _companion: companion })
    }

    fn envoy(&self, scenario: Scenario, folder: &Path, port: u16) -> Result<Command, Box<dyn Error>> {
        let filter = folder.join("empty_filter.wasm");
        fs::write(&filter, wat::parse_str(include_str!("empty_filter.wat"))?)?;
        let bootstrap = match scenario {
            Scenario::PlainThousand => bootstrap::many_clusters(port, self.provider, THOUSAND),
            Scenario::OneHopFilter => bootstrap::one_hop(port, self.provider, Some(&filter)),
            Scenario::TwoHops => bootstrap::two_hops(port, self.provider, None),
            Scenario::TwoHopsFilter => bootstrap::two_hops(port, self.provider, Some(&filter)),
            _ => bootstrap::one_hop(port, self.provider, None),
        };
        envoy(self.envoy, folder, &bootstrap, self.workers)
    }

    fn redis(&self, folder: &Path, port: u16) -> Result<Process, Box<dyn Error>> {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string(), "--dir"]).arg(folder);
        let load = &self.processors.load;
        Process::start(command, &folder.join("redis.log"), load, load)
    }
}

/// Envoy with this bootstrap.
pub fn envoy(
    program: &Path,
    folder: &Path,
    bootstrap: &Value,
    workers: usize,
) -> Result<Command, Box<dyn Error>> {
    let file = folder.join("bootstrap.json");
    fs::write(&file, bootstrap.to_string())?;
    let mut command = Command::new(program);
    command.arg("-c").arg(file).args(["--concurrency", &workers.to_string()]);
    command.args(["--log-level", "error", "--disable-hot-restart"]);
    Ok(command)
}

/// A port that is free on every address of loopback, and below those of outgoing connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(12_000);
    loop {
        let port = NEXT.fetch_add(1, Relaxed);
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

fn wait(
    process: &mut Process,
    port: u16,
    body: &str,
    headers: &[(String, String)],
) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    loop {
        let Err(error) = http::chat(port, body, headers) else { return Ok(()) };
        if !process.runs() {
            return Err(format!("does not start: {}", process.last_words()).into());
        }
        if started.elapsed() > START {
            return Err(format!("does not answer: {error}\n{}", process.last_words()).into());
        }
        thread::sleep(Duration::from_millis(100));
    }
}
