//! What requests reserve of a limit of tokens: what they are going to take, and not the bytes of
//! their images or the most that their answers may have.

use std::time::Duration;

use hyper::Method;
use llm_balancer_integration::{Answer, Client, Fleet, Redis, Reply, World, eventually, item, minute};
use serde_json::{Value, json};

const WORKERS: u8 = 4;

async fn four_workers(items: &str, sections: &str) -> World {
    World::with_workers(WORKERS, &format!("model_list:\n{items}{sections}\n")).await
}

/// A message that takes so many tokens, and a few for its names and braces.
fn text(tokens: usize) -> Value {
    json!({"messages": [{"role": "user", "content": "word".repeat(tokens)}]})
}

/// A message with an image of so many bytes in base64.
fn image(bytes: usize) -> Value {
    let url = format!("data:image/png;base64,{}", "iVBORw0K".repeat(bytes / 8));
    json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}
    ]}], "max_tokens": 100})
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

#[track_caller]
fn left(reply: &Reply) -> u64 {
    let left = reply.header("x-ratelimit-remaining-tokens").expect("a limit of tokens");
    left.parse().expect("a number")
}

#[tokio::test]
async fn ten_short_answers_are_served_whatever_length_they_may_have() {
    let world = four_workers(&item("gpt", "paris", ", tpm: 30000"), "").await;
    world.provider.always("paris", Answer::ok().using(100, 300));
    minute::with_room_for(Duration::from_secs(8)).await;
    for nth in 0..10 {
        let reply = world.newcomer().chat_with("gpt", &json!({"max_tokens": 32_000})).await;
        assert_eq!(reply.status, 200, "request {nth}: {}", reply.text());
    }
    let reply = world.newcomer().chat_with("gpt", &json!({"max_tokens": 32_000})).await;
    assert_eq!(left(&reply), 30_000 - 10 * 400 - 308, "8 tokens of prompt, and an answer as those before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_held_by_what_each_request_reserves() {
    let items = item("unknown", "paris", ", tpm: 2640")
        + &item("known", "oslo", ", tpm: 2700")
        + &item("short", "lyon", ", tpm: 2640, max_tokens: 10");
    let world = four_workers(&items, "").await;
    let answer = || Answer::ok().using(8, 92);
    world.provider.always("oslo", answer());
    minute::with_room_for(Duration::from_secs(10)).await;
    assert_eq!(world.newcomer().chat("known").await.status, 200);
    for name in ["paris", "oslo", "lyon"] {
        world.provider.always(name, answer().after(Duration::from_millis(2000)));
    }
    // 8 for the prompt, and 256 or 92 for the answer. -1 is no limit, in place of the file's.
    for (group, length, expected) in [("unknown", 32_000, 10), ("known", 32_000, 26), ("short", -1, 10)] {
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..60 {
            let client = world.newcomer();
            clients
                .spawn(async move { client.chat_with(group, &json!({"max_tokens": length})).await.status });
        }
        let statuses = clients.join_all().await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), expected, "{group}");
    }
    let unlimited = world.provider.received_by("lyon");
    assert!(unlimited.iter().all(|request| request.json()["max_tokens"] == -1));
}

