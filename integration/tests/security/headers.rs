//! Headers of a client that are the balancer's own, or Envoy's, or another client's.

use hyper::Method;
use llm_balancer_integration::{Client, Redis, World, raw};

use crate::{assert_clean, frames, two_attempts};

/// Every header that means something inside: to the filter, to Envoy, or to a provider.
const INTERNAL: [&str; 46] = [
    "x-llm-cluster",
    "x-llm-retry",
    "x-llm-reused",
    "x-llm-client",
    "x-llm-next-attempt",
    "x-llm-stream-id",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-is-timeout-retry",
    "x-envoy-max-retries",
    "x-envoy-original-dst-host",
    "x-envoy-original-path",
    "x-envoy-original-method",
    "x-envoy-original-host",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-canary",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-client-cert",
    "x-real-ip",
    "x-request-id",
    "x-client-trace-id",
    "x-ot-span-context",
    "x-litellm-call-id",
    "x-litellm-model-id",
    "api-key",
    "x-api-key",
    "cookie",
];

fn with_all(client: &Client, value: &str) -> Client {
    INTERNAL.iter().fold(client.clone(), |client, name| client.with_header(name, value))
}

/// Otherwise keys could be guessed unseen.
#[tokio::test]
async fn no_header_hides_a_refusal_from_the_access_log() {
    let world = World::new(&format!(
        "model_list:\n{}general_settings: {{master_key: sk-key-of-the-house-4711}}\n",
        llm_balancer_integration::item("gpt", "paris", "")
    ))
    .await;
    for value in ["0", "2", "true"] {
        let client = with_all(&world.client, value).with_header("authorization", "Bearer sk-other");
        assert_eq!(client.chat("gpt").await.status, 401, "{value}");
    }
    assert!(world.logged(3).await.iter().all(|line| line["status"] == 401));
}

