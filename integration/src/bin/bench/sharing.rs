//! What it costs to share limits through Redis: how often it is asked, and what a request waits for
//! it.

use std::time::{Duration, Instant};

use llm_balancer_integration::{Balancer, Launch, Redis};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::interval;

use crate::configuration::settings;
use crate::load::{self, Load};

/// Callouts per admitted request.
const MOST_CALLOUTS: f64 = 0.05;
/// What waiting for a lease adds to the 99th percentile.
const MOST_WAIT: Duration = Duration::from_millis(3);
/// Of the steady load: what has been seen before it does not count.
const WARM: usize = 300;
const STEADY: usize = 4_000;
const RATE: u32 = 100;
/// Groups that ask for a lease in turn, and as many that need none.
const GROUPS: usize = 10;
/// Between two requests, so that 300 ms go by until a group's turn comes again: a lease is given
/// back after 100 ms at most.
const PAUSE: Duration = Duration::from_millis(15);
/// Requests to each kind of group.
const SAMPLES: usize = 1_000;

fn item(model: &str, upstream: u16, limit: &str) -> String {
    format!(
        "- {{model_name: {model}, litellm_params: {{model: openai/m, api_base: 'http://127.0.0.1:{upstream}/v1', api_key: k{limit}}}}}\n"
    )
}

async fn balancer(items: &str, redis: &Redis) -> Balancer {
    let settings = settings(redis.port());
    Launch::new(&format!("model_list:\n{items}router_settings: {{num_retries: 0{settings}}}\n")).start().await
}

/// Calls to Redis so far.
async fn callouts(balancer: &Balancer) -> u64 {
    let stats = balancer.stats().await;
    *stats.get("http.redis-hop.downstream_rq_total").expect("the hop counts its requests")
}

/// At a steady 100 requests per second, half of what two deployments may: everything that goes to
/// Redis counts.
pub async fn callouts_of_steady_load(name: &str, upstream: u16) {
    let redis = Redis::start().await;
    let items: String = (0..2)
        .map(|n| item("gpt-3.5-turbo", upstream, ", rpm: 6000").replace("/v1'", &format!("/d{n}/v1'")))
        .collect();
    let balancer = balancer(&items, &redis).await;
    // One connection, as several would send in bursts.
    let load =
        |requests| Load { port: balancer.port, body: 1024, connections: 1, requests, rate: Some(RATE) };
    load(WARM).run().await;
    let before = callouts(&balancer).await;
    load(STEADY).run().await;
    let share = (callouts(&balancer).await - before) as f64 / STEADY as f64;
    let missed = if share > MOST_CALLOUTS { " MISSED" } else { "" };
    println!("{name}: {share:.3} (at most {MOST_CALLOUTS}){missed}");
}

/// Requests that come so seldom that each needs a lease, beside others as seldom that need none.
pub async fn wait_for_a_lease(name: &str, upstream: u16) {
    let redis = Redis::start().await;
    let group = |n: usize| {
        let limited = item(&format!("limited-{n}"), upstream, ", rpm: 60000");
        let free = item(&format!("free-{n}"), upstream, "");
        (limited + &free).replace("/v1'", &format!("/g{n}/v1'"))
    };
    let items: String = (0..GROUPS).map(group).collect();
    let balancer = balancer(&items, &redis).await;
    let mut stream = TcpStream::connect(("127.0.0.1", balancer.port)).await.expect("the balancer listens");
    stream.set_nodelay(true).expect("a TCP stream");
    let mut pace = interval(PAUSE);
    let mut times = [Vec::new(), Vec::new()];
    let mut before = 0;
    for round in 0..=SAMPLES / GROUPS {
        if round == 1 {
            before = callouts(&balancer).await;
        }
        for n in 0..GROUPS {
            for (kind, times) in ["limited", "free"].into_iter().zip(&mut times) {
                pace.tick().await;
                let time = time(&mut stream, &load::chat(balancer.port, &format!("{kind}-{n}"), 1024)).await;
                // The first round warms up.
                if round > 0 {
                    times.push(time);
                }
            }
        }
    }
    let asked = usize::try_from(callouts(&balancer).await - before).unwrap_or_default();
    assert!(asked >= SAMPLES, "{asked} calls for {SAMPLES} requests: some did not wait");
    let [waiting, free] = times.map(high);
    let more = waiting.saturating_sub(free);
    let missed = if more > MOST_WAIT { " MISSED" } else { "" };
    println!(
        "{name}: {:.1} ms above {:.1} ms (at most {}){missed}",
        more.as_secs_f64() * 1e3,
        free.as_secs_f64() * 1e3,
        MOST_WAIT.as_millis()
    );
}

/// How long a request takes.
async fn time(stream: &mut TcpStream, request: &[u8]) -> Duration {
    let started = Instant::now();
    stream.write_all(request).await.expect("the connection is kept alive");
    let mut buffer = Vec::with_capacity(4096);
    load::message(&mut buffer, stream).await.expect("an answer");
    assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer));
    started.elapsed()
}

/// The 99th percentile.
fn high(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() * 99 / 100]
}
