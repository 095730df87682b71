//! The end of a balancer: requests in flight are served to the last byte, new ones are refused, and
//! the wait has a limit.

use std::time::{Duration, Instant};

use llm_balancer_integration::{Answer, Balancer, Client, Fleet, Launch, Provider, Redis, eventually, item};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

async fn balancer(provider: &Provider, args: &[&str]) -> Balancer {
    let config = format!("model_list:\n{}", item("gpt", "paris", "")).replace("PROVIDER", &provider.origin());
    let launch = Launch::new(&config).concurrency(2);
    args.iter().fold(launch, |launch, arg| launch.arg(*arg)).start().await
}

/// A request that takes this long, and is under way; its status, and whether it came whole.
async fn under_way(balancer: &Balancer, provider: &Provider, takes: Duration) -> JoinHandle<(u16, bool)> {
    provider.always("paris", Answer::ok().after(takes));
    let client = Client::new(balancer.port);
    let before = provider.count();
    let asked = tokio::spawn(async move {
        let reply = client.chat("gpt").await;
        (reply.status, reply.complete)
    });
    assert!(eventually(async || provider.count() > before).await);
    asked
}

fn signal_to(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

async fn is_refused(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).await.is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_streams_in_flight_end_and_new_connections_are_refused() {
    let provider = Provider::start().await;
    let mut balancer = balancer(&provider, &[]).await;
    provider.always("paris", Answer::ok().events(20).every(Duration::from_millis(100)));
    let client = Client::new(balancer.port);
    let mut stream = client.stream_chat("gpt").await;
    let slow = under_way(&balancer, &provider, Duration::from_secs(4)).await;
    balancer.signal(Signal::SIGTERM);
    let port = balancer.port;
    assert!(eventually(async || is_refused(port).await).await, "it still lets clients in");
    assert!(balancer.alive());
    assert_eq!(slow.await.unwrap(), (200, true));
    let text = stream.rest().await;
    assert!(!stream.broken);
    assert_eq!(text.matches("from paris ").count(), 20, "{text}");
    let status = balancer.ended(Duration::from_secs(10)).await.expect("it ends with its last answer");
    assert_eq!(status.code(), Some(0));
    balancer.says("draining 2 requests (up to 25 s)").await;
}

#[tokio::test]
async fn with_nothing_in_flight_it_ends_at_once_though_clients_keep_connections() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let provider = Provider::start().await;
        let mut balancer = balancer(&provider, &[]).await;
        let client = Client::new(balancer.port);
        assert_eq!(client.chat("gpt").await.status, 200);
        balancer.signal(signal);
        let asked = Instant::now();
        let status = balancer.ended(Duration::from_secs(5)).await.expect("it ends");
        assert_eq!(status.code(), Some(0), "{signal}");
        // Generous: it might wait for 25 s.
        assert!(asked.elapsed() < Duration::from_secs(4), "{signal}: {:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn the_timeout_ends_it_whatever_is_in_flight() {
    let provider = Provider::start().await;
    let mut balancer = balancer(&provider, &["--drain-timeout", "1"]).await;
    let _slow = under_way(&balancer, &provider, Duration::from_secs(20)).await;
    balancer.signal(Signal::SIGTERM);
    let asked = Instant::now();
    let status = balancer.ended(Duration::from_secs(12)).await.expect("it ends");
    let taken = asked.elapsed();
    assert_eq!(status.code(), Some(0));
    assert!((900..10_000).contains(&taken.as_millis()), "{taken:?}");
    assert!(balancer.log().contains("closing 1 request after a drain of 1 s"), "{}", balancer.log());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let provider = Provider::start().await;
    let mut balancer = balancer(&provider, &[]).await;
    let _slow = under_way(&balancer, &provider, Duration::from_secs(20)).await;
    balancer.signal(Signal::SIGTERM);
    assert!(balancer.ended(Duration::from_millis(500)).await.is_none(), "it waits for the request");
    balancer.signal(Signal::SIGINT);
    let status = balancer.ended(Duration::from_secs(10)).await.expect("it ends");
    assert_eq!(status.code(), Some(0));
}

/// systemd sends SIGTERM to all processes of a service: KillMode=control-group, its default.
#[tokio::test]
async fn a_signal_that_envoy_gets_too_interrupts_no_request() {
    let provider = Provider::start().await;
    let mut balancer = balancer(&provider, &[]).await;
    let slow = under_way(&balancer, &provider, Duration::from_secs(2)).await;
    let processes = balancer.processes();
    assert!(processes.len() > 1, "Envoy is one of them");
    processes.into_iter().for_each(|pid| signal_to(pid, Signal::SIGTERM));
    assert_eq!(slow.await.unwrap(), (200, true));
    let status = balancer.ended(Duration::from_secs(10)).await.expect("it ends with its last answer");
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn an_envoy_that_is_killed_while_it_drains_is_reported() {
    let provider = Provider::start().await;
    let mut balancer = balancer(&provider, &[]).await;
    let _slow = under_way(&balancer, &provider, Duration::from_secs(20)).await;
    balancer.signal(Signal::SIGTERM);
    balancer.says("draining 1 request").await;
    let own = balancer.pid();
    let envoy = balancer.processes().into_iter().filter(|pid| *pid != own);
    envoy.for_each(|pid| signal_to(pid, Signal::SIGKILL));
    let status = balancer.ended(Duration::from_secs(10)).await.expect("it ends with its Envoy");
    assert_eq!(status.code(), Some(137));
    balancer.says("Envoy exited unexpectedly").await;
}

#[tokio::test]
async fn load_balancers_are_told_before_the_door_closes() {
    let provider = Provider::start().await;
    let mut balancer = balancer(&provider, &["--drain-delay", "2"]).await;
    let client = Client::new(balancer.port);
    assert_eq!(client.get("/health/readiness").await.status, 200);
    balancer.signal(Signal::SIGTERM);
    assert!(eventually(async || client.get("/health/readiness").await.status == 503).await);
    let refused = client.get("/health/readiness").await;
    assert!(refused.text().contains("is draining"), "{}", refused.text());
    // A client that does not know yet is served, on a connection that ends with the answer.
    let reply = Client::new(balancer.port).chat("gpt").await;
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert_eq!(client.get("/health/liveliness").await.status, 200);
    let port = balancer.port;
    let status = balancer.ended(Duration::from_secs(5)).await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert!(is_refused(port).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_ends_leaves_its_share_to_the_others() {
    let redis = Redis::start().await;
    let config = format!(
        "model_list:\n{}router_settings: {{redis_host: 127.0.0.1, redis_port: REDIS}}\n",
        item("gpt", "paris", ", rpm: 100")
    );
    let mut fleet = Fleet::start(&config, 2, &[redis.port(), redis.port()]).await;
    fleet.acquaint().await;
    // The fourth word of a share is the time of its instance, 0 for one that has ended.
    let alive = async || {
        let shares = redis.command(&["HVALS", "llm-balancer:shares"]).await;
        let words = shares.lines().map(|share| share.split(' ').collect::<Vec<_>>());
        words.filter(|words| words.len() == 6 && words[3] != "0").count()
    };
    assert_eq!(alive().await, 2);
    fleet.instances[1].signal(Signal::SIGTERM);
    let status = fleet.instances[1].ended(Duration::from_secs(5)).await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert!(eventually(async || alive().await == 1).await, "it is still counted");
    // And it stays so: nothing that was on its way made it known again.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(alive().await, 1);
}
