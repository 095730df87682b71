//! The process under test: `llm-balancer` with a configuration of the test's, on ports of its own,
//! gone when the test is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::clients::Client;
use crate::{eventually, within};

/// How long Envoy and its parent may take to go.
const STOP: Duration = Duration::from_secs(5);
/// Lines of its log that a failing test shows, of each kind.
const SHOWN: usize = 60;

/// A running balancer.
#[derive(Debug)]
pub struct Balancer {
    /// Where clients come in.
    pub port: u16,
    /// Envoy's admin port.
    pub admin_port: u16,
    /// From the start of the process to its first answer.
    pub ready_after: Duration,
    pub(super) child: Child,
    pub(super) dir: TempDir,
}

impl Balancer {
    /// `$LLM_BALANCER`, or what `make build` leaves.
    pub fn binary() -> PathBuf {
        let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/llm-balancer");
        std::env::var_os("LLM_BALANCER").map_or_else(|| PathBuf::from(built), PathBuf::from)
    }

    /// It, without what the environment of this machine says about proxies and CAs.
    pub(super) fn command() -> Command {
        Self::command_of(&Self::binary())
    }

    /// The same of another build.
    pub(super) fn command_of(program: &Path) -> Command {
        let mut command = Command::new(program);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_ascii_lowercase());
        }
        for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_VERIFY"] {
            command.env_remove(name);
        }
        command
    }

    /// The process itself; Envoy is its child.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address of its status page, unless it was started with `--metrics-port`.
    pub fn page(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin_port + 1)
    }

    /// Runs `llm-balancer check` on this configuration: whether it is usable, and all it said.
    pub fn check(config: &str) -> (bool, String) {
        Self::check_with(config, &[])
    }

    /// The same with these environment variables.
    pub fn check_with(config: &str, variables: &[(&str, &str)]) -> (bool, String) {
        let dir = TempDir::new().expect("a temporary directory");
        let file = dir.path().join("config.yaml");
        fs::write(&file, config).expect("the configuration can be written");
        let output = Self::command()
            .arg("check")
            .arg("--config")
            .arg(file)
            .envs(variables.iter().copied())
            .output()
            .expect("llm-balancer runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Whether its filter runs in WebAssembly, and not as a module.
    pub fn runs_wasm(&self) -> bool {
        self.runtime_folder().join("filter.wasm").exists()
    }

    /// Its runtime folder, which lies in the temporary folder it was given.
    pub fn runtime_folder(&self) -> PathBuf {
        let entries = fs::read_dir(self.dir.path()).expect("the folder can be read").flatten();
        entries.map(|entry| entry.path()).find(|path| path.is_dir()).expect("a runtime folder")
    }

    /// All that the balancer and its Envoy have said so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The access log so far: a line of the log for each request. Messages are no JSON.
    pub fn access_log(&self) -> Vec<Value> {
        let log = self.log();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object).collect()
    }

    /// The file that it is written to.
    pub fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The file with the access log, if it was started with stdout apart.
    pub fn stdout_file(&self) -> PathBuf {
        self.dir.path().join("stdout")
    }

    /// Whether it is still there.
    pub fn alive(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Envoy's counters and gauges.
    pub async fn stats(&self) -> BTreeMap<String, u64> {
        let text = Client::new(self.admin_port).get("/stats").await.text();
        let number = |line: &str| {
            line.split_once(": ").and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        };
        text.lines().filter_map(number).collect()
    }

    /// What is in flight, in either direction, apart from the question itself: requests and
    /// connections by the name of their gauge, zeroes left out.
    pub async fn busy(&self) -> BTreeMap<String, u64> {
        let gauges = ["downstream_rq_active", "upstream_rq_active", "upstream_rq_pending_active"];
        let stats = self.stats().await;
        stats
            .into_iter()
            .filter(|(name, value)| {
                *value > 0 && !name.contains("admin") && gauges.iter().any(|gauge| name.ends_with(gauge))
            })
            .collect()
    }

    /// Asks it to stop, as an operator would, and waits; says whether it went in time.
    pub async fn stop(&mut self) -> bool {
        self.signal(Signal::SIGTERM);
        within(STOP, async || !self.alive()).await
    }

    /// Ends it and its Envoy without a warning, as a machine that fails does.
    pub fn kill(&self) {
        self.processes().into_iter().for_each(|pid| signal_to(pid, Signal::SIGKILL));
    }

    /// Its process id and those of its children, Envoy among them.
    pub fn processes(&self) -> Vec<u32> {
        let own = self.child.id();
        let parent = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
        };
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| *pid == own || parent(*pid) == Some(own)).collect()
    }

    /// Those of the processes that still run.
    pub fn still_running(processes: &[u32]) -> Vec<u32> {
        processes.iter().copied().filter(|pid| running(*pid)).collect()
    }

    /// Sends it a signal, as an operator would.
    pub fn signal(&self, signal: Signal) {
        signal_to(self.child.id(), signal);
    }

    /// How it ended, if it does so in time.
    pub async fn ended(&mut self, limit: Duration) -> Option<ExitStatus> {
        within(limit, async || !self.alive()).await;
        self.child.try_wait().ok().flatten()
    }

    /// The configuration file, unless the test has one of its own.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("config.yaml")
    }

    /// Puts another configuration in the place of its file, as editors do.
    pub fn replace_file(&self, config: &str) {
        let beside = self.dir.path().join("config.yaml~");
        fs::write(&beside, config).expect("the configuration can be written");
        fs::rename(beside, self.file()).expect("the configuration can be replaced");
    }

    /// Waits until it says this, for ten seconds at most; how long that took.
    pub async fn says(&self, words: &str) -> Duration {
        let started = Instant::now();
        let said = eventually(async || self.log().contains(words)).await;
        assert!(said, "it never says {words:?}:\n{}", self.log());
        started.elapsed()
    }
}

/// Whether there is such a process, other than one that only waits to be waited for.
fn running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn signal_to(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let processes = self.processes();
        if self.alive() {
            // At once: do not wait for requests in flight.
            self.signal(Signal::SIGQUIT);
        }
        let asked = Instant::now();
        while self.alive() && asked.elapsed() < STOP {
            std::thread::sleep(Duration::from_millis(5));
        }
        // No process may outlive the test, a forgotten Envoy included.
        let left = processes.iter().filter(|pid| running(**pid));
        left.for_each(|pid| signal_to(*pid, Signal::SIGKILL));
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let failed: Vec<_> =
                lines.iter().copied().filter(|line| is_of_an_error(line)).take(SHOWN).collect();
            let last = &lines[lines.len().saturating_sub(SHOWN)..];
            eprintln!(
                "--- the first errors in llm-balancer's log ---\n{}\n--- the last of it ---\n{}\n---",
                failed.join("\n"),
                last.join("\n")
            );
        }
    }
}

/// Whether it is the line of a request that a client saw fail.
fn is_of_an_error(line: &str) -> bool {
    let line = serde_json::from_str::<Value>(line);
    line.is_ok_and(|line| line["status"].as_u64().is_some_and(|status| status >= 400))
}
