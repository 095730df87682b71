//! Requests that are wrong, odd or hostile: each gets the right answer in OpenAI's shape, and the
//! balancer is as well as before.

use std::io::Write;

use hyper::Method;
use llm_balancer_integration::{Client, Reply, World, raw};
use serde_json::json;
use tokio::io::AsyncWriteExt;

async fn post(world: &World, body: impl Into<bytes::Bytes>) -> Reply {
    world.send(Method::POST, "/v1/chat/completions", "application/json", body).await
}

#[tokio::test]
async fn a_body_that_is_not_what_it_should_be_is_a_bad_request() {
    let mut world = World::group(&["paris"], "").await;
    let cases: [(&str, &[u8]); 14] = [
        ("invalid_request_error", b"{\"model\": \"gpt\", "),
        ("invalid_request_error", b"{\"model\": \"gpt\" \"messages\": []}"),
        ("invalid_request_error", b"{\"model\": \"gpt\"} trailing"),
        ("invalid_request_error", b"not json"),
        ("invalid_request_error", b"[]"),
        ("invalid_request_error", b"\"gpt\""),
        ("invalid_request_error", b"null"),
        ("invalid_request_error", b"7"),
        ("invalid_request_error", b"{}"),
        ("invalid_request_error", b"{\"messages\": []}"),
        ("invalid_request_error", b"{\"model\": null, \"messages\": []}"),
        ("invalid_request_error", b"{\"model\": \"\", \"messages\": []}"),
        ("bad_request_error", b"{\"model\": 7, \"messages\": []}"),
        ("bad_request_error", b"{\"model\": {\"gpt\": 1}, \"messages\": []}"),
    ];
    for (kind, body) in cases {
        let shown = String::from_utf8_lossy(body).into_owned();
        let reply = post(&world, body).await;
        assert_eq!(reply.status, 400, "{shown}: {}", reply.text());
        assert_eq!(reply.error(400)["type"], kind, "{shown}: {}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/json"), "{shown}");
    }
    assert!(world.provider.received().is_empty(), "{:?}", world.provider.received());
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn the_error_says_which_part_is_wrong() {
    let world = World::group(&["paris"], "").await;
    let error = post(&world, "{\"model\": ").await.error(400);
    assert!(error["message"].as_str().unwrap().contains("Invalid JSON payload"), "{error}");
    assert_eq!(error["param"], "request_body");
    let error = post(&world, "[]").await.error(400);
    assert!(error["message"].as_str().unwrap().contains("expected an object"), "{error}");
    assert_eq!(error["param"], "request_body");
    let error = post(&world, "{\"model\": 7, \"messages\": []}").await.error(400);
    assert_eq!((&error["message"], &error["param"]), (&json!("'model' must be a string."), &json!("model")));
}

