//! The world of `integration/compose.yaml`, in a project of the test's own, gone when the test is:
//! two instances, two providers and a Redis, each a container that can be killed, stopped,
//! replaced, and cut off from a network.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{Client, within};

/// Longer than any start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// The key of clients.
const MASTER_KEY: &str = "sk-9e1f0a2f4d7c4b1f8e3a";

/// The instances' services.
pub const INSTANCES: [&str; 2] = ["balancer-1", "balancer-2"];

/// Running containers.
#[derive(Debug)]
pub struct Containers {
    project: String,
    config: PathBuf,
    /// By the name of the service; an instance that was replaced has another one.
    ids: HashMap<String, String>,
    _dir: TempDir,
}

impl Containers {
    /// Starts all, with this `model_list` for the instances, and waits for their first answers. The
    /// providers' origin is `http://<city>:8100`.
    pub async fn start(model_list: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let name = dir.path().file_name().expect("it has a name").to_string_lossy().to_lowercase();
        let project = format!(
            "llm-balancer-{}",
            name.trim_start_matches('.').replace(|c: char| !c.is_alphanumeric(), "")
        );
        // A folder that the container's user may enter, unlike `dir`.
        let config = dir.path().join("conf");
        fs::create_dir(&config).expect("a folder for the configuration");
        fs::write(config.join("config.yaml"), format!("{model_list}{SETTINGS}"))
            .expect("the configuration can be written");
        let mut containers = Self { project, config, ids: HashMap::new(), _dir: dir };
        containers.compose(&["up", "--detach"]);
        for service in ["paris", "virginia", "redis"].into_iter().chain(INSTANCES) {
            containers.look_up(service);
        }
        for instance in INSTANCES {
            containers.answers(instance).await;
        }
        containers
    }

    /// Where an instance can be reached on this port, from this machine.
    pub fn address(&self, service: &str, port: u16) -> SocketAddr {
        let path = format!("{{{{(index .NetworkSettings.Networks \"{}_edge\").IPAddress}}}}", self.project);
        let ip = self.inspect(service, &path);
        let ip = ip.parse().unwrap_or_else(|_| panic!("{service} has no address but {ip:?}"));
        SocketAddr::new(ip, port)
    }

    /// A client of an instance.
    pub fn client(&self, instance: &str) -> Client {
        Client::at(self.address(instance, 4000)).with_header("authorization", &format!("Bearer {MASTER_KEY}"))
    }

    /// Waits until an instance answers.
    pub async fn answers(&self, instance: &str) {
        let client = self.client(instance);
        let is_up = within(START, async || client.answers("/health/liveliness").await).await;
        assert!(is_up, "{instance} does not answer:\n{}", self.log(instance));
    }

    /// Ends a container without a warning, as a machine that fails does.
    pub fn kill(&self, service: &str) {
        docker(&["kill", self.id(service)]);
    }

    /// Asks a container to end, and waits as long as its answers may take; how long that was.
    pub async fn stop(&self, service: &str) -> Duration {
        let (begun, id) = (Instant::now(), self.id(service).to_owned());
        tokio::task::spawn_blocking(move || docker(&["stop", "--time", "30", &id])).await.expect("it stops");
        begun.elapsed()
    }

    /// Starts a container that was stopped or killed.
    pub fn restart(&self, service: &str) {
        docker(&["start", self.id(service)]);
    }

    /// Allows a container so many processors.
    pub fn allow(&self, service: &str, processors: &str) {
        docker(&["update", "--cpus", processors, self.id(service)]);
    }

    /// Puts a new container in the place of an old one.
    pub fn replace(&mut self, service: &str) {
        docker(&["rm", "--force", "--volumes", self.id(service)]);
        self.compose(&["up", "--detach", "--no-deps", service]);
        self.look_up(service);
    }

    /// Cuts a container off from the network of clients (`edge`), `providers` or Redis (`state`).
    pub fn disconnect(&self, service: &str, network: &str) {
        docker(&["network", "disconnect", &format!("{}_{network}", self.project), self.id(service)]);
    }

    /// Lets it back in.
    pub fn connect(&self, service: &str, network: &str) {
        docker(&["network", "connect", &format!("{}_{network}", self.project), self.id(service)]);
    }

    /// Runs a program of the container's image in it: whether it succeeds.
    pub fn run_in(&self, service: &str, program: &[&str]) -> bool {
        let arguments = [&["exec", self.id(service)], program].concat();
        let output = Command::new("docker").args(arguments).output().expect("docker runs");
        output.status.success()
    }

    /// A fact about a container, in the words of `docker inspect --format`.
    pub fn inspect(&self, service: &str, format: &str) -> String {
        docker(&["inspect", "--format", format, self.id(service)]).trim().to_owned()
    }

    /// All that it has said so far.
    pub fn log(&self, service: &str) -> String {
        docker(&["logs", self.id(service)])
    }

    fn id(&self, service: &str) -> &str {
        self.ids.get(service).unwrap_or_else(|| panic!("there is no {service}"))
    }

    fn look_up(&mut self, service: &str) {
        let id = self.compose(&["ps", "--quiet", service]);
        self.ids.insert(service.to_owned(), id.trim().to_owned());
    }

    fn compose(&self, arguments: &[&str]) -> String {
        // `docker-compose` and `docker compose` are the same to us.
        let compose = std::env::var("COMPOSE").unwrap_or_else(|_| "docker compose".to_owned());
        let (program, plugin) = compose.split_once(' ').unwrap_or((&compose, ""));
        let mut command = Command::new(program);
        command
            .args(Some(plugin).filter(|plugin| !plugin.is_empty()))
            .args(["--file", concat!(env!("CARGO_MANIFEST_DIR"), "/compose.yaml")])
            .args(["--project-name", &self.project])
            .args(arguments)
            .env("CONFIG", &self.config)
            .env("MASTER_KEY", MASTER_KEY)
            // Any ports will do.
            .envs(["PORT_1", "PORT_2", "METRICS_1", "METRICS_2"].map(|name| (name, "")));
        run(command)
    }
}

/// What every configuration ends with.
const SETTINGS: &str = "
router_settings: {num_retries: 2, cooldown_time: 6, redis_host: redis, redis_port: 6379}
general_settings: {master_key: os.environ/MASTER_KEY}
";

/// Its output, both kinds, as text.
fn docker(arguments: &[&str]) -> String {
    let mut command = Command::new("docker");
    command.args(arguments);
    run(command)
}

fn run(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("docker runs; `make test-docker` sees to it");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    // Containers say it on either.
    let logs = command.get_args().next().is_some_and(|argument| argument == "logs");
    text(&output.stdout) + if logs { text(&output.stderr) } else { String::new() }.as_str()
}

impl Drop for Containers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for service in self.ids.keys() {
                let log = docker(&["logs", "--tail", "20", self.id(service)]);
                eprintln!("--- the last of {service} ---\n{log}---");
            }
        }
        // At once: no test waits for an answer.
        self.compose(&["down", "--timeout", "0", "--volumes"]);
    }
}
