//! Real clients continue responses, and look back at them, over deployments that each know only
//! their own.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use hyper::Method;
use llm_balancer_integration::{Answer, Client, Fleet, Launch, Provider, Received, Redis, World, item};
use serde_json::{Value, json};
use tokio::time::sleep;

const KEY: &str = "sk-key-of-the-house-4711";
const NAMES: [&str; 3] = ["paris", "rome", "oslo"];
const CONVERSATIONS: usize = 300;
/// How long one deployment has for its refusal, ..
const TURN: Duration = Duration::from_millis(1500);
/// .. and the time after that until the next may refuse: more than a deployment cools down.
const COOLDOWN: Duration = Duration::from_millis(1500);

/// A group of three deployments, each with a key of its own.
fn config(settings: &str) -> String {
    let items: String = NAMES.iter().map(|name| item("gpt", name, "")).collect();
    format!("model_list:\n{items}router_settings: {{{settings}}}\ngeneral_settings: {{master_key: {KEY}}}\n")
}

const REDIS: &str = "redis_host: 127.0.0.1, redis_port: REDIS";

fn tools(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools")).join(path)
}

fn python() -> Command {
    let mut command = Command::new("python3");
    command.arg(script("conversations.py")).env("PYTHONPATH", tools("python"));
    command
}

fn node() -> Command {
    let mut command = Command::new(tools("node/bin/node"));
    command.arg(script("conversations.mjs")).env("LLM_BALANCER_PACKAGES", tools("node"));
    command
}

fn vercel() -> Command {
    let mut command = Command::new(tools("node/bin/node"));
    command.arg(script("conversations_vercel.mjs")).env("LLM_BALANCER_PACKAGES", tools("vercel"));
    command
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/clients")).join(name)
}

/// Runs so many conversations over the balancers on these ports, and asserts that no client saw an
/// error.
async fn converse(mut client: Command, kind: &str, count: usize, ports: &[u16]) {
    let urls: Vec<String> = ports.iter().map(|port| format!("http://localhost:{port}")).collect();
    client
        .args([kind, &count.to_string()])
        .env("LLM_BALANCER_URLS", urls.join(","))
        .env("LLM_BALANCER_URL", &urls[0])
        .env("LLM_BALANCER_KEY", KEY)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = tokio::task::spawn_blocking(move || client.output()).await.unwrap().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{stderr}"));
    let errors = seen["errors"].as_array().expect("a list");
    assert!(errors.is_empty(), "{} errors, such as {}", errors.len(), errors[0].as_str().unwrap());
}

/// Requests about a response that reached a deployment which has not made it, and all of them.
fn misses(provider: &Provider) -> (usize, usize) {
    let received = provider.received();
    let makers: HashMap<String, &str> =
        received.iter().map(|request| (format!("resp_{}", request.number), request.name.as_str())).collect();
    let about = |request: &Received| {
        let previous = request.json()["previous_response_id"].as_str().map(str::to_owned);
        previous.or_else(|| {
            let (_, id) = request.target.split_once("/responses/")?;
            Some(id.split(['/', '?']).next()?.to_owned())
        })
    };
    let about: Vec<_> = received.iter().filter_map(|request| Some((about(request)?, request))).collect();
    let missed = about.iter().filter(|(id, request)| makers.get(id).copied() != Some(&*request.name));
    (missed.count(), about.len())
}

/// Every now and then one deployment refuses a request, and then cools down for a second. Never do
/// two at once: the first waits for the client, which starts slowly on a busy machine, and what one
/// has not refused in its turn it serves.
async fn cool_down(provider: &Provider) {
    while provider.received().is_empty() {
        sleep(Duration::from_millis(20)).await;
    }
    for name in NAMES.iter().cycle() {
        provider.script(name, [Answer::status(429).retry_after("1")]);
        sleep(TURN).await;
        provider.script(name, []);
        sleep(COOLDOWN).await;
    }
}

