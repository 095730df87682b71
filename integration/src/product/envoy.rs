//! An Envoy with a bootstrap of the test's.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::child_process::dies_with_this_thread;
use crate::clients::Client;
use crate::eventually;
use crate::network::free_port;

/// Longer than any start on a busy machine.
const START: Duration = Duration::from_secs(30);

/// The bootstrap's file. JSON is YAML, too.
pub(crate) const BOOTSTRAP: &str = "bootstrap.yaml";

/// A running Envoy in a folder of its own. Ends with the value.
#[derive(Debug)]
pub struct Envoy {
    /// Where clients come in.
    pub port: u16,
    /// Envoy's admin port.
    pub admin_port: u16,
    child: Child,
    pub(crate) dir: TempDir,
}

/// `$ENVOY` in this folder, with this environment and nothing else.
pub(crate) fn command<'a>(
    dir: &Path,
    environment: impl IntoIterator<Item = (&'a String, &'a String)>,
    workers: u8,
) -> Command {
    let mut command = Command::new(std::env::var_os("ENVOY").expect("ENVOY names Envoy's binary"));
    command
        .current_dir(dir)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .args(["--config-path", BOOTSTRAP, "--log-level", "warning", "--disable-hot-restart"])
        .args(["--concurrency", &workers.to_string(), "--file-flush-interval-msec", "1000"]);
    command
}

impl Envoy {
    /// Starts `command` with the bootstrap for a port and an admin port, and waits until it is
    /// ready. If another process takes a port first, chooses others.
    pub(crate) async fn start(
        dir: TempDir,
        mut command: Command,
        bootstrap: impl Fn(u16, u16) -> String,
    ) -> Self {
        let file = |name: &str| File::create(dir.path().join(name)).expect("the log can be written");
        dies_with_this_thread(&mut command, Signal::SIGKILL);
        for _ in 0..5 {
            let (port, admin_port) = (free_port(), free_port());
            fs::write(dir.path().join(BOOTSTRAP), bootstrap(port, admin_port))
                .expect("the bootstrap can be written");
            let child = command.stdout(file("stdout")).stderr(file("stderr")).spawn();
            let mut child = child.expect("Envoy runs");
            if ready(&mut child, port, admin_port).await {
                return Self { port, admin_port, child, dir };
            }
            let messages = read(&dir, "stderr");
            assert!(messages.contains("in use"), "{messages}");
        }
        panic!("five times in a row the port was taken");
    }

    /// Waits until its metrics have what they should; `of` says whose they are.
    pub async fn assert_metrics(&self, of: &str, have: impl Fn(&str) -> bool) {
        let (admin, mut metrics) = (Client::new(self.admin_port), String::new());
        let counted = eventually(async || {
            metrics = admin.get("/stats/prometheus").await.text();
            have(&metrics)
        });
        assert!(counted.await, "{of}: {metrics}");
    }

    /// The access log so far.
    pub fn access_log(&self) -> String {
        read(&self.dir, "stdout")
    }

    /// What Envoy and the filter say, without Envoy's advice to limit connections.
    pub fn messages(&self) -> String {
        let text = read(&self.dir, "stderr");
        let lines = text.lines().filter(|line| !is_advice(line));
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// Envoy's advice to limit connections, which bootstraps of others may leave open.
pub(crate) fn is_advice(line: &str) -> bool {
    line.contains("no configured limit to the number of allowed active downstream connections")
}

/// Whether Envoy serves; otherwise it has ended.
async fn ready(child: &mut Child, port: u16, admin_port: u16) -> bool {
    let (admin, started) = (Client::new(admin_port), Instant::now());
    while child.try_wait().expect("the process can be waited for").is_none() {
        if admin.answers("/ready").await && TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return true;
        }
        assert!(started.elapsed() < START, "Envoy does not serve");
        sleep(Duration::from_millis(20)).await;
    }
    false
}

fn read(dir: &TempDir, name: &str) -> String {
    fs::read_to_string(dir.path().join(name)).unwrap_or_default()
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let (messages, log) = (self.messages(), self.access_log());
            eprintln!("--- Envoy's messages ---\n{messages}--- access log ---\n{log}---");
        }
    }
}
