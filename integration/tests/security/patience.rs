//! Clients that take their time: each holds a connection, and none for longer than a limit.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use llm_balancer_integration::{
    Answer, Balancer, Client, Launch, Provider, World, eventually, item, raw, within,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::frames;

const BODY: &str = r#"{"model": "gpt", "messages": []}"#;

/// A balancer whose Envoy has a limit of two seconds in place of this one of five minutes.
struct Impatient {
    balancer: Balancer,
    provider: Provider,
    _dir: TempDir,
}

async fn impatient(limit: &str) -> Impatient {
    let (provider, dir) = (Provider::start().await, TempDir::new().unwrap());
    let envoy = dir.path().join("envoy");
    // `--config-path FILE` comes first, but not where it is asked for its version.
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --config-path ]; then\n  grep -q '\"{limit}\":\"300s\"' \"$2\" || exit 3\n  sed -i 's/\"{limit}\":\"300s\"/\"{limit}\":\"2s\"/' \"$2\"\nfi\nexec {} \"$@\"\n",
        std::env::var("ENVOY").expect("ENVOY names Envoy's binary")
    );
    fs::write(&envoy, script).unwrap();
    fs::set_permissions(&envoy, fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!("model_list:\n{}", item("gpt", "paris", "").replace("PROVIDER", &provider.origin()));
    let balancer = Launch::new(&config).arg("--envoy").arg(&envoy).start().await;
    Impatient { balancer, provider, _dir: dir }
}

/// Sends a byte every 50 ms until the other side ends the connection; what it said.
async fn trickle(socket: &mut TcpStream, byte: &[u8], within: Duration) -> String {
    let mut answer = Vec::new();
    let trickling = async {
        let mut buffer = [0; 4096];
        loop {
            match timeout(Duration::from_millis(50), socket.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(count)) => answer.extend_from_slice(&buffer[..count]),
                Err(_) if socket.write_all(byte).await.is_err() => break,
                Err(_) => {}
            }
        }
    };
    timeout(within, trickling).await.expect("the connection is ended");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn headers_that_do_not_end_have_ten_seconds() {
    let provider = Provider::start().await;
    let config = format!("model_list:\n{}", item("gpt", "paris", "").replace("PROVIDER", &provider.origin()));
    let balancer = Launch::new(&config).start().await;
    let mut socket = raw::connect(balancer.port).await;
    socket.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: balancer\r\nx-a: ").await.unwrap();
    let answer = trickle(&mut socket, b"a", Duration::from_secs(20)).await;
    assert_eq!(raw::status(&answer), 408, "{answer}");
    assert_eq!(Client::new(balancer.port).chat("gpt").await.served_by(), "paris");
}

#[tokio::test]
async fn a_body_that_does_not_end_has_a_limit() {
    let world = impatient("request_timeout").await;
    for length in [Some(1_000_000), None] {
        let mut socket = raw::connect(world.balancer.port).await;
        let start = if length.is_some() { "{" } else { "1\r\n{\r\n" };
        socket.write_all(&raw::chat(start, length)).await.unwrap();
        let byte: &[u8] = if length.is_some() { b" " } else { b"1\r\n \r\n" };
        let answer = trickle(&mut socket, byte, Duration::from_secs(20)).await;
        assert_eq!(raw::status(&answer), 408, "{answer}");
    }
    assert!(eventually(async || world.balancer.access_log().len() == 2).await, "{}", world.balancer.log());
    for line in world.balancer.access_log() {
        assert_eq!((&line["status"], &line["reason"]), (&408.into(), &"incomplete_request".into()), "{line}");
    }
    assert!(world.provider.received().is_empty());
    assert_eq!(Client::new(world.balancer.port).chat("gpt").await.served_by(), "paris");
}

/// A client of HTTP/2 that opens no window never takes its answer.
#[tokio::test]
async fn an_answer_that_a_client_does_not_take_is_dropped() {
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let world = impatient("stream_flush_timeout").await;
    world.provider.always("paris", Answer::bytes("x".repeat(100_000)));
    let mut socket = frames::open(world.balancer.port, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    socket.write_all(&frames::chat(BODY.as_bytes())).await.unwrap();
    let in_flight = async || world.balancer.busy().await.values().sum::<u64>();
    assert!(eventually(async || in_flight().await > 0).await, "it waits for its client");
    let end = timeout(Duration::from_secs(15), frames::end(&mut socket)).await;
    assert_eq!(end, Ok(frames::End::Refused));
    assert!(eventually(async || in_flight().await == 0).await, "{:?}", world.balancer.busy().await);
}

#[tokio::test]
async fn a_client_that_stops_reading_a_stream_lets_the_provider_go() {
    let provider = Provider::start().await;
    let items = item("gpt", "paris", "").replace("PROVIDER", &provider.origin());
    let config = format!("model_list:\n{items}router_settings: {{stream_timeout: 1}}\n");
    let balancer = Launch::new(&config).start().await;
    let piece =
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(60_000));
    provider.always("paris", Answer::pieces(vec![piece; 500]));
    let body = BODY.replace('}', ", \"stream\": true}");
    let mut socket = raw::connect(balancer.port).await;
    socket.write_all(&raw::chat(&body, Some(body.len()))).await.unwrap();
    let seen = raw::exchange(&mut socket, b"", |seen| seen.len() > 100_000).await;
    assert_eq!(raw::status(&seen), 200);
    let is_let_go = within(Duration::from_secs(20), async || provider.open_connections() == 0).await;
    assert!(is_let_go, "the provider still streams");
    assert!(eventually(async || balancer.busy().await.is_empty()).await);
}

#[tokio::test]
async fn thousands_of_streams_that_are_reset_at_once_leave_nothing() {
    let mut world = World::group(&["paris"], "").await;
    for _ in 0..3 {
        frames::reset_at_once(world.balancer.port, BODY.as_bytes(), 2_000).await;
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn hundreds_of_idle_connections_leave_room_for_others() {
    let provider = Provider::start().await;
    let config = format!("model_list:\n{}", item("gpt", "paris", "").replace("PROVIDER", &provider.origin()));
    let balancer = Launch::new(&config).start().await;
    let mut sockets = Vec::new();
    for nth in 0..400 {
        let mut socket = raw::connect(balancer.port).await;
        let part: &[u8] = [
            &b""[..],
            b"POST",
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n",
        ][nth % 3];
        socket.write_all(part).await.unwrap();
        sockets.push(socket);
    }
    for _ in 0..5 {
        assert_eq!(Client::new(balancer.port).chat("gpt").await.served_by(), "paris");
    }
    drop(sockets);
    assert!(eventually(async || balancer.busy().await.is_empty()).await);
}
