//! rpm, tpm and max_parallel_requests hold exactly, across four workers; and what clients see of
//! them is true.

use std::time::Duration;

use llm_balancer_integration::{Answer, DONE, Reply, World, item, minute};
use serde_json::{Value, json};

const WORKERS: u8 = 4;

async fn four_workers(items: &str, sections: &str) -> World {
    World::with_workers(WORKERS, &format!("model_list:\n{items}{sections}\n")).await
}

/// Asserts that this is our refusal, and that its `retry-after` names a second between these two
/// numbers of seconds.
#[track_caller]
fn assert_refused_until_the_turn(reply: &Reply, least: Duration, most: Duration) {
    let error = reply.error(429);
    assert_eq!(error["type"], "rate_limit_error", "{error}");
    let told = number(reply, "retry-after").expect("every 429 of ours says when to come back");
    let whole = |time: Duration| time.as_millis().div_ceil(1000) as u64;
    assert!(
        (whole(least)..=whole(most)).contains(&told),
        "told {told} s, with {least:?} to {most:?} left of the minute"
    );
}

fn number(reply: &Reply, header: &str) -> Option<u64> {
    reply.header(header)?.parse().ok()
}

/// How many of them were served; the others were refused until the turn of the minute.
async fn burst(world: &World, clients: usize, model: &str) -> usize {
    let before = minute::left();
    let replies = world.crowd(clients, clients, model).await;
    let after = minute::left();
    let refused: Vec<&Reply> = replies.iter().filter(|reply| reply.status != 200).collect();
    for reply in &refused {
        assert_refused_until_the_turn(reply, after, before);
    }
    clients - refused.len()
}

