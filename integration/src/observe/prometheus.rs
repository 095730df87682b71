//! A real Prometheus of the test's own: it scrapes every second, and is gone when the test is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tempfile::TempDir;

use crate::child_process::dies_with_this_thread;
use crate::{Client, free_port, within};

/// Longer than any start on a busy machine.
const START: Duration = Duration::from_secs(30);

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    client: Client,
    child: Child,
    dir: TempDir,
}

impl Prometheus {
    /// One that scrapes `/stats/prometheus` at these ports of loopback, and evaluates these rules.
    pub async fn start(admin_ports: &[u16], rules: &Path) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let targets: Vec<_> = admin_ports.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n- job_name: llm-balancer\n  metrics_path: /stats/prometheus\n  static_configs: [{{targets: [{}]}}]\n",
            rules.display(),
            targets.join(", ")
        );
        fs::write(dir.path().join("prometheus.yml"), config).expect("the configuration can be written");
        let port = free_port();
        let log = File::create(dir.path().join("log")).expect("the log can be written");
        let mut command = Command::new(program("prometheus"));
        command
            .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log can be shared"))
            .stderr(log);
        dies_with_this_thread(&mut command, Signal::SIGKILL);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot run {}: {error}; `make tools` installs it", program("prometheus").display())
        });
        let prometheus = Self { client: Client::new(port), child, dir };
        prometheus.wait().await;
        prometheus
    }

    async fn wait(&self) {
        let is_ready = within(START, async || self.client.answers("/-/ready").await).await;
        let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        assert!(is_ready, "prometheus does not start:\n{}", log());
    }

    /// The series of a query over the last so many seconds, a value for each; panics where
    /// Prometheus refuses the query.
    pub async fn query(&self, query: &str, seconds: u64) -> Vec<Value> {
        let now = self.get("/api/v1/query?query=time()").await["result"][1].clone();
        let now: f64 = now.as_str().and_then(|now| now.parse().ok()).expect("a time");
        let path = format!(
            "/api/v1/query_range?query={}&start={}&end={now}&step=1",
            encoded(query),
            now - seconds as f64
        );
        self.get(&path).await["result"].as_array().cloned().expect("series")
    }

    /// The `data` of an answer of its API.
    pub async fn get(&self, path: &str) -> Value {
        let reply = self.client.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()["data"].clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `prometheus` or `promtool`: where `make tools` puts it, or else the system's.
pub fn program(name: &str) -> PathBuf {
    let own = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/prometheus")).join(name);
    if own.exists() { own } else { name.into() }
}

/// For a query string.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