async fn assert_served(world: &World, client: Command) {
    let ports = [world.balancer.port];
    tokio::select! {
        () = converse(client, "conversation", CONVERSATIONS, &ports) => {}
        () = cool_down(&world.provider) => {}
    }
    let (missed, all) = misses(&world.provider);
    // A client that looks for what it has deleted is sent to each deployment in turn.
    let searched = CONVERSATIONS / 3 * NAMES.len();
    assert!(all > CONVERSATIONS * 3, "{all}");
    assert!(missed <= searched, "{missed} of {all} went to another deployment");
    let used: Vec<_> = NAMES.iter().map(|name| world.provider.received_by(name).len()).collect();
    assert!(used.iter().all(|count| *count > CONVERSATIONS / 2), "all serve: {used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_of_the_python_client_go_on_while_deployments_cool_down() {
    let world = World::with_workers(1, &config("")).await;
    assert_served(&world, python()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_of_the_node_client_go_on_over_four_workers() {
    let world = World::with_workers(4, &config("")).await;
    assert_served(&world, node()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_go_on_over_two_instances_that_share_a_redis() {
    let redis = Redis::start().await;
    let fleet = Fleet::start(&config(REDIS), 2, &[redis.port(); 2]).await;
    let ports: Vec<u16> = fleet.instances.iter().map(|instance| instance.port).collect();
    // A Redis that is slow on a busy machine does not say who has made a response. Then the search
    // may end at a deployment that refuses, and the SDK tries again, as it does by default.
    let mut client = python();
    client.env("LLM_BALANCER_CLIENT_RETRIES", "2");
    tokio::select! {
        () = converse(client, "conversation", CONVERSATIONS, &ports) => {}
        () = cool_down(&fleet.provider) => {}
    }
    let (missed, all) = misses(&fleet.provider);
    println!("{missed} of {all} requests went to another deployment");
    let searched = CONVERSATIONS / 3 * NAMES.len();
    assert!(missed <= searched + all / 50, "{missed} of {all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_go_on_over_two_instances_that_share_nothing() {
    let world = World::with_workers(1, &config("")).await;
    let other = Launch::new(&config("").replace("PROVIDER", &world.provider.origin())).start().await;
    converse(python(), "conversation", 60, &[world.balancer.port, other.port]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_reasoning_goes_to_the_account_that_made_it() {
    let world = World::with_workers(2, &config("")).await;
    converse(python(), "reasoning", 60, &[world.balancer.port]).await;
    let received = world.provider.received();
    let foreign = received.iter().filter(|request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        NAMES.iter().any(|name| *name != request.name && body.contains(&format!("gAAAAAB{name}")))
    });
    assert_eq!((foreign.count(), received.len()), (0, 240));
}

/// Items that a request refers to and another deployment has made, and all of them.
fn foreign_items(provider: &Provider) -> (usize, usize) {
    let received = provider.received();
    let makers: HashMap<u64, &str> =
        received.iter().map(|request| (request.number, request.name.as_str())).collect();
    let mut all = (0, 0);
    for request in &received {
        let body = request.json();
        let ids = body["input"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_str());
        // The fake provider's ids end in the number of the request that made the item.
        for number in ids.map(|id| id.split_once('_').unwrap().1.parse().unwrap()) {
            all.1 += 1;
            all.0 += usize::from(makers.get(&number) != Some(&request.name.as_str()));
        }
    }
    all
}

/// No deployment gets an item of another.
async fn assert_items_are_at_home(client: Command) {
    let world = World::with_workers(2, &config("")).await;
    let ports = [world.balancer.port];
    tokio::select! {
        () = converse(client, "items", CONVERSATIONS, &ports) => {}
        () = cool_down(&world.provider) => {}
    }
    let (foreign, all) = foreign_items(&world.provider);
    // Four turns, with two items each, refer to 0, 2, 4 and 6 of them.
    assert!(foreign == 0 && all >= CONVERSATIONS * 12, "{foreign} of {all} items went to another deployment");
    let used: Vec<_> = NAMES.iter().map(|name| world.provider.received_by(name).len()).collect();
    assert!(used.iter().all(|count| *count > CONVERSATIONS / 2), "all serve: {used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_are_given_back_where_they_were_made_while_deployments_cool_down() {
    assert_items_are_at_home(python()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_of_vercels_sdk_go_on_where_their_items_are() {
    assert_items_are_at_home(vercel()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_of_the_provider_goes_on_where_it_is() {
    let world = World::with_workers(2, &config("")).await;
    for name in NAMES {
        let body = json!({"model": "gpt", "input": "hi", "conversation": format!("conv_{name}")}).to_string();
        let client = world.with_header("authorization", &format!("Bearer {KEY}"));
        for turn in 0..20 {
            world.provider.forget();
            let reply = client.send(Method::POST, "/v1/responses", "application/json", body.clone()).await;
            let calls = world.provider.calls();
            assert_eq!((reply.status, calls.last().map(String::as_str)), (200, Some(name)));
            assert!(turn == 0 || calls.len() == 1, "it is known now: {calls:?}");
        }
    }
}

async fn send(client: &Client, method: &str, path: &str) -> (u16, Value) {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let client = client.with_header("authorization", &format!("Bearer {KEY}"));
    let reply = client.send(method, path, "application/json", "").await;
    (reply.status, reply.json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_no_deployment_has_is_not_found_and_cools_none() {
    let world = World::with_workers(1, &config("")).await;
    for (method, path) in [
        ("GET", "/v1/responses/resp_nobody"),
        ("GET", "/v1/responses/resp_nobody?stream=true"),
        ("GET", "/v1/responses/resp_nobody/input_items"),
        ("POST", "/v1/responses/resp_nobody/cancel"),
        ("DELETE", "/v1/responses/resp_nobody"),
    ] {
        world.provider.forget();
        let (status, body) = send(&world, method, path).await;
        assert_eq!(status, 404, "{method} {path}: {body}");
        let message = "Response with id 'resp_nobody' not found.";
        assert_eq!(body["error"]["message"], message, "{method} {path}");
        let mut called = world.provider.calls();
        called.sort_unstable();
        assert_eq!(called, ["oslo", "paris", "rome"], "{method} {path}: each once");
    }
    // Servers without the route answer in shapes of their own.
    for name in NAMES {
        world.provider.always(name, Answer::status(404).body("<h1>Not Found</h1>"));
    }
    let (status, body) = send(&world, "GET", "/v1/responses/resp_nobody").await;
    let expected = json!({
        "message": "Response with id 'resp_nobody' not found.",
        "type": "invalid_request_error", "param": null, "code": "404",
    });
    assert_eq!((status, &body["error"]), (404, &expected));
    let unauthorized = world.get("/v1/responses/resp_1").await;
    assert_eq!(unauthorized.status, 401);
    let (status, _) = send(&world, "PUT", "/v1/responses/resp_1").await;
    assert_eq!(status, 405);
}
