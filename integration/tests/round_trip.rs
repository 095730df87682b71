//! A chat goes through different deployments and its answer arrives as the provider sent it, plain
//! and as a stream.

use std::collections::BTreeSet;
use std::time::Duration;

use llm_balancer_integration::{Answer, Client, DONE, Launch, World, ask};
use serde_json::json;

const CITIES: [&str; 3] = ["paris", "virginia", "tokyo"];

#[tokio::test]
async fn a_chat_is_answered_through_different_deployments_and_the_headers_name_the_one_that_served() {
    let world = World::group(&CITIES, "").await;
    for path in ["/chat/completions", "/v1/chat/completions"] {
        let mut seen = BTreeSet::new();
        for _ in 0..30 {
            let reply = world.post(path, &ask("gpt")).await;
            let name = reply.served_by();
            let base = format!("{}/{name}/v1", world.provider.origin());
            assert_eq!(reply.header("x-litellm-model-id"), Some(name.as_str()));
            assert_eq!(reply.header("x-litellm-model-group"), Some("gpt"));
            assert_eq!(reply.header("x-litellm-model-api-base"), Some(base.as_str()));
            assert_eq!(reply.header("x-litellm-attempted-retries"), Some("0"));
            assert_eq!(reply.header("x-litellm-max-retries"), Some("3"));
            assert_eq!(reply.header("x-litellm-attempted-fallbacks"), Some("0"));
            seen.insert(name);
        }
        assert_eq!(seen.len(), 3, "thirty requests to {path} all went to {seen:?}");
    }
}

#[tokio::test]
async fn a_stream_is_answered_through_different_deployments_and_names_the_one_that_served() {
    let world = World::group(&CITIES, "").await;
    let mut seen = BTreeSet::new();
    for _ in 0..30 {
        let mut events = world.stream_chat("gpt").await;
        assert_eq!(events.status, 200);
        let name = events.header("x-litellm-model-id").unwrap_or_default().to_owned();
        assert_eq!(events.header("x-litellm-attempted-retries"), Some("0"));
        assert!(events.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")));
        let text = events.rest().await;
        assert!(text.contains(&format!("\"0 from {name} \"")) && text.ends_with(DONE), "{text}");
        seen.insert(name);
    }
    assert_eq!(seen.len(), 3, "thirty streams all went to {seen:?}");
}

#[tokio::test]
async fn headers_of_an_error_name_the_deployment_too() {
    let world = World::group(&["paris"], "num_retries: 0").await;
    world.provider.always("paris", Answer::status(422));
    let reply = world.chat("gpt").await;
    let base = format!("{}/paris/v1", world.provider.origin());
    assert_eq!(reply.status, 422);
    assert_eq!(reply.header("x-litellm-model-id"), Some("paris"));
    assert_eq!(reply.header("x-litellm-model-group"), Some("gpt"));
    assert_eq!(reply.header("x-litellm-model-api-base"), Some(base.as_str()));
    assert_eq!(reply.header("x-litellm-attempted-retries"), Some("0"));
    assert_eq!(reply.header("x-litellm-attempted-fallbacks"), Some("0"));
}

#[tokio::test]
async fn every_byte_of_an_answer_is_the_providers() {
    let world = World::group(&["paris"], "").await;
    // Spaces, an unknown member, a null, a number that no float can hold, an escape that a
    // serialiser would undo.
    let body = "{ \"id\" : \"x\",\"model\":\"m-paris\", \"n\":12345678901234567890.10, \"extra\":null,\t\"text\":\"caf\\u00e9 \u{1f600}\" }\n";
    world
        .provider
        .always("paris", Answer::bytes(body).header("content-type", "application/json; charset=utf-8"));
    let reply = world.chat("gpt").await;
    assert_eq!(reply.text(), body);
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
}

#[tokio::test]
async fn an_error_body_that_is_no_json_comes_back_as_it_was() {
    let world = World::group(&["paris"], "num_retries: 0").await;
    world
        .provider
        .always("paris", Answer::status(400).body("<html>no</html>").header("content-type", "text/html"));
    let reply = world.chat("gpt").await;
    assert_eq!((reply.status, reply.text().as_str()), (400, "<html>no</html>"));
    assert_eq!(reply.header("content-type"), Some("text/html"));
}

#[tokio::test]
async fn a_plain_answer_may_come_in_chunks() {
    let world = World::group(&["paris"], "").await;
    world
        .provider
        .always("paris", Answer::pieces(["[\"a\",", " 1]"]).header("content-type", "application/json"));
    let reply = world.chat("gpt").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "[\"a\", 1]"));
}

