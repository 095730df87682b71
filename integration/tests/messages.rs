//! Anthropic's Messages through the whole of the product: what a stream has used is counted, an
//! overloaded deployment is left, and errors have Anthropic's shape.

use std::time::Duration;

use hyper::Method;
use llm_balancer_integration::{Answer, Reply, World, item, minute};
use serde_json::{Value, json};

const MESSAGES: &str = "/v1/messages";
const ANTHROPIC: &str = ", llm_balancer: {wire: anthropic}";
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const OVERLOADED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";

fn ask() -> Value {
    json!({"model": "claude", "max_tokens": 10, "stream": true, "messages": [{"role": "user", "content": "hi"}]})
}

async fn claude(names: &[&str], params: &str, rest: &str) -> World {
    let items: String =
        names.iter().map(|name| item("claude", name, &format!("{params}{ANTHROPIC}"))).collect();
    World::new(&format!("model_list:\n{items}{rest}")).await
}

/// The type of an error in Anthropic's shape.
#[track_caller]
fn error(reply: &Reply, status: u16) -> String {
    assert_eq!(reply.status, status, "{}", reply.text());
    let body = reply.json();
    assert_eq!(body["type"], "error", "{body}");
    assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    body["error"]["type"].as_str().unwrap_or_default().to_owned()
}

/// A stream whose prompt and answer take so many tokens, `cached` of them from a cache.
fn stream(prompt: u64, cached: u64, completion: u64) -> Answer {
    let usage = json!({"input_tokens": prompt, "cache_read_input_tokens": cached, "output_tokens": 1});
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "content": [], "usage": usage}});
    let end = json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": completion}});
    Answer::pieces([
        format!("event: message_start\ndata: {start}\n\n{PING}"),
        format!("event: message_delta\ndata: {end}\n\nevent: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"),
    ])
    .every(Duration::from_millis(5))
}

#[tokio::test]
async fn the_tokens_of_a_stream_are_counted_except_those_from_a_cache() {
    let world = claude(&["lyon"], ", tpm: 1000", "").await;
    minute::with_room_for(Duration::from_secs(15)).await;
    world.provider.always("lyon", stream(200, 5000, 50));
    for nth in 0..4 {
        let mut events = world.stream(MESSAGES, &ask()).await;
        assert_eq!(events.status, 200, "stream {nth}");
        assert!(events.rest().await.ends_with("{\"type\":\"message_stop\"}\n\n"), "stream {nth}");
    }
    let refused = world.post(MESSAGES, &ask()).await;
    assert_eq!(error(&refused, 429), "rate_limit_error");
    assert!(refused.header("retry-after").is_some());
    world.provider.always("lyon", Answer::ok());
    let counted = world.post("/v1/messages/count_tokens", &json!({"model": "claude", "messages": []})).await;
    assert_eq!(counted.json(), json!({"input_tokens": 5}), "counting takes no tokens");
}

#[tokio::test]
async fn an_overloaded_deployment_is_left_before_its_stream_begins() {
    let mut world = claude(&["lyon", "rome"], ", rpm: 1000", "router_settings: {num_retries: 2}\n").await;
    world.provider.always("lyon", Answer::pieces([PING, OVERLOADED]).every(Duration::from_millis(20)));
    for nth in 0..20 {
        let mut events = world.stream(MESSAGES, &ask()).await;
        assert_eq!(events.status, 200, "stream {nth}");
        assert_eq!(events.header("x-litellm-model-id"), Some("rome"), "stream {nth}");
        assert!(events.rest().await.contains("from rome"), "stream {nth}");
    }
    assert_eq!(world.provider.received_by("lyon").len(), 1, "it cools down");
    assert!(world.balancer.alive());
}