/// As far as the balancer has seen it.
#[tokio::test]
async fn a_stream_that_its_client_leaves_counts_what_has_arrived() {
    let world = four_workers(&item("gpt", "paris", ", tpm: 30000"), "").await;
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    minute::with_room_for(Duration::from_secs(10)).await;
    world.provider.script("paris", [Answer::pieces(vec![event; 2000]).hang_after(2000)]);
    let mut stream = world.stream_chat("gpt").await;
    let mut seen = 0;
    while seen < 2000 * event.len() {
        seen += stream.next().await.expect("the stream goes on").1.len();
    }
    drop(stream);
    let used = async || 30_000 - left(&world.newcomer().chat("gpt").await);
    assert!(eventually(async || used().await > 2000).await, "{}", used().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_of_megabytes_is_served_beside_text() {
    let world = four_workers(&item("gpt", "paris", ", tpm: 30000"), "").await;
    minute::with_room_for(Duration::from_secs(10)).await;
    assert_eq!(world.chat("gpt").await.status, 200);
    world.provider.always("paris", Answer::ok().using(800, 50).after(Duration::from_millis(1500)));
    let client = world.newcomer();
    let shown = tokio::spawn(async move { client.chat_with("gpt", &image(2_500_000)).await });
    tokio::time::sleep(Duration::from_millis(700)).await;
    let reply = world.newcomer().chat_with("gpt", &text(100)).await;
    assert_eq!(reply.status, 200, "a text while the image is looked at: {}", reply.text());
    let shown = shown.await.expect("an answer");
    assert_eq!(shown.status, 200, "the image: {}", shown.text());
    let reserved = 30_000 - 12 - left(&shown);
    assert!((765..1000).contains(&reserved), "{reserved} tokens for an image");
}

#[tokio::test]
async fn ids_count_one_by_one_and_recordings_by_their_length() {
    let items = item("ids", "paris", ", tpm: 30000") + &item("speech", "oslo", ", tpm: 30000");
    let world = four_workers(&items, "").await;
    minute::with_room_for(Duration::from_secs(5)).await;
    let ids: Vec<u32> = (100_000..101_000).collect();
    let reply = world.post("/v1/embeddings", &json!({"model": "ids", "input": ids})).await;
    assert_eq!(left(&reply), 29_000);

    let head = "--X\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nspeech\r\n\
                --X\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\n";
    let form = format!("{head}{}\r\n--X--\r\n", "a".repeat(1_000_000));
    let path = "/v1/audio/transcriptions";
    let reply = world.send(Method::POST, path, "multipart/form-data; boundary=X", form).await;
    assert_eq!((reply.status, left(&reply)), (200, 29_000), "a megabyte is a minute of MP3");
}

const TWO_SIZES: [&str; 2] = [", tpm: 1000, weight: 1000000", ", tpm: 100000, weight: 1"];

fn two_sizes() -> String {
    item("gpt", "small", TWO_SIZES[0]) + &item("gpt", "large", TWO_SIZES[1])
}

#[tokio::test]
async fn a_prompt_that_fits_into_no_minute_of_one_deployment_goes_to_one_that_is_large_enough() {
    let items = two_sizes() + &item("low", "lima", ", tpm: 1000");
    let world = four_workers(&items, "router_settings: {num_retries: 0}").await;
    for name in ["small", "large", "lima"] {
        world.provider.always(name, Answer::ok().using(2000, 10));
    }
    minute::with_room_for(Duration::from_secs(8)).await;
    for nth in 0..10 {
        let reply = world.newcomer().chat_with("gpt", &text(2000)).await;
        assert_eq!((reply.status, &*reply.served_by()), (200, "large"), "{nth}: {}", reply.text());
    }
    world.provider.always("large", Answer::ok().using(80_000, 10));
    assert_eq!(world.newcomer().chat_with("gpt", &text(2000)).await.status, 200);
    let before = minute::left();
    let reply = world.newcomer().chat_with("gpt", &text(2000)).await;
    reply.error(429);
    let told: u64 = reply.header("retry-after").and_then(|told| told.parse().ok()).expect("a time");
    assert!(
        told <= before.as_secs() + 1 && told > before.as_secs().saturating_sub(5),
        "{told} s of {before:?}"
    );
    assert_eq!(world.newcomer().chat("gpt").await.served_by(), "small", "a short prompt");

    let reply = world.newcomer().chat_with("low", &text(2000)).await;
    assert_eq!(reply.status, 200, "no deployment is large enough: {}", reply.text());
    world.newcomer().chat_with("low", &text(2000)).await.error(429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_leases_a_large_prompt_goes_to_the_large_deployment_as_well() {
    let redis = Redis::start().await;
    let settings = "router_settings: {redis_host: 127.0.0.1, redis_port: REDIS}\n";
    let config = format!("model_list:\n{}{settings}", two_sizes());
    let fleet = Fleet::start(&config, 2, &[redis.port(); 2]).await;
    fleet.acquaint().await;
    minute::turn().await;
    for nth in 0..10 {
        let client = Client::new(fleet.instances[nth % 2].port);
        let reply = client.chat_with("gpt", &text(2000)).await;
        assert_eq!((reply.status, &*reply.served_by()), (200, "large"), "{nth}: {}", reply.text());
        let reply = client.chat_with("gpt", &json!({"max_tokens": 32_000})).await;
        assert_eq!(reply.status, 200, "{nth}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_retry_does_not_count_on_a_sibling_without_room_for_the_request() {
    let items = item("gpt", "paris", ", tpm: 10000, weight: 1000000")
        + &item("gpt", "oslo", ", tpm: 10000, weight: 1")
        + &item("other", "lima", "");
    let world = four_workers(&items, "router_settings: {fallbacks: [{gpt: [other]}]}").await;
    world.provider.always("oslo", Answer::ok().using(9000, 10));
    minute::with_room_for(Duration::from_secs(8)).await;
    assert_eq!(world.newcomer().chat("oslo").await.status, 200);
    world.provider.always("paris", Answer::status(429).retry_after("1"));
    let reply = world.newcomer().chat_with("gpt", &with(text(2000), "num_retries", json!(3))).await;
    assert_eq!((reply.status, &*reply.served_by()), (200, "lima"), "{}", reply.text());
    assert_eq!(world.provider.received_by("paris").len(), 1, "paris had asked for time");
    assert_eq!(world.provider.received_by("oslo").len(), 1, "oslo has no room");
}
