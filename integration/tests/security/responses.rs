//! Answers of a provider that are meant for more than its client: for the next client, for Envoy,
//! or for the memory of the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use llm_balancer_integration::{Answer, Balancer, Client, Launch, World, eventually, item, memory, raw};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const OK: &str = r#"{"choices":[{"message":{"content":"hi"}}],"system_fingerprint":"paris"}"#;

/// A whole answer.
fn whole(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Something that is not a provider: answers each request with these bytes, keeps its connections,
/// and then repeats the others until the client goes. How many bytes it repeated.
async fn impostor(first: String, endless: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, first.clone(), endless, Arc::clone(&count)));
        }
    });
    (port, sent)
}

async fn serve(mut stream: TcpStream, first: String, endless: &str, sent: Arc<AtomicUsize>) {
    let mut buffer = vec![0; 64 * 1024];
    let block = endless.repeat(64 * 1024 / endless.len().max(1));
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
        if stream.write_all(first.as_bytes()).await.is_err() {
            return;
        }
        while !block.is_empty() {
            match stream.write_all(block.as_bytes()).await {
                Ok(()) => sent.fetch_add(block.len(), Ordering::Relaxed),
                Err(_) => return,
            };
        }
    }
}

/// A balancer with a group for each impostor, `gpt-0`, `gpt-1`, ..
async fn before(ports: &[u16], settings: &str) -> (Balancer, Client) {
    let item = |(n, port): (usize, &u16)| {
        let origin = format!("http://127.0.0.1:{port}");
        item(&format!("gpt-{n}"), &format!("d{n}"), settings).replace("PROVIDER", &origin)
    };
    let items: String = ports.iter().enumerate().map(item).collect();
    let settings = "num_retries: 0, disable_cooldowns: true, timeout: 2, stream_timeout: 2";
    let balancer =
        Launch::new(&format!("model_list:\n{items}router_settings: {{{settings}}}\n")).start().await;
    let client = Client::new(balancer.port);
    (balancer, client)
}

/// Mebibytes of both processes.
fn resident(balancer: &Balancer) -> u64 {
    memory::resident_of_all(balancer) / 1024
}

#[tokio::test]
async fn an_answer_that_holds_another_one_gives_nothing_to_the_next_client() {
    let evil = whole(r#"{"choices":[{"message":{"content":"evil"}}]}"#);
    let cases = [
        format!("{}{evil}", whole(OK)),
        format!("HTTP/1.1 100 Continue\r\n\r\n{}{evil}", whole(OK)),
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{OK}\r\n0\r\n\r\n{evil}",
            OK.len(),
            OK.len()
        ),
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncontent-length: 0\r\n\r\n{OK}{evil}", OK.len()),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n{OK}{evil}"),
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{OK}\r\n0\r\nx: y\r\n\r\n{evil}",
            OK.len()
        ),
        format!("HTTP/1.1 204 No Content\r\ncontent-length: {}\r\n\r\n{evil}", evil.len()),
        format!("HTTP/1.1 304 Not Modified\r\ncontent-length: 0\r\n\r\n{evil}"),
        format!("HTTP/1.1 200 OK\r\nx-a: b\rx-evil: 1\r\ncontent-length: 0\r\n\r\n{evil}"),
        format!("HTTP/1.1 200 OK\r\nx-a: b\r\n x-evil: 1\r\ncontent-length: 0\r\n\r\n{evil}"),
        format!("HTTP/1.1 200 OK\r\nx-a : b\r\ncontent-length: 0\r\n\r\n{evil}"),
    ];
    let mut impostors = Vec::new();
    for first in &cases {
        impostors.push(impostor(first.clone(), "").await.0);
    }
    let (_balancer, client) = before(&impostors, "").await;
    for (case, first) in cases.iter().enumerate() {
        for nth in 0..4 {
            let reply = client.chat(&format!("gpt-{case}")).await;
            assert!(!reply.text().contains("evil"), "{nth} of {first:?}: {reply:?}");
            assert_eq!(reply.header("x-evil"), None, "{first:?}");
        }
    }
}

#[tokio::test]
async fn trailers_of_a_provider_reach_no_client() {
    let trailers = "x-llm-retry: 1\r\nset-cookie: a=b\r\nx-litellm-model-id: evil\r\nx-evil: 1\r\n";
    let body = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{OK}\r\n0\r\n{trailers}\r\n",
        OK.len()
    );
    let world = World::group(&["paris"], "num_retries: 0").await;
    world.provider.always("paris", Answer::raw(body));
    let request = raw::chat(r#"{"model":"gpt","messages":[]}"#, Some(29));
    let request = String::from_utf8(request)
        .unwrap()
        .replace("content-type", "te: trailers\r\nconnection: close\r\ncontent-type");
    let answer =
        raw::exchange(&mut raw::connect(world.balancer.port).await, request.as_bytes(), |_| false).await;
    assert_eq!(raw::status(&answer), 200, "{answer}");
    assert!(!answer.contains("evil") && !answer.contains("set-cookie"), "{answer}");
    assert_eq!(Client::http2(world.balancer.port).chat("gpt").await.status, 200);
    assert_eq!(world.provider.calls().len(), 2, "no attempt besides");
}

