//! Envoy's own opinion of what is rendered. These tests need Envoy and the filter: `make tools
//! build`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests report by panicking, in their helpers too"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use llm_balancer::render::{Hops, to_yaml};
use llm_balancer::serve::envoy_binary;
use llm_balancer::support::embedded_filter;
use serde_json::Value;
use tempfile::TempDir;

mod support;

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
            Command::new(envoy_binary::find(None).unwrap_or_else(|failure| panic!("{failure}")));
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

/// The filter's configuration, as an Envoy that runs with the rendered YAML tells it.
fn seen_by_envoy(text: &str) -> String {
    let golden = support::read("text", text);
    let admin_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = Place::with(&to_yaml(&golden.bootstrap("127.0.0.1:0", admin_port, Hops::One)).unwrap());
    let mut child = Running(place.envoy(&[]).stderr(Stdio::null()).spawn().unwrap());
    let dump = loop {
        assert!(child.0.try_wait().unwrap().is_none(), "Envoy refuses {text:?}");
        match get(admin_port, "/config_dump") {
            Ok(dump) => break dump,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let dump: Value = serde_json::from_str(&dump).unwrap();
    string_value(&dump).expect("a StringValue in the dump").to_owned()
}

fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    Ok(String::from_utf8(joined(&answer[body..])).unwrap())
}

/// A chunked body, without the lengths between its chunks.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = chunks.windows(2).position(|bytes| bytes == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&chunks[..line]).unwrap(), 16).unwrap();
        let (chunk, rest) = chunks[line + 2..].split_at(length);
        if chunk.is_empty() {
            return body;
        }
        body.extend_from_slice(chunk);
        chunks = &rest[2..];
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
