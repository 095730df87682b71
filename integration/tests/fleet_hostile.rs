//! Hostile answers in place of Redis: the balancer continues within its limits, and nothing
//! breaks or piles up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use llm_balancer_integration::fleet::{pair, percentile, served};
use llm_balancer_integration::{Balancer, Client, Fleet, Launch, Provider, eventually, item, memory, minute};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Of the limit of a group.
const QUARTER: usize = 50;

/// Answers to a pipeline with so many scripts in it.
type Reply = fn(usize) -> Vec<u8>;

/// In the order in which they are sent.
const REPLIES: &[(&str, Reply)] = &[
    ("nothing", |_| Vec::new()),
    ("cut off", |_| b"*6\r\n:10\r\n:".to_vec()),
    ("garbage", |_| (0..=255).cycle().take(5_000).collect()),
    ("text", |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
    ("nested", |_| b"*1\r\n".repeat(10_000)),
    ("long lists", |scripts| b"*9223372036854775807\r\n:1\r\n".repeat(scripts)),
    ("long texts", |_| b"$9223372036854775807\r\nx".to_vec()),
    ("lengths below zero", |scripts| [b"*-7\r\n$-9\r\n".repeat(scripts), b"+OK\r\n".to_vec()].concat()),
    ("other types", |scripts| {
        [b"*6\r\n+a\r\n$1\r\nb\r\n*0\r\n$-1\r\n-c\r\n:1\r\n".repeat(scripts), b"+OK\r\n".to_vec()].concat()
    }),
    ("all is granted", |scripts| {
        let lists = "*6\r\n:9223372036854775807\r\n:9223372036854775807\r\n:9223372036854775807\r\n:9223372036854775807\r\n:0\r\n:1\r\n";
        [lists.repeat(scripts).into_bytes(), b"+OK\r\n".to_vec()].concat()
    }),
    ("numbers that are too large", |scripts| {
        [b"*3\r\n:99999999999999999999\r\n:-1\r\n:1\r\n".repeat(scripts), b"+OK\r\n".to_vec()].concat()
    }),
    ("too many", |_| b"+OK\r\n".repeat(200_000)),
    ("errors", |scripts| [b"-ERR no\r\n".repeat(scripts), b"+OK\r\n".to_vec()].concat()),
];

/// Something that is not Redis; how many connections it has open.
async fn impostor(turn: Arc<AtomicUsize>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let open = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reply, count) = (REPLIES[turn.load(Ordering::Relaxed)].1, Arc::clone(&count));
            tokio::spawn(async move {
                count.fetch_add(1, Ordering::Relaxed);
                deceive(stream, reply).await;
                count.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    (port, open)
}

async fn deceive(mut stream: TcpStream, reply: Reply) {
    let mut asked = Vec::new();
    let mut buffer = [0; 4096];
    while !asked.ends_with(b"QUIT\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => asked.extend_from_slice(&buffer[..length]),
        }
    }
    let scripts = asked.windows(5).filter(|bytes| bytes == b"\nEVAL").count();
    let _ = stream.write_all(&reply(scripts)).await;
    // Open until the other side has had enough.
    while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}

/// Of the balancer and its Envoy, in MB.
fn megabytes(balancer: &Balancer) -> u64 {
    memory::resident_of_all(balancer) / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_answered_in_the_place_of_redis_does_harm() {
    let turn = Arc::<AtomicUsize>::default();
    let (port, open) = impostor(Arc::clone(&turn)).await;
    let groups: String = (0..REPLIES.len()).map(|n| pair(&format!("g{n}"), ", rpm: 100")).collect();
    let config =
        format!("model_list:\n{groups}router_settings: {{redis_host: 127.0.0.1, redis_port: REDIS}}\n");
    let mut fleet = Fleet::start(&config, 2, &[port]).await;
    let vms = |stats: &std::collections::BTreeMap<String, u64>| {
        let of_vms = |name: &str| name.starts_with("wasm.");
        stats.iter().filter(|(name, _)| of_vms(name)).map(|(name, n)| (name.clone(), *n)).collect::<Vec<_>>()
    };
    let before = vms(&fleet.instances[0].stats().await);
    assert_eq!(before.is_empty(), !fleet.instances[0].runs_wasm(), "Envoy counts its VMs");
    let at_first = megabytes(&fleet.instances[0]);
    for (n, (name, _)) in REPLIES.iter().enumerate() {
        turn.store(n, Ordering::Relaxed);
        minute::with_room_for(Duration::from_secs(8)).await;
        // Long enough for an exchange, and for a silence to be believed.
        tokio::time::sleep(Duration::from_millis(2300)).await;
        let few = fleet.crowd(&[0], 4, QUARTER, &format!("g{n}")).await;
        assert_eq!(served(&few), QUARTER, "{name}: a quarter of the limit");
        let answers = fleet.crowd(&[0], 8, 400, &format!("g{n}")).await;
        println!(
            "{name}: {} served, most {:?}, {} MB",
            served(&answers),
            percentile(&answers, 100),
            megabytes(&fleet.instances[0])
        );
        assert!(QUARTER + served(&answers) <= 200, "{name}: {}", served(&answers));
        assert!(
            percentile(&answers, 50) < Duration::from_millis(150),
            "{name}: {:?}",
            percentile(&answers, 50)
        );
        assert!(
            percentile(&answers, 100) < Duration::from_millis(1500),
            "{name}: {:?}",
            percentile(&answers, 100)
        );
    }
    assert_eq!(vms(&fleet.instances[0].stats().await), before, "a VM has been replaced");
    assert!(fleet.instances[0].alive());
    assert!(!fleet.instances[0].log().contains("panicked"), "{}", fleet.instances[0].log());
    let now = megabytes(&fleet.instances[0]);
    assert!(now < at_first + 60, "{at_first} MB have become {now} MB");
    turn.store(0, Ordering::Relaxed);
    let few = eventually(async || open.load(Ordering::Relaxed) <= 8).await;
    assert!(few, "{} connections are open", open.load(Ordering::Relaxed));
}

/// Something that is not Redis either: it never stops replying.
async fn endless(block: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let block = block.repeat(16 * 1024);
                while stream.write_all(&block).await.is_ok() {}
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_of_redis_without_end_costs_no_memory() {
    let provider = Provider::start().await;
    for block in [&b"+OK\r\n"[..], b"*1\r\n", b"$99\r\n"] {
        let item = item("gpt", "paris", ", rpm: 1000").replace("PROVIDER", &provider.origin());
        let settings = format!("redis_host: 127.0.0.1, redis_port: {}", endless(block).await);
        let config = format!("model_list:\n{item}router_settings: {{{settings}}}\n");
        let balancer = Launch::new(&config).start().await;
        let client = Client::new(balancer.port);
        let chats = async || {
            for _ in 0..30 {
                assert_eq!(client.chat("gpt").await.served_by(), "paris");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            megabytes(&balancer)
        };
        // The first replies fill Envoy's buffers.
        let (before, after) = (chats().await, chats().await);
        assert!(after <= before + 24, "{before} MB have become {after} MB");
    }
}
