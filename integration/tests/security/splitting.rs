//! Bytes that one parser takes for one request and another one for two: a provider gets a request
//! that is like any other, or none. Each is sent by two attempts, the second through the connection
//! inside of Envoy.

use std::time::Duration;

use llm_balancer_integration::{World, raw};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::frames::{self, CHAT, End, Field};
use crate::{assert_clean, two_attempts};

const BODY: &str = r#"{"model": "gpt", "messages": []}"#;
/// What is to be taken for a second request.
const SECOND: &str = "GET /smuggled HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// What the provider got since the last call is clean, and answers are as many as requests at most.
#[track_caller]
fn assert_unsplit(world: &World, what: &str, answers: usize) {
    let received = world.provider.received();
    world.provider.forget();
    assert!(received.len() <= 2 * answers, "{what}: {received:?}");
    received.iter().for_each(|sent| assert_clean(what, sent));
}

/// The head of a chat with these lines, and what follows it.
fn chat(lines: &str, rest: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: balancer\r\ncontent-type: application/json\r\n{lines}\r\n\r\n{rest}"
    )
}

/// What comes back until the connection ends, or nothing comes for a second.
async fn all_answers(port: u16, bytes: &[u8]) -> String {
    let mut socket = raw::connect(port).await;
    // The other side may refuse before it has read all.
    let _ = socket.write_all(bytes).await;
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(Ok(count)) = timeout(Duration::from_secs(1), socket.read(&mut buffer)).await {
        if count == 0 {
            break;
        }
        seen.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// Lengths that two parsers could read differently. Behind each body comes another request.
fn framings() -> Vec<(String, String)> {
    let length = BODY.len();
    let chunked = format!("{length:x}\r\n{BODY}\r\n0\r\n\r\n");
    let mut all = Vec::new();
    for lines in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}"),
        "transfer-encoding: chunked\r\ncontent-length: 0".to_owned(),
        "transfer-encoding : chunked".to_owned(),
        "transfer-encoding: xchunked".to_owned(),
        "transfer-encoding: chunked, identity".to_owned(),
        "transfer-encoding: identity, chunked".to_owned(),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity".to_owned(),
        "transfer-encoding: \u{b}chunked".to_owned(),
        "transfer-encoding: \"chunked\"".to_owned(),
        "transfer-encoding:\r\n chunked".to_owned(),
        "x: y\r\n transfer-encoding: chunked".to_owned(),
        "x: y\ntransfer-encoding: chunked".to_owned(),
        "x: y\rtransfer-encoding: chunked".to_owned(),
        "x: y\0\r\ntransfer-encoding: chunked".to_owned(),
        "x y: z\r\ntransfer-encoding: chunked".to_owned(),
        ": z\r\ntransfer-encoding: chunked".to_owned(),
    ] {
        all.push((lines, chunked.clone()));
    }
    for value in
        ["+32", "0x20", "3_2", "32, 32", "32 0", "-32", "032;", "", "4294967328", "18446744073709551648"]
    {
        all.push((format!("content-length: {value}"), BODY.to_owned()));
    }
    all.push((format!("content-length: {length}\r\ncontent-length: 0"), BODY.to_owned()));
    all.push((format!("content-length: 0\r\ncontent-length: {length}"), BODY.to_owned()));
    for chunk in [
        format!("0x{length:x}\r\n{BODY}\r\n0\r\n\r\n"),
        format!("-{length:x}\r\n{BODY}\r\n0\r\n\r\n"),
        format!("{length:x} \r\n{BODY}\r\n0\r\n\r\n"),
        format!("{length:x}\n{BODY}\n0\n\n"),
        format!("{length:x};a\nb\r\n{BODY}\r\n0\r\n\r\n"),
        format!("1{length:016x}\r\n{BODY}\r\n0\r\n\r\n"),
        format!("{length:x}\r\n{BODY}0\r\n\r\n"),
        format!("{length:x}\r\n{BODY}\r\n0\r\nx-llm-cluster: redis\r\ncontent-length: 5\r\n\r\n"),
    ] {
        all.push(("transfer-encoding: chunked".to_owned(), chunk));
    }
    all
}