#[tokio::test]
async fn no_header_that_means_something_inside_passes_in_either_attempt() {
    let mut world = two_attempts("").await;
    for value in ["1", "paris", "true", "attempts-1", "gpt,gpt"] {
        let client = with_all(&world.client, value).with_header("authorization", "Bearer sk-other");
        // Twice, since a parser that keeps the first may not see the second.
        let reply = with_all(&client, "0").chat("gpt").await;
        assert_eq!((reply.status, reply.retries()), (200, 1), "{value}: {}", reply.text());
        assert_eq!(world.provider.calls(), ["virginia", "paris"], "{value}");
        world.provider.received().iter().for_each(|sent| assert_clean(value, sent));
        for name in INTERNAL.iter().filter(|name| name.starts_with("x-llm-") || name.starts_with("x-envoy-"))
        {
            assert_eq!(reply.header(name), None, "{name} comes back");
        }
        assert_ne!(reply.header("x-litellm-call-id"), Some(value));
        world.provider.forget();
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn where_headers_are_forwarded_the_internal_ones_stay() {
    let world = two_attempts("general_settings: {forward_client_headers_to_llm_api: true}\n").await;
    let client = with_all(&world.client, "1").with_header("x-mine", "1").with_header("connection", "x-mine");
    let client = client.with_header("authorization", "Bearer sk-other");
    assert_eq!(client.chat("gpt").await.status, 200);
    for sent in world.provider.received() {
        assert_eq!(sent.header("authorization"), Some(format!("Bearer sk-{}", sent.name).as_str()));
        for (name, _) in &sent.headers {
            let name = name.to_ascii_lowercase();
            let passes = ["x-ot-span-context", "x-client-trace-id", "x-real-ip"].contains(&name.as_str());
            assert!(passes || !INTERNAL.contains(&name.as_str()), "{name}");
        }
    }
}

/// Clusters are the ways out of Envoy. One of them leads to Redis.
#[tokio::test]
async fn a_client_cannot_choose_the_cluster_by_its_name() {
    let redis = Redis::start().await;
    let world = World::new(&format!(
        "model_list:\n- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: PROVIDER/paris/v1, api_key: sk-paris}}, model_info: {{id: paris}}}}\nrouter_settings: {{redis_host: 127.0.0.1, redis_port: {}}}\n",
        redis.port()
    ))
    .await;
    let text = Client::new(world.balancer.admin_port).get("/clusters").await.text();
    let mut clusters: Vec<_> = text.lines().filter_map(|line| line.split("::").next()).collect();
    clusters.dedup();
    assert!(clusters.contains(&"redis"), "{clusters:?}");
    assert_eq!(clusters.contains(&"redis-hop"), world.balancer.runs_wasm(), "{clusters:?}");
    let commands = "SET evil 1\r\nQUIT\r\n";
    for cluster in clusters {
        let client = world.with_header("x-llm-cluster", cluster).with_header("x-llm-next-attempt", cluster);
        assert_eq!(client.chat("gpt").await.served_by(), "paris", "{cluster}");
        for path in ["/", "/wait", "/v1/models", "/v1/chat/completions", "/llm-balancer/next-attempt"] {
            for method in [Method::POST, Method::PUT] {
                let reply = client.send(method, path, "application/json", commands).await;
                assert!([400, 404, 405].contains(&reply.status), "{cluster} {path}: {}", reply.text());
            }
        }
    }
    assert_eq!(redis.command(&["EXISTS", "evil"]).await, "0");
    assert!(world.provider.received().iter().all(|sent| sent.target == "/paris/v1/chat/completions"));
}

/// Envoy sends a request whose first attempt failed to this path, with its id in a header.
#[tokio::test]
async fn a_client_cannot_take_over_a_request_between_two_attempts() {
    const KEY: &str = "sk-key-of-the-house-4711";
    let mut world = two_attempts(&format!("general_settings: {{master_key: {KEY}}}\n")).await;
    let path = "/llm-balancer/next-attempt";
    for id in ["", "1", "8c2e4d1a-0b5f-4c1e-9a55-2f6a7b8c9d0e"] {
        let client = world.with_header("x-llm-next-attempt", id);
        client.send(Method::POST, path, "application/json", "{}").await.error(401);
        client.get(path).await.error(401);
        let client = client.with_header("authorization", &format!("Bearer {KEY}"));
        client.send(Method::POST, path, "application/json", "{}").await.error(404);
    }
    assert!(world.provider.received().is_empty());
    let client = world.with_header("authorization", &format!("Bearer {KEY}"));
    assert_eq!(client.with_header("x-llm-next-attempt", "1").chat("gpt").await.retries(), 1);
    world.client = client;
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn no_tunnel_is_opened_to_anywhere() {
    let mut world = two_attempts("").await;
    let port = world.provider.port();
    for head in [
        format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"),
        "CONNECT /v1/chat/completions HTTP/1.1\r\nhost: balancer\r\n".to_owned(),
        "GET /v1/chat/completions HTTP/1.1\r\nhost: balancer\r\nconnection: upgrade\r\nupgrade: websocket\r\n".to_owned(),
        "POST /v1/chat/completions HTTP/1.1\r\nhost: balancer\r\nconnection: upgrade\r\nupgrade: connect-udp\r\n"
            .to_owned(),
    ] {
        let bytes = format!("{head}x-llm-cluster: attempts-1\r\ncontent-length: 0\r\n\r\n");
        let answer = raw::request(world.balancer.port, bytes.as_bytes()).await;
        assert!((400..500).contains(&raw::status(&answer)), "{head}: {answer}");
    }
    let websocket = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "balancer"),
        (":path", "/v1/chat/completions"),
        ("x-llm-cluster", "attempts-1"),
    ];
    for fields in [&websocket[..], &[(":method", "CONNECT"), (":authority", "balancer:80")]] {
        let end = frames::request(world.balancer.port, fields, b"", &[]).await;
        assert_ne!(end, frames::End::Answered { ok: true });
    }
    assert!(world.provider.received().is_empty());
    world.assert_well("gpt").await;
}

/// The key opens in any of its headers, and in nothing else.
#[tokio::test]
async fn a_key_is_read_of_its_headers_alone() {
    const KEY: &str = "sk-key-of-the-house-4711";
    let mut world = two_attempts(&format!("general_settings: {{master_key: {KEY}}}\n")).await;
    let body =
        format!("{{\"model\": \"gpt\", \"messages\": [], \"api_key\": \"{KEY}\", \"key\": \"{KEY}\"}}");
    for path in ["/v1/chat/completions", &format!("/v1/chat/completions?api_key={KEY}&key={KEY}&token={KEY}")]
    {
        let client = ["cookie", "x-key", "proxy-authorization", "x-litellm-key", "x-google-key"]
            .iter()
            .fold(world.client.clone(), |client, name| client.with_header(name, KEY));
        let reply = client.send(Method::POST, path, "application/json", body.clone()).await;
        assert_eq!(reply.error(401)["type"], "auth_error", "{path}");
    }
    assert!(world.provider.received().is_empty());
    let client = world.with_header("authorization", &format!("Bearer {KEY}"));
    world.client = client;
    world.assert_well("gpt").await;
}
