//! A mesh, played: what `render` prints is put where the control planes of Istio and Envoy Gateway would put it, and the
//! real Envoy runs with the outcome, in the environment and with the files that the pods would have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::balancer::binary;
use crate::{Client, free_port};

pub mod envoy_gateway;
pub mod istio;

/// Longer than any start on a busy machine.
const START: Duration = Duration::from_secs(30);

/// What an agent beside Envoy hands it.
const FETCHED: &str = "fetched.json";

/// The objects that `render` printed.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// In their order.
    pub objects: Vec<Value>,
    /// What it said beside them.
    pub said: String,
}

impl Rendered {
    /// `llm-balancer render` for this target; the variables are set as they are in the operator's shell.
    pub fn new(config: &str, target: &str, args: &[&str], variables: &BTreeMap<&str, &str>) -> Self {
        let output = render(config, target, args, variables);
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.success(), "{said}");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        Self { objects: documents(&text), said }
    }

    /// The only object of this kind.
    pub fn one(&self, kind: &str) -> &Value {
        let mut found = self.objects.iter().filter(|object| object["kind"] == kind);
        let one = found.next().unwrap_or_else(|| panic!("no {kind}"));
        assert!(found.next().is_none(), "more than one {kind}");
        one
    }

    /// The content of the file that this ConfigMap holds.
    fn config_map(&self, name: &Value) -> BTreeMap<String, Vec<u8>> {
        let is_it = |object: &&Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == *name;
        let map = self.objects.iter().find(is_it).unwrap_or_else(|| panic!("no ConfigMap {name}"));
        let files = map["binaryData"].as_object().expect("binary data");
        let decode = |text: &Value| data_encoding::BASE64.decode(text.as_str().expect("text").as_bytes());
        files.iter().map(|(file, text)| (file.clone(), decode(text).expect("base64"))).collect()
    }
}

/// Runs `render` and returns all that came of it.
pub fn render(config: &str, target: &str, args: &[&str], variables: &BTreeMap<&str, &str>) -> Output {
    let dir = TempDir::new().expect("a temporary directory");
    let file = dir.path().join("config.yaml");
    fs::write(&file, config).expect("the configuration can be written");
    let mut command = Command::new(binary());
    command.arg("render").arg("--config").arg(file).args(["--target", target]).args(args).envs(variables);
    command.output().expect("llm-balancer runs")
}

/// A text of several YAML documents.
pub fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A gateway's Envoy. Ends with the value.
#[derive(Debug)]
pub struct Gateway {
    /// Where clients come in.
    pub port: u16,
    /// Envoy's admin port.
    pub admin_port: u16,
    child: Child,
    dir: TempDir,
}

/// The pod of a gateway: where its volumes are on this machine, and its environment.
struct Pod<'a> {
    rendered: &'a Rendered,
    container: &'a Value,
    volumes: &'a Value,
}

impl Gateway {
    /// Runs Envoy with this bootstrap, in this pod. What the Secret holds is the operator's.
    async fn start(
        mut bootstrap: Value,
        fetched: Option<Value>,
        pod: &Pod<'_>,
        secret: &BTreeMap<&str, &str>,
    ) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let (port, admin_port) = (free_port(), free_port());
        bootstrap["admin"] = address(admin_port);
        let mounts = pod.mount(dir.path());
        let mut text =
            bootstrap.to_string().replace("\"port_value\":8080", &format!("\"port_value\":{port}"));
        for (there, here) in mounts {
            text = text.replace(&there, &here);
        }
        text = text.replace("DIR/", &format!("{}/", dir.path().display()));
        if let Some(fetched) = fetched {
            fs::write(dir.path().join(FETCHED), fetched.to_string()).expect("a file");
        }
        fs::write(dir.path().join("bootstrap.json"), &text).expect("the bootstrap can be written");
        let environment = pod.environment(secret);
        let validated =
            envoy(dir.path(), &environment).args(["--mode", "validate"]).output().expect("Envoy runs");
        assert!(validated.status.success(), "{}", String::from_utf8_lossy(&validated.stderr));
        let log = fs::File::create(dir.path().join("log")).expect("the log can be written");
        let child = envoy(dir.path(), &environment)
            .stdout(log.try_clone().expect("the log can be shared"))
            .stderr(log)
            .spawn()
            .expect("Envoy runs");
        let mut gateway = Self { port, admin_port, child, dir };
        gateway.ready().await;
        gateway
    }

    async fn ready(&mut self) {
        let (client, started) = (Client::new(self.port), Instant::now());
        while !client.answers("/health/liveliness").await {
            let ended = self.child.try_wait().expect("the process can be waited for");
            assert!(ended.is_none() && started.elapsed() < START, "{ended:?}: {}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// What Envoy has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the gateway's log ---\n{}---", self.log());
        }
    }
}

fn envoy(dir: &Path, environment: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(std::env::var_os("ENVOY").expect("ENVOY names Envoy's binary"));
    command
        .current_dir(dir)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .args(["--config-path", "bootstrap.json", "--log-level", "warning"])
        .args(["--disable-hot-restart", "--concurrency", "1"]);
    command
}

impl Pod<'_> {
    /// Makes the volumes below this folder: what they are mounted as, and where they are.
    fn mount(&self, dir: &Path) -> Vec<(String, String)> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut places = Vec::new();
        for mount in list(&self.container["volumeMounts"]) {
            let volumes = list(self.volumes);
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).expect("its volume");
            let here = dir.join(mount["name"].as_str().expect("a name"));
            fs::create_dir(&here).expect("a folder");
            if let Some(name) = volume.pointer("/configMap/name") {
                for (file, content) in self.rendered.config_map(name) {
                    fs::write(here.join(file), content).expect("a file");
                }
            }
            if volume.get("image").is_some() {
                fs::copy(filter_file(), here.join("plugin.wasm")).expect("the filter");
            }
            places
                .push((mount["mountPath"].as_str().expect("a path").to_owned(), here.display().to_string()));
        }
        places
    }

    fn environment(&self, secret: &BTreeMap<&str, &str>) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        for variable in self.container["env"].as_array().into_iter().flatten() {
            let key = &variable["valueFrom"]["secretKeyRef"];
            let name = key["key"].as_str().expect("a key");
            match secret.get(name) {
                Some(value) => {
                    environment
                        .insert(variable["name"].as_str().expect("a name").to_owned(), (*value).to_owned());
                }
                None => assert_eq!(key["optional"], true, "{name} is missing: the pod would not start"),
            }
        }
        environment
    }
}

/// What `cargo build -p llm-balancer-filter` leaves.
pub fn filter_file() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../target/wasm32-wasip1/release/llm_balancer_filter.wasm")
}

fn address(port: u16) -> Value {
    serde_json::json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}})
}

/// As protobuf merges: messages member by member, lists one behind the other, everything else replaced. A route has one
/// action; the new one goes in the old one's place.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            if from.contains_key("route") {
                into.remove("direct_response");
            }
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(empty(value)), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => into.extend(from.iter().cloned()),
        (into, from) => *into = from.clone(),
    }
}

fn empty(like: &Value) -> Value {
    match like {
        Value::Object(_) => Value::Object(Map::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        _ => Value::Null,
    }
}
