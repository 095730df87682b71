//! Keys and passwords: where they may stand, and where they do not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hyper::Method;
use llm_balancer_integration::{Answer, Balancer, Client, Launch, Provider, Redis, eventually, free_port};

const MASTER: &str = "sk-key-of-the-house-4711";
/// All of them, by a part that no encoding of the whole hides.
const SECRETS: [&str; 6] =
    [MASTER, "sk-paris-0815", "sk-header-0816", "word-of-redis-0817", "sk-client-0818", "word-in-url-0819"];

/// A file that holds each secret itself, or the name of a variable with it.
fn config(provider: &Provider, redis: u16, is_literal: bool) -> (String, Vec<(&'static str, &'static str)>) {
    let variables =
        [("MASTER", MASTER), ("PARIS", SECRETS[1]), ("HEADER", SECRETS[2]), ("WORD", SECRETS[3])].to_vec();
    let text = format!(
        "
model_list:
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: {origin}/paris/v1, api_key: os.environ/PARIS, extra_headers: {{x-secret: os.environ/HEADER}}}}, model_info: {{id: paris}}}}
- {{model_name: gone, litellm_params: {{model: openai/m, api_base: 'http://127.0.0.1:{gone}/v1', api_key: os.environ/PARIS}}, model_info: {{id: gone}}}}
general_settings: {{master_key: os.environ/MASTER}}
router_settings: {{num_retries: 1, redis_host: 127.0.0.1, redis_port: {redis}, redis_password: os.environ/WORD}}
",
        origin = provider.origin(),
        gone = free_port(),
    );
    if !is_literal {
        return (text, variables);
    }
    let replaced =
        |text: String, (name, value): &(&str, &str)| text.replace(&format!("os.environ/{name}"), value);
    (variables.iter().fold(text, replaced), Vec::new())
}

/// Fails if a text has a secret.
#[track_caller]
fn assert_clean(place: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} in {place}: {}", text.get(..2000).unwrap_or(text));
    }
}

/// Requests of every kind, and all that came back but for answers of the provider.
async fn traffic(client: &Client) -> String {
    let key = client.with_header("authorization", &format!("Bearer {MASTER}"));
    let other = client
        .with_header("authorization", "Bearer sk-client-0818")
        .with_header("x-api-key", "sk-client-0818");
    let mut said = String::new();
    for (client, path) in [
        (&key, "/v1/models"),
        (&key, "/v1/model/info"),
        (&key, "/v1/model_group/info"),
        (&key, "/health"),
        (&key, "/health/readiness"),
        (&key, "/nowhere?key=sk-client-0818"),
        (&other, "/v1/models"),
        (&other, "/health"),
    ] {
        said += &format!("{:?}\n", client.get(path).await);
    }
    let explained = key.with_header("x-llm-balancer-explain", "1");
    for (client, model) in [
        (&key, "gpt"),
        (&explained, "gpt"),
        (&key, "gone"),
        (&key, "unknown"),
        (&other, "gpt"),
        (client, "gpt"),
    ] {
        said += &format!("{:?}\n", client.chat(model).await);
    }
    let broken = format!("{{\"model\": \"gpt\", \"{}\": ", SECRETS[4]);
    said +=
        &format!("{:?}\n", key.send(Method::POST, "/v1/chat/completions", "application/json", broken).await);
    said
}

/// All that any user of the machine can read of a running balancer.
async fn readable(balancer: &Balancer) -> String {
    let admin = Client::new(balancer.admin_port);
    let mut text = String::new();
    for path in [
        "/stats",
        "/stats/prometheus",
        "/stats?format=json",
        "/clusters",
        "/listeners",
        "/memory",
        "/server_info",
        "/config_dump",
        "/config_dump?include_eds",
        "/config_dump?resource=dynamic_listeners&mask=error_state.details",
        "/config_dump?resource=dynamic_listeners&mask=error_state",
        "/certs",
        "/runtime",
        "/logging",
        "/",
        "/help",
    ] {
        text += &format!("{path}: {}\n", admin.get(path).await.text());
    }
    for pid in balancer.processes() {
        text += &fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    }
    text
}

#[tokio::test]
async fn no_secret_is_in_the_log_the_metrics_the_admin_port_an_error_or_a_command_line() {
    let redis = Redis::launch().password("word-of-redis-0817").start().await;
    let provider = Provider::start().await;
    for is_literal in [true, false] {
        let (text, variables) = config(&provider, redis.port(), is_literal);
        let launch =
            variables.into_iter().fold(Launch::new(&text), |launch, (name, value)| launch.env(name, value));
        let balancer = launch.start().await;
        provider.script("paris", [Answer::status(500), Answer::status(401), Answer::status(429)]);
        let client = Client::new(balancer.port);
        let said = traffic(&client).await;
        // A reload that is refused.
        balancer.replace_file(&text.replace("num_retries: 1", "num_retries: many"));
        balancer.says("keeping the previous configuration").await;
        assert_clean("answers", &said);
        assert!(
            eventually(async || balancer.log().matches("{\"time\"").count() >= 10).await,
            "lines are written"
        );
        assert_clean("the log", &balancer.log());
        // Workers publish what they have counted once a second.
        let admin = Client::new(balancer.admin_port);
        let counted = async || admin.get("/stats").await.text().contains("llm_balancer_requests_total");
        assert!(eventually(counted).await, "requests are counted");
        let text = readable(&balancer).await;
        assert!(text.contains("--config-path"), "{text}");
        assert_clean("what others can read", &text);
        let mut stored = redis.command(&["KEYS", "*"]).await;
        assert!(!stored.is_empty(), "Redis has something");
        for key in stored.clone().lines() {
            stored += &redis.command(&["DUMP", key]).await;
        }
        assert_clean("Redis", &stored);
        provider.forget();
    }
}

#[tokio::test]
async fn the_files_of_a_run_are_its_users_and_hold_no_secret_of_the_environment() {
    let redis = Redis::launch().password("word-of-redis-0817").start().await;
    let provider = Provider::start().await;
    let (text, variables) = config(&provider, redis.port(), false);
    let launch =
        variables.into_iter().fold(Launch::new(&text), |launch, (name, value)| launch.env(name, value));
    let balancer = launch.start().await;
    let folder = balancer.runtime_folder();
    let mode = |path: &std::path::Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        let content = String::from_utf8_lossy(&fs::read(&file).unwrap_or_default()).into_owned();
        assert_clean(&file.display().to_string(), &content);
    }
}

/// What a provider is asked about one client's request says nothing of another's.
#[tokio::test]
async fn a_provider_that_repeats_its_key_shows_it_to_its_client_and_not_to_the_log() {
    let provider = Provider::start().await;
    let redis = Redis::launch().password("word-of-redis-0817").start().await;
    let (text, _) = config(&provider, redis.port(), true);
    let balancer = Launch::new(&text).start().await;
    let body = r#"{"error":{"message":"Incorrect API key provided: sk-paris-0815","type":"x","code":"invalid_api_key"}}"#;
    provider.always("paris", Answer::status(401).body(body).header("x-debug", "sk-paris-0815"));
    let client = Client::new(balancer.port).with_header("authorization", &format!("Bearer {MASTER}"));
    assert_eq!(client.chat("gpt").await.status, 401);
    assert!(eventually(async || balancer.log().contains("{\"time\"")).await);
    assert_clean("the log", &balancer.log());
}
