//! Instances that name the same Redis are one: one limit, one cooldown, one count of what is in
//! flight.

use std::fs;
use std::time::{Duration, Instant};

use llm_balancer_integration::certificates::Authority;
use llm_balancer_integration::fleet::{Timed, pair, percentile, served, served_each, silences};
use llm_balancer_integration::{Answer, Balancer, Client, Fleet, Redis, eventually, item, minute};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Longer than 600 requests take on a busy machine.
const RUN: Duration = Duration::from_secs(8);
const LIMIT: usize = 200;
/// Groups more than are needed, for a machine that now and then has no time for Redis.
const SPARE: usize = 8;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn config(items: &str, settings: &str) -> String {
    format!("model_list:\n{items}router_settings: {{redis_host: 127.0.0.1, redis_port: REDIS{settings}}}\n")
}

/// So many groups of this name and a number, and some to spare, each with 200 requests in a minute.
fn groups(name: &str, count: usize) -> (Vec<String>, String) {
    let names: Vec<String> = (0..count + SPARE).map(|n| format!("{name}{n}")).collect();
    let items = names.iter().map(|name| pair(name, ", rpm: 100")).collect();
    (names, items)
}

async fn fleet(instances: usize, workers: u8, redis: &Redis, items: &str) -> Fleet {
    Fleet::start(&config(items, ""), workers, &vec![redis.port(); instances]).await
}

/// Twice as long as a request waits for Redis. Where answers take longer, the instances did not
/// answer in time, and may give back later still.
const IN_TIME: Duration = Duration::from_millis(100);

/// Of the tests that run at the same time, one is served at a time, or none of them had time for
/// Redis.
static TURN: Mutex<()> = Mutex::const_new(());