#[tokio::test]
async fn a_length_that_two_parsers_read_differently_splits_no_request() {
    let mut world = two_attempts("").await;
    for (lines, body) in framings() {
        let bytes = chat(&lines, &format!("{body}{SECOND}"));
        let answer = all_answers(world.balancer.port, bytes.as_bytes()).await;
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers <= 2, "{lines:?}: {answer}");
        assert!(answer.matches("HTTP/1.1 200").count() <= 1, "{lines:?}: {answer}");
        assert_unsplit(&world, &format!("{lines:?} {body:?}"), 1);
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_request_line_that_holds_another_request_splits_none() {
    let mut world = two_attempts("").await;
    let rest = format!("host: balancer\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    for line in [
        "POST /v1/chat/completions HTTP/1.1\r\nGET /smuggled HTTP/1.1",
        "POST /v1/chat/completions\rGET /smuggled HTTP/1.1",
        "POST /v1/chat/completions\nGET /smuggled HTTP/1.1",
        "POST  /v1/chat/completions  HTTP/1.1",
        "POST\t/v1/chat/completions\tHTTP/1.1",
        "POST /v1/chat/completions\0 HTTP/1.1",
        "POST /v1/chat/completions HTTP/1.1 HTTP/1.1",
        "POST /v1/chat/completions HTTP/1.10",
        "POST /v1/chat/completions HTTP/0.9",
        "POST /v1/chat/completions",
        "POST /v1/chat/completions#/smuggled HTTP/1.1",
        "POST /v1/chat/completions?a=%0d%0aGET%20/smuggled%20HTTP/1.1%0d%0a HTTP/1.1",
        "POST /v1/chat/completions?model=gpt%0d%0ax-evil:%201 HTTP/1.1",
        "POST /v1/engines/gpt%0d%0ax-evil:%201/chat/completions HTTP/1.1",
        "POST /v1/engines/..%2f..%2fsmuggled/chat/completions HTTP/1.1",
        "POST http://127.0.0.1:1/v1/chat/completions HTTP/1.1",
        "POST http://smuggled@balancer/v1/chat/completions HTTP/1.1",
        "CONNECT balancer:80 HTTP/1.1",
        "TRACE /v1/chat/completions HTTP/1.1",
        "POST * HTTP/1.1",
    ] {
        let bytes = format!("{line}\r\n{rest}");
        let answer = all_answers(world.balancer.port, bytes.as_bytes()).await;
        assert!(answer.matches("HTTP/1.1 ").count() <= 2, "{line:?}: {answer}");
        assert_unsplit(&world, line, 1);
    }
    world.assert_well("gpt").await;
}

/// HTTP/2 has lengths in place of line breaks, which a careless translation to HTTP/1 makes real.
#[tokio::test]
async fn a_field_of_http2_with_line_breaks_becomes_no_second_header_or_request() {
    const BREAK: &str = "a\r\nx-evil: 1\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut world = two_attempts("general_settings: {forward_client_headers_to_llm_api: true}\n").await;
    let port = world.balancer.port;
    let path = format!("/v1/chat/completions?{BREAK}");
    let cases: Vec<Field<'_>> = vec![
        ("x-a", BREAK),
        ("accept", BREAK),
        ("content-type", BREAK),
        ("x-litellm-tags", BREAK),
        ("host", BREAK),
        (":path", &path),
        (":path", "/v1/chat/completions HTTP/1.1\r\nx-evil: 1\r\n\r\nGET /smuggled"),
        (":method", "POST /smuggled HTTP/1.1\r\nx-evil: 1\r\n\r\nPOST"),
        (":authority", BREAK),
        (":scheme", BREAK),
        ("x-a: b\r\nx-evil", "1"),
        ("x-a\nx-evil", "1"),
        ("x-a", "b\nx-evil: 1"),
        ("x-a", "b\rx-evil: 1"),
        ("x-a", "b\0c"),
        ("x-a b", "c"),
        ("x-a:", "c"),
        ("", "c"),
        ("X-A", "c"),
        ("transfer-encoding", "chunked"),
        ("connection", "x-a"),
        ("te", "gzip"),
        ("upgrade", "h2c"),
        ("content-length", "3"),
        ("content-length", "300"),
        ("content-length", "32, 0"),
        (":path", "/smuggled"),
        (":status", "200"),
        (":protocol", "websocket"),
    ];
    for (name, value) in cases {
        // In the place of the field of that name, and behind all others.
        let replaced: Vec<_> =
            CHAT.iter().map(|field| if field.0 == name { (name, value) } else { *field }).collect();
        let appended: Vec<_> = CHAT.iter().copied().chain([(name, value)]).collect();
        for fields in [replaced, appended] {
            frames::request(port, &fields, BODY.as_bytes(), &[]).await;
            // A header that the operator lets through is no part of this.
            let received = world.provider.received();
            for sent in &received {
                let evil = sent.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-evil"));
                assert_eq!(evil, None, "{name:?}: {value:?}");
                assert!(!sent.target.contains("smuggled"), "{name:?}: {value:?}: {}", sent.target);
            }
            assert!(received.len() <= 2, "{name:?}: {value:?}: {received:?}");
            world.provider.forget();
        }
    }
    let end = frames::request(port, &CHAT, BODY.as_bytes(), &[]).await;
    assert_eq!(end, End::Answered { ok: true }, "the frames are right as such");
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn trailers_of_a_client_reach_no_provider() {
    let mut world = two_attempts("").await;
    let trailers = [("x-llm-cluster", "redis"), ("authorization", "Bearer sk-other"), ("x-evil", "1")];
    let end = frames::request(world.balancer.port, &CHAT, BODY.as_bytes(), &trailers).await;
    assert_eq!(end, End::Answered { ok: true });
    assert_eq!(world.provider.calls(), ["virginia", "paris"]);
    assert_unsplit(&world, "trailers", 1);
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_model_name_with_a_line_break_is_refused_wherever_it_stands() {
    let mut world = two_attempts("").await;
    for broken in ["gpt\\r\\nx-evil: 1", "gpt\\n", "gpt\\u0000", "gpt\\u0085", "\\r\\n\\r\\nGET /smuggled"] {
        let body = format!("{{\"model\": \"{broken}\", \"messages\": []}}");
        let answer = raw::request(world.balancer.port, &raw::chat(&body, Some(body.len()))).await;
        assert_eq!(raw::status(&answer), 400, "{broken}: {answer}");
    }
    assert!(world.provider.received().is_empty());
    world.assert_well("gpt").await;
}