#[tokio::test]
async fn a_deployment_that_is_overloaded_alone_is_an_error_in_the_providers_words() {
    let settings = "router_settings: {num_retries: 0, disable_cooldowns: true}\n";
    let world = claude(&["lyon"], "", settings).await;
    let answers =
        [Answer::status(529), Answer::pieces([PING, OVERLOADED]), Answer::ok().reset(), Answer::bytes("")];
    world.provider.script("lyon", answers);
    for (status, kind) in
        [(529, "overloaded_error"), (529, "overloaded_error"), (500, "api_error"), (502, "api_error")]
    {
        assert_eq!(error(&world.post(MESSAGES, &ask()).await, status), kind);
    }
}

#[tokio::test]
async fn a_beta_that_no_deployment_knows_is_left_out_once_it_is_refused() {
    let world = claude(&["lyon"], "", "router_settings: {num_retries: 0}\n").await;
    let refusal = "Unexpected value(s) `advisor-tool-2026-03-01` for the `anthropic-beta` header. Please ..";
    let error = json!({"type": "error", "error": {"type": "invalid_request_error", "message": refusal}});
    world.provider.script("lyon", [Answer::status(400).body(error.to_string())]);
    let client = world.with_header("anthropic-beta", "effort-2025-11-24,advisor-tool-2026-03-01");
    let body = json!({"model": "claude", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(client.post(MESSAGES, &body).await.status, 200);
    let sent: Vec<_> = world.provider.received_by("lyon");
    let betas: Vec<_> = sent.iter().filter_map(|request| request.header("anthropic-beta")).collect();
    assert_eq!(betas, ["effort-2025-11-24,advisor-tool-2026-03-01", "effort-2025-11-24"]);
    assert_eq!(sent[0].body, sent[1].body);
}

#[tokio::test]
async fn what_the_balancer_refuses_has_anthropics_shape() {
    let key = "sk-key-of-the-house-4711";
    let rest = format!("general_settings: {{master_key: {key}}}\nllm_balancer: {{max_body_mb: 1}}\n");
    let world = claude(&["lyon"], "", &rest).await;
    assert_eq!(error(&world.post(MESSAGES, &ask()).await, 401), "authentication_error");
    let client = world.with_header("x-api-key", key);
    let large = format!("{{\"model\":\"claude\",\"system\":\"{}\"}}", "x".repeat(2 << 20));
    let reply = client.send(Method::POST, MESSAGES, "application/json", large).await;
    assert_eq!(error(&reply, 413), "request_too_large");
    let reply = client.send(Method::POST, MESSAGES, "application/json", "{").await;
    assert_eq!(error(&reply, 400), "invalid_request_error");
    let reply = client.send(Method::PUT, MESSAGES, "application/json", "{}").await;
    assert_eq!(error(&reply, 405), "invalid_request_error");
    let reply = client.chat("claude").await;
    assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (400, Some("400")), "OpenAI's shape");
    assert!(world.provider.calls().is_empty());
    let streamed = world.with_header("authorization", &format!("Bearer {key}")).post(MESSAGES, &ask()).await;
    assert_eq!(streamed.status, 200, "{}", streamed.text());
}

#[tokio::test]
async fn a_prompt_that_safeguards_refuse_is_answered_by_a_fallback() {
    let details = json!({"type": "refusal", "category": "cyber", "explanation": "No."});
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}});
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "content": []}});
    let refusal = Answer::pieces([
        format!("event: message_start\ndata: {start}\n\n"),
        format!("event: message_delta\ndata: {end}\n\n"),
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned(),
    ])
    .every(Duration::from_millis(20));
    let items = ["claude", "mild"].map(|name| item(name, name, ANTHROPIC)).concat();
    let fallbacks = "router_settings: {content_policy_fallbacks: [{claude: [mild]}]}\n";
    for (settings, answers_in_its_place) in [(fallbacks, true), ("", false)] {
        let world = World::new(&format!("model_list:\n{items}{settings}")).await;
        world.provider.always("claude", refusal.clone());
        let mut events = world.stream(MESSAGES, &ask()).await;
        assert_eq!(events.status, 200);
        let text = events.rest().await;
        assert_eq!(text.contains("from mild"), answers_in_its_place, "{text}");
        assert_eq!(text.contains("refusal"), !answers_in_its_place, "{text}");
    }
}