/// Asserts so many times that a group of two hundred serves just these in a run, one group after
/// the other. A run in which the machine had no time for Redis was not free of faults: it must not
/// have served more, and is run again. So is one that was over before an instance had given back
/// what it did not use, and that is served a moment later.
async fn assert_exact(fleet: &Fleet, groups: &[String], run: impl AsyncFn(&str) -> Vec<Timed>) {
    let (mut good, needed) = (0, groups.len() - SPARE);
    fleet.acquaint().await;
    for group in groups {
        let _turn = TURN.lock().await;
        minute::with_room_for(RUN).await;
        let before = silences(fleet.instances.iter().map(Balancer::log));
        let answers = run(group).await;
        let (served, each) = (served(&answers), served_each(&answers));
        println!("{group}: {each:?}, p50 {:?}, p99 {:?}", percentile(&answers, 50), percentile(&answers, 99));
        let undisturbed = || silences(fleet.instances.iter().map(Balancer::log)) == before;
        good += usize::from(undisturbed() && served == LIMIT);
        if undisturbed() && served < LIMIT {
            let later = fleet.served_later(fleet.instances.len() - 1, LIMIT, group).await;
            let in_time = undisturbed() && percentile(&answers, 99) <= IN_TIME;
            assert!(served + later == LIMIT || !in_time, "{group}: {each:?}, and {later} later");
        }
        for name in ["paris", "virginia"] {
            let calls = fleet.provider.received_by(&format!("{group}-{name}")).len();
            assert!(calls <= 100, "{group}-{name} was called {calls} times");
        }
        if good == needed {
            return;
        }
    }
    panic!("the machine is too busy: {good} runs of {needed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_serve_the_limit_exactly_ten_times_of_ten() {
    let redis = Redis::start().await;
    let (names, items) = groups("g", 10);
    let fleet = fleet(2, 2, &redis, &items).await;
    assert_exact(&fleet, &names, async |group| fleet.crowd(&[0, 1], 60, 600, group).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_instances_may_serve_all_of_the_limit_or_take_it_over_from_the_other() {
    let redis = Redis::start().await;
    let ((all, all_items), (moved, moved_items)) = (groups("all", 3), groups("moved", 3));
    let fleet = fleet(2, 2, &redis, &(all_items + &moved_items)).await;
    assert_exact(&fleet, &all, async |group| fleet.crowd(&[1], 60, 600, group).await).await;
    let moves = async |group: &str| {
        let mut answers = fleet.crowd(&[0], 60, 120, group).await;
        answers.extend(fleet.crowd(&[1], 60, 480, group).await);
        answers
    };
    assert_exact(&fleet, &moved, moves).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_instances_serve_the_limit_exactly() {
    let redis = Redis::start().await;
    let (names, items) = groups("five", 5);
    let fleet = fleet(5, 1, &redis, &items).await;
    assert_exact(&fleet, &names, async |group| fleet.crowd(&[0, 1, 2, 3, 4], 60, 600, group).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_one_limit_as_far_as_they_are_known_before() {
    let redis = Redis::start().await;
    // As limits.rs has it: a request is taken for what it says and `max_tokens`, an answer for what
    // it says that it took.
    let items: String =
        (0..3).map(|n| item(&format!("t{n}"), &format!("t{n}-paris"), ", tpm: 3000")).collect();
    let fleet = fleet(2, 2, &redis, &items).await;
    fleet.acquaint().await;
    for n in 0..3 {
        let group = format!("t{n}");
        let _turn = TURN.lock().await;
        fleet.provider.always(&format!("{group}-paris"), Answer::ok().using(10, 20));
        minute::with_room_for(RUN).await;
        let mut crowd = JoinSet::new();
        for client in 0..20 {
            let client = Client::new(fleet.instances[client % 2].port);
            let group = group.clone();
            crowd.spawn(async move {
                let mut served = 0;
                for _ in 0..15 {
                    let reply = client.chat_with(&group, &json!({"max_tokens": 20})).await;
                    assert!([200, 429].contains(&reply.status), "{}", reply.text());
                    served += u64::from(reply.status == 200);
                }
                served
            });
        }
        let tokens: u64 = crowd.join_all().await.iter().sum::<u64>() * 30;
        println!("{group}: {tokens} tokens");
        // Twenty requests at once may each have taken ten more or fewer than was reserved for them.
        assert!((2700..=3300).contains(&tokens), "{group}: {tokens} tokens of 3000");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_cools_down_at_one_instance_does_so_at_all() {
    let redis = Redis::start().await;
    let items = item("gpt", "paris", ", weight: 1000000") + &item("gpt", "virginia", ", weight: 1");
    let config = config(&items, ", cooldown_time: 30, num_retries: 1");
    let fleet = Fleet::start(&config, 2, &[redis.port(); 3]).await;
    fleet.acquaint().await;
    fleet.provider.script("paris", [Answer::status(429).retry_after("30")]);
    assert_eq!(Client::new(fleet.instances[0].port).chat("gpt").await.served_by(), "virginia");
    let begun = Instant::now();
    for other in &fleet.instances[1..] {
        let knows =
            eventually(async || Client::new(other.port).chat("gpt").await.served_by() == "virginia").await;
        assert!(knows, "after {:?}", begun.elapsed());
    }
    println!("cooldown seen after {:?}", begun.elapsed());
    // And by every worker from now on.
    let answers = fleet.crowd(&[1, 2], 20, 40, "gpt").await;
    assert!(answers.iter().all(|answer| answer.reply.served_by() == "virginia"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn least_busy_knows_what_is_in_flight_elsewhere() {
    let redis = Redis::start().await;
    let items = item("gpt", "paris", "") + &item("gpt", "virginia", "") + &item("gpt", "lima", "");
    let fleet = Fleet::start(&config(&items, ", routing_strategy: least-busy"), 2, &[redis.port(); 2]).await;
    // Lets every worker have a request or two, and hear of the others.
    fleet.crowd(&[0, 1], 24, 48, "gpt").await;
    fleet.acquaint().await;
    // Long requests at the one, to two of the three.
    let mut long = JoinSet::new();
    for name in ["paris", "virginia"] {
        fleet.provider.always(name, Answer::ok().after(ms(12_000)));
        for _ in 0..4 {
            let client = Client::new(fleet.instances[0].port);
            long.spawn(async move { client.chat(name).await });
        }
    }
    assert!(eventually(async || fleet.provider.count() == 48 + 8).await);
    for name in ["paris", "virginia"] {
        fleet.provider.always(name, Answer::ok());
    }
    // The one publishes what it has within a second, and the other reads that within another.
    let mut to_the_idle = Vec::new();
    for _ in 0..4 {
        sleep(ms(1000)).await;
        let answers = fleet.crowd(&[1], 2, 30, "gpt").await;
        to_the_idle.push(answers.iter().filter(|answer| answer.reply.served_by() == "lima").count());
    }
    println!("least-busy: {to_the_idle:?} of 30 went to the idle one");
    // Each worker looks again at a deployment that it has picked, and thus may be mistaken once
    // about each.
    assert!(to_the_idle.iter().any(|idle| *idle >= 26), "{to_the_idle:?} of 30 each");
    assert!(long.join_all().await.iter().all(|reply| reply.status == 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_fast_at_one_instance_is_fast_at_the_other() {
    let redis = Redis::start().await;
    let items = item("gpt", "paris", "") + &item("gpt", "virginia", "");
    let fleet =
        Fleet::start(&config(&items, ", routing_strategy: latency-based-routing"), 1, &[redis.port(); 2])
            .await;
    fleet.acquaint().await;
    fleet.provider.always("paris", Answer::ok().after(ms(300)));
    for _ in 0..12 {
        assert_eq!(Client::new(fleet.instances[0].port).chat("gpt").await.status, 200);
    }
    sleep(ms(3000)).await;
    let answers = fleet.crowd(&[1], 1, 30, "gpt").await;
    let slow = answers.iter().filter(|answer| answer.reply.served_by() == "paris").count();
    println!("latency-based: {slow} of 30 went to the slow one");
    assert!(slow <= 3, "{slow} of 30 went to whom the other instance knows to be slow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_in_redis_has_a_name_an_end_and_a_bound() {
    let redis = Redis::start().await;
    let names = ["paris", "virginia", "lima", "oslo", "quito"];
    let items: String = names.iter().map(|name| item("gpt", name, ", rpm: 100, tpm: 100000")).collect();
    let config = config(&items, "") + "llm_balancer: {redis_namespace: acme}\n";
    let fleet = Fleet::start(&config, 2, &[redis.port(); 2]).await;
    for round in 0..2 {
        minute::with_room_for(RUN).await;
        fleet.crowd(&[0, 1], 20, 300, "gpt").await;
        sleep(ms(1500)).await;
        if round == 0 {
            minute::turn().await;
        }
    }
    let keys = redis.command(&["KEYS", "*"]).await;
    let keys: Vec<&str> = keys.lines().collect();
    println!("{keys:?}, {} bytes", redis.info("used_memory_dataset").await);
    for key in &keys {
        let ttl: i64 = redis.command(&["PTTL", key]).await.parse().unwrap();
        let most = match key.strip_prefix("acme:") {
            Some("shares" | "epoch" | "run") => 86_400_000,
            Some(wake) if wake.starts_with("wake:") => 120_000,
            Some(rest) => {
                let (id, kind) = rest.strip_prefix('{').unwrap().split_once("}:").unwrap();
                assert!(names.contains(&id), "{key}");
                match kind {
                    "fleet" => 3_600_000,
                    minute => {
                        assert!(minute.parse::<u32>().is_ok(), "{key}");
                        120_000
                    }
                }
            }
            None => panic!("{key} is outside of the namespace"),
        };
        assert!((1..=most).contains(&ttl), "{key} lives for {ttl} ms");
        let memory: u64 = redis.command(&["MEMORY", "USAGE", key]).await.parse().unwrap();
        assert!(memory < 1024, "{key} takes {memory} bytes");
    }
    // Of each deployment two minutes and its state; the shares, the epoch, the run; a list of each
    // instance.
    assert!(keys.len() <= names.len() * 3 + 3 + 2, "{keys:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_limit_is_shared_through_tls_by_a_user_whose_password_stands_nowhere() {
    const WORD: &str = "s3cret-word-of-ada";
    let authority = Authority::new();
    let redis = Redis::launch().user("ada", WORD).tls(&authority, &["localhost"]).start().await;
    let dir = TempDir::new().unwrap();
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let (names, items) = groups("g", 2);
    let settings = format!(
        ", redis_username: ada, redis_password: os.environ/WORD, redis_ssl: true, redis_ssl_ca_certs: {}",
        ca.display()
    );
    let config = config(&items, &settings).replace("redis_host: 127.0.0.1", "redis_host: localhost");
    let fleet =
        Fleet::launched(&config, &[redis.port(); 2], |launch| launch.concurrency(2).env("WORD", WORD)).await;
    assert_exact(&fleet, &names, async |group| fleet.crowd(&[0, 1], 40, 600, group).await).await;
    assert_ne!(redis.command(&["DBSIZE"]).await, "0");
    for instance in &fleet.instances {
        assert!(!instance.log().contains(WORD), "in the log");
        for file in fs::read_dir(instance.runtime_folder()).unwrap().flatten() {
            let bytes = fs::read(file.path()).unwrap_or_default();
            assert!(!bytes.windows(WORD.len()).any(|bytes| bytes == WORD.as_bytes()), "in {:?}", file.path());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_the_fleet_has_used_up_sends_clients_away_until_the_minute_turns() {
    let redis = Redis::start().await;
    let items = item("gpt", "paris", ", rpm: 60") + &item("gpt", "virginia", ", rpm: 60");
    let fleet = fleet(2, 2, &redis, &items).await;
    fleet.acquaint().await;
    let _turn = TURN.lock().await;
    minute::with_room_for(Duration::from_secs(20)).await;
    // Both take part, and the one falls silent before the limit is used up.
    fleet.crowd(&[0, 1], 8, 80, "gpt").await;
    fleet.crowd(&[1], 8, 60, "gpt").await;
    // Leases taken without an answer may be returned for half a second.
    sleep(ms(700)).await;
    let left = minute::left();
    let answers = fleet.crowd(&[1], 4, 60, "gpt").await;
    let waits: Vec<u64> = answers
        .iter()
        .filter(|answer| answer.reply.status == 429)
        .map(|answer| answer.reply.header("retry-after").unwrap().parse().unwrap())
        .collect();
    println!("{} s are left, {waits:?}", left.as_secs());
    assert!(waits.len() >= 50, "{} are refused", waits.len());
    let too_soon = waits.iter().filter(|wait| **wait + 4 < left.as_secs()).count();
    assert!(
        too_soon <= 3,
        "{too_soon} of {} are to come back before {} s: {waits:?}",
        waits.len(),
        left.as_secs()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steady_traffic_makes_few_calls_to_redis() {
    let redis = Redis::start().await;
    let fleet = fleet(2, 2, &redis, &pair("gpt", ", rpm: 6000")).await;
    fleet.acquaint().await;
    minute::with_room_for(Duration::from_secs(25)).await;
    // Each call is a connection.
    let before = redis.info("total_connections_received").await;
    let answers = fleet.steady(&[0, 1], 8, Duration::from_secs(20), ms(95), "gpt").await;
    let calls = redis.info("total_connections_received").await - before;
    let per_request = calls as f64 / served(&answers) as f64;
    println!("{calls} calls for {} requests in 20 s: {per_request:.3}", answers.len());
    assert_eq!(served(&answers), answers.len(), "far below its limit");
    // On a busy machine there may be fewer requests: then the calls of a second count.
    assert!(per_request <= 0.05 || calls <= 3 * 20, "{calls} calls for {} requests", answers.len());
}
