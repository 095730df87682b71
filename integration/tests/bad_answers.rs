//! Answers under status 200 that are errors: retried elsewhere, never a success, and an
//! error for the client.

use std::time::{Duration, Instant};

use llm_balancer_integration::{Answer, DONE, World, item};
use serde_json::{Value, json};

const ERROR: &str = r#"{"error":{"message":"too many","type":"rate_limit_error","code":429}}"#;
const EVENTS: &str = "text/event-stream";
const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
const ABORT: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"abort\"}]}\n\n";

/// The line of the only request.
async fn only_line(world: &World) -> Value {
    world.logged(1).await.remove(0)
}

/// What has status 200 and is no answer, and the status that it should have had.
fn false_successes() -> Vec<(&'static str, Answer, u16)> {
    let event = |text: &str| Answer::pieces([text]);
    vec![
        ("an error event", event(&format!("data: {ERROR}\n\ndata: [DONE]\n\n")), 429),
        ("an error event behind comments", event(&format!(": PROCESSING\r\n\r\ndata: {ERROR}\r\n\r\n")), 429),
        (
            "an event called error",
            event(
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
            ),
            529,
        ),
        (
            "an error event in pieces",
            Answer::pieces(["da", "ta: {\"err", "or\":{\"mess", "age\":\"m\",\"code\":503}}\n", "\n"])
                .every(Duration::from_millis(20)),
            503,
        ),
        (
            "a response that failed",
            event(
                "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"m\"}}}\n\n",
            ),
            500,
        ),
        ("an error object", Answer::bytes(ERROR), 429),
        ("an error object in two pieces", Answer::bytes(ERROR).every(Duration::from_millis(30)), 429),
        ("an error object that says text", Answer::bytes(ERROR).header("content-type", "text/plain"), 429),
        ("a list with an error", Answer::bytes(format!("[{ERROR}]")), 429),
        ("a list with an error as an event", event(&format!("data: [{ERROR}]\n\n")), 429),
        (
            "an error behind choices",
            event(
                "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}],\"error\":{\"code\":503,\"message\":\"m\"}}\n\n",
            ),
            503,
        ),
        (
            "a chunk that holds an error",
            event("data: {\"choices\":[],\"x_groq\":{\"id\":\"r\",\"error\":\"over capacity\"}}\n\n"),
            502,
        ),
        (
            "a code and words",
            Answer::pieces(["{\"code\":500,\"msg\":\"404 NOT_FOUND\",\"success\":false}"]),
            500,
        ),
        ("no choices", Answer::bytes("{\"id\":\"c\",\"choices\":null,\"usage\":{}}"), 502),
        ("an empty object", Answer::bytes("{}"), 502),
        ("an unknown path", Answer::pieces(["{\"detail\":", "\"Not Found\"}"]), 502),
        ("null", Answer::bytes("null"), 502),
        ("nothing", Answer::bytes(""), 502),
        ("nothing, in chunks", Answer::pieces(Vec::<&str>::new()), 502),
        ("white space", Answer::bytes("\n \n"), 502),
        (
            "a page",
            Answer::bytes("<!DOCTYPE html><html>Sign in</html>").header("content-type", "text/html"),
            502,
        ),
        ("a page that says JSON", Answer::bytes("<html></html>"), 502),
        ("text", Answer::bytes("no healthy upstream").header("content-type", "text/plain"), 502),
        ("a stream without events", event("data: [DONE]\n\n"), 502),
        ("a stream of comments", event(": hi\n\n: hi\n\n"), 502),
        ("a stream of a role", event(ROLE), 502),
        ("a stream of a role, in pieces", Answer::pieces([ROLE, DONE]).every(Duration::from_millis(30)), 502),
        ("a role, and that the provider gave up", Answer::pieces([ROLE, ABORT, DONE]), 502),
        (
            "an empty answer that the provider gave up",
            event("{\"choices\":[{\"message\":{\"content\":\"\"},\"finish_reason\":\"network_error\"}]}"),
            502,
        ),
        ("words as an event", event("data: error: backend gone\n\n"), 502),
        ("no content", Answer::raw("HTTP/1.1 204 No Content\r\nretry-after: 3\r\n\r\n"), 502),
        ("reset content", Answer::status(205).body(""), 502),
        ("JSON that breaks off", Answer::bytes("{\"id\":\"c\",\"obj"), 502),
    ]
}

