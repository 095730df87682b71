//! A bootstrap of `envoy/examples`, unchanged except for its ports, in the real Envoy, with the
//! filter that `render` writes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::child_process::dies_with_this_thread;
use crate::{Balancer, Client, free_port};

/// Longer than any start on a busy machine.
const START: Duration = Duration::from_secs(30);

/// The file with a filter that is discovered.
const EXTENSION: &str = "extension.yaml";
/// How the filter begins in the examples, and what follows it.
const FILTER: &str = "          - name: llm-balancer\n            typed_config:\n";
const BEHIND: &str = "          - name: envoy.filters.http.router\n";
const DISCOVERY: &str = r"          - name: llm-balancer
            config_discovery:
              config_source:
                path_config_source: {path: extension.yaml, watched_directory: {path: .}}
                resource_api_version: V3
              type_urls: [type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm]
";
const RESOURCE: &str = r#"resources:
- "@type": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig
  name: llm-balancer
  typed_config:
"#;

/// The text of an example, and the environment of its Envoy.
#[derive(Clone, Debug)]
pub struct Example {
    text: String,
    variables: Vec<(String, String)>,
    /// The filter, where Envoy discovers it.
    extension: Option<String>,
}

impl Example {
    /// `envoy/examples/NAME.yaml`
    pub fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy/examples");
        let text = fs::read_to_string(folder.join(name).with_extension("yaml")).expect("the example");
        Self { text, variables: Vec::new(), extension: None }
    }

    /// With other words in the place of these, which must be there.
    pub fn replace(mut self, from: &str, to: &str) -> Self {
        assert!(self.text.contains(from), "the example has no {from:?}");
        self.text = self.text.replace(from, to);
        self
    }

    /// With this port in the place of the example's.
    pub fn port(self, from: u16, to: u16) -> Self {
        self.replace(&format!("port_value: {from}}}"), &format!("port_value: {to}}}"))
    }

    /// With an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With the filter in a file of its own, which Envoy watches, as a control plane would send it
    /// by ECDS.
    pub fn discovered(mut self) -> Self {
        let whole = self.text.clone();
        let (before, rest) = whole.split_once(FILTER).expect("the filter");
        let (filter, after) = rest.split_once(BEHIND).expect("the router behind the filter");
        self.text = format!("{before}{DISCOVERY}{BEHIND}{after}");
        self.extension = Some(format!("{RESOURCE}{filter}"));
        self
    }

    /// The example itself.
    pub fn bootstrap(&self) -> Value {
        parsed(&self.text)
    }

    /// What `render` prints for the file inside the example.
    pub fn rendered(&self) -> Value {
        parsed(&String::from_utf8(self.render(&[])).expect("UTF-8"))
    }

    /// Starts Envoy with the example and waits until it serves.
    pub async fn start(&self) -> Running {
        let dir = TempDir::new().expect("a temporary directory");
        if let Some(extension) = &self.extension {
            fs::write(dir.path().join(EXTENSION), extension)
                .expect("the filter's configuration can be written");
        }
        let rendered = dir.path().join("rendered");
        self.render(&["--out".as_ref(), rendered.as_ref()]);
        fs::rename(rendered.join("filter.wasm"), dir.path().join("filter.wasm"))
            .expect("render writes the filter");
        let mut running = Running { port: 0, admin_port: 0, child: None, dir };
        for _ in 0..5 {
            running.spawn(self.clone());
            if running.ready().await {
                return running;
            }
            assert!(running.messages().contains("in use"), "{}", running.messages());
        }
        panic!("five times in a row the port was taken");
    }

    /// What `llm-balancer render --target envoy` prints for the file inside the example.
    fn render(&self, args: &[&OsStr]) -> Vec<u8> {
        let dir = TempDir::new().expect("a temporary directory");
        let file = dir.path().join("config.yaml");
        fs::write(&file, self.file()).expect("the file can be written");
        let output = Command::new(Balancer::binary())
            .args(["render", "--target", "envoy", "--config"])
            .arg(file)
            .args(args)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("llm-balancer runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// LiteLLM's file, which the example holds as a string.
    fn file(&self) -> String {
        let text = self.extension.as_ref().unwrap_or(&self.text);
        let (_, rest) = text.split_once("value: |\n").expect("the file as a block");
        let indent = rest.len() - rest.trim_start_matches(' ').len();
        let lines = rest.lines().take_while(|line| line.starts_with(&" ".repeat(indent)));
        lines.map(|line| format!("{}\n", &line[indent..])).collect()
    }
}

fn parsed(bootstrap: &str) -> Value {
    serde_saphyr::from_str(bootstrap).unwrap_or_else(|error| panic!("{error}"))
}

/// An Envoy that runs an example. Ends with the value.
#[derive(Debug)]
pub struct Running {
    /// Where clients come in.
    pub port: u16,
    /// Envoy's admin port.
    pub admin_port: u16,
    child: Option<Child>,
    dir: TempDir,
}

impl Running {
    fn spawn(&mut self, example: Example) {
        (self.port, self.admin_port) = (free_port(), free_port());
        // Another Envoy on the same port is an error, not a reason to share it.
        let listener = format!("port_value: {}}}}}\n    enable_reuse_port: false", self.port);
        let example = example.replace("port_value: 4000}}", &listener).port(9901, self.admin_port);
        fs::write(self.dir.path().join("bootstrap.yaml"), example.text)
            .expect("the bootstrap can be written");
        let file = |name: &str| File::create(self.dir.path().join(name)).expect("the log can be written");
        let mut command = Command::new(std::env::var_os("ENVOY").expect("ENVOY names Envoy's binary"));
        command
            .current_dir(self.dir.path())
            .env_clear()
            .envs(example.variables)
            .args(["--config-path", "bootstrap.yaml", "--log-level", "warning"])
            .args(["--disable-hot-restart", "--concurrency", "1", "--file-flush-interval-msec", "1000"])
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        dies_with_this_thread(&mut command, Signal::SIGKILL);
        self.child = Some(command.spawn().expect("Envoy runs"));
    }

    /// Whether Envoy serves; otherwise it has ended.
    async fn ready(&mut self) -> bool {
        let (admin, started) = (Client::new(self.admin_port), Instant::now());
        let child = self.child.as_mut().expect("a child");
        while child.try_wait().expect("the process can be waited for").is_none() {
            if admin.answers("/ready").await {
                return true;
            }
            assert!(started.elapsed() < START, "Envoy does not serve");
            sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// Puts other words into the filter that Envoy discovers, in one step.
    pub fn update(&self, from: &str, to: &str) {
        let text = self.read(EXTENSION);
        assert!(text.contains(from), "the filter has no {from:?}");
        let beside = self.dir.path().join("beside");
        fs::write(&beside, text.replace(from, to)).expect("the filter can be written");
        fs::rename(beside, self.dir.path().join(EXTENSION)).expect("the filter can be replaced");
    }

    /// The access log so far.
    pub fn access_log(&self) -> String {
        self.read("stdout")
    }

    /// What Envoy and the filter say, without Envoy's advice to limit connections, which the
    /// examples leave open.
    pub fn messages(&self) -> String {
        let text = self.read("stderr");
        let lines =
            text.lines().filter(|line| !line.contains("no configured limit to the number of allowed"));
        lines.map(|line| format!("{line}\n")).collect()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!(
                "--- Envoy's messages ---\n{}--- access log ---\n{}---",
                self.messages(),
                self.access_log()
            );
        }
    }
}
