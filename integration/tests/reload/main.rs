//! Another configuration while requests are served: it is live within two seconds, no client
//! notices, and nothing is forgotten.

mod refused;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use llm_balancer_integration::{Answer, Client, Launch, Provider, World, eventually, item, minute};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What is promised.
const LIVE: Duration = Duration::from_secs(2);

/// A group, `gpt`, of these deployments.
fn of(world: &World, names: &[&str], more: &str) -> String {
    let items: String = names.iter().map(|name| item("gpt", name, "")).collect();
    format!("model_list:\n{items}{more}").replace("PROVIDER", &world.provider.origin())
}

/// Until chats are served by this deployment.
async fn until_served_by(client: &Client, name: &str) -> Duration {
    let started = Instant::now();
    while client.chat("gpt").await.served_by() != name {
        assert!(started.elapsed() < Duration::from_secs(10), "{name} never serves");
        sleep(Duration::from_millis(20)).await;
    }
    started.elapsed()
}

#[tokio::test]
async fn a_changed_file_is_live_within_two_seconds_however_it_changed() {
    let world = World::group(&["paris"], "").await;
    assert_eq!(world.chat("gpt").await.served_by(), "paris");
    // Another file takes its place, as with editors, or it is written anew.
    let ways: [&dyn Fn(&str); 2] = [&|name| world.balancer.replace_file(&of(&world, &[name], "")), &|name| {
        fs::write(world.balancer.file(), of(&world, &[name], "")).unwrap()
    }];
    for change in ways {
        let mut taken = Vec::new();
        // A busy machine may have no time for one of them.
        for name in ["tokyo", "oslo", "lima"] {
            change(name);
            taken.push(until_served_by(&world, name).await);
        }
        assert!(taken.iter().min() < Some(&LIVE), "{taken:?}");
    }
    for _ in 0..20 {
        assert_eq!(world.newcomer().chat("gpt").await.served_by(), "lima", "the old one is over");
    }
    let said = "reloaded (configuration 7): 1 deployment added (lima); 1 deployment removed (oslo)";
    world.balancer.says(said).await;
}

#[tokio::test]
async fn links_that_are_turned_elsewhere_are_followed() {
    // As ConfigMaps are mounted.
    let provider = Provider::start().await;
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["paris", "tokyo"] {
        fs::create_dir(path(name)).unwrap();
        let text = format!("model_list:\n{}", item("gpt", name, "")).replace("PROVIDER", &provider.origin());
        fs::write(path(name).join("config.yaml"), text).unwrap();
    }
    symlink("paris", path("..data")).unwrap();
    symlink("..data/config.yaml", path("config.yaml")).unwrap();
    let balancer = Launch::of_file(path("config.yaml")).start().await;
    let client = Client::new(balancer.port);
    assert_eq!(client.chat("gpt").await.served_by(), "paris");
    symlink("tokyo", path("..next")).unwrap();
    fs::rename(path("..next"), path("..data")).unwrap();
    until_served_by(&client, "tokyo").await;
}

#[tokio::test]
async fn included_files_are_watched_too_and_so_are_new_ones() {
    let provider = Provider::start().await;
    let dir = TempDir::new().unwrap();
    let write = |file: &str, text: &str| {
        fs::write(dir.path().join(file), text.replace("PROVIDER", &provider.origin())).unwrap();
    };
    let models = |name: &str| format!("model_list:\n{}", item("gpt", name, ""));
    write("config.yaml", "include: [models.yaml]\n");
    write("models.yaml", &models("paris"));
    let balancer = Launch::of_file(dir.path().join("config.yaml")).start().await;
    let client = Client::new(balancer.port);
    assert_eq!(client.chat("gpt").await.served_by(), "paris");
    write("models.yaml", &models("tokyo"));
    until_served_by(&client, "tokyo").await;
    write("other.yaml", &models("oslo"));
    write("config.yaml", "include: [other.yaml]\n");
    until_served_by(&client, "oslo").await;
    write("other.yaml", &models("virginia"));
    until_served_by(&client, "virginia").await;
}

