//! A wall clock that is set, while requests wait.

use std::time::{Duration, Instant, SystemTime};

use httpdate::parse_http_date;
use llm_balancer_integration::{Answer, Clock, DONE, World, eventually, item};
use tokio::time::{sleep, timeout};

const HOUR: i64 = 3600;
/// Until the balancer has noticed the last chunk, which it does at its next tick.
const TICKS: Duration = Duration::from_millis(300);

/// One deployment with these litellm_params, behind a balancer by this clock.
async fn world(clock: &Clock, params: &str) -> World {
    let config = format!("model_list:\n{}", item("gpt", "paris", params));
    World::launched(&config, |launch| clock.of(launch)).await
}

async fn assert_set(world: &World, seconds: i64) {
    let date = world.get("/v1/models").await.header("date").and_then(|date| parse_http_date(date).ok());
    let unix =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let ahead = unix(date.expect("a date")) - unix(SystemTime::now());
    assert!((ahead - seconds).abs() < 60, "{ahead} s, not {seconds}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_waits_no_longer_though_the_clock_is_set_back() {
    let clock = Clock::new();
    let world = world(&clock, "").await;
    world.provider.script("paris", [Answer::status(429).retry_after("2")]);
    let started = Instant::now();
    let client = world.client.clone();
    let waiting = tokio::spawn(async move { client.chat("gpt").await });
    assert!(eventually(async || world.provider.calls().len() == 1).await, "the request arrives");
    clock.set(-HOUR);
    let reply = timeout(Duration::from_secs(20), waiting).await.expect("an answer in time").unwrap();
    assert_eq!((reply.served_by().as_str(), reply.retries()), ("paris", 1));
    assert!(started.elapsed() >= Duration::from_secs(2), "as long as the provider asks for");
    assert_set(&world, -HOUR).await;
    assert_eq!(world.chat("gpt").await.served_by(), "paris");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_though_the_clock_is_set_forward() {
    let clock = Clock::new();
    let world = world(&clock, ", stream_timeout: 20").await;
    world.provider.script("paris", [Answer::ok().events(4).every(Duration::from_secs(1))]);
    let mut events = world.stream_chat("gpt").await;
    events.next().await.expect("the first event");
    sleep(TICKS).await;
    clock.set(HOUR);
    let rest = events.rest().await;
    assert!(!events.broken && rest.ends_with(DONE), "{rest}");
    assert_set(&world, HOUR).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_stream_ends_in_time_though_the_clock_is_set_back() {
    let clock = Clock::new();
    let world = world(&clock, ", stream_timeout: 2").await;
    world.provider.script("paris", [Answer::ok().hang_after(2)]);
    let mut events = world.stream_chat("gpt").await;
    events.next().await.expect("the first event");
    sleep(TICKS).await;
    clock.set(-HOUR);
    timeout(Duration::from_secs(20), events.until_end()).await.expect("it ends");
    assert_set(&world, -HOUR).await;
}
