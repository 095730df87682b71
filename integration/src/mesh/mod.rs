//! A mesh, played: what `render` prints is put where the control planes of Istio and Envoy Gateway
//! would put it, and the real Envoy runs with the outcome, in the environment and with the files
//! that the pods would have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::product::Balancer;
use crate::product::envoy::{self, Envoy};

/// The targets of `render` that are meshes.
pub const MESHES: [&str; 2] = ["istio", "envoy-gateway"];

pub mod envoy_gateway;
pub mod istio;

/// The objects that `render` printed.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// In their order.
    pub objects: Vec<Value>,
    /// What it said beside them.
    pub said: String,
}

impl Rendered {
    /// `llm-balancer render` for this target; the variables are set as they are in the operator's
    /// shell.
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
    fn config_map(&self, name: &Value, namespace: &Value) -> BTreeMap<String, Vec<u8>> {
        let is_it = |object: &&Value| {
            let metadata = &object["metadata"];
            object["kind"] == "ConfigMap" && metadata["name"] == *name && metadata["namespace"] == *namespace
        };
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
    let mut command = Command::new(Balancer::binary());
    command.arg("render").arg("--config").arg(file).args(["--target", target]).args(args).envs(variables);
    command.output().expect("llm-balancer runs")
}

/// A text of several YAML documents.
pub fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The pod of a gateway, in this namespace: where its volumes are on this machine, and its
/// environment.
struct Pod<'a> {
    rendered: &'a Rendered,
    namespace: &'a Value,
    container: &'a Value,
    volumes: &'a Value,
}

/// Runs Envoy with this bootstrap, in this pod. What the Secret holds is the operator's; `fetched` are
/// files of an agent beside Envoy.
async fn start(
    mut bootstrap: Value,
    fetched: BTreeMap<String, Value>,
    pod: &Pod<'_>,
    secret: &BTreeMap<&str, &str>,
) -> Envoy {
    let dir = TempDir::new().expect("a temporary directory");
    // No shared port: a port that is taken is an error.
    bootstrap["static_resources"]["listeners"][0]["enable_reuse_port"] = false.into();
    pod.mount(dir.path());
    pod.put(dir.path(), &fetched);
    let bootstrap: Value = serde_json::from_str(&pod.here(dir.path(), &bootstrap)).expect("JSON");
    let environment = pod.environment(secret);
    validate(dir.path(), &bootstrap, &environment);
    let command = envoy::command(dir.path(), &environment, 1);
    Envoy::start(dir, command, |port, admin_port| {
        let mut bootstrap = bootstrap.clone();
        bootstrap["admin"] = json!({"address": address(admin_port)});
        bootstrap["static_resources"]["listeners"][0]["address"] = address(port);
        bootstrap.to_string()
    })
    .await
}

impl Pod<'_> {
    /// What the pod has mounted and where it is below this folder.
    fn places(&self, dir: &Path) -> Vec<(String, String)> {
        let place = |mount: &Value| {
            let here = dir.join(mount["name"].as_str().expect("a name"));
            (mount["mountPath"].as_str().expect("a path").to_owned(), here.display().to_string())
        };
        self.container["volumeMounts"].as_array().into_iter().flatten().map(place).collect()
    }

    /// Makes the volumes below this folder.
    fn mount(&self, dir: &Path) {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for mount in list(&self.container["volumeMounts"]) {
            let volumes = list(self.volumes);
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).expect("its volume");
            let here = dir.join(mount["name"].as_str().expect("a name"));
            fs::create_dir(&here).expect("a folder");
            if let Some(name) = volume.pointer("/configMap/name") {
                for (file, content) in self.rendered.config_map(name, self.namespace) {
                    fs::write(here.join(file), content).expect("a file");
                }
            }
            if volume.get("image").is_some() {
                fs::copy(filter_file(), here.join("plugin.wasm")).expect("the filter");
            }
        }
    }

    /// This text with the paths of this machine.
    fn here(&self, dir: &Path, content: &Value) -> String {
        let mut places = self.places(dir);
        places.push(("DIR/".to_owned(), format!("{}/", dir.display())));
        places.iter().fold(content.to_string(), |text, (there, here)| text.replace(there, here))
    }

    /// Puts files of an agent into this folder, in the place of those that are there.
    fn put(&self, dir: &Path, files: &BTreeMap<String, Value>) {
        for (name, content) in files {
            let new = dir.join("new");
            fs::write(&new, self.here(dir, content)).expect("a file");
            fs::rename(new, dir.join(name)).expect("its place");
        }
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

/// The filter that a ConfigMap holds, as `make build` leaves it.
pub fn filter_file() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../target/wasm32-wasip1/small/llm_balancer_filter.wasm")
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

/// Envoy's own opinion of the bootstrap: it takes it, and finds nothing to remark on. Extensions of
/// the bootstrap are typed as what they stand for: Envoy 1.37.0 serves with a TypedStruct there, but
/// does not see it in this mode.
fn validate(dir: &Path, bootstrap: &Value, environment: &BTreeMap<String, String>) {
    let mut bootstrap = bootstrap.clone();
    for extension in bootstrap["bootstrap_extensions"].as_array_mut().into_iter().flatten() {
        let config = &mut extension["typed_config"];
        if let (Some(kind), value) = (config.get("type_url").cloned(), config["value"].clone()) {
            *config = value;
            config["@type"] = kind;
        }
    }
    fs::write(dir.join(envoy::BOOTSTRAP), bootstrap.to_string()).expect("the bootstrap can be written");
    let output =
        envoy::command(dir, environment, 1).args(["--mode", "validate"]).output().expect("Envoy runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let is_known = |line: &str| envoy::is_advice(line) || is_about_custom_response(line);
    let remarks: Vec<_> = said.lines().filter(|line| !is_known(line)).collect();
    assert!(output.status.success() && remarks.is_empty(), "{said}");
}

/// Envoy's warning about the extension with which one hop sends a request again.
fn is_about_custom_response(line: &str) -> bool {
    line.contains("custom_response") && line.contains("marked as work-in-progress")
}

/// As protobuf merges: messages member by member, lists one behind the other, everything else
/// replaced. A route has one action; the new one goes in the old one's place.
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
