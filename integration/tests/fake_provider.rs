//! The fake provider itself, asked directly: it does what its script says.

use std::time::{Duration, Instant};

use llm_balancer_integration::{Answer, Client, DONE, Provider, ask, raw};
use serde_json::json;

#[tokio::test]
async fn it_names_the_deployment_and_keeps_what_it_received() {
    let provider = Provider::start().await;
    let reply = Client::new(provider.port()).post("/paris/v1/chat/completions?a=1", &ask("m")).await;
    assert_eq!(
        (reply.served_by().as_str(), reply.json()["choices"][0]["message"]["content"].as_str()),
        ("paris", Some("hi from paris"))
    );
    let received = provider.only_request();
    assert_eq!(
        (received.target.as_str(), received.route(), received.model().as_str()),
        ("/paris/v1/chat/completions?a=1", "/chat/completions", "m")
    );
    assert_eq!(received.header("Content-Type"), Some("application/json"));
}

#[tokio::test]
async fn its_script_goes_before_what_it_always_does() {
    let provider = Provider::start().await;
    let client = Client::new(provider.port());
    provider.script("paris", [Answer::status(429).retry_after("2"), Answer::ok()]);
    provider.always("paris", Answer::status(503));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(client.post("/paris/v1/chat/completions", &ask("m")).await);
    }
    assert_eq!(statuses.iter().map(|reply| reply.status).collect::<Vec<_>>(), [429, 200, 503]);
    assert_eq!(statuses[0].header("retry-after"), Some("2"));
    assert_eq!(statuses[0].json()["error"]["message"], "paris says 429");
}

#[tokio::test]
async fn its_streams_keep_time() {
    let provider = Provider::start().await;
    provider.always(
        "paris",
        Answer::ok().events(4).after(Duration::from_millis(100)).every(Duration::from_millis(50)),
    );
    let started = Instant::now();
    let mut events =
        Client::new(provider.port()).stream("/paris/v1/chat/completions", &json!({"stream": true})).await;
    assert!(started.elapsed() >= Duration::from_millis(100));
    let text = events.rest().await;
    assert!(started.elapsed() >= Duration::from_millis(400), "six events, 50 ms each");
    assert!(text.contains("3 from paris") && text.ends_with(DONE));
}

#[tokio::test]
async fn it_breaks_connections_at_the_place_it_was_told() {
    let provider = Provider::start().await;
    let ask = "GET /paris/v1/models HTTP/1.1\r\nhost: x\r\n\r\n".as_bytes();
    let cases = [
        (Answer::ok().reset(), false, 0),
        (Answer::ok().close(), false, 0),
        (Answer::ok().reset_after(0), true, 0),
        (Answer::ok().close_after(1), true, 1),
        (Answer::raw("garbage"), false, 0),
    ];
    for (answer, headers, pieces) in cases {
        provider.script("paris", [answer.clone()]);
        let seen = raw::exchange(&mut raw::connect(provider.port()).await, ask, |_| false).await;
        assert_eq!(seen.starts_with("HTTP/1.1 200"), headers, "{answer:?}: {seen}");
        assert_eq!(seen.contains("\"object\""), pieces > 0, "{answer:?}: {seen}");
        assert!(!seen.ends_with('}'), "{answer:?}: {seen}");
    }
}

#[tokio::test]
async fn it_notices_when_nobody_waits() {
    let provider = Provider::start().await;
    provider.always("paris", Answer::ok().hang());
    let mut socket = raw::connect(provider.port()).await;
    let hurry = tokio::time::timeout(
        Duration::from_millis(200),
        raw::exchange(&mut socket, b"GET /paris/v1/models HTTP/1.1\r\n\r\n", raw::complete),
    );
    assert!(hurry.await.is_err());
    drop(socket);
    assert!(llm_balancer_integration::eventually(async || provider.abandoned() == 1).await);
}
