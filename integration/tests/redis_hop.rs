//! The way to Redis through Envoy: a private socket that leads to it, and TLS. A module writes commands
//! there. WebAssembly can only send requests: a POST becomes commands, and the replies its body.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use llm_balancer_integration::certificates::Authority;
use llm_balancer_integration::{Balancer, Client, Launch, Link, Provider, Redis, eventually, within};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// A file with one deployment behind this provider, and these `router_settings`.
fn config(provider: &Provider, router_settings: &str) -> String {
    format!(
        "model_list:\n- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: {}/paris/v1, api_key: k}}}}\nrouter_settings: {{{router_settings}}}\n",
        provider.origin()
    )
}

/// A balancer that goes to this port of this machine.
async fn balancer_at(port: u16) -> Balancer {
    let provider = Provider::start().await;
    Launch::new(&config(&provider, &format!("redis_host: 127.0.0.1, redis_port: {port}"))).start().await
}

/// A balancer with this file of an authority, and this address of Redis.
async fn balancer_with_tls(authority: &Authority, url: &str) -> Balancer {
    let provider = Provider::start().await;
    let dir = TempDir::new().unwrap();
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let settings = format!("redis_url: 'rediss://{url}?ssl_ca_certs={}'", ca.display());
    Launch::new(&config(&provider, &settings)).start().await
}

/// The status and the body of the answer to a request on the balancer's private socket.
async fn ask(balancer: &Balancer, method: &str, body: &str) -> (u16, String) {
    let socket = balancer.runtime_folder().join("redis.sock");
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} / HTTP/1.1\r\nhost: redis\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.contains("transfer-encoding: chunked");
    (status, if chunked { joined(body) } else { body.to_owned() })
}

/// A chunked body, without the lengths between its chunks.
fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let (chunk, rest) = rest.split_at(usize::from_str_radix(length, 16).unwrap());
        body.push_str(chunk);
        chunks = rest.strip_prefix("\r\n").unwrap();
    }
    body
}

/// What Redis replies; 503 if that is nothing, as for a POST.
async fn commands(balancer: &Balancer, body: &str) -> (u16, String) {
    if balancer.runs_wasm() {
        return ask(balancer, "POST", body).await;
    }
    let mut stream = UnixStream::connect(balancer.runtime_folder().join("redis.sock")).await.unwrap();
    let mut replies = String::new();
    // Where Redis is away, the socket may be closed before.
    let _ = stream.write_all(body.as_bytes()).await;
    // The module waits for two seconds, too.
    let _ = timeout(Duration::from_secs(2), stream.read_to_string(&mut replies)).await;
    (if replies.is_empty() { 503 } else { 200 }, replies)
}

const PING: &str = "PING\r\nQUIT\r\n";

async fn assert_answers(balancer: &Balancer) {
    assert_eq!(commands(balancer, PING).await, (200, "+PONG\r\n+OK\r\n".to_owned()));
}

