//! Commands whose output goes to a closed pipe, and to a disk that is full.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests report by panicking, in their helpers too"
)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write, pipe};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

const CONFIG: &str = "model_list:
- model_name: gpt
  litellm_params: {model: openai/gpt, api_key: os.environ/HOME}
";
/// In Envoy's format, of a balancer without requests.
const METRICS: &str = "envoy_server_uptime{} 1
llm_balancer_deployment_info{group=\"gpt\",deployment=\"a\"} 1
";

/// The command lines that print something.
fn commands() -> Vec<String> {
    let metrics = format!("status --metrics 127.0.0.1:{}", port_with_metrics());
    let render = "render --config config.yaml --target";
    let image =
        "registry.example/filter@sha256:0123456789012345678901234567890123456789012345678901234567890123";
    vec![
        "check --config config.yaml".to_owned(),
        "check --config refused.yaml".to_owned(),
        format!("{render} envoy"),
        format!("{render} istio --insecure-no-auth --filter-image oci://{image}"),
        "completions bash".to_owned(),
        format!("{metrics} --watch"),
        metrics,
    ]
}

fn port_with_metrics() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let length = METRICS.len();
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            let _ = write!(stream, "{head}{METRICS}");
        }
    });
    port
}

fn run(command: &str, stdout: impl Into<Stdio>) -> Output {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("config.yaml"), CONFIG).unwrap();
    fs::write(dir.path().join("refused.yaml"), "model_list: 1").unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_llm-balancer"));
    program.args(command.split(' ')).current_dir(dir.path()).stdout(stdout);
    program.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn into_a_closed_pipe_a_command_ends_quietly_with_its_own_exit_code() {
    for command in commands() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let output = run(&command, writer);
        let refused = command.contains("refused");
        assert_eq!(output.status.code(), Some(i32::from(refused)), "{command}: {output:?}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.lines().all(|line| line.starts_with("note: ")), "{command}: {errors}");
    }
}

#[test]
fn where_the_disk_is_full_a_command_fails_and_says_why() {
    for command in commands() {
        let output = run(&command, File::options().write(true).open("/dev/full").unwrap());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {errors}");
        assert!(errors.contains("cannot write to standard output: No space left"), "{command}: {errors}");
    }
}