#[tokio::test]
async fn odd_but_valid_answers_are_passed_on() {
    let world = World::group(&["paris"], "num_retries: 0").await;
    let answers: [(&[u8], u16); 4] = [
        (b"HTTP/1.1 200 OK\r\nx-odd: \xff\xfe\r\ncontent-length: 2\r\n\r\n[]", 200),
        (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n[]", 200),
        (b"HTTP/1.1 429 Slow\r\nretry-after: \xff\r\ncontent-type: \xfe\r\ncontent-length: 2\r\n\r\n[]", 429),
        (
            b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
            200,
        ),
    ];
    for (answer, status) in answers {
        world.provider.script("paris", [Answer::raw(answer)]);
        let reply = world.chat("gpt").await;
        let shown = String::from_utf8_lossy(answer);
        assert_eq!((reply.status, reply.text().as_str()), (status, "[]"), "{shown}");
    }
}

#[tokio::test]
async fn a_provider_that_closes_after_each_answer_is_no_trouble() {
    let world = World::group(&["paris"], "").await;
    // All pieces are sent before the connection is closed.
    world.provider.always("paris", Answer::ok().close_after(9));
    for _ in 0..100 {
        assert_eq!(world.chat("gpt").await.served_by(), "paris");
    }
    assert!(world.provider.connections() >= 100);
}

#[tokio::test]
async fn events_arrive_one_by_one_as_they_are_sent() {
    let world = World::group(&["paris"], "").await;
    let sent: Vec<String> = (0..6).map(|n| format!("data: {{\"n\": {n}}}\n\n")).collect();
    let gap = Duration::from_millis(150);
    world.provider.always("paris", Answer::pieces(sent.clone()).every(gap));
    let mut all_gaps = Vec::new();
    // A busy machine delays one of them now and then; a balancer that buffers does so each time.
    for _ in 0..3 {
        let mut events = world.stream_chat("gpt").await;
        let (mut arrivals, mut seen) = (Vec::new(), Vec::new());
        while let Some((at, bytes)) = events.next().await {
            arrivals.push(at);
            seen.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        assert_eq!(seen.concat(), sent.concat());
        let gaps: Vec<Duration> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // Each event is a piece of its own.
        if seen == sent && gaps.iter().all(|seen| *seen > gap / 2) {
            return;
        }
        all_gaps.push(gaps);
    }
    panic!("sent every {gap:?}, arrived every {all_gaps:?}");
}

#[tokio::test]
async fn the_bytes_of_a_stream_are_not_touched_wherever_they_are_cut() {
    let world = World::group(&["paris"], "").await;
    let text = ": a comment\r\n\r\nevent: x\r\ndata: caf\u{e9} \u{1f600}\r\n\r\ndata: {\"a\":null }\n\nnot even an event";
    let pieces: Vec<Vec<u8>> = text.as_bytes().chunks(3).map(<[u8]>::to_vec).collect();
    world.provider.always("paris", Answer::pieces(pieces));
    let mut events = world.stream_chat("gpt").await;
    assert_eq!(events.rest().await, text);
    assert!(!events.broken);
}

#[tokio::test]
async fn http2_clients_are_served_plain_and_streaming() {
    let world = World::group(&CITIES, "").await;
    let client = Client::http2(world.balancer.port);
    let reply = client.chat("gpt").await;
    assert!(CITIES.contains(&reply.served_by().as_str()));
    let mut events = client.stream_chat("gpt").await;
    assert_eq!(events.status, 200);
    assert!(events.rest().await.ends_with(DONE));
}

#[tokio::test]
async fn a_body_of_megabytes_goes_through_whole() {
    let world = World::group(&["paris", "virginia"], "").await;
    world.provider.script("paris", [Answer::status(500)]);
    world.provider.script("virginia", [Answer::status(500)]);
    let words = "words ".repeat(1_000_000);
    let reply = world.chat_with("gpt", &json!({"messages": [{"role": "user", "content": words}]})).await;
    reply.served_by();
    for request in world.provider.received() {
        assert_eq!(request.json()["messages"][0]["content"], json!(words), "attempt {}", request.number);
    }
    assert!(world.provider.count() >= 2);
}

#[tokio::test]
async fn the_quick_start_of_the_documentation_runs_as_it_stands() {
    let provider = llm_balancer_integration::Provider::start().await;
    let example = include_str!("../../config/examples/quickstart.yaml")
        .replace("http://127.0.0.1:8100", &provider.origin());
    let keys = ["AZURE_API_KEY_EU", "AZURE_API_KEY_CA", "OPENAI_API_KEY"];
    let launch = keys.iter().fold(Launch::new(&example), |launch, key| launch.env(key, "sk-none"));
    let balancer = launch.start().await;
    let client = Client::new(balancer.port);
    for model in ["gpt-3.5-turbo", "gpt-4"] {
        let reply = client.chat(model).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.header("x-litellm-model-id").is_some_and(|id| id.len() == 64), "{:?}", reply.headers);
        assert_eq!(reply.header("x-litellm-max-retries"), Some("2"));
    }
}
