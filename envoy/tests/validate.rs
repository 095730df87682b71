//! Envoy's own opinion of what is rendered. These tests need Envoy and the filter: `make tools
//! build`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "tests report by panicking, in their helpers too"
)]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use llm_balancer::render::{Hops, binary_clusters, to_yaml};
use llm_balancer::serve::envoy_binary;
use llm_balancer::support::embedded_filter;
use serde_json::{Value, json};
use tempfile::TempDir;

mod support;

/// Longer than any start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A folder with everything that a bootstrap names, and Envoy to be run in it.
struct Place {
    dir: TempDir,
}

impl Place {
    fn with(bootstrap: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(support::FILTER), embedded_filter::bytes().unwrap()).unwrap();
        fs::write(dir.path().join(support::HOLD), embedded_filter::hold().unwrap()).unwrap();
        fs::copy(support::folder().join(support::CA), dir.path().join(support::CA)).unwrap();
        fs::write(dir.path().join("bootstrap.yaml"), bootstrap).unwrap();
        Self { dir }
    }

    fn envoy(&self, names: &[String]) -> Command {
        let mut command =
            Command::new(envoy_binary::find(None).unwrap_or_else(|failure| panic!("{failure}")).path);
        let variables = names.iter().filter_map(|name| Some((name, support::variable(name)?)));
        command.envs(variables).current_dir(self.dir.path()).args([
            "--config-path", "bootstrap.yaml", "--log-level", "warning", "--disable-hot-restart",
            "--concurrency", "1",
        ]);
        command
    }
}

#[test]
fn envoy_accepts_every_golden_bootstrap_without_a_further_word() {
    for golden in support::all() {
        let file = support::folder().join(format!("{}.bootstrap.yaml", golden.name));
        let place = Place::with(&fs::read_to_string(&file).unwrap());
        let output = place.envoy(&golden.config.env_names).args(["--mode", "validate"]).output().unwrap();
        // Envoy says of custom_response at every start that it is a work in progress.
        let said: Vec<_> = String::from_utf8_lossy(&output.stderr)
            .lines()
            .filter(|line| !line.contains("custom_response") || !line.contains("work-in-progress"))
            .map(str::to_owned)
            .collect();
        assert!(output.status.success() && said.is_empty(), "{}: {said:?}", golden.name);
    }
}

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_filter_gets_the_users_file_byte_for_byte() {
    let windows = fs::read_to_string(support::folder().join("windows.yaml")).unwrap();
    let plain = windows.trim_start_matches('\u{feff}').replace('\r', "");
    let long = "long ".repeat(1000);
    let texts = [
        // A block, with what may get lost at its ends and at the ends of its lines.
        format!("\n   \n# trailing space \t\n#\ttab\n---\n{plain}# {long}%STREAM_ID% {{{{ 😀 \u{a0}\n \n\n"),
        plain.trim_end().to_owned(),
        // In quotes.
        format!("{windows}# \" ' \\ \\n \\N 😀 \u{a0}\u{ad}\u{2028}\u{2029}\r\n"),
        // As JSON.
        format!("{plain}# \u{85} \\N\n"),
    ];
    for text in texts {
        assert_eq!(seen_by_envoy(&text), text);
    }
}

#[test]
fn clusters_in_binary_are_the_clusters_in_json() {
    for golden in support::all() {
        let admin_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut bootstrap = golden.bootstrap("127.0.0.1:0", admin_port, Hops::One);
        bootstrap["static_resources"]["listeners"] = json!([]);
        let place = Place::with(&bootstrap.to_string());
        let binary =
            binary_clusters(&golden.config, &support::options("127.0.0.1:0", admin_port, Hops::One)).unwrap();
        fs::write(place.dir.path().join("clusters.pb"), binary).unwrap();
        let by_name = |path| {
            let dump = dumped(&place, &golden.config.env_names, admin_port);
            clusters(&dump, path)
        };
        let in_json = by_name("/configs/0/bootstrap/static_resources/clusters");
        bootstrap["static_resources"] = json!({});
        let source = json!({"path_config_source": {"path": "./clusters.pb"}, "resource_api_version": "V3"});
        bootstrap["dynamic_resources"] = json!({"cds_config": source});
        fs::write(place.dir.path().join("bootstrap.yaml"), bootstrap.to_string()).unwrap();
        let in_binary = by_name("/configs/1");
        assert!(in_json.len() >= 2, "{}: {in_json:?}", golden.name);
        assert_eq!(in_binary, in_json, "{}", golden.name);
    }
}

/// What an Envoy has that runs in this place.
fn dumped(place: &Place, names: &[String], admin_port: u16) -> Value {
    let mut child = Running(place.envoy(names).stderr(Stdio::null()).spawn().unwrap());
    config_dump(&mut child, admin_port, |dump| !clusters(dump, "/configs/1").is_empty())
}

/// The clusters below a part of a dump, without their type.
fn clusters(dump: &Value, path: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut parts = vec![dump.pointer(path).unwrap().clone()];
    while let Some(part) = parts.pop() {
        match part {
            Value::Array(items) => parts.extend(items),
            Value::Object(mut members) if members.contains_key("load_assignment") => {
                members.remove("@type");
                found.insert(members["name"].as_str().unwrap().to_owned(), Value::Object(members));
            }
            Value::Object(members) => parts.extend(members.into_iter().map(|(_, member)| member)),
            _ => {}
        }
    }
    found
}

/// The filter's configuration, as an Envoy that runs with the rendered YAML tells it.
fn seen_by_envoy(text: &str) -> String {
    let golden = support::read("text", text);
    let admin_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = Place::with(&to_yaml(&golden.bootstrap("127.0.0.1:0", admin_port, Hops::One)).unwrap());
    let mut child = Running(place.envoy(&[]).stderr(Stdio::null()).spawn().unwrap());
    let dump = config_dump(&mut child, admin_port, |_| true);
    string_value(&dump).expect("a StringValue in the dump").to_owned()
}

/// What Envoy answers to `/config_dump`, as soon as it does.
fn config_dump(child: &mut Running, admin_port: u16, is_complete: impl Fn(&Value) -> bool) -> Value {
    let url = format!("http://127.0.0.1:{admin_port}/config_dump");
    let began = Instant::now();
    loop {
        assert!(child.0.try_wait().unwrap().is_none(), "Envoy refuses the bootstrap");
        assert!(began.elapsed() < START, "Envoy does not start");
        let text = ureq::get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string());
        match text.map(|text| serde_json::from_str(&text).unwrap()) {
            Ok(dump) if is_complete(&dump) => return dump,
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The first one in a dump, which holds the bootstrap first.
fn string_value(value: &Value) -> Option<&str> {
    match value {
        Value::Object(members) => {
            let kind = members.get("@type").and_then(Value::as_str);
            match members.get("value") {
                Some(Value::String(text)) if kind.is_some_and(|kind| kind.ends_with("StringValue")) => {
                    Some(text)
                }
                _ => members.values().find_map(string_value),
            }
        }
        Value::Array(items) => items.iter().find_map(string_value),
        _ => None,
    }
}