#[tokio::test]
async fn sighup_reads_the_file_at_once() {
    let world = World::group(&["paris"], "").await;
    world.balancer.signal(Signal::SIGHUP);
    world.balancer.says("the configuration is unchanged").await;
    world.balancer.replace_file(&of(&world, &["tokyo"], ""));
    world.balancer.signal(Signal::SIGHUP);
    until_served_by(&world, "tokyo").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_request_and_no_stream_notices() {
    let provider = Provider::start().await;
    for name in ["paris", "tokyo", "oslo"] {
        provider.always(name, Answer::ok().events(60).every(Duration::from_millis(100)));
    }
    provider.always("broken", Answer::status(500));
    let world = World::with_workers(
        2,
        &format!(
            "model_list:\n{}",
            item("gpt", "paris", "") + &item("slow", "paris", "").replace("id: paris", "id: s-paris")
        )
        .replace("PROVIDER", &provider.origin()),
    )
    .await;
    let streams: JoinSet<_> = (0..8)
        .map(|_| {
            let client = world.newcomer();
            async move {
                let mut events = client.stream_chat("slow").await;
                let text = events.rest().await;
                (events.broken, text.matches("from paris ").count())
            }
        })
        .collect();
    assert!(eventually(async || provider.count() == 8).await);
    provider.always("paris", Answer::ok());
    provider.always("tokyo", Answer::ok());
    provider.always("oslo", Answer::ok());
    let stop = Arc::new(AtomicBool::new(false));
    let clients: JoinSet<_> = (0..16)
        .map(|_| {
            let (client, stop) = (world.newcomer(), Arc::clone(&stop));
            async move {
                let mut replies = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    replies.push(client.chat("gpt").await);
                }
                replies
            }
        })
        .collect();
    // A deployment that always fails is among them, so that there are requests between two
    // attempts.
    let sets =
        [["tokyo", "broken"], ["oslo", "broken"], ["paris", "tokyo"], ["broken", "oslo"], ["paris", "oslo"]];
    let mut times = Vec::new();
    for (round, names) in sets.iter().enumerate() {
        sleep(Duration::from_millis(200)).await;
        let retries = 2 + round;
        let more = format!("router_settings: {{disable_cooldowns: true, num_retries: {retries}}}\n");
        let config = format!("model_list:\n{}{more}", names.map(|name| item("gpt", name, "")).concat());
        world.balancer.replace_file(&config.replace("PROVIDER", &provider.origin()));
        let taken = world.balancer.says(&format!("reloaded (configuration {})", round + 2)).await;
        times.push(taken);
    }
    times.sort_unstable();
    assert!(times[times.len() / 2] < LIVE, "{times:?}");
    sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let replies: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    let failed: Vec<_> = replies.iter().filter(|reply| reply.status != 200 || !reply.complete).collect();
    println!("{} requests, {} failed", replies.len(), failed.len());
    assert!(failed.is_empty(), "{} of {}, first {:?}", failed.len(), replies.len(), failed.first());
    assert!(replies.len() > 500, "{} requests are no load", replies.len());
    for stream in streams.join_all().await {
        assert_eq!(stream, (false, 60));
    }
    // Old ones go when nothing passes through them any more: after the ten seconds of an idle
    // connection.
    let mut listeners = 0;
    for _ in 0..300 {
        listeners = world.balancer.stats().await["listener_manager.total_listeners_active"];
        if listeners == 4 {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(listeners, 4, "the edge, the gauges, the status page and the newest");
}

#[tokio::test]
async fn limits_remember_and_a_changed_limit_counts_at_once() {
    let limited = |rpm: u64, more: &str| {
        format!("model_list:\n{}{more}", item("gpt", "paris", &format!(", rpm: {rpm}")))
    };
    let world = World::new(&limited(5, "")).await;
    minute::with_room_for(Duration::from_secs(10)).await;
    for _ in 0..3 {
        assert_eq!(world.chat("gpt").await.status, 200);
    }
    let replace =
        |config: String| world.balancer.replace_file(&config.replace("PROVIDER", &world.provider.origin()));
    replace(limited(5, "router_settings: {num_retries: 1}\n"));
    world.balancer.says("(configuration 2)").await;
    let served = async || {
        let mut served = 0;
        while world.chat("gpt").await.status == 200 {
            served += 1;
        }
        served
    };
    assert_eq!(served().await, 2, "three of five were served before");
    replace(limited(9, ""));
    world.balancer.says("(configuration 3): 1 deployment changed (paris); settings changed").await;
    assert_eq!(served().await, 4, "five of nine were served before");
    replace(limited(4, ""));
    world.balancer.says("(configuration 4)").await;
    assert_eq!(served().await, 0);
}

#[tokio::test]
async fn a_deployment_that_is_removed_finishes_what_it_has_begun() {
    let world = World::group(&["paris"], "").await;
    world.provider.always("paris", Answer::ok().after(Duration::from_secs(3)));
    let client = world.newcomer();
    let slow = tokio::spawn(async move { client.chat("gpt").await });
    sleep(Duration::from_millis(200)).await;
    world.balancer.replace_file(&of(&world, &["tokyo"], ""));
    world.balancer.says("1 deployment removed (paris)").await;
    assert_eq!(world.chat("gpt").await.served_by(), "tokyo");
    assert_eq!(slow.await.unwrap().served_by(), "paris");
    assert_eq!(world.provider.received_by("paris").len(), 1, "asked once");
}

#[tokio::test]
async fn a_request_between_two_attempts_stays_with_the_configuration_that_it_began_with() {
    let world = World::group(&["paris"], "num_retries: 1").await;
    world.provider.script("paris", [Answer::status(500).after(Duration::from_secs(2)), Answer::ok()]);
    let client = world.newcomer();
    let asked = tokio::spawn(async move { client.chat("gpt").await });
    sleep(Duration::from_millis(200)).await;
    world.balancer.replace_file(&of(&world, &["tokyo"], ""));
    world.balancer.says("1 deployment removed (paris)").await;
    assert_eq!(world.chat("gpt").await.served_by(), "tokyo");
    let reply = asked.await.unwrap();
    assert_eq!((reply.served_by().as_str(), reply.retries()), ("paris", 1));
}

#[tokio::test]
async fn a_deployment_that_moves_takes_its_name_along_and_leaves_its_key() {
    let (old, new) = (Provider::start().await, Provider::start().await);
    let at = |provider: &Provider, key: &str| {
        format!("model_list:\n{}", item("gpt", "paris", ""))
            .replace("PROVIDER", &provider.origin())
            .replace("sk-paris", key)
    };
    let balancer = Launch::new(&at(&old, "sk-old")).start().await;
    let client = Client::new(balancer.port);
    client.chat("gpt").await.served_by();
    balancer.replace_file(&at(&new, "sk-new"));
    balancer.says("1 deployment changed (paris)").await;
    client.chat("gpt").await.served_by();
    let keys = |provider: &Provider| -> Vec<_> {
        provider
            .received()
            .iter()
            .map(|request| request.header("authorization").unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!((keys(&old), keys(&new)), (vec!["Bearer sk-old".into()], vec!["Bearer sk-new".into()]));
}

#[tokio::test]
async fn another_variable_of_the_environment_is_read_and_one_that_was_never_set_needs_a_restart() {
    let provider = Provider::start().await;
    let with_key = |name: &str, key: &str| {
        format!("model_list:\n{}", item("gpt", name, ""))
            .replace("PROVIDER", &provider.origin())
            .replace(&format!("sk-{name}"), key)
    };
    let balancer = Launch::new(&with_key("paris", "sk-1"))
        .env("SECOND_KEY", "sk-2")
        .env("THIRD_KEY", "sk-3")
        .start()
        .await;
    let client = Client::new(balancer.port);
    for (name, variable, key) in [("tokyo", "SECOND_KEY", "sk-2"), ("oslo", "THIRD_KEY", "sk-3")] {
        balancer.replace_file(&with_key(name, &format!("os.environ/{variable}")));
        until_served_by(&client, name).await;
        let received = provider.received_by(name);
        assert_eq!(received[0].header("authorization"), Some(format!("Bearer {key}").as_str()));
    }
    balancer.replace_file(&with_key("virginia", "os.environ/FOURTH_KEY"));
    balancer.says("environment variable FOURTH_KEY is not set").await;
    balancer.says("restart to use new ones").await;
}

#[tokio::test]
async fn a_port_that_is_open_to_others_does_not_lose_its_key() {
    let guarded =
        |key: &str| format!("model_list:\n{}general_settings: {{{key}}}\n", item("gpt", "paris", ""));
    let world = World::new(&guarded("master_key: sk-1234")).await;
    let replace =
        |config: String| world.balancer.replace_file(&config.replace("PROVIDER", &world.provider.origin()));
    replace(guarded(""));
    world.balancer.says("no longer sets general_settings.master_key").await;
    assert_eq!(world.chat("gpt").await.status, 401);
    replace(guarded("master_key: sk-5678"));
    world.balancer.says("settings changed").await;
    assert_eq!(world.with_header("authorization", "Bearer sk-1234").chat("gpt").await.status, 401);
    assert_eq!(world.with_header("authorization", "Bearer sk-5678").chat("gpt").await.status, 200);
}
