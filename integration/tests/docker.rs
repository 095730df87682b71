//! The product as containers, on networks that can be cut: `make test-docker` runs this with the
//! image as it is shipped.

use std::collections::BTreeSet;
use std::iter::repeat_n;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use llm_balancer_integration::fleet::{
    ACQUAINTED, REDIS_DOWN, REDIS_UP, Timed, served, served_each, silences,
};
use llm_balancer_integration::{Client, Containers, Front, INSTANCES, eventually, minute, times};
use tokio::time::sleep;

/// Of each group with a limit, over both of its deployments.
const LIMIT: usize = 40;
/// At once.
const CLIENTS: usize = 20;
/// As many as are asked for to use a limit up: what one instance does not use comes to the other as
/// long as requests arrive.
const CROWD: usize = 10 * LIMIT;
/// Time before a refused client retries.
const PAUSE: Duration = Duration::from_millis(25);
/// Longer than a crowd takes on a busy machine.
const RUN: Duration = Duration::from_secs(8);
/// After this, an instance that was silent is known to be missing, and goes on with its share.
const MISSED: Duration = Duration::from_secs(6);
/// After this, the others have the share of an instance that was killed.
const FREED: Duration = Duration::from_secs(32);
/// Groups that are alike: a run in which the machine had no time for Redis is repeated with the
/// next.
const TRIES: usize = 5;

/// A group whose deployments are in Paris and Virginia, each with these further parameters.
fn pair(group: &str, params: &str) -> String {
    let item = |city| {
        format!(
            "- {{model_name: {group}, litellm_params: {{model: openai/m, api_base: 'http://{city}:8100/{city}/v1', api_key: k{params}}}, model_info: {{id: {group}-{city}}}}}\n"
        )
    };
    format!("{}{}", item("paris"), item("virginia"))
}

/// `gpt` without limits, and as many groups of each of these names as there are tries.
fn model_list(limited: &[&str]) -> String {
    let names = limited.iter().flat_map(|name| (0..TRIES).map(move |n| format!("{name}{n}")));
    let limited: String = names.map(|name| pair(&name, ", rpm: 20")).collect();
    format!("model_list:\n{}{limited}", pair("gpt", ""))
}

fn front(containers: &Containers) -> Arc<Front> {
    Arc::new(Front::new(INSTANCES.map(|instance| containers.client(instance)).into()))
}

/// So many chats from all clients at once: the answers, and what clients saw in place of one.
async fn crowd(front: &Arc<Front>, count: usize, model: &str) -> (Vec<Timed>, Vec<String>) {
    clients(front, model, times(count)).await
}

async fn clients(
    front: &Arc<Front>,
    model: &str,
    goes_on: impl Fn() -> bool + Clone + Send + 'static,
) -> (Vec<Timed>, Vec<String>) {
    let model = model.to_owned();
    let results =
        llm_balancer_integration::crowd(repeat_n(Arc::clone(front), CLIENTS), goes_on, move |front| {
            let model = model.clone();
            async move {
                let result = front.chat(&model).await;
                if result.as_ref().is_ok_and(|answer| answer.reply.status != 200) {
                    sleep(PAUSE).await;
                }
                result
            }
        });
    let (answers, failures): (Vec<_>, Vec<_>) = results.await.into_iter().partition(Result::is_ok);
    (answers.into_iter().flatten().collect(), failures.into_iter().filter_map(Result::err).collect())
}

/// Asserts that both instances together serve the limit, and not one request more or less.
async fn assert_one_limit(containers: &Containers, front: &Arc<Front>, name: &str) {
    for n in 0..TRIES {
        minute::with_room_for(RUN).await;
        let before = silences(INSTANCES.map(|instance| containers.log(instance)));
        let (answers, failures) = crowd(front, CROWD, &format!("{name}{n}")).await;
        assert!(failures.is_empty(), "{failures:?}");
        let (served, each) = (served(&answers), served_each(&answers));
        println!("{name}{n}: {served} of {LIMIT} served, {each:?}");
        assert!(served <= LIMIT, "{served} of {LIMIT}: {each:?}");
        assert_eq!(each.len(), 2, "{each:?}");
        if served == LIMIT {
            return;
        }
        assert!(
            silences(INSTANCES.map(|instance| containers.log(instance))) > before,
            "{served} of {LIMIT} though Redis was there: {each:?}"
        );
    }
    panic!("the machine is too busy");
}

