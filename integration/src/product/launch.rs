//! How `llm-balancer` is started: its file, arguments, variables and ports.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::time::sleep;

use super::Balancer;
use crate::child_process::dies_with_this_thread;
use crate::clients::Client;
use crate::network::{free_pair, free_port};

/// Longer than any start on a busy machine.
const START: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Debug)]
pub struct Launch {
    program: PathBuf,
    config: String,
    file: Option<PathBuf>,
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
    port: Option<u16>,
    concurrency: u8,
    is_stdout_apart: bool,
}

/// A balancer that would not start.
#[derive(Debug)]
pub struct Refusal {
    /// How it exited.
    pub status: ExitStatus,
    /// All it said.
    pub output: String,
}

/// The hops of first attempts in this run of the tests: `1`, or what LLM_BALANCER_HOPS says.
pub fn hops() -> &'static str {
    match std::env::var("LLM_BALANCER_HOPS").as_deref() {
        Ok("2") => "2",
        _ => "1",
    }
}

impl Launch {
    /// `llm-balancer --config FILE` with this content in the file.
    pub fn new(config: &str) -> Self {
        Self {
            program: Balancer::binary(),
            config: config.to_owned(),
            file: None,
            args: Vec::new(),
            env: Vec::new(),
            port: None,
            concurrency: 1,
            is_stdout_apart: false,
        }
    }

    /// `llm-balancer --config FILE` with a file of the test's own.
    pub fn of_file(file: impl Into<PathBuf>) -> Self {
        Self { file: Some(file.into()), ..Self::new("") }
    }

    /// This build rather than the one of [`Balancer::binary`].
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// With a further argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// With an environment variable.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// On this port rather than any.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// With so many workers rather than one.
    pub fn concurrency(mut self, workers: u8) -> Self {
        self.concurrency = workers;
        self
    }

    /// With a file of its own for stdout, which has the access log. In one file, Envoy's messages may
    /// stand in the middle of a line.
    pub fn stdout_apart(mut self) -> Self {
        self.is_stdout_apart = true;
        self
    }

    /// Starts it and waits for its first answer; if another process takes the port first, chooses
    /// another.
    pub async fn start(self) -> Balancer {
        for _ in 0..3 {
            match self.try_start().await {
                Ok(balancer) => return balancer,
                Err(refusal) if self.port.is_none() && refusal.output.contains("in use") => {}
                Err(refusal) => panic!("llm-balancer exited with {}:\n{}", refusal.status, refusal.output),
            }
        }
        panic!("three times in a row the port was taken");
    }

    /// Starts it, expecting that it refuses to run.
    pub async fn refused(self) -> Refusal {
        let mut balancer = self.spawn();
        // Envoy reads the filter first, which takes its time on a busy machine.
        let status = balancer.ended(START).await;
        let status = status.unwrap_or_else(|| panic!("it runs:\n{}", balancer.log()));
        Refusal { status, output: balancer.log() }
    }

    async fn try_start(&self) -> Result<Balancer, Refusal> {
        let started = Instant::now();
        let mut balancer = self.spawn();
        let client = Client::new(balancer.port);
        while started.elapsed() < START {
            if let Some(status) = balancer.child.try_wait().expect("the process can be waited for") {
                return Err(Refusal { status, output: balancer.log() });
            }
            if client.answers("/health/liveliness").await {
                balancer.ready_after = started.elapsed();
                return Ok(balancer);
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("llm-balancer did not answer within {START:?}:\n{}", balancer.log());
    }

    /// What runs the filter: what LLM_BALANCER_RUNTIME says, `wasm` or `module`, unless the test does.
    /// Otherwise the program chooses.
    fn runtime(&self) -> Option<String> {
        let is_chosen = self.args.iter().any(|arg| arg.to_string_lossy().starts_with("--runtime"));
        let wanted = std::env::var("LLM_BALANCER_RUNTIME").ok().filter(|_| !is_chosen)?;
        Some(format!("--runtime={wanted}"))
    }

    /// The process ends with the thread that starts it: a test that is killed leaves nothing behind
    /// either.
    fn spawn(&self) -> Balancer {
        let dir = TempDir::new().expect("a temporary directory");
        let file = self.file.clone().unwrap_or_else(|| {
            let file = dir.path().join("config.yaml");
            fs::write(&file, &self.config).expect("the configuration can be written");
            file
        });
        let file_for = |name: &str| File::create(dir.path().join(name)).expect("the log can be written");
        let log = file_for("log");
        let stdout = if self.is_stdout_apart {
            file_for("stdout")
        } else {
            log.try_clone().expect("the log can be shared")
        };
        // The status page is on the port after the admin port's.
        let (port, admin_port) = (self.port.unwrap_or_else(free_port), free_pair());
        let mut command = Balancer::command_of(&self.program);
        command
            .args(["--config".into(), file.into_os_string()])
            .args([
                "--port",
                &port.to_string(),
                "--admin-port",
                &admin_port.to_string(),
                "--concurrency",
                &self.concurrency.to_string(),
            ])
            .args(["--hops", hops()])
            .args(self.runtime())
            .args(&self.args)
            .env("TMPDIR", dir.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(log);
        dies_with_this_thread(&mut command, Signal::SIGQUIT);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot run {}: {error}; `make build` makes it", self.program.display())
        });
        Balancer { port, admin_port, ready_after: Duration::ZERO, child, dir }
    }
}
