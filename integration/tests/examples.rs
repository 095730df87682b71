//! The bootstraps of `envoy/examples`, unchanged except for their ports: the real Envoy and the
//! filter, without `serve`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use llm_balancer_integration::certificates::Authority;
use llm_balancer_integration::{Answer, Client, DONE, Envoy, Example, Provider, eventually, minute};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const CHAT: &str = r#"{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello!"}]}"#;
const STREAM: &str = r#"{"model": "gpt-4o", "messages": [], "stream": true}"#;

/// Variables that two-hops.yaml reads, and a provider in the place of its three.
fn two_hops(provider: &Provider) -> Example {
    Example::new("two-hops")
        .port(8100, provider.port())
        .env("AZURE_API_KEY_EU", "key-eu")
        .env("AZURE_API_KEY_CA", "key-ca")
        .env("OPENAI_API_KEY", "key-openai")
}

/// What curl prints for this path: the headers, the body, and last the times that `-w` asks for.
async fn curl(envoy: &Envoy, path: &str, body: &str, more: &[&str]) -> String {
    let url = format!("http://127.0.0.1:{}{path}", envoy.port);
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--include", "--no-buffer", "--max-time", "30", &url])
        .args(more);
    if !body.is_empty() {
        command.args(["--header", "content-type: application/json", "--data", body]);
    }
    let output = command.output().await.expect("curl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

async fn chat(envoy: &Envoy, more: &[&str]) -> String {
    curl(envoy, "/v1/chat/completions", CHAT, more).await
}

/// The lines of the access log, when there are so many.
async fn lines(envoy: &Envoy, count: usize) -> Vec<Value> {
    let is_there = eventually(async || envoy.access_log().lines().count() >= count).await;
    assert!(is_there, "the access log: {:?}", envoy.access_log());
    envoy.access_log().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

async fn metrics_have(envoy: &Envoy, sample: &str) {
    let (admin, mut text) = (Client::new(envoy.admin_port), String::new());
    let is_there = eventually(async || {
        text = admin.get("/stats/prometheus").await.text();
        text.lines().any(|line| line == sample)
    });
    assert!(is_there.await, "no {sample} in {text}");
}

/// The names of a bootstrap's clusters.
fn clusters(bootstrap: &Value) -> BTreeSet<&str> {
    let clusters = bootstrap["static_resources"]["clusters"].as_array().expect("clusters");
    clusters.iter().map(|cluster| cluster["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn the_examples_have_the_clusters_and_labels_that_render_prints() {
    let provider = Provider::start().await;
    let existing =
        Example::new("existing-listener").env("LITELLM_MASTER_KEY", "k").env("OPENAI_API_KEY", "k");
    for example in [two_hops(&provider), existing] {
        let (example, rendered) = (example.bootstrap(), example.rendered());
        let mut names = clusters(&example);
        names.remove("my-service");
        assert_eq!(names, clusters(&rendered));
        assert_eq!(example["stats_config"]["stats_tags"], rendered["stats_config"]["stats_tags"]);
    }
}

#[tokio::test]
async fn a_chat_is_answered_logged_and_counted() {
    let provider = Provider::start().await;
    let envoy = two_hops(&provider).start().await;
    let answer = chat(&envoy, &[]).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(!answer.contains("x-llm-retry"), "{answer}");
    let request = provider.only_request();
    let key = request.header("authorization").or(request.header("api-key"));
    let expected = match request.name.as_str() {
        "small-eu" => "key-eu",
        "small-ca" => "key-ca",
        _ => "Bearer key-openai",
    };
    assert_eq!(key, Some(expected));
    assert_eq!(lines(&envoy, 1).await[0]["client"], "127.0.0.1");
    metrics_have(&envoy, r#"llm_balancer_requests_total{group="gpt-4o",outcome="success",status="200"} 1"#)
        .await;
    assert_eq!(envoy.messages(), "");
}

#[tokio::test]
async fn a_request_that_fails_goes_to_the_deployments_that_are_left_and_has_one_line() {
    let provider = Provider::start().await;
    provider.always("small-eu", Answer::status(500));
    // Breaks off behind its headers: Envoy answers past the filter.
    provider.always("large", Answer::ok().close_after(0));
    let envoy = two_hops(&provider).start().await;
    for _ in 0..3 {
        let answer = chat(&envoy, &[]).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains("x-litellm-model-id: small-ca"), "{answer}");
    }
    let lines = lines(&envoy, 3).await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    let attempts: usize = lines.iter().map(|line| line["attempts"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(attempts, provider.calls().len());
}

#[tokio::test]
async fn a_stream_arrives_as_it_is_sent() {
    let provider = Provider::start().await;
    for name in ["small-eu", "small-ca", "large"] {
        provider.always(name, Answer::ok().events(5).every(Duration::from_millis(100)));
    }
    let envoy = two_hops(&provider).start().await;
    let times = ["--write-out", "\n%{time_starttransfer} %{time_total}"];
    let answer = curl(&envoy, "/v1/chat/completions", STREAM, &times).await;
    let (events, times) = answer.rsplit_once('\n').expect("the times behind the answer");
    assert!(events.ends_with(DONE), "{answer}");
    let times: Vec<f64> = times.split(' ').map(|time| time.parse().expect("seconds")).collect();
    assert!(times[1] - times[0] > 0.25, "begin and end, in seconds: {times:?}");
}

#[tokio::test]
async fn the_rpm_of_all_three_are_held() {
    let provider = Provider::start().await;
    let envoy = two_hops(&provider).start().await;
    let client = Client::new(envoy.port);
    minute::with_room_for(Duration::from_secs(20)).await;
    for _ in 0..72 {
        assert_eq!(client.chat("gpt-4o").await.status, 200);
    }
    let answer = chat(&envoy, &[]).await;
    assert!(answer.starts_with("HTTP/1.1 429 Too Many Requests"), "{answer}");
    assert!(answer.contains("retry-after: "), "{answer}");
    assert_eq!(provider.calls().len(), 72);
}

#[tokio::test]
async fn a_body_of_three_megabytes_is_sent_again() {
    let provider = Provider::start().await;
    for name in ["small-eu", "large"] {
        provider.always(name, Answer::status(500));
    }
    let envoy = two_hops(&provider).start().await;
    let long = json!({"messages": [{"role": "user", "content": "long ".repeat(600_000)}]});
    let reply = Client::new(envoy.port).chat_with("gpt-4o", &long).await;
    assert_eq!(reply.served_by(), "small-ca");
}

#[tokio::test]
async fn a_client_cannot_choose_the_id_of_a_request_its_cluster_or_its_retries() {
    let provider = Provider::start().await;
    for name in ["small-eu", "large"] {
        provider.always(name, Answer::status(500));
    }
    let envoy = two_hops(&provider).start().await;
    let hostile = ["x-request-id: mine", "x-llm-cluster: attempts", "x-envoy-max-retries: 0"];
    let hostile: Vec<_> = hostile.iter().flat_map(|header| ["--header", header]).collect();
    let answer = chat(&envoy, &hostile).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(
        answer.contains("x-litellm-call-id: ") && !answer.contains("x-litellm-call-id: mine"),
        "{answer}"
    );
}

/// Chats without a pause until there is a sign that it is enough; their statuses.
async fn chats(client: Client, enough: Arc<AtomicBool>) -> Vec<u16> {
    let mut statuses = Vec::new();
    while !enough.load(Ordering::Relaxed) {
        statuses.push(client.chat("gpt-4o").await.status);
    }
    statuses
}

#[tokio::test]
async fn a_file_that_comes_by_ecds_is_live_without_a_lost_request_and_a_bad_one_changes_nothing() {
    let provider = Provider::start().await;
    provider.always("small-eu", Answer::status(500));
    let example = two_hops(&provider).replace("rpm: 60", "rpm: 600000").discovered();
    let envoy = example.start().await;
    let enough = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(chats(Client::new(envoy.port), Arc::clone(&enough)));
    let has = async |header: &str| eventually(async || chat(&envoy, &[]).await.contains(header)).await;
    assert!(has("x-litellm-max-retries: 2").await);
    envoy.update("num_retries: 2", "num_retries: 1");
    assert!(has("x-litellm-max-retries: 1").await);
    envoy.update("num_retries: 1", "num_retries: x");
    let refused = "extension_config_discovery.http_filter.llm-balancer.config_fail: 1";
    let admin = Client::new(envoy.admin_port);
    assert!(eventually(async || admin.get("/stats").await.text().contains(refused)).await);
    assert!(has("x-litellm-max-retries: 1").await);
    enough.store(true, Ordering::Relaxed);
    let statuses = load.await.expect("the load ends");
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

/// existing-listener.yaml: OpenAI behind TLS, the other server and the service that was there, each
/// a provider.
struct Existing {
    openai: Provider,
    others: Provider,
    envoy: Envoy,
    _authority: TempDir,
}

impl Existing {
    async fn start() -> Self {
        let (authority, dir) = (Authority::new(), TempDir::new().expect("a temporary directory"));
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, authority.pem()).expect("the authority can be written");
        let openai = Provider::start_tls(&authority.identity(&["api.openai.com"])).await;
        let others = Provider::start().await;
        others.always("shop", Answer::bytes("the shop"));
        let envoy = Example::new("existing-listener")
            .port(443, openai.port())
            .port(8000, others.port())
            .port(8080, others.port())
            .replace("{address: api.openai.com,", "{address: 127.0.0.1,")
            .replace("/etc/ssl/certs/ca-certificates.crt", &ca.display().to_string())
            .env("LITELLM_MASTER_KEY", "sk-master")
            .env("OPENAI_API_KEY", "sk-openai")
            .start()
            .await;
        Self { openai, others, envoy, _authority: dir }
    }

    async fn chat(&self) -> String {
        chat(&self.envoy, &["--header", "authorization: Bearer sk-master"]).await
    }
}

#[tokio::test]
async fn the_routes_of_an_existing_listener_stay_as_they_are() {
    let world = Existing::start().await;
    let answer = curl(&world.envoy, "/shop/cart", "", &[]).await;
    assert!(answer.ends_with("the shop"), "{answer}");
    assert!(!answer.contains("x-litellm-"), "{answer}");
    let request = world.others.only_request();
    assert_eq!(request.target, "/shop/cart");
    assert_eq!(request.header("x-llm-client"), None);
    assert_eq!(world.envoy.messages(), "");
}

#[tokio::test]
async fn a_route_of_an_existing_listener_leads_to_the_filter_and_to_a_provider_behind_tls() {
    let world = Existing::start().await;
    let stranger = chat(&world.envoy, &[]).await;
    assert!(stranger.starts_with("HTTP/1.1 401 Unauthorized"), "{stranger}");
    let answer = world.chat().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("x-litellm-model-id: openai"), "{answer}");
    let request = world.openai.only_request();
    assert_eq!(request.target, "/v1/chat/completions");
    assert_eq!(request.header("host"), Some("api.openai.com"));
    assert_eq!(request.header("authorization"), Some("Bearer sk-openai"));
    assert_eq!(request.sni.as_deref(), Some("api.openai.com"));
}

#[tokio::test]
async fn behind_an_existing_listener_too_a_failure_goes_to_the_next_order() {
    let world = Existing::start().await;
    world.openai.always("v1", Answer::status(503));
    let answer = world.chat().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("x-litellm-model-id: vllm"), "{answer}");
    assert_eq!(lines(&world.envoy, 1).await[0]["attempts"][0]["status"], 503);
}