/// Sends a chat and reads for eight seconds at most: the status, zero where the connection was
/// closed, and whether the answer ended.
async fn ended(balancer: &Balancer, model: &str, stream: bool) -> (u16, bool) {
    let body = format!("{{\"model\":\"{model}\",\"messages\":[],\"stream\":{stream}}}");
    let request = String::from_utf8(raw::chat(&body, Some(body.len()))).unwrap();
    let request = request.replace("content-type", "connection: close\r\ncontent-type");
    let mut socket = raw::connect(balancer.port).await;
    socket.write_all(request.as_bytes()).await.unwrap();
    let (mut seen, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    let reading = async {
        while let Ok(count @ 1..) = socket.read(&mut buffer).await {
            seen.extend_from_slice(&buffer[..count.min(100)]);
            seen.truncate(100);
        }
    };
    let has_ended = timeout(Duration::from_secs(8), reading).await.is_ok();
    (raw::status(&String::from_utf8_lossy(&seen)), has_ended)
}

#[tokio::test]
async fn endless_answers_end_with_the_timeout_and_cost_no_memory() {
    let endless: [(&str, &str, &str, &[u16]); 7] = [
        ("interim answers", "", "HTTP/1.1 100 Continue\r\n\r\n", &[0, 408]),
        ("hints", "", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", &[0, 408]),
        ("silence after a hint", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", "", &[0, 408]),
        ("silence", "", "", &[408]),
        ("headers", "HTTP/1.1 200 OK\r\n", "x-a: b\r\n", &[500]),
        ("a header", "HTTP/1.1 200 OK\r\nx-a: ", "a", &[500]),
        ("an error", "HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n", &[500]),
    ];
    let mut impostors = Vec::new();
    for (_, first, endless, _) in &endless {
        impostors.push(impostor((*first).to_owned(), endless).await.0);
    }
    let (balancer, client) = before(&impostors, "").await;
    let memory = resident(&balancer);
    for (case, (what, _, _, statuses)) in endless.iter().enumerate() {
        for stream in [true, false] {
            let (status, has_ended) = ended(&balancer, &format!("gpt-{case}"), stream).await;
            assert!(statuses.contains(&status), "{what}, stream {stream}: {status}");
            // An error that a stream gets is passed on while it comes.
            assert!(has_ended || (*what == "an error" && stream), "{what}, stream {stream}");
            assert!(client.answers("/health/liveliness").await, "{what}");
        }
    }
    let grown = resident(&balancer).saturating_sub(memory);
    assert!(grown < 48, "{grown} MB more");
    let no_line = "it never ends, or has no line";
    let lines = || balancer.log().lines().filter(|line| line.starts_with("{\"time\"")).count();
    assert!(eventually(async || lines() == 2 * endless.len()).await, "{no_line}: {}", balancer.log());
    let timeouts = balancer.log().matches("\"outcome\":\"timeout\"").count();
    assert!(timeouts >= 8, "{timeouts}: {}", balancer.log());
}

#[tokio::test]
async fn a_stream_whose_line_never_ends_passes_and_costs_no_memory() {
    let first = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n6\r\ndata: \r\n";
    let (port, sent) = impostor(first.to_owned(), "8\r\n{\"usage\"\r\n").await;
    // With a limit of tokens the filter looks for the usage.
    let (balancer, client) = before(&[port], ", tpm: 100000000").await;
    let memory = resident(&balancer);
    let mut answer = client.stream_chat("gpt-0").await;
    assert_eq!(answer.status, 200);
    let mut taken = 0;
    while taken < 64 << 20 {
        let Some((_, bytes)) = answer.next().await else { break };
        taken += bytes.len();
    }
    let grown = resident(&balancer).saturating_sub(memory);
    assert!(taken >= 64 << 20 && sent.load(Ordering::Relaxed) >= taken, "{taken}");
    assert!(grown < 32, "{grown} MB more after 64 MB");
}

#[tokio::test]
async fn a_compressed_answer_passes_as_it_is_and_is_not_unpacked() {
    let mut world = World::group(&["paris"], "num_retries: 0").await;
    let bomb = [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], &vec![0x5a; 2 << 20]].concat();
    world.provider.script("paris", [Answer::bytes(bomb.clone()).header("content-encoding", "gzip")]);
    let memory = resident(&world.balancer);
    let reply = world.chat("gpt").await;
    assert_eq!((reply.status, reply.header("content-encoding")), (200, Some("gzip")));
    assert!(reply.body == bomb);
    assert_eq!(world.provider.only_request().header("accept-encoding"), None, "it was not asked for");
    assert!(resident(&world.balancer) < memory + 32);
    world.assert_well("gpt").await;
}
