//! A client that asks for a WebSocket learns that there is none, in a way that makes it go on with
//! HTTP.

use llm_balancer_integration::{World, raw};

fn upgrade(path: &str, protocol: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nhost: balancer\r\nconnection: Upgrade\r\nupgrade: {protocol}\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn a_websocket_is_refused_with_426_and_json() {
    let world = World::group(&["paris"], "").await;
    for path in ["/v1/responses", "/v1/realtime?model=gpt", "/openai/v1/responses", "/"] {
        let answer = raw::request(world.balancer.port, &upgrade(path, "websocket")).await;
        assert_eq!(raw::status(&answer), 426, "{path}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("\r\ncontent-type: application/json\r\n"), "{answer}");
        let error = &raw::json(&answer)["error"];
        assert!(error["message"].as_str().unwrap().contains("WebSockets are not served"), "{error}");
        assert_eq!((&error["type"], &error["code"]), (&"invalid_request_error".into(), &"426".into()));
    }
    assert!(world.provider.received().is_empty());
}

#[tokio::test]
async fn a_websocket_is_refused_at_once_whatever_length_and_other_protocols_it_names() {
    let world = World::group(&["paris"], "").await;
    for (protocol, length) in [("websocket", "content-length: 0\r\n"), ("websocket, TLS/1.2", "")] {
        let request = String::from_utf8(upgrade("/v1/responses", protocol)).unwrap();
        let request = request.replace("sec-websocket-version", &format!("{length}sec-websocket-version"));
        let answer = raw::request(world.balancer.port, request.as_bytes()).await;
        assert_eq!(raw::status(&answer), 426, "{protocol}: {answer}");
    }
}

#[tokio::test]
async fn a_url_with_https_is_refused_in_words_about_tls() {
    let world = World::group(&["paris"], "").await;
    let request = b"GET https://balancer/v1/models HTTP/1.1\r\nhost: balancer\r\n\r\n";
    let answer = raw::request(world.balancer.port, request).await;
    assert_eq!(raw::status(&answer), 400, "{answer}");
    let error = &raw::json(&answer)["error"];
    assert!(error["message"].as_str().unwrap().contains("TLS"), "{error}");
}

/// Java's client and curl offer HTTP/2 with every plain request, and Apache's HttpClient TLS.
#[tokio::test]
async fn an_offer_of_another_protocol_is_no_request_for_an_upgrade() {
    let world = World::group(&["paris"], "").await;
    let body = r#"{"model": "gpt", "messages": []}"#;
    for offer in [
        "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
        "connection: Upgrade\r\nupgrade: TLS/1.2\r\n",
        "upgrade: TLS/1.3\r\nconnection: upgrade\r\n",
    ] {
        let request = String::from_utf8(raw::chat(body, Some(body.len()))).unwrap();
        let request = request.replace("content-type", &format!("{offer}content-type"));
        let answer = raw::request(world.balancer.port, request.as_bytes()).await;
        assert_eq!(raw::status(&answer), 200, "{offer}: {answer}");
    }
    let provider = world.provider.received();
    assert!(provider.iter().all(|request| request.header("upgrade").is_none()), "{provider:?}");
}

#[tokio::test]
async fn a_plain_request_where_a_websocket_would_be_is_not_found() {
    let world = World::group(&["paris"], "").await;
    let error = world.get("/v1/realtime?model=gpt").await.error(404);
    assert!(error["message"].as_str().unwrap().contains("Not Found"), "{error}");
}