/// Asserts that every request succeeded.
#[track_caller]
fn assert_unharmed(answers: &[Timed], failures: &[String]) {
    assert!(failures.is_empty(), "{} failed, first {:?}", failures.len(), failures.first());
    assert_eq!(served(answers), answers.len(), "some were refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_without_rights_serve_from_a_file_system_that_they_cannot_write_to() {
    let containers = Containers::start(&model_list(&[])).await;
    for instance in INSTANCES {
        let client = containers.client(instance);
        let mut cities = BTreeSet::new();
        for _ in 0..20 {
            cities.insert(client.chat("gpt").await.served_by());
        }
        assert_eq!(cities.len(), 2, "{cities:?}");
        let events = client.stream_chat("gpt").await.rest().await;
        assert!(events.ends_with("data: [DONE]\n\n"), "{events}");
        Client::at(containers.address(instance, 4000)).chat("gpt").await.error(401);

        let watcher = Client::at(containers.address(instance, 9902));
        let metrics = watcher.get("/metrics").await.text();
        assert!(metrics.contains("envoy_server_live{} 1"), "{metrics}");
        assert!(watcher.get("/").await.text().contains("<h1>llm-balancer</h1>"));
        assert!(containers.run_in(instance, &["llm-balancer", "status"]), "status has no answer");
        assert!(containers.log(instance).contains(" listens on http://"), "{}", containers.log(instance));
        assert_eq!(
            containers.inspect(instance, "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}}"),
            "65532:65532 true"
        );
    }
    let instance = INSTANCES[0];
    assert!(containers.run_in(instance, &["llm-balancer", "health"]), "it says that it is not well");
    assert!(
        !containers.run_in(instance, &["llm-balancer", "health", "--port", "1"]),
        "a port without a server is healthy"
    );
    assert!(!containers.run_in(instance, &["sh", "-c", "true"]), "it has a shell");
    let took = containers.stop(instance).await;
    println!("stopped after {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(containers.inspect(instance, "{{.State.ExitCode}}"), "0");

    // What the container may use counts, not what the machine has.
    containers.allow(instance, "1");
    containers.restart(instance);
    containers.answers(instance).await;
    let metrics = Client::at(containers.address(instance, 9902)).get("/metrics").await.text();
    assert!(metrics.contains("envoy_server_concurrency{} 1\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_provider_is_killed_the_other_one_takes_over_and_nobody_asks_it_any_more() {
    let containers = Containers::start(&model_list(&[])).await;
    let front = front(&containers);
    let (answers, failures) = crowd(&front, 60, "gpt").await;
    assert_unharmed(&answers, &failures);
    containers.kill("paris");
    let (answers, failures) = crowd(&front, 200, "gpt").await;
    assert_unharmed(&answers, &failures);
    assert!(answers.iter().all(|answer| answer.reply.served_by() == "virginia"));
    println!("the slowest took {:?}", answers.iter().map(|answer| answer.took).max());
    // It cools down at both by now.
    let (answers, failures) = crowd(&front, 60, "gpt").await;
    assert_unharmed(&answers, &failures);
    let retried = answers.iter().filter(|answer| answer.reply.retries() > 0).count();
    assert_eq!(retried, 0, "of {}", answers.len());

    containers.restart("paris");
    let begun = Instant::now();
    let back = async || {
        let (answers, failures) = crowd(&front, 20, "gpt").await;
        assert_unharmed(&answers, &failures);
        answers.iter().any(|answer| answer.reply.served_by() == "paris")
    };
    assert!(eventually(back).await, "it is not asked again");
    println!("asked again after {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_containers_hold_one_limit_and_each_its_share_while_one_of_them_is_cut_off_from_redis() {
    let containers =
        Containers::start(&(model_list(&["whole", "again"]) + &pair("shared", ", rpm: 20"))).await;
    let front = front(&containers);
    // Instances count each other once a second; one that is cut off before that has the whole limit
    // as its share.
    sleep(ACQUAINTED).await;
    assert_one_limit(&containers, &front, "whole").await;
    let cut = INSTANCES[0];
    let says = async |words: &str| eventually(async || containers.log(cut).contains(words)).await;

    containers.disconnect(cut, "state");
    assert!(says(REDIS_DOWN).await, "{}", containers.log(cut));
    let (answers, failures) = crowd(&front, 200, "gpt").await;
    assert_unharmed(&answers, &failures);
    assert_eq!(served_each(&answers).len(), 2, "both serve");
    sleep(MISSED).await;
    minute::with_room_for(RUN).await;
    let (answers, failures) = crowd(&front, CROWD, "shared").await;
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(served_each(&answers), [(0, LIMIT / 2), (1, LIMIT / 2)].into(), "each its share");

    containers.connect(cut, "state");
    assert!(says(REDIS_UP).await, "{}", containers.log(cut));
    assert_one_limit(&containers, &front, "again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_killed_costs_what_it_was_at_work_on_and_can_be_replaced() {
    let mut containers = Containers::start(&(model_list(&[]) + &pair("limited", ", rpm: 20"))).await;
    let front = front(&containers);
    let dead = INSTANCES[1];
    let load = tokio::spawn({
        let front = Arc::clone(&front);
        async move { crowd(&front, 400, "gpt").await }
    });
    sleep(Duration::from_millis(500)).await;
    containers.kill(dead);
    let killed = Instant::now();
    let (answers, failures) = load.await.expect("the load ends");
    println!("killed: {:?}, {} failed", served_each(&answers), failures.len());
    // Each of the clients had a request on the way, and may have met it once more while it died.
    assert!(failures.len() <= 2 * CLIENTS, "{} failed: {failures:?}", failures.len());
    assert!(failures.iter().all(|failure| failure.starts_with("from instance 1")), "{failures:?}");
    let (answers, failures) = crowd(&front, 40, "gpt").await;
    assert_unharmed(&answers, &failures);

    containers.replace(dead);
    containers.answers(dead).await;
    front.replace(1, containers.client(dead));
    let (answers, failures) = crowd(&front, 60, "gpt").await;
    assert_unharmed(&answers, &failures);
    assert_eq!(served_each(&answers).len(), 2, "the new one serves");
    // Its connection to Redis has ended, so its share is free after that, as of the next minute.
    sleep(FREED.saturating_sub(killed.elapsed())).await;
    minute::turn().await;
    let (answers, failures) = crowd(&front, CROWD, "limited").await;
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(served(&answers), LIMIT, "{:?}", served_each(&answers));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_do_not_notice_a_rolling_restart() {
    let containers = Containers::start(&model_list(&[])).await;
    let front = front(&containers);
    let over = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (front, over) = (Arc::clone(&front), Arc::clone(&over));
        async move { clients(&front, "gpt", move || !over.load(Ordering::Relaxed)).await }
    });
    sleep(Duration::from_secs(1)).await;
    for (place, instance) in INSTANCES.into_iter().enumerate() {
        let took = containers.stop(instance).await;
        assert_eq!(containers.inspect(instance, "{{.State.ExitCode}}"), "0");
        containers.restart(instance);
        containers.answers(instance).await;
        front.replace(place, containers.client(instance));
        println!("{instance} stopped after {took:?}, and is back");
        sleep(Duration::from_secs(1)).await;
    }
    over.store(true, Ordering::Relaxed);
    let (answers, failures) = load.await.expect("the load ends");
    println!("{:?}, {} failed", served_each(&answers), failures.len());
    assert_unharmed(&answers, &failures);
}
