//! A filter that traps takes nothing with it but the requests that it was looking at. `make
//! testing-filter` builds one that traps on demand, and that holds Envoy's shared data to the
//! contract of every store.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use llm_balancer_integration::{Answer, Client, Provider, ask, eventually, free_port, hops, item};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// Longer than any start on a busy machine.
const START: Duration = Duration::from_secs(30);

/// An Envoy with the testing filter, which soon ends a stream that no filter ends.
struct Trapping {
    port: u16,
    envoy: Child,
    dir: TempDir,
}

impl Trapping {
    async fn start(config: &str, workers: u8) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let file = dir.path().join("config.yaml");
        fs::write(&file, config).expect("the configuration can be written");
        let (port, admin) = (free_port().to_string(), free_port().to_string());
        let rendered = Command::new(built("target/release/llm-balancer"))
            .args(["render", "--target", "envoy", "--hops", hops()])
            .args(["--port", &port, "--admin-port", &admin, "--config"])
            .arg(&file)
            .arg("--out")
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        assert!(rendered.expect("`make build` makes it").success());
        shorten_silence(&dir.path().join("bootstrap.yaml"));
        let filter = built("target/testing/wasm32-wasip1/release/llm_balancer_filter.wasm");
        fs::copy(&filter, dir.path().join("filter.wasm")).expect("`make testing-filter` makes it");
        let log = File::create(dir.path().join("log")).expect("the log can be written");
        let envoy = std::env::var_os("ENVOY").map_or_else(|| built(".tools/envoy/bin/envoy"), PathBuf::from);
        let envoy = Command::new(envoy)
            .arg("--config-path")
            .arg(dir.path().join("bootstrap.yaml"))
            .args(["--disable-hot-restart", "--log-level", "warning", "--concurrency", &workers.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log can be shared"))
            .stderr(log)
            .spawn()
            .expect("Envoy can be run");
        let port = port.parse().expect("a port");
        let started = Self { port, envoy, dir };
        let client = Client::new(port);
        let begun = Instant::now();
        while !client.answers("/health/liveliness").await {
            assert!(begun.elapsed() < START, "{}", started.log());
            sleep(Duration::from_millis(20)).await;
        }
        started
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Ends the VM of one worker.
    async fn trap(&self) {
        let client = Client::new(self.port).with_header("x-llm-trap", "1");
        // Another attempt may find another VM, which the same header ends as well.
        let status = client.chat("g").await.status;
        assert_eq!(status, 503);
    }
}

impl Drop for Trapping {
    fn drop(&mut self) {
        let _ = self.envoy.kill();
        let _ = self.envoy.wait();
    }
}

/// Writes four seconds for the limit of a stream's silence.
fn shorten_silence(bootstrap: &Path) {
    let long = "idle_timeout: 75s\n";
    let text = fs::read_to_string(bootstrap).expect("it is rendered");
    assert!(text.contains(long), "{text}");
    fs::write(bootstrap, text.replace(long, "idle_timeout: 4s\n")).expect("it can be written");
}

fn built(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn envoys_shared_data_keeps_the_contract_of_stores() {
    let provider = Provider::start().await;
    let envoy = Trapping::start(&configuration(&provider, ""), 4).await;
    // Four workers, and the main thread, which reads every configuration twice; with one hop, each
    // for the edge as well.
    let times = if hops() == "1" { 12 } else { 6 };
    let kept = || envoy.log().matches("the contract of stores is kept").count();
    assert!(eventually(async || kept() == times).await, "{}", envoy.log());
    assert!(envoy.log().contains(&format!("the sum is Ok({times}000)")), "{}", envoy.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_a_trapped_vm_took_with_it_are_forgotten_within_seconds() {
    let provider = Provider::start().await;
    let envoy = Trapping::start(&configuration(&provider, ", max_parallel_requests: 1"), 1).await;
    let client = Client::new(envoy.port);
    provider.script("a", [Answer::ok().hang()]);
    let hanging = client.clone();
    let hanging = tokio::spawn(async move { hanging.chat("g").await });
    assert!(eventually(async || provider.calls().len() == 1).await);
    assert_eq!(client.chat("g").await.status, 429, "its only slot is taken");

    envoy.trap().await;
    let trapped = Instant::now();
    let mut status = 0;
    while trapped.elapsed() < Duration::from_secs(15) && status != 200 {
        sleep(Duration::from_millis(100)).await;
        status = client.chat("g").await.status;
    }
    assert_eq!(status, 200, "{}", envoy.log());
    hanging.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_outlive_a_vm_that_traps() {
    let provider = Provider::start().await;
    llm_balancer_integration::minute::with_room_for(Duration::from_secs(12)).await;
    let envoy = Trapping::start(&configuration(&provider, ", rpm: 6"), 1).await;
    let client = Client::new(envoy.port);
    for _ in 0..4 {
        assert_eq!(client.chat("g").await.status, 200);
    }
    envoy.trap().await;
    assert!(eventually(async || client.answers("/health/liveliness").await).await, "{}", envoy.log());
    let mut served = 0;
    for _ in 0..8 {
        served += u32::from(client.chat("g").await.status == 200);
    }
    assert_eq!(served, 2, "four of six were counted before the trap");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_vm_trapped_ends_though_nothing_happens_to_it() {
    const LATEST: Duration = Duration::from_secs(20);
    let provider = Provider::start().await;
    let settings = "router_settings: {num_retries: 2, timeout: 2}\n";
    let envoy = Trapping::start(&(configuration(&provider, "") + settings), 1).await;
    let client = Client::new(envoy.port);
    // A stream that has begun, and a request that waits before its retry.
    provider.script("a", [Answer::ok().hang_after(1), Answer::status(429).retry_after("60")]);
    let mut stream = client.stream_chat("g").await;
    assert!(stream.next().await.is_some());
    let waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.try_post("/v1/chat/completions", &ask("g")).await });
    assert!(eventually(async || provider.calls().len() == 2).await);
    envoy.trap().await;

    let rest = timeout(LATEST, stream.until_end());
    let (rest, waited) = tokio::join!(rest, timeout(LATEST, waiting));
    assert!(rest.is_ok() && stream.broken, "the stream is still open: {}", envoy.log());
    let reply = waited.expect("a response in time").unwrap().expect("a response");
    // With two hops it starts anew.
    let status = if hops() == "1" { 504 } else { 200 };
    assert_eq!(reply.status, status, "{}", reply.text());
}

/// One deployment.
fn configuration(provider: &Provider, params: &str) -> String {
    format!("model_list:\n{}", item("g", "a", params)).replace("PROVIDER", &provider.origin())
}