async fn assert_serves(balancer: &Balancer) {
    // The provider has gone: what counts is that the balancer looks for it, and at once.
    let asked = Instant::now();
    let reply = Client::new(balancer.port).get("/v1/models").await;
    assert_eq!(reply.status, 200);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn commands_go_out_and_replies_come_back() {
    let redis = Redis::start().await;
    let balancer = balancer_at(redis.port()).await;
    assert_answers(&balancer).await;
    let (status, body) = commands(&balancer, "SET place paris\r\nINCRBY n 7\r\nNONSENSE\r\nQUIT\r\n").await;
    assert_eq!(status, 200);
    assert!(body.starts_with("+OK\r\n:7\r\n-ERR unknown command") && body.ends_with("+OK\r\n"), "{body}");
    assert_eq!(redis.command(&["GET", "place"]).await, "paris");
    // Each goes by a connection of its own, and none stays, apart from the one by which the
    // balancer itself waits for messages of other instances.
    let left = async || {
        let clients = redis.command(&["CLIENT", "LIST"]).await;
        clients
            .lines()
            .filter(|client| !client.contains("cmd=blpop") && !client.contains("cmd=client"))
            .count()
    };
    let idle = eventually(async || left().await == 0).await;
    assert!(idle, "{}", redis.command(&["CLIENT", "LIST"]).await);
}

/// The connections on which the balancer waits for messages of other instances.
async fn waits(redis: &Redis) -> Vec<String> {
    let clients = redis.command(&["CLIENT", "LIST"]).await;
    let waiting = clients.lines().filter(|client| client.contains("cmd=blpop"));
    waiting.filter_map(|client| Some(client.split(' ').next()?.to_owned())).collect()
}

#[tokio::test]
async fn a_configuration_that_is_gone_takes_no_message_of_the_next_one() {
    let (redis, provider) = (Redis::start().await, Provider::start().await);
    let settings = format!("redis_host: 127.0.0.1, redis_port: {}", redis.port());
    let balancer = Launch::new(&config(&provider, &settings)).start().await;
    assert!(eventually(async || !waits(&redis).await.is_empty()).await);
    let before = waits(&redis).await;
    balancer.replace_file(&config(&provider, &format!("{settings}, num_retries: 1")));
    balancer.says("reloaded").await;
    let replaced = async || {
        let now = waits(&redis).await;
        !now.is_empty() && before.iter().all(|wait| !now.contains(wait))
    };
    // With two hops the listener of the old configuration is kept for some seconds, and reads its
    // messages until then.
    let is_replaced = within(Duration::from_secs(30), replaced).await;
    assert!(is_replaced, "{before:?}, then {}", redis.command(&["CLIENT", "LIST"]).await);
}

#[tokio::test]
async fn no_other_user_gets_in() {
    let redis = Redis::start().await;
    let mut balancer = balancer_at(redis.port()).await;
    let folder = balancer.runtime_folder();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("redis.sock"))), (0o700, 0o600));
    if balancer.runs_wasm() {
        // As HTTP it would reach Redis, which counts it as an attack.
        assert_eq!(ask(&balancer, "GET", "").await.0, 404);
        assert_eq!(ask(&balancer, "PUT", PING).await.0, 404);
    }
    assert!(balancer.stop().await);
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_user_and_a_password_are_the_callers_to_send_and_stand_in_no_file() {
    let redis = Redis::launch().user("ada", "s3cret-word").start().await;
    let provider = Provider::start().await;
    let settings = format!(
        "redis_host: localhost, redis_port: {}, redis_username: ada, redis_password: os.environ/WORD",
        redis.port()
    );
    let balancer = Launch::new(&config(&provider, &settings)).env("WORD", "s3cret-word").start().await;
    assert!(commands(&balancer, PING).await.1.starts_with("-NOAUTH"));
    let (_, body) = commands(&balancer, &format!("AUTH ada s3cret-word\r\n{PING}")).await;
    assert_eq!(body, "+OK\r\n+PONG\r\n+OK\r\n");
    balancer.says(&format!("limits are shared through Redis at localhost:{}\n", redis.port())).await;
    assert!(!balancer.log().contains("s3cret-word"), "{}", balancer.log());
    let files = fs::read_dir(balancer.runtime_folder()).unwrap().map(|entry| entry.unwrap().path());
    let written: Vec<_> = files.filter(|file| file.extension().is_some_and(|kind| kind == "json")).collect();
    assert!(written.len() >= 3, "the bootstrap, and what may change: {written:?}");
    for file in written {
        assert!(!fs::read_to_string(&file).unwrap().contains("s3cret-word"), "{}", file.display());
    }
}

