//! A real `redis-server` of the test's own: on a free port, with nothing in it, gone when the test
//! is. It can be frozen, stopped and started again.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::child_process::dies_with_this_thread;
use crate::free_port;
use crate::network::certificates::Authority;

/// Longer than any start on a busy machine.
const START: Duration = Duration::from_secs(10);

/// What to start.
#[derive(Debug, Default)]
pub struct Launch {
    /// Lines of its configuration file.
    lines: Vec<String>,
    user: Option<String>,
    password: Option<String>,
    tls: Option<Tls>,
}

/// Contents of PEM files.
#[derive(Debug)]
struct Tls {
    ca: String,
    certificate: String,
    key: String,
}

/// A running Redis, or one that was stopped.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    launch: Launch,
    /// It keeps nothing here but its log, its configuration and its certificate.
    dir: TempDir,
    child: Option<Child>,
}

impl Launch {
    /// Everybody needs this password.
    pub fn password(mut self, password: &str) -> Self {
        self.lines.push(format!("requirepass {password}"));
        self.password = Some(password.to_owned());
        self
    }

    /// Accepts this user only.
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.lines.push("user default off".to_owned());
        self.lines.push(format!("user {name} on >{password} ~* &* +@all"));
        (self.user, self.password) = (Some(name.to_owned()), Some(password.to_owned()));
        self
    }

    /// TLS and nothing else, with a certificate of this authority for these names and addresses.
    pub fn tls(mut self, authority: &Authority, names: &[&str]) -> Self {
        let (certificate, key) = authority.pem_identity(names);
        self.tls = Some(Tls { ca: authority.pem(), certificate, key });
        self
    }

    /// No more memory than this (`2mb`): then writes are refused with OOM.
    pub fn memory(self, most: &str) -> Self {
        self.line(&format!("maxmemory {most}")).line("maxmemory-policy noeviction")
    }

    /// A replica that has lost its primary: writes are refused with READONLY.
    pub fn replica(self) -> Self {
        self.line("replicaof 127.0.0.1 1").line("replica-read-only yes")
    }

    /// With a further line of configuration.
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Starts it and waits for its first answer.
    pub async fn start(self) -> Redis {
        let dir = TempDir::new().expect("a temporary directory");
        let mut redis = Redis { port: free_port(), launch: self, dir, child: None };
        for _ in 0..3 {
            if redis.run().await {
                return redis;
            }
            redis.port = free_port();
        }
        panic!("redis-server does not start:\n{}", redis.log());
    }
}

impl Redis {
    /// One without a password.
    pub async fn start() -> Self {
        Self::launch().start().await
    }

    /// One with further options.
    pub fn launch() -> Launch {
        Launch::default()
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Holds its breath: connections are made, and nothing is answered.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Goes on from where it was frozen.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Ends it, as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends it if it runs, and starts it on the same port with nothing in it.
    pub async fn restart_empty(&mut self) {
        self.stop();
        assert!(self.run().await, "redis-server does not start again:\n{}", self.log());
    }

    /// The answer to one command, such as `&["INFO", "memory"]`, as `redis-cli` prints it.
    pub async fn command(&self, words: &[&str]) -> String {
        self.ask(words).await.unwrap_or_else(|| panic!("Redis does not answer {words:?}"))
    }

    /// A number out of `INFO`, such as `used_memory` or `total_commands_processed`.
    pub async fn info(&self, name: &str) -> u64 {
        let all = self.command(&["INFO", "everything"]).await;
        let value = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or_else(|| panic!("INFO has no number {name}"))
    }

    async fn ask(&self, words: &[&str]) -> Option<String> {
        let mut command = tokio::process::Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--no-auth-warning"]);
        if let Some(user) = &self.launch.user {
            command.args(["--user", user]);
        }
        if let Some(password) = &self.launch.password {
            command.env("REDISCLI_AUTH", password);
        }
        if self.launch.tls.is_some() {
            command.arg("--tls").arg("--cacert").arg(self.dir.path().join("ca.pem"));
        }
        let run = command.args(words).stdin(Stdio::null()).kill_on_drop(true).output();
        let output = timeout(START, run).await.ok()?.expect("redis-cli runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Starts the process; says whether it answers.
    async fn run(&mut self) -> bool {
        self.write_files();
        let log = File::create(self.dir.path().join("log")).expect("the log can be written");
        let mut command = Command::new("redis-server");
        command
            .arg(self.dir.path().join("redis.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log can be shared"))
            .stderr(log);
        dies_with_this_thread(&mut command, Signal::SIGKILL);
        self.child =
            Some(command.spawn().unwrap_or_else(|error| {
                panic!("cannot run redis-server: {error}; `make tools` installs it")
            }));
        let started = Instant::now();
        while started.elapsed() < START && self.runs() {
            if self.ask(&["PING"]).await.is_some_and(|answer| answer == "PONG") && self.runs() {
                return true;
            }
            sleep(Duration::from_millis(10)).await;
        }
        self.stop();
        false
    }

    fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|status| status.is_none()))
    }

    fn write_files(&self) {
        let folder = self.dir.path();
        let write = |name: &str, content: &str| {
            let file = folder.join(name);
            fs::write(&file, content).expect("the file can be written");
            file.display().to_string()
        };
        // No persistence: a restarted one is empty.
        let mut lines = vec!["bind 127.0.0.1".to_owned(), "save \"\"".to_owned(), "appendonly no".to_owned()];
        lines.push(format!("dir {}", folder.display()));
        match &self.launch.tls {
            None => lines.push(format!("port {}", self.port)),
            Some(tls) => lines.extend([
                "port 0".to_owned(),
                format!("tls-port {}", self.port),
                format!("tls-ca-cert-file {}", write("ca.pem", &tls.ca)),
                format!("tls-cert-file {}", write("certificate.pem", &tls.certificate)),
                format!("tls-key-file {}", write("key.pem", &tls.key)),
                "tls-auth-clients no".to_owned(),
            ]),
        }
        lines.extend(self.launch.lines.iter().cloned());
        write("redis.conf", &lines.join("\n"));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok());
        let pid = pid.expect("Redis was stopped");
        kill(Pid::from_raw(pid), signal).expect("Redis is there");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}
