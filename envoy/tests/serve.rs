//! The program itself, with Envoy and a provider on a socket. These tests need Envoy and the
//! filter: `make tools build`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests report by panicking, in their helpers too")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Long enough for a timeout of a millisecond to strike.
const THOUGHT: Duration = Duration::from_millis(50);

/// Answers every chat after a moment's thought; its port.
fn provider() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for connection in listener.incoming() {
            thread::spawn(move || serve(connection.unwrap()));
        }
    });
    port
}

fn serve(connection: TcpStream) {
    let mut reader = BufReader::new(&connection);
    while let Some(length) = content_length(&mut reader) {
        reader.read_exact(&mut vec![0; length]).unwrap();
        thread::sleep(THOUGHT);
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        (&connection).write_all(answer.as_bytes()).unwrap();
    }
}

/// Of the request whose headers come next, if one does.
fn content_length(reader: &mut impl BufRead) -> Option<usize> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.split_once(": ") {
            Some(("content-length", value)) => length = value.trim().parse().unwrap(),
            None if line == "\r\n" => return Some(length),
            _ => {}
        }
    }
}

/// `llm-balancer`, ended with the test as an operator would end it.
struct Balancer {
    child: Child,
    port: u16,
    /// Temporary files of all that we start go here.
    dir: TempDir,
}

impl Balancer {
    fn start(config: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("config.yaml");
        fs::write(&file, config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_llm-balancer"))
            .arg("--config")
            .arg(file)
            .args(["--port", "0", "--admin-port", "0", "--concurrency", "1"])
            .env("TMPDIR", dir.path())
            // The access log.
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut all = Vec::new();
        let port = loop {
            let Some(line) = said.next() else { panic!("it does not listen: {all:#?}") };
            let line = line.unwrap();
            if let Some((_, rest)) = line.split_once("listens on http://127.0.0.1:") {
                break rest.split(' ').next().unwrap().parse().unwrap();
            }
            all.push(line);
        };
        // Read on, or it would block in the middle of its words.
        thread::spawn(move || said.for_each(drop));
        Self { child, port, dir }
    }

    /// The head of the answer to a chat with these further headers.
    fn chat(&self, headers: &str) -> String {
        let body = r#"{"model": "gpt", "messages": []}"#;
        let length = body.len();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "POST /chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").map(|(head, _)| head.to_owned()).unwrap_or(answer)
    }

    fn stop(&mut self) -> i32 {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A group whose first choice refuses connections, so that every request takes one retry.
fn one_retry_each() -> Balancer {
    let provider = provider();
    Balancer::start(&format!(
        "
model_list:
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: 'http://127.0.0.1:1/v1', api_key: none, weight: 1000000000}}}}
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: 'http://127.0.0.1:{provider}/v1', api_key: none, weight: 1}}}}
router_settings: {{disable_cooldowns: true}}
"
    ))
}

fn assert_served_by_the_second(head: &str) {
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("x-litellm-attempted-retries: 1\r\n"), "{head}");
}

#[test]
fn a_client_on_this_machine_has_no_say_in_envoys_timeouts_and_retries() {
    let balancer = one_retry_each();
    let headers = "x-envoy-max-retries: 0\r\nx-envoy-retry-on: 5xx\r\nx-envoy-upstream-rq-timeout-ms: 1\r\nx-envoy-upstream-rq-per-try-timeout-ms: 1\r\n";
    assert_served_by_the_second(&balancer.chat(headers));
    // One that says that it comes from elsewhere has none either.
    assert_served_by_the_second(&balancer.chat(&format!("{headers}x-forwarded-for: 10.0.0.1\r\n")));
}

#[test]
fn requests_that_share_an_id_of_their_clients_are_not_taken_for_one() {
    let balancer = one_retry_each();
    thread::scope(|scope| {
        let chat = || balancer.chat("x-request-id: the-same\r\nx-llm-stream-id: the-same\r\n");
        let chats: Vec<_> = (0..20).map(|_| scope.spawn(chat)).collect();
        for head in chats {
            assert_served_by_the_second(&head.join().unwrap());
        }
    });
}

#[test]
fn nothing_is_left_behind() {
    let mut balancer = one_retry_each();
    let names = |balancer: &Balancer| -> Vec<_> {
        fs::read_dir(balancer.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(&balancer).len(), 2);
    assert_eq!(balancer.stop(), 0);
    assert_eq!(names(&balancer), ["config.yaml"]);
}