async fn workers_at_work(world: &World) -> usize {
    let stats = world.balancer.stats().await;
    let taken = |name: &str| name.contains(".worker_") && name.ends_with("downstream_cx_total");
    stats.iter().filter(|(name, count)| taken(name) && !name.contains("admin") && **count > 0).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_clients_at_once_forty_are_served_and_forty_more_in_the_next_minute() {
    let groups = ["first", "second", "third"];
    let pair = |group: &&str| {
        item(group, &format!("{group}-paris"), ", rpm: 20")
            + &item(group, &format!("{group}-virginia"), ", rpm: 20")
    };
    let world = four_workers(&groups.iter().map(pair).collect::<String>(), "").await;
    for group in groups {
        minute::with_room_for(Duration::from_secs(8)).await;
        assert_eq!(burst(&world, 200, group).await, 40, "{group}");
        for name in ["paris", "virginia"] {
            let name = format!("{group}-{name}");
            assert_eq!(world.provider.received_by(&name).len(), 20, "a full deployment was called: {name}");
        }
    }
    assert!(workers_at_work(&world).await > 1, "the workers did not share the work");
    minute::turn().await;
    assert_eq!(burst(&world, 200, "third").await, 40, "after the turn of the minute");
}

#[tokio::test]
async fn a_full_deployment_is_passed_over_and_never_called() {
    let items = item("gpt", "paris", ", rpm: 3, weight: 1000000") + &item("gpt", "virginia", ", weight: 1");
    let world = four_workers(&items, "").await;
    minute::with_room_for(Duration::from_secs(5)).await;
    for _ in 0..20 {
        let reply = world.newcomer().chat("gpt").await;
        assert_eq!((reply.status, reply.retries()), (200, 0), "{}", reply.text());
    }
    assert_eq!(world.provider.received_by("paris").len(), 3);
}

#[tokio::test]
async fn limits_that_stand_on_the_item_or_in_model_info_hold_as_well() {
    let world = four_workers(
        "\
- {model_name: item, rpm: 2, litellm_params: {model: openai/m, api_base: PROVIDER/item/v1, api_key: k}}
- {model_name: info, litellm_params: {model: openai/m, api_base: PROVIDER/info/v1, api_key: k}, model_info: {rpm: 2}}
",
        "",
    )
    .await;
    minute::with_room_for(Duration::from_secs(5)).await;
    for group in ["item", "info"] {
        assert_eq!(burst(&world, 20, group).await, 2, "{group}");
    }
}

#[tokio::test]
async fn retries_and_fallbacks_count_where_they_go() {
    let items = item("retried", "paris", ", rpm: 3, weight: 1000000")
        + &item("retried", "virginia", ", rpm: 5, weight: 1")
        + &item("falls", "lima", ", rpm: 2, num_retries: 0")
        + &item("target", "oslo", ", rpm: 3, num_retries: 0");
    let settings = "router_settings: {disable_cooldowns: true, fallbacks: [{falls: [target]}]}";
    let world = four_workers(&items, settings).await;
    world.provider.always("paris", Answer::status(500));
    world.provider.always("lima", Answer::status(500));
    minute::with_room_for(Duration::from_secs(8)).await;
    for (group, served, calls) in
        [("retried", 5, [("paris", 3), ("virginia", 5)]), ("falls", 3, [("lima", 2), ("oslo", 3)])]
    {
        for nth in 0..served + 2 {
            let before = minute::left();
            let reply = world.newcomer().chat(group).await;
            if nth < served {
                assert_eq!(reply.status, 200, "{group} {nth}: {}", reply.text());
            } else {
                assert_refused_until_the_turn(&reply, minute::left(), before);
            }
        }
        for (name, count) in calls {
            assert_eq!(world.provider.received_by(name).len(), count, "{name}");
        }
    }
}

#[tokio::test]
async fn soft_limits_are_weights_alone() {
    let items = item("gpt", "paris", ", rpm: 9, tpm: 9") + &item("gpt", "virginia", ", rpm: 1, tpm: 1");
    let world = four_workers(&items, "llm_balancer: {limits: soft}").await;
    let picks = world.picks("gpt", 200).await;
    assert!(picks["paris"] > 2 * picks["virginia"], "{picks:?}");
    let reply = world.chat("gpt").await;
    assert_eq!(reply.header("x-ratelimit-limit-requests"), None);
}

/// A request that is expected to take 8 tokens for what it asks, and so many for the answer.
fn costing(tokens: u64) -> Value {
    json!({"max_tokens": tokens})
}

#[tokio::test]
async fn tokens_count_as_the_answer_says_whether_plain_or_streamed() {
    let items = item("plain", "paris", ", tpm: 1000") + &item("streamed", "virginia", ", tpm: 1000");
    let world = four_workers(&items, "").await;
    for name in ["paris", "virginia"] {
        world.provider.always(name, Answer::ok().using(40, 60));
    }
    minute::with_room_for(Duration::from_secs(8)).await;
    for nth in 0..12 {
        let before = minute::left();
        let reply = world.newcomer().chat_with("plain", &costing(60)).await;
        let mut stream = json!({"model": "streamed", "stream": true, "max_tokens": 60});
        stream["messages"] = json!([{"role": "user", "content": "hi"}]);
        let streamed = world.newcomer().post("/v1/chat/completions", &stream).await;
        for reply in [reply, streamed] {
            if nth < 10 {
                assert_eq!(reply.status, 200, "{nth}: {}", reply.text());
            } else {
                assert_refused_until_the_turn(&reply, minute::left(), before);
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_was_cheaper_than_expected_gives_the_rest_back() {
    let world = four_workers(&item("gpt", "paris", ", tpm: 1000"), "router_settings: {num_retries: 0}").await;
    minute::with_room_for(Duration::from_secs(5)).await;
    world.provider.script("paris", [Answer::status(500), Answer::status(400)]);
    for status in [500, 400].into_iter().chain([200; 10]) {
        let reply = world.newcomer().chat_with("gpt", &costing(850)).await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_goes_beyond_tpm_by_no_more_than_each_answer_cost_above_its_estimate() {
    const LIMIT: u64 = 1000;
    // 8 and 42 are reserved.
    const ESTIMATE: u64 = 50;
    for (group_is_right, actual) in [(true, ESTIMATE), (false, ESTIMATE + 10)] {
        let world = four_workers(&item("gpt", "paris", ", tpm: 1000"), "").await;
        world.provider.always("paris", Answer::ok().using(8, actual - 8).after(Duration::from_millis(300)));
        minute::with_room_for(Duration::from_secs(5)).await;
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let client = world.client.clone();
            clients.spawn(async move { client.chat_with("gpt", &costing(42)).await.status });
        }
        let statuses = clients.join_all().await;
        let served = statuses.iter().filter(|status| **status == 200).count() as u64;
        assert!(served * actual <= LIMIT + served * (actual - ESTIMATE), "{served} of {actual} tokens");
        assert!(served >= LIMIT / actual, "{served} of {actual} tokens");
        assert!(!group_is_right || served == LIMIT / ESTIMATE, "{served} though the estimate is right");
        assert_eq!(world.provider.count(), served);
    }
}

/// A stream with oddities that a careless reader would iron out, its usage in the last event but
/// one.
const ODD: [&str; 5] = [
    ": a comment\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"h",
    "\u{e9}\"}}],  \"x\": 1.00}\r\n\r\ndata:{\"choices\":[],\"prompt_filter_results\":[]}\n\n",
    "event: odd\nid: 7\ndata: {\"choices\": [ ],",
    " \"usage\": {\"prompt_tokens\": 400, \"completion_tokens\": 100, \"total_tokens\": 500}}\n\n",
    "data: [DONE]\n\n",
];

#[tokio::test]
async fn a_stream_is_asked_for_its_usage_and_only_a_client_that_asked_too_gets_to_see_it() {
    let items = item("limited", "paris", ", tpm: 1000") + &item("free", "virginia", "");
    let world = four_workers(&items, "").await;
    for name in ["paris", "virginia"] {
        world.provider.always(name, Answer::pieces(ODD).every(Duration::from_millis(20)));
    }
    let all = ODD.concat();
    let without = [ODD[0], ODD[1], ODD[4]].concat();
    let asks = json!({"include_usage": true});
    minute::with_room_for(Duration::from_secs(5)).await;
    for (group, options, sent, expected) in [
        ("limited", Value::Null, asks.clone(), &without),
        ("limited", asks.clone(), asks.clone(), &all),
        ("free", Value::Null, Value::Null, &all),
        ("free", asks.clone(), asks.clone(), &all),
    ] {
        let mut body = json!({"model": group, "stream": true, "messages": [], "max_tokens": 10});
        if !options.is_null() {
            body["stream_options"] = options.clone();
        }
        let mut events = world.stream("/v1/chat/completions", &body).await;
        assert_eq!(events.status, 200);
        assert_eq!(&events.rest().await, expected, "{group} with {options}");
        assert!(!events.broken);
        assert_eq!(world.provider.only_request().json()["stream_options"], sent, "{group} with {options}");
        world.provider.forget();
    }
    // 500 each, although withheld from one of them.
    let body = json!({"model": "limited", "stream": true, "messages": [], "max_tokens": 10});
    world.post("/v1/chat/completions", &body).await.error(429);
}

#[tokio::test]
async fn streams_end_with_their_usage_where_the_file_says_so_and_the_client_nothing() {
    let items = item("limited", "paris", ", tpm: 100000") + &item("free", "virginia", "");
    let world = four_workers(&items, "general_settings: {always_include_stream_usage: true}\n").await;
    for name in ["paris", "virginia"] {
        world.provider.always(name, Answer::pieces(ODD).every(Duration::from_millis(20)));
    }
    let all = ODD.concat();
    let without = [ODD[0], ODD[1], ODD[4]].concat();
    for (group, options, expected) in [
        ("limited", None, &all),
        ("free", None, &all),
        ("limited", Some(json!({"include_usage": false})), &without),
    ] {
        let mut body = json!({"model": group, "stream": true, "messages": []});
        if let Some(options) = &options {
            body["stream_options"] = options.clone();
        }
        let mut events = world.stream("/v1/chat/completions", &body).await;
        assert_eq!(&events.rest().await, expected, "{group} with {options:?}");
        assert_eq!(world.provider.only_request().json()["stream_options"], json!({"include_usage": true}));
        world.provider.forget();
    }
}

#[tokio::test]
async fn every_kind_of_stream_is_passed_on_as_if_nobody_had_counted() {
    let items = item("limited", "paris", ", tpm: 1000000") + &item("free", "paris", "");
    let world = four_workers(&items.replacen("id: paris", "id: limited", 1), "").await;
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/responses"] {
        let mut texts = Vec::new();
        for group in ["limited", "free"] {
            let body = json!({"model": group, "stream": true, "messages": [], "prompt": "", "input": ""});
            let number = world.provider.count() + 1;
            let text = world.stream(path, &body).await.rest().await;
            texts
                .push(text.replace(&format!("-{number}\""), "-N\"").replace(&format!("_{number}\""), "_N\""));
        }
        assert!(texts[0].contains("2 from paris"), "{path}: {}", texts[0]);
        assert!(path.ends_with("responses") || texts[0].ends_with(DONE), "{path}: {}", texts[0]);
        assert_eq!(texts[0], texts[1], "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_requests_are_in_flight_than_max_parallel_requests_says() {
    let items = item("gpt", "paris", ", max_parallel_requests: 3")
        + &item("gpt", "virginia", ", max_parallel_requests: 2");
    let world = four_workers(&items, "").await;
    for name in ["paris", "virginia"] {
        world.provider.always(name, Answer::ok().after(Duration::from_millis(400)));
    }
    for round in 0..2 {
        let replies = world.crowd(60, 60, "gpt").await;
        let served = replies.iter().filter(|reply| reply.status == 200).count();
        assert!((5..60).contains(&served), "{served} in round {round}");
        for reply in replies.iter().filter(|reply| reply.status != 200) {
            let error = reply.error(429);
            assert_eq!(error["type"], "rate_limit_error", "{error}");
            assert_eq!(number(reply, "retry-after"), Some(1), "a slot may be free at any moment");
        }
    }
    let most = (world.provider.most_at_once("paris"), world.provider.most_at_once("virginia"));
    assert_eq!(most, (3, 2));
}

#[tokio::test]
async fn every_answer_tells_what_is_left_whichever_worker_gives_it() {
    let items = item("gpt", "paris", ", rpm: 6, tpm: 6000") + &item("gpt", "virginia", ", rpm: 6, tpm: 6000");
    let world = four_workers(&items, "router_settings: {num_retries: 0, disable_cooldowns: true}").await;
    for name in ["paris", "virginia"] {
        world.provider.always(name, Answer::ok().using(40, 60));
        world.provider.script(name, [Answer::ok().using(40, 60), Answer::status(400), Answer::status(500)]);
    }
    minute::with_room_for(Duration::from_secs(8)).await;
    let mut spent = 0;
    for left in (0..12).rev() {
        let reply = world.newcomer().chat_with("gpt", &costing(60)).await;
        assert_eq!(number(&reply, "x-ratelimit-limit-requests"), Some(12));
        assert_eq!(number(&reply, "x-ratelimit-limit-tokens"), Some(12_000));
        assert_eq!(number(&reply, "x-ratelimit-remaining-requests"), Some(left), "{}", reply.status);
        // While an answer is on its way its estimate counts; an error has cost nothing.
        let own = if reply.status == 200 { 68 } else { 0 };
        assert_eq!(
            number(&reply, "x-ratelimit-remaining-tokens"),
            Some(12_000 - spent - own),
            "{}",
            reply.status
        );
        spent += if reply.status == 200 { 100 } else { 0 };
    }
    for _ in 0..8 {
        let reply = world.newcomer().chat_with("gpt", &costing(60)).await;
        reply.error(429);
        assert_eq!(number(&reply, "x-ratelimit-limit-requests"), Some(12));
        assert_eq!(number(&reply, "x-ratelimit-remaining-requests"), Some(0));
        assert_eq!(number(&reply, "x-ratelimit-remaining-tokens"), Some(12_000 - spent));
    }
}