#[tokio::test]
async fn with_tls_the_server_is_verified_by_name_or_by_address() {
    let authority = Authority::new();
    let redis = Redis::launch().tls(&authority, &["localhost", "127.0.0.1"]).start().await;
    for host in ["localhost", "127.0.0.1"] {
        let balancer = balancer_with_tls(&authority, &format!("{host}:{}", redis.port())).await;
        assert_answers(&balancer).await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_the_one_meant_gets_no_command() {
    let (authority, other) = (Authority::new(), Authority::new());
    let here = Redis::launch().tls(&authority, &["localhost"]).start().await;
    let elsewhere = Redis::launch().tls(&authority, &["elsewhere.example"]).start().await;
    for (trusted, redis) in [(&other, &here), (&authority, &elsewhere)] {
        let balancer = balancer_with_tls(trusted, &format!("localhost:{}", redis.port())).await;
        let (status, body) = commands(&balancer, "SET leaked yes\r\nQUIT\r\n").await;
        assert_eq!(status, 503, "{body}");
        assert_eq!(redis.command(&["EXISTS", "leaked"]).await, "0");
        assert_serves(&balancer).await;
    }
}

#[tokio::test]
async fn redis_may_be_away_frozen_and_back() {
    let mut redis = Redis::start().await;
    let balancer = balancer_at(redis.port()).await;
    redis.command(&["SET", "place", "paris"]).await;
    redis.freeze();
    let asked = Instant::now();
    // The connection is made by Redis' kernel, so a POST's status says nothing; the replies that are
    // missing do.
    assert_eq!(commands(&balancer, PING).await.1, "");
    assert!((900..5000).contains(&asked.elapsed().as_millis()), "{:?}", asked.elapsed());
    balancer.says("Redis is unavailable: no reply in time").await;
    redis.thaw();
    assert_answers(&balancer).await;
    redis.stop();
    assert_eq!(commands(&balancer, PING).await.0, 503);
    assert_serves(&balancer).await;
    redis.restart_empty().await;
    assert_answers(&balancer).await;
    assert_eq!(redis.command(&["EXISTS", "place"]).await, "0");
}

#[tokio::test]
async fn it_starts_and_serves_without_redis() {
    let mut redis = Redis::start().await;
    redis.stop();
    let balancer = balancer_at(redis.port()).await;
    assert_serves(&balancer).await;
    assert_eq!(commands(&balancer, PING).await.0, 503);
    redis.restart_empty().await;
    assert_answers(&balancer).await;
}

#[tokio::test]
async fn the_way_can_be_cut_and_slowed_for_one_instance() {
    let redis = Redis::start().await;
    let link = Link::to(redis.port()).await;
    let (near, far) = (balancer_at(redis.port()).await, balancer_at(link.port()).await);
    assert_answers(&far).await;
    link.delay(Duration::from_millis(100));
    let asked = Instant::now();
    assert_answers(&far).await;
    assert!(asked.elapsed() >= Duration::from_millis(100), "{:?}", asked.elapsed());
    link.cut();
    assert_ne!(commands(&far, PING).await, (200, "+PONG\r\n+OK\r\n".to_owned()));
    assert_answers(&near).await;
    link.heal();
    assert_answers(&far).await;
}

#[tokio::test]
async fn redis_says_no_in_each_of_its_ways() {
    let set = "SET place paris\r\nQUIT\r\n";
    let full = Redis::launch().memory("1").start().await;
    let replica = Redis::launch().replica().start().await;
    let guarded = Redis::launch().password("word").start().await;
    for (redis, word) in [(&full, "-OOM"), (&replica, "-READONLY"), (&guarded, "-NOAUTH")] {
        let balancer = balancer_at(redis.port()).await;
        let (status, body) = commands(&balancer, set).await;
        assert!(status == 200 && body.starts_with(word), "{word}: {status} {body}");
    }
    assert_eq!(guarded.command(&["PING"]).await, "PONG");
}

#[tokio::test]
async fn the_log_says_that_the_password_is_wrong() {
    let redis = Redis::launch().password("word").start().await;
    let provider = Provider::start().await;
    let settings = format!("redis_host: 127.0.0.1, redis_port: {}, redis_password: other", redis.port());
    let balancer = Launch::new(&config(&provider, &settings)).start().await;
    let said = eventually(async || balancer.log().contains("Redis is unavailable: ")).await;
    let log = balancer.log();
    assert!(said && log.contains("Redis is unavailable: WRONGPASS invalid username-password pair"), "{log}");
}

#[tokio::test]
async fn a_folder_too_deep_for_a_socket_is_told_so() {
    let dir = TempDir::new().unwrap();
    let deep = dir.path().join("d".repeat(100));
    fs::create_dir(&deep).unwrap();
    let provider = Provider::start().await;
    let refusal =
        Launch::new(&config(&provider, "redis_host: 127.0.0.1")).env("TMPDIR", &deep).refused().await;
    assert!(!refusal.status.success());
    assert!(refusal.output.contains("set TMPDIR to a shorter one"), "{}", refusal.output);
    let balancer = Launch::new(&config(&provider, "num_retries: 0")).env("TMPDIR", &deep).start().await;
    assert_serves(&balancer).await;
}
