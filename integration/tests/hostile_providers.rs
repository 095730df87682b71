//! Arbitrary bytes of a provider: an answer to the client, one line in the access log, one
//! settled attempt.

use std::time::Duration;

use llm_balancer_integration::{Answer, Client, World, eventually, item, raw};
use serde_json::{Value, json};

const OK: &str = "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}";
const BODY: &str = r#"{"model":"gpt","messages":[],"stream":true}"#;

fn head(status: &str, headers: &str, body: &str) -> Answer {
    Answer::raw(format!("HTTP/1.1 {status}\r\n{headers}\r\n{body}"))
}

fn with_length(status: &str, body: &str) -> Answer {
    head(status, &format!("content-length: {}\r\n", body.len()), body)
}

/// What is sent, and which statuses a client may get for it.
fn hostile() -> Vec<(String, Answer, &'static [u16])> {
    let mut all: Vec<(String, Answer, &'static [u16])> = Vec::new();
    let mut add = |what: &str, answer: Answer, statuses| all.push((what.to_owned(), answer, statuses));
    for (status, expected) in [
        ("100 Continue", &[500, 502][..]),
        ("101 Switching Protocols", &[500, 502]),
        ("199 Odd", &[500, 502]),
        ("200 OK", &[200]),
        ("201 Created", &[201]),
        ("202 Accepted", &[202]),
        ("203 Other", &[203]),
        ("204 No Content", &[500, 502]),
        ("205 Reset Content", &[200, 205, 502]),
        ("206 Partial Content", &[206]),
        ("226 IM Used", &[226]),
        ("299 Odd", &[299]),
        ("300 Multiple Choices", &[502]),
        ("304 Not Modified", &[500, 502]),
        ("399 Odd", &[502]),
        ("418 Teapot", &[418]),
        ("451 Gone", &[451]),
        ("499 Odd", &[499]),
        ("599 Odd", &[599]),
        ("600 Odd", &[502]),
        ("999 Odd", &[502]),
        ("1000 Odd", &[502]),
        ("70000 Odd", &[500, 502]),
        ("99 Odd", &[500, 502]),
        ("0 Odd", &[500, 502]),
        ("-1 Odd", &[500, 502]),
        ("abc", &[500, 502]),
    ] {
        add(status, with_length(status, OK), expected);
        let empty = if status.starts_with("2") { &[502][..] } else { expected };
        add(
            &format!("{status}, empty"),
            with_length(status, ""),
            if status.starts_with("204") { expected } else { empty },
        );
    }
    let broken: &[u16] = &[500, 502];
    for (what, text) in [
        ("no HTTP", "hello\r\n\r\n".to_owned()),
        ("nothing", String::new()),
        ("zeroes", "\0".repeat(1000)),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("TLS", "\u{16}\u{3}\u{1}\0\u{5}hello".to_owned()),
        ("headers without end", "HTTP/1.1 200 OK\r\na: b\r\n".to_owned()),
        ("a line without end", format!("HTTP/1.1 200 {}", "x".repeat(200_000))),
        ("too many headers", format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(5000))),
        ("a header that is too long", format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(200_000))),
        ("a header without a colon", "HTTP/1.1 200 OK\r\nhello\r\n\r\n".to_owned()),
        ("a header with a zero", "HTTP/1.1 200 OK\r\na: b\0c\r\ncontent-length: 0\r\n\r\n".to_owned()),
        ("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx".to_owned()),
        ("a length that is none", "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nxx".to_owned()),
        (
            "a length beyond 64 bits",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nxx".to_owned(),
        ),
        ("an unknown coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: hello\r\n\r\nxx".to_owned()),
        ("a chunk that is none", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned()),
        (
            "a chunk without end",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n".to_owned(),
        ),
        ("a body that is cut off at once", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".to_owned()),
        (
            "chunks that are cut off at once",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
        ),
        ("a cut comment", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n: hi\n\n".to_owned()),
        ("an error that is cut off", "HTTP/1.1 500 No\r\ncontent-length: 100\r\n\r\n{\"err".to_owned()),
        (
            "an error in 200 that is cut off",
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"error\":{\"me".to_owned(),
        ),
        ("only continues", "HTTP/1.1 100 Continue\r\n\r\n".repeat(50)),
    ] {
        add(what, Answer::raw(text), broken);
    }
    add(
        "a stream that is cut off",
        head(
            "200 OK",
            "content-length: 500\r\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
        ),
        &[200],
    );
    // The client has nothing of it yet, and gets an error in place of a stream without an end.
    add(
        "a stream that is cut off behind a role",
        head(
            "200 OK",
            "content-length: 500\r\n",
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n",
        ),
        &[500],
    );
    add(
        "continues before the answer",
        Answer::raw(format!(
            "{}HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{OK}",
            "HTTP/1.1 100 Continue\r\n\r\n".repeat(3),
            OK.len()
        )),
        &[200],
    );
    add(
        "HTTP/1.0 that ends with its connection",
        Answer::raw(format!("HTTP/1.0 200 OK\r\n\r\n{OK}")),
        &[200],
    );
    add(
        "trailers",
        head(
            "200 OK",
            "transfer-encoding: chunked\r\ntrailer: x\r\n",
            "10\r\n{\"choices\":[{}]}\r\n0\r\nx: y\r\n\r\n",
        ),
        &[200],
    );
    add(
        "a length beside chunks",
        head(
            "200 OK",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "10\r\n{\"choices\":[{}]}\r\n0\r\n\r\n",
        ),
        &[200],
    );
    add("more than it said", with_length("200 OK", OK).header("x", "y"), &[200]);
    add(
        "gzip in chunks",
        Answer::pieces([&b"\x1f"[..], b"\x8b\x08\0", b"hello"]).header("content-encoding", "gzip"),
        &[200],
    );
    add("a long page", Answer::pieces(vec!["<html>".to_owned() + &"x".repeat(60_000); 30]), &[502]);
    add(
        "a long error",
        Answer::status(500).body(format!("{{\"error\":{{\"message\":\"{}\"}}}}", "x".repeat(3_000_000))),
        &[500],
    );
    add(
        "a long error in 200",
        Answer::pieces(vec!["{\"error\":{\"message\":\"".to_owned(), "x".repeat(60_000), "x".repeat(60_000)]),
        &[502],
    );
    add("silence", Answer::ok().hang(), &[408]);
    add("silence after the headers", Answer::ok().hang_after(0), &[408]);
    add("silence in an error", Answer::status(500).hang_after(1), &[408, 500]);
    add("silence in an error event", Answer::pieces(["data: {\"error\":{\"mess", "x"]).hang_after(1), &[408]);
    add("drops", Answer::pieces(vec!["\n"; 200]).every(Duration::from_millis(1)), &[200, 502]);
    all
}

#[tokio::test]
async fn every_answer_ends_in_an_answer_one_line_and_nothing_in_flight() {
    let config = format!(
        "model_list:\n{}router_settings: {{routing_strategy: least-busy, num_retries: 0, disable_cooldowns: true, timeout: 1, stream_timeout: 1}}\n",
        item("gpt", "paris", ", rpm: 100000, tpm: 100000000")
    );
    let mut world = World::new(&config).await;
    let hostile = hostile();
    let (mut wrong, mut seen) = (Vec::new(), Vec::new());
    for (what, answer, statuses) in &hostile {
        world.provider.script("paris", [answer.clone()]);
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: balancer\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        let mut socket = raw::connect(world.balancer.port).await;
        let reply = raw::exchange(&mut socket, request.as_bytes(), |_| false).await;
        let status = raw::status(&reply);
        // An error has OpenAI's shape, if the provider did not write it.
        let is_shaped = !raw::complete(&reply) || raw::json(&reply)["error"]["message"].is_string();
        if !statuses.contains(&status) || (status >= 400 && !is_shaped && *statuses != [status]) {
            wrong.push(format!("{what}: {}", reply.get(..600).unwrap_or(&reply)));
        }
        seen.push((what, status));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    for (line, (what, status)) in world.logged(hostile.len()).await.iter().zip(seen) {
        assert_eq!(line["status"], status, "{what}: {line}");
    }
    let admin = Client::new(world.balancer.admin_port);
    let settled = eventually(async || {
        let text = admin.get("/stats/prometheus").await.text();
        text.contains("llm_balancer_in_flight{group=\"gpt\",deployment=\"paris\"} 0")
    });
    assert!(settled.await, "an attempt was not settled");
    let calls = world.provider.calls().len();
    assert!(calls >= hostile.len(), "{calls} of {}", hostile.len());
    assert_eq!(world.balancer.log().matches("panicked").count(), 0);
    let stats = world.balancer.stats().await;
    let reloads: u64 =
        stats.iter().filter(|(name, _)| name.contains("vm_reload")).map(|(_, count)| count).sum();
    assert_eq!(reloads, 0, "the filter trapped");
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn what_the_balancer_adds_cannot_fail_a_request() {
    const STRICT: &str = r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted","input":{"include_usage":true}}]}"#;
    let config = format!(
        "model_list:\n{}router_settings: {{num_retries: 0}}\n",
        item("gpt", "paris", ", tpm: 1000000, rpm: 1000")
    );
    let mut world = World::new(&config).await;
    let asks = |nth: usize| !world.provider.received()[nth].json()["stream_options"].is_null();
    for (nth, answer) in [Answer::status(422).body(STRICT), Answer::ok()].into_iter().enumerate() {
        world.provider.script("paris", [answer]);
        let reply = world.chat_with("gpt", &json!({"stream": true})).await;
        assert_eq!((reply.status, reply.retries()), (200, 0), "{nth}: {}", reply.text());
    }
    assert_eq!(world.provider.calls().len(), 3, "the second request knows");
    assert_eq!([asks(0), asks(1), asks(2)], [true, false, false]);
    let attempts =
        |line: &str| serde_json::from_str::<Value>(line).ok()?["attempts"].as_array().map(Vec::len);
    let counts = || world.balancer.log().lines().filter_map(attempts).collect::<Vec<_>>();
    assert!(eventually(async || counts() == [2, 1]).await, "{:?}", counts());
    world.assert_well("gpt").await;
}
