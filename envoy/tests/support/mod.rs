//! Golden files: configurations beside the bootstraps that they become.

use std::fs;
use std::path::{Path, PathBuf};

use llm_balancer::render::{FilterSource, Hops, Options, bootstrap};
use llm_balancer_config::{Config, load};
use serde_json::{Value, json};

/// A configuration under `tests/golden`.
pub struct Golden {
    /// `quickstart`
    pub name: String,
    /// The file's text.
    pub text: String,
    pub config: Config,
}

/// Names of files in the bootstraps, to be found where Envoy is started.
pub const HOLD: &str = "hold.wasm";
pub const FILTER: &str = "filter.wasm";
pub const CA: &str = "ca.pem";

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Every variable that holds a key is set, and a proxy that only Envoy's environment knows the
/// password of.
pub fn variable(name: &str) -> Option<String> {
    if name == "CORPORATE_PROXY" {
        return Some("http://ada:value-of-password@proxy.corporate.example:3128".to_owned());
    }
    name.contains("_KEY").then(|| format!("value-of-{name}"))
}

pub fn read(name: &str, text: &str) -> Golden {
    let loaded = load("config.yaml", &|_| Ok(text.to_owned()), &variable);
    let findings = loaded.reading.findings;
    let config = loaded.reading.config.unwrap_or_else(|| panic!("{name}: {findings:?}"));
    Golden { name: name.to_owned(), text: loaded.text, config }
}

/// All of them, in the order of their names.
pub fn all() -> Vec<Golden> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned))
        .filter(|name| !name.ends_with(".bootstrap"))
        .collect();
    names.sort();
    let text = |name: &String| fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap();
    names.iter().map(|name| read(name, &text(name))).collect()
}

impl Golden {
    pub fn bootstrap(&self, listen: &str, admin_port: u16, hops: Hops) -> Value {
        bootstrap(&self.config, &self.text, &options(listen, admin_port, hops))
    }
}

pub fn options(listen: &str, admin_port: u16, hops: Hops) -> Options {
    Options {
        listen: listen.parse().unwrap(),
        admin_port,
        filter: FilterSource::Wasm { filter: FILTER.to_owned(), hold: json!({"filename": HOLD}) },
        hops,
        system_cas: CA.to_owned(),
        ..Options::example()
    }
}
