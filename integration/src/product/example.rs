//! A bootstrap of `envoy/examples`, unchanged except for its ports, in the real Envoy, with the
//! filter that `render` writes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::{Balancer, Envoy, envoy};

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
    variables: BTreeMap<String, String>,
    /// The filter, where Envoy discovers it.
    extension: Option<String>,
}

impl Example {
    /// `envoy/examples/NAME.yaml`
    pub fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy/examples");
        let text = fs::read_to_string(folder.join(name).with_extension("yaml")).expect("the example");
        Self { text, variables: BTreeMap::new(), extension: None }
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
        self.variables.insert(name.to_owned(), value.to_owned());
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
    pub async fn start(&self) -> Envoy {
        let dir = TempDir::new().expect("a temporary directory");
        if let Some(extension) = &self.extension {
            fs::write(dir.path().join(EXTENSION), extension)
                .expect("the filter's configuration can be written");
        }
        let rendered = dir.path().join("rendered");
        self.render(&["--out".as_ref(), rendered.as_ref()]);
        fs::rename(rendered.join("filter.wasm"), dir.path().join("filter.wasm"))
            .expect("render writes the filter");
        let command = envoy::command(dir.path(), &self.variables, 1);
        Envoy::start(dir, command, |port, admin_port| {
            // Another Envoy on the same port is an error, not a reason to share it.
            let listener = format!("port_value: {port}}}}}\n    enable_reuse_port: false");
            self.clone().replace("port_value: 4000}}", &listener).port(9901, admin_port).text
        })
        .await
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
            .envs(&self.variables)
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

impl Envoy {
    /// Puts other words into the filter that Envoy discovers, in one step.
    pub fn update(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.dir.path().join(EXTENSION)).unwrap_or_default();
        assert!(text.contains(from), "the filter has no {from:?}");
        let beside = self.dir.path().join("beside");
        fs::write(&beside, text.replace(from, to)).expect("the filter can be written");
        fs::rename(beside, self.dir.path().join(EXTENSION)).expect("the filter can be replaced");
    }
}