#[tokio::test]
async fn an_answer_that_is_none_is_tried_elsewhere() {
    let config = format!(
        "model_list:\n{}{}router_settings: {{disable_cooldowns: true}}\n",
        item("gpt", "paris", ", weight: 1000000"),
        item("gpt", "tokyo", ", weight: 1"),
    );
    let mut world = World::new(&config).await;
    let mut cases = Vec::new();
    for (what, answer, status) in false_successes() {
        world.provider.always("paris", answer);
        for stream in [false, true] {
            let reply = world.chat_with("gpt", &json!({"stream": stream})).await;
            assert_eq!((reply.status, reply.retries()), (200, 1), "{what}: {}", reply.text());
            assert_eq!(stream, reply.text().ends_with(DONE), "{what}: {}", reply.text());
            cases.push((what, status));
        }
    }
    for (line, (what, status)) in world.logged(cases.len()).await.iter().zip(cases) {
        let outcome = if status == 429 { "rate_limited" } else { "server_error" };
        for (nth, deployment, outcome, status) in
            [(0, "paris", outcome, status), (1, "tokyo", "success", 200)]
        {
            let attempt = &line["attempts"][nth];
            assert_eq!(attempt["deployment"], deployment, "{what}: {line}");
            let ended = (&attempt["outcome"], &attempt["status"]);
            assert_eq!(ended, (&json!(outcome), &json!(status)), "{what}: {line}");
        }
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn alone_it_is_an_error_for_the_client_with_the_status_that_it_should_have_had() {
    let mut world = World::group(&["paris"], "num_retries: 0, disable_cooldowns: true").await;
    let mut cases = Vec::new();
    for (what, answer, status) in false_successes() {
        let answer = answer.header("x-provider", "kept inside").retry_after("3");
        world.provider.script("paris", [answer]);
        let reply = world.chat_with("gpt", &json!({"stream": true})).await;
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        assert!(reply.complete, "{what}");
        let error = reply.json()["error"].clone();
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}: {error}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{what}");
        assert_eq!(reply.header("x-litellm-model-id"), Some("paris"), "{what}");
        assert_eq!(reply.header("x-provider"), None, "{what}: nothing of what was replaced passes");
        assert_eq!(reply.header("retry-after"), Some("3"), "{what}");
        cases.push((what, status));
    }
    for (line, (what, status)) in world.logged(cases.len()).await.iter().zip(cases) {
        assert_ne!(line["outcome"], "success", "{what}: {line}");
        assert_eq!(line["status"], status, "{what}: {line}");
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_deployment_that_answers_nothing_at_once_does_not_look_fast() {
    let config = format!(
        "model_list:\n{}{}router_settings: {{routing_strategy: latency-based-routing, num_retries: 1}}\n",
        item("gpt", "empty", ""),
        item("gpt", "real", ""),
    );
    let world = World::new(&config).await;
    world.provider.always("empty", Answer::bytes(""));
    world.provider.always("real", Answer::ok().after(Duration::from_millis(50)));
    for _ in 0..30 {
        assert_eq!(world.chat("gpt").await.served_by(), "real");
    }
    let drawn = world.provider.calls().iter().filter(|name| *name == "empty").count();
    assert!(drawn <= 12, "{drawn} of 30 went to the one that answers nothing");
}

#[tokio::test]
async fn an_error_in_the_middle_of_an_answer_reaches_the_client_and_is_no_success() {
    let mut world = World::group(&["paris"], "disable_cooldowns: true").await;
    let content = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let error = format!("data: {ERROR}\n\n");
    let cases = [(error.as_str(), "rate_limit"), (ABORT, "server")];
    for (error, _) in cases {
        let answer = Answer::pieces([content, error, DONE]).every(Duration::from_millis(30));
        world.provider.script("paris", [answer]);
        let mut events = world.stream_chat("gpt").await;
        assert_eq!(events.status, 200);
        assert_eq!(events.rest().await, [content, error, DONE].concat());
    }
    let document = "{\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"abort\"}]}";
    world.provider.script("paris", [Answer::bytes(document)]);
    assert_eq!(world.chat("gpt").await.text(), document);
    let classes = cases.map(|(_, class)| class).into_iter().chain(["server"]);
    for (line, class) in world.logged(3).await.iter().zip(classes) {
        assert_eq!(line["outcome"], "stream_interrupted", "{line}");
        assert_eq!(line["attempts"][0]["class"], class, "{line}");
    }
    assert_eq!(world.provider.calls().len(), 3);
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_plain_answer_that_is_cut_off_in_good_order_reaches_the_client_and_is_no_success() {
    let mut world = World::group(&["paris"], "").await;
    let start = "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],";
    let answer = Answer::pieces([start, "\"usage\":{\"total_tokens\":3}"]).every(Duration::from_millis(30));
    let cases = [("application/json", "stream_interrupted"), ("text/plain", "success")];
    for (kind, _) in cases {
        world.provider.script("paris", [answer.clone().header("content-type", kind)]);
        let reply = world.chat("gpt").await;
        assert_eq!((reply.status, reply.complete), (200, true), "{kind}: {}", reply.text());
    }
    for (line, (kind, outcome)) in world.logged(cases.len()).await.iter().zip(cases) {
        assert_eq!(line["outcome"], outcome, "{kind}: {line}");
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn comments_that_keep_a_connection_alive_are_held_for_seconds_and_no_longer() {
    let world = World::group(&["paris"], "num_retries: 0").await;
    let content = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    // The edge holds them for up to 2 s, and the filter for 5 s after that, each until the next one.
    let pieces = std::iter::repeat_n(": PROCESSING\n\n", 24).chain([content, "data: [DONE]\n\n"]);
    let answer = Answer::pieces(pieces).every(Duration::from_millis(400));
    world.provider.always("paris", answer.header("content-type", EVENTS));
    let started = Instant::now();
    let mut events = world.stream_chat("gpt").await;
    let (first, bytes) = events.next().await.unwrap();
    assert!(
        (Duration::from_secs(5)..Duration::from_secs(9)).contains(&(first - started)),
        "{:?}",
        first - started
    );
    assert!(bytes.starts_with(b": PROCESSING\n\n: PROCESSING"), "all that was held comes at once");
    let rest = events.rest().await;
    assert!(rest.contains("\"hi\"") && rest.ends_with(DONE), "{rest}");
}

/// A model that thinks before it says anything, behind a provider that sends the role at once. Older
/// Envoys cannot resume what a filter in WebAssembly holds, so that one waits for the next event.
#[tokio::test]
async fn a_preamble_is_held_for_seconds_and_no_longer_also_if_nothing_follows() {
    let config = format!("model_list:\n{}router_settings: {{num_retries: 0}}\n", item("gpt", "paris", ""));
    let world = World::launched(&config, |launch| launch.arg("--runtime=module")).await;
    let role = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\nda";
    let text = "ta: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\ndata: [DONE]\n\n";
    world.provider.script("paris", [Answer::pieces([role, text]).every(Duration::from_secs(8))]);
    let started = Instant::now();
    let mut events = world.stream_chat("gpt").await;
    let (first, bytes) = events.next().await.unwrap();
    // The role comes after 8 s, and the text after 16.
    let waited = first - started;
    assert!((Duration::from_secs(12)..Duration::from_millis(15_900)).contains(&waited), "{waited:?}");
    let rest = events.rest().await;
    assert_eq!(format!("{}{rest}", String::from_utf8_lossy(&bytes)), format!("{role}{text}"));
    let line = only_line(&world).await;
    assert_eq!(line["outcome"], "success");
    assert!(line["first_byte_ms"].as_u64().unwrap() >= 15_900, "the role is no output: {line}");
}

#[tokio::test]
async fn a_preamble_that_had_to_pass_is_no_success_if_nothing_follows() {
    let config = format!("model_list:\n{}router_settings: {{num_retries: 0}}\n", item("gpt", "paris", ""));
    let world = World::launched(&config, |launch| launch.arg("--runtime=module")).await;
    world.provider.script("paris", [Answer::pieces([ROLE, DONE]).every(Duration::from_secs(8))]);
    assert_eq!(world.stream_chat("gpt").await.rest().await, [ROLE, DONE].concat());
    let line = only_line(&world).await;
    assert_eq!(line["outcome"], "stream_interrupted", "{line}");
}

#[tokio::test]
async fn an_error_behind_blank_lines_that_had_to_pass_is_no_success() {
    let mut world = World::group(&["paris"], "num_retries: 0").await;
    let pieces = std::iter::repeat_n("\n", 24).chain([ERROR]);
    world.provider.script("paris", [Answer::pieces(pieces).every(Duration::from_millis(400))]);
    let reply = world.chat("gpt").await;
    assert_eq!((reply.status, reply.text().trim()), (200, ERROR));
    let line = only_line(&world).await;
    assert_eq!(line["outcome"], "stream_interrupted", "{line}");
    assert_eq!(line["attempts"][0]["class"], "rate_limit", "{line}");
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn ordinary_answers_and_odd_ones_pass_as_they_are() {
    let mut world = World::group(&["paris"], "num_retries: 0, disable_cooldowns: true").await;
    let event = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let gzip: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xabV\x02\0";
    let mut cases = Vec::new();
    for (what, answer, body) in [
        (
            "JSON to a client that wants a stream",
            Answer::bytes("{\"choices\":[{}]}"),
            b"{\"choices\":[{}]}".as_slice(),
        ),
        ("no choice", Answer::bytes("{\"a\":1,\"choices\":[]}"), b"{\"a\":1,\"choices\":[]}"),
        ("a list", Answer::bytes("[{\"a\":1}]"), b"[{\"a\":1}]"),
        (
            "an error that says that there is none",
            Answer::bytes("{\"error\":{\"code\":0,\"message\":\"\"},\"choices\":[{}]}"),
            b"{\"error\":{\"code\":0,\"message\":\"\"},\"choices\":[{}]}",
        ),
        (
            "bytes that are announced",
            Answer::bytes(b":\x01\xff").header("content-type", "application/octet-stream"),
            b":\x01\xff",
        ),
        ("leading empty lines", Answer::bytes("\n\n\n{\"choices\":[{}]}"), b"\n\n\n{\"choices\":[{}]}"),
        ("events as JSON", Answer::bytes(event), event.as_bytes()),
        (
            "an event in pieces",
            Answer::pieces([&event[..3], &event[3..20], &event[20..]]).every(Duration::from_millis(20)),
            event.as_bytes(),
        ),
        ("gzip that was not requested", Answer::bytes(gzip).header("content-encoding", "gzip"), gzip),
        (
            "brotli that was not requested",
            Answer::bytes(b"\x8b\x01\x80hi\x03").header("content-encoding", "br"),
            b"\x8b\x01\x80hi\x03",
        ),
        (
            "a type that is wrong",
            Answer::bytes("{\"choices\":[{}]}").header("content-type", "image/png"),
            b"{\"choices\":[{}]}",
        ),
    ] {
        world.provider.script("paris", [answer]);
        let reply = world.chat_with("gpt", &json!({"stream": true})).await;
        assert_eq!((reply.status, reply.body.as_ref()), (200, body), "{what}: {}", reply.text());
        cases.push(what);
    }
    for (line, what) in world.logged(cases.len()).await.iter().zip(cases) {
        assert_eq!(line["outcome"], "success", "{what}: {line}");
    }
    world.assert_well("gpt").await;
}