#[tokio::test]
async fn no_body_at_all_is_a_bad_request() {
    let mut world = World::group(&["paris"], "").await;
    let reply = post(&world, "").await;
    reply.error(400);
    let answer = raw::request(world.balancer.port, &raw::chat("", Some(0))).await;
    assert_eq!(raw::status(&answer), 400, "{answer}");
    assert_eq!(raw::json(&answer)["error"]["code"], "400");
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn text_that_is_not_utf8_is_a_bad_request() {
    let mut world = World::group(&["paris"], "").await;
    for body in [
        b"{\"model\": \"gpt\", \"messages\": [\"\xff\xfe\"]}".as_slice(),
        b"{\"model\": \"g\xc3\x28\", \"messages\": []}",
        b"\xff\xfe{\0",
    ] {
        let reply = post(&world, body).await;
        assert_eq!(reply.error(400)["type"], "invalid_request_error", "{body:?}");
    }
    assert!(world.provider.received().is_empty());
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn text_in_wide_characters_is_named_for_what_it_is() {
    let world = World::group(&["paris"], "").await;
    let wide: Vec<u8> = "{\"model\": \"gpt\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for body in [wide.clone(), [b"\xff\xfe".to_vec(), wide].concat()] {
        let error = post(&world, body).await.error(400);
        assert!(error["message"].as_str().unwrap().contains("send UTF-8"), "{error}");
    }
    assert!(world.provider.received().is_empty());
}

#[tokio::test]
async fn what_json_allows_is_served_and_sent_on_once() {
    let world = World::group(&["paris"], "").await;
    for (body, expected) in [
        ("\u{feff}{\"model\": \"gpt\", \"messages\": []}", r#"{"model":"m-paris","messages":[]}"#),
        (r#"{"mod\u0065l": "gpt", "messages": []}"#, r#"{"model":"m-paris","messages":[]}"#),
        (
            r#"{"model": "gpt", "\ud800": "\udfff", "n": 1e400}"#,
            r#"{"model":"m-paris","\ud800":"\udfff","n":1e400}"#,
        ),
        (r#"{"model": "nobody", "n": 1, "model": "gpt", "n": 2}"#, r#"{"model":"m-paris","n":2}"#),
        (r#"{"model": "gpt", "Model": "evil", "MODEL": "evil"}"#, r#"{"model":"m-paris"}"#),
        (r#"{"model": "gpt", "num_retries": 1e0, "timeout": 1e19}"#, r#"{"model":"m-paris"}"#),
        (r#"{"model": "gpt", "num_retries": "2", "timeout": "2"}"#, r#"{"model":"m-paris"}"#),
    ] {
        let reply = post(&world, body.to_owned()).await;
        assert_eq!(reply.status, 200, "{body}: {}", reply.text());
        let sent = world.provider.received().pop().expect("a request");
        assert_eq!(String::from_utf8_lossy(&sent.body), expected, "{body}");
    }
}

#[tokio::test]
async fn numbers_that_are_none_are_bad_requests() {
    let world = World::group(&["paris"], "").await;
    for member in [
        r#""num_retries": -1"#, r#""num_retries": 1.5"#, r#""num_retries": true"#, r#""timeout": -1"#,
        r#""timeout": "soon""#, r#""timeout": "inf""#, r#""stream_timeout": "NaN""#, r#""timeout": NaN"#,
    ] {
        post(&world, format!(r#"{{"model": "gpt", {member}}}"#)).await.error(400);
    }
    assert!(world.provider.received().is_empty());
}

#[tokio::test]
async fn space_around_the_object_does_no_harm() {
    let world = World::group(&["paris"], "").await;
    let reply = post(&world, "\r\n\t {\"model\": \"gpt\", \"messages\": []} \n").await;
    assert_eq!(reply.served_by(), "paris");
}

#[tokio::test]
async fn nesting_a_hundred_thousand_deep_breaks_nothing() {
    let mut world = World::group(&["paris"], "").await;
    let deep = |open: &str, close: &str| {
        format!("{{\"messages\": {}{}, \"model\": \"gpt\"}}", open.repeat(100_000), close.repeat(100_000))
    };
    for (body, status) in [
        (deep("[", "]"), 200),
        (deep("{\"a\":", "}").replace(":}", ":1}"), 200),
        (format!("{}\"model\": \"gpt\"", "[".repeat(100_000)), 400),
        ("{\"a\":".repeat(100_000), 400),
    ] {
        let start = body[..20].to_owned();
        let reply = post(&world, body).await;
        assert_eq!(reply.status, status, "{start}: {}", reply.text());
        assert_eq!(reply.json()["error"].is_null(), status == 200, "{start}: {}", reply.text());
    }
    world.assert_well("gpt").await;
}

/// A configuration that takes a mebibyte at most.
async fn small() -> World {
    World::new(
        "
model_list:
- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/paris/v1, api_key: k}}
llm_balancer: {max_body_mb: 1}
",
    )
    .await
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_whether_its_length_is_told_or_not() {
    let mut world = small().await;
    let body = format!("{{\"model\": \"gpt\", \"messages\": [\"{}\"]}}", "x".repeat(2 << 20));
    let reply = post(&world, body.clone()).await;
    reply.error(413);
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let answer = raw::request(world.balancer.port, &raw::chat(&chunk, None)).await;
    assert_eq!(raw::status(&answer), 413, "{answer}");
    assert_eq!(raw::json(&answer)["error"]["code"], "413");
    let just_below = format!("{{\"model\": \"gpt\", \"messages\": [\"{}\"]}}", "x".repeat((1 << 20) - 100));
    assert_eq!(post(&world, just_below).await.status, 200);
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_length_beyond_the_limit_is_refused_before_the_body_comes() {
    let mut world = small().await;
    let answer = raw::request(world.balancer.port, &raw::chat("", Some(1 << 40))).await;
    assert_eq!(raw::status(&answer), 413, "{answer}");
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_chunked_body_is_served_like_any_other() {
    let world = World::group(&["paris"], "").await;
    let answer = raw::request(
        world.balancer.port,
        &raw::chat("c\r\n{\"model\": \"g\r\n14\r\npt\", \"messages\": []}\r\n0\r\n\r\n", None),
    )
    .await;
    assert_eq!(raw::status(&answer), 200, "{answer}");
    assert_eq!(world.provider.only_request().model(), "m-paris");
}

#[tokio::test]
async fn a_chunked_body_that_makes_no_sense_is_a_bad_request() {
    let mut world = World::group(&["paris"], "").await;
    let answer = raw::request(world.balancer.port, &raw::chat("zz\r\nwhat\r\n0\r\n\r\n", None)).await;
    assert_eq!(raw::status(&answer), 400, "{answer}");
    assert!(world.provider.received().is_empty());
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_chunked_body_that_ends_too_soon_reaches_nobody() {
    let mut world = World::group(&["paris"], "").await;
    for cut in [
        "",
        "5",
        "ff\r\n{\"model\": \"gpt\"",
        "10\r\n{\"model\": \"gpt\"}\r\n",
        "1d\r\n{\"model\":\"gpt\",\"messages\":[]}\r\n",
    ] {
        let mut socket = raw::connect(world.balancer.port).await;
        socket.write_all(&raw::chat(cut, None)).await.unwrap();
        socket.shutdown().await.unwrap();
        let answer = raw::exchange(&mut socket, b"", raw::complete).await;
        assert!(answer.is_empty() || raw::status(&answer) == 400, "{cut:?}: {answer}");
    }
    assert!(world.provider.received().is_empty());
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_gzipped_body_is_served() {
    let mut world = World::group(&["paris"], "").await;
    let plain = b"{\"model\": \"gpt\", \"messages\": []}";
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    let client = world.with_header("content-encoding", "gzip");
    let reply = client
        .send(Method::POST, "/v1/chat/completions", "application/json", encoder.finish().unwrap())
        .await;
    assert_eq!(reply.served_by(), "paris");
    let sent = world.provider.only_request();
    assert_eq!((sent.model().as_str(), sent.header("content-encoding")), ("m-paris", None));
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_small_compressed_body_does_not_swell_beyond_the_limit() {
    let mut world = small().await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let body = format!("{{\"model\": \"gpt\", \"messages\": [\"{}\"]}}", "x".repeat(20 << 20));
    encoder.write_all(body.as_bytes()).unwrap();
    let client = world.with_header("content-encoding", "gzip");
    let reply = client
        .send(Method::POST, "/v1/chat/completions", "application/json", encoder.finish().unwrap())
        .await;
    reply.error(413);
    assert!(world.provider.received().is_empty());
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn bytes_that_are_not_what_content_encoding_says_are_a_bad_request() {
    let mut world = World::group(&["paris"], "").await;
    let client = world.with_header("content-encoding", "gzip");
    for body in [
        b"{\"model\": \"gpt\", \"messages\": []}".as_slice(),
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03garbage",
        b"\x1f\x8b",
    ] {
        let reply = client.send(Method::POST, "/v1/chat/completions", "application/json", body).await;
        let message = reply.error(400)["message"].to_string();
        if body.starts_with(b"{") {
            assert!(message.contains("content-encoding"), "{message}");
        }
    }
    let reply = world.with_header("content-encoding", "br").chat("gpt").await;
    reply.error(415);
    assert!(world.provider.received().is_empty());
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_client_that_expects_to_be_told_to_continue_is_told() {
    let world = World::group(&["paris"], "").await;
    let body = "{\"model\": \"gpt\", \"messages\": []}";
    let head = String::from_utf8(raw::chat("", Some(body.len())))
        .unwrap()
        .replace("content-type", "expect: 100-continue\r\ncontent-type");
    let mut socket = raw::connect(world.balancer.port).await;
    let told = raw::exchange(&mut socket, head.as_bytes(), |answer| answer.ends_with("\r\n\r\n")).await;
    assert_eq!(raw::status(&told), 100, "{told}");
    let answer = raw::exchange(&mut socket, body.as_bytes(), raw::complete).await;
    assert_eq!(raw::status(&answer), 200, "{answer}");
    assert_eq!(world.provider.only_request().header("expect"), None);
}

#[tokio::test]
async fn two_requests_at_once_on_one_connection_are_answered_in_turn() {
    let world = World::group(&["paris"], "").await;
    let body = "{\"model\": \"gpt\", \"messages\": []}";
    let both = [raw::chat(body, Some(body.len())), raw::chat("{}", Some(2))].concat();
    let mut socket = raw::connect(world.balancer.port).await;
    let answers = raw::exchange(&mut socket, &both, |seen| {
        seen.matches("HTTP/1.1 ").count() == 2 && seen.contains("\"code\"")
    })
    .await;
    assert!(answers.starts_with("HTTP/1.1 200") && answers.contains("HTTP/1.1 400"), "{answers}");
}

#[tokio::test]
async fn bytes_that_are_no_http_are_refused_without_harm() {
    let mut world = World::group(&["paris"], "").await;
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00".as_slice(),
        b"GET\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let answer = raw::request(world.balancer.port, bytes).await;
        assert!(answer.is_empty() || raw::status(&answer) == 400, "{answer}");
    }
    // Two lengths that differ: the beginning of request smuggling.
    let smuggled = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = raw::request(world.balancer.port, smuggled).await;
    assert_eq!(raw::status(&answer), 400, "{answer}");
    assert!(world.provider.received().is_empty());
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn headers_too_large_to_be_honest_are_refused() {
    let mut world = World::group(&["paris"], "").await;
    let request = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nx-huge: {}\r\n\r\n", "x".repeat(500_000));
    let answer = raw::request(world.balancer.port, request.as_bytes()).await;
    assert!(answer.is_empty() || raw::status(&answer) == 431, "{answer}");
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn http2_clients_get_the_same_errors() {
    let world = World::group(&["paris"], "").await;
    let client = Client::http2(world.balancer.port);
    client.chat("zzz").await.error(400);
    let reply = client.send(Method::POST, "/v1/chat/completions", "application/json", "nonsense").await;
    reply.error(400);
}

#[tokio::test]
async fn a_model_name_of_a_megabyte_is_just_an_unknown_model() {
    let mut world = World::group(&["paris"], "").await;
    let reply = world.chat(&"x".repeat(1 << 20)).await;
    let error = reply.error(400);
    assert!(error["message"].as_str().unwrap().len() < 10_000, "the whole name comes back");
    let quoted = world.chat("\"},{\"\u{0}\n\\").await;
    quoted.error(400);
    world.assert_well("gpt").await;
}
