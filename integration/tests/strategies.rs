//! Each strategy against providers of known speed and price, by one worker and by four: who gets
//! how many requests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use llm_balancer_integration::{Answer, Reply, World, item, minute, statistics};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Tells the same story to a world with one worker and to one with four.
async fn to_one_and_four(items: &str, router_settings: &str, story: impl AsyncFn(u8, World)) {
    let config = format!("model_list:\n{items}router_settings: {{{router_settings}}}\n");
    let tell = async |workers| story(workers, World::with_workers(workers, &config).await).await;
    tokio::join!(tell(1), tell(4));
}

/// Lets every worker have a request or two, and a second to hear of the others.
async fn first_answers(world: &World, body: &Value) {
    in_turn(world, 12, body).await;
    sleep(ms(1200)).await;
}

fn gpt(names: &[&str]) -> String {
    names.iter().map(|name| item("gpt", name, "")).collect()
}

/// So many chats, each on a connection of its own and started this long after the one before.
async fn chats(world: &World, count: usize, gap: Duration, body: &Value) -> BTreeMap<String, usize> {
    let mut chats = JoinSet::new();
    for _ in 0..count {
        let (client, body) = (world.newcomer(), body.clone());
        chats.spawn(async move { client.chat_with("gpt", &body).await });
        sleep(gap).await;
    }
    let replies = chats.join_all().await;
    statistics::counts(replies.iter().map(served_by))
}

fn served_by(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.header("x-litellm-model-id").expect("every routed answer names its deployment").to_owned()
}

/// One chat after the other, each on a connection of its own.
async fn in_turn(world: &World, count: usize, body: &Value) -> BTreeMap<String, usize> {
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(served_by(&world.newcomer().chat_with("gpt", body).await));
    }
    statistics::counts(names)
}

fn of(counts: &BTreeMap<String, usize>, name: &str) -> usize {
    counts.get(name).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn least_busy_spreads_a_burst_evenly_and_gives_the_slow_fewer() {
    let names = ["paris", "virginia", "tokyo"];
    to_one_and_four(&gpt(&names), "routing_strategy: least-busy", async |workers, world| {
        first_answers(&world, &json!({})).await;
        for name in names {
            world.provider.always(name, Answer::ok().after(ms(2000)));
        }
        let counts = chats(&world, 30, ms(3), &json!({})).await;
        let most = names.map(|name| world.provider.most_at_once(name));
        assert!(most.iter().all(|most| (9..=11).contains(most)), "{most:?} of {workers} workers");
        assert!(names.iter().all(|name| (8..=12).contains(&of(&counts, name))), "{counts:?}");

        for (name, time) in names.into_iter().zip([600, 60, 60]) {
            world.provider.always(name, Answer::ok().after(ms(time)));
        }
        let counts = chats(&world, 120, ms(8), &json!({})).await;
        assert!(of(&counts, "paris") < 30, "{counts:?} of {workers} workers");
        assert!(of(&counts, "virginia").abs_diff(of(&counts, "tokyo")) < 30, "{counts:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn least_busy_counts_a_stream_until_it_ends() {
    to_one_and_four(&gpt(&["paris", "virginia"]), "routing_strategy: least-busy", async |workers, world| {
        first_answers(&world, &json!({})).await;
        for name in ["paris", "virginia"] {
            world.provider.script(name, [Answer::ok().events(1000).every(ms(20))]);
        }
        let mut stream = world.newcomer().stream_chat("gpt").await;
        assert!(stream.next().await.is_some());
        let busy = stream.header("x-litellm-model-id").unwrap().to_owned();
        for name in ["paris", "virginia"] {
            world.provider.script(name, []);
        }
        let counts = in_turn(&world, 20, &json!({})).await;
        assert_eq!(of(&counts, &busy), 0, "{counts:?} of {workers} workers");
        drop(stream);
        assert!(llm_balancer_integration::eventually(async || world.provider.abandoned() == 1).await);
        sleep(ms(100)).await;
        let counts = in_turn(&world, 40, &json!({})).await;
        assert!(of(&counts, &busy) > 5, "{counts:?} of {workers} workers");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_based_routing_evens_out_tokens_and_not_requests() {
    for strategy in ["usage-based-routing", "usage-based-routing-v2"] {
        let settings = format!("routing_strategy: {strategy}");
        to_one_and_four(&gpt(&["paris", "virginia"]), &settings, async |workers, world| {
            world.provider.always("paris", Answer::ok().using(100, 900));
            world.provider.always("virginia", Answer::ok().using(50, 50));
            minute::with_room_for(Duration::from_secs(8)).await;
            let body = json!({"max_tokens": 20});
            first_answers(&world, &body).await;
            in_turn(&world, 54, &body).await;
            // 1,000 tokens each against 100 each: of 66 requests 6.
            let paris = world.provider.received_by("paris").len();
            assert!((5..=7).contains(&paris), "{paris}, {strategy}, {workers} workers");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_based_routing_spreads_a_burst_before_the_first_of_it_is_answered() {
    let settings = "routing_strategy: usage-based-routing-v2";
    to_one_and_four(&gpt(&["paris", "virginia"]), settings, async |workers, world| {
        for name in ["paris", "virginia"] {
            world.provider.always(name, Answer::ok().after(ms(1500)));
        }
        minute::with_room_for(Duration::from_secs(5)).await;
        let counts = chats(&world, 20, ms(3), &json!({"max_tokens": 100})).await;
        assert!((8..=12).contains(&of(&counts, "paris")), "{counts:?} of {workers} workers");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latency_based_routing_prefers_whoever_is_fastest_and_probes_each_once() {
    let names = ["paris", "virginia", "tokyo"];
    to_one_and_four(&gpt(&names), "routing_strategy: latency-based-routing", async |workers, world| {
        for (name, time) in names.into_iter().zip([400, 30, 200]) {
            world.provider.always(name, Answer::ok().after(ms(time)));
        }
        first_answers(&world, &json!({})).await;
        let probes = ["paris", "tokyo"].map(|name| world.provider.received_by(name).len());
        assert!(
            probes.iter().all(|probes| (1..=usize::from(workers)).contains(probes)),
            "{probes:?} of {workers} workers"
        );
        let counts = in_turn(&world, 30, &json!({})).await;
        assert!(of(&counts, "virginia") >= 29, "{counts:?} of {workers} workers");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buffer_lets_the_almost_fastest_take_part() {
    let names = ["paris", "virginia", "tokyo"];
    let settings = "routing_strategy: latency-based-routing, routing_strategy_args: {lowest_latency_buffer: 1.0, ttl: 600}";
    to_one_and_four(&gpt(&names), settings, async |workers, world| {
        for (name, time) in names.into_iter().zip([1200, 200, 240]) {
            world.provider.always(name, Answer::ok().after(ms(time)));
        }
        first_answers(&world, &json!({})).await;
        let counts = in_turn(&world, 32, &json!({})).await;
        assert!(of(&counts, "paris") <= 1, "{counts:?} of {workers} workers");
        assert!(of(&counts, "virginia") >= 5 && of(&counts, "tokyo") >= 5, "{counts:?} of {workers} workers");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_go_by_their_first_byte_and_other_answers_by_their_whole_time() {
    let names = ["early", "quick"];
    to_one_and_four(&gpt(&names), "routing_strategy: latency-based-routing", async |workers, world| {
        // The one begins at once and takes its time, the other begins late and is soon done.
        world.provider.always("early", Answer::ok().events(3).after(ms(10)).every(ms(60)));
        world.provider.always("quick", Answer::ok().events(3).after(ms(200)));
        let stream = json!({"stream": true});
        first_answers(&world, &stream).await;
        let streams = in_turn(&world, 12, &stream).await;
        assert!(of(&streams, "early") >= 11, "{streams:?} of {workers} workers");
        world.provider.always("early", Answer::ok().every(ms(150)));
        world.provider.always("quick", Answer::ok().after(ms(60)));
        first_answers(&world, &json!({})).await;
        let others = in_turn(&world, 14, &json!({})).await;
        assert!(of(&others, "quick") >= 13, "{others:?} of {workers} workers");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latency_based_routing_compares_the_time_for_a_token() {
    let settings = "routing_strategy: latency-based-routing";
    to_one_and_four(&gpt(&["brief", "wordy"]), settings, async |workers, world| {
        world.provider.always("brief", Answer::ok().using(5, 10).after(ms(60)));
        world.provider.always("wordy", Answer::ok().using(5, 1000).after(ms(150)));
        first_answers(&world, &json!({})).await;
        let counts = in_turn(&world, 20, &json!({})).await;
        assert!(of(&counts, "wordy") >= 19, "{counts:?} of {workers} workers");
    })
    .await;
}

#[tokio::test]
async fn cost_based_routing_prefers_the_cheapest_and_whoever_tells_no_price_comes_last() {
    let items = item("gpt", "paris", ", input_cost_per_token: 0.001, output_cost_per_token: 0.002")
        + &item("gpt", "virginia", ", input_cost_per_token: 0.002, output_cost_per_token: 0.0005")
        + &item("gpt", "tokyo", "");
    let settings = "routing_strategy: cost-based-routing, cooldown_time: 60";
    to_one_and_four(&items, settings, async |workers, world| {
        for (cheapest, next) in [("virginia", "paris"), ("paris", "tokyo")] {
            let counts = in_turn(&world, 10, &json!({})).await;
            assert_eq!(of(&counts, cheapest), 10, "{counts:?} of {workers} workers");
            world.provider.script(cheapest, [Answer::status(429)]);
            assert_eq!(served_by(&world.chat("gpt").await), next);
        }
    })
    .await;
}

#[tokio::test]
async fn the_first_order_serves_and_the_next_when_it_cannot() {
    let items = item("gpt", "first", ", order: 1, num_retries: 1")
        + &item("gpt", "also", ", order: 1, num_retries: 1")
        + &item("gpt", "second", ", order: 2, num_retries: 1")
        + &item("gpt", "never", "");
    to_one_and_four(&items, "cooldown_time: 60", async |workers, world| {
        let counts = in_turn(&world, 30, &json!({})).await;
        assert_eq!(of(&counts, "first") + of(&counts, "also"), 30, "{counts:?} of {workers} workers");
        for name in ["first", "also"] {
            world.provider.script(name, [Answer::status(500)]);
        }
        let reply = world.newcomer().chat("gpt").await;
        assert_eq!(
            (served_by(&reply).as_str(), reply.header("x-litellm-attempted-fallbacks")),
            ("second", Some("1"))
        );
        for name in ["first", "also"] {
            world.provider.script(name, [Answer::status(401)]);
        }
        world.newcomer().chat("gpt").await;
        let counts = in_turn(&world, 10, &json!({})).await;
        assert_eq!(of(&counts, "second"), 10, "{counts:?} of {workers} workers");
    })
    .await;
}

#[tokio::test]
async fn tags_of_header_body_and_metadata_choose_among_the_deployments() {
    let items = item("gpt", "free", ", tags: [free]")
        + &item("gpt", "paid", ", tags: [paid, eu]")
        + &item("gpt", "rest", ", tags: [default]")
        + &item("strict", "strict", ", tags: [paid]");
    to_one_and_four(&items, "enable_tag_filtering: true", async |workers, world| {
        let cases = [
            (None, json!({"tags": ["free"]}), "free"),
            (None, json!({"metadata": {"tags": ["paid"]}}), "paid"),
            (None, json!({"litellm_metadata": {"tags": ["paid"]}}), "paid"),
            (Some("paid"), json!({}), "paid"),
            (Some("nothing, eu"), json!({}), "paid"),
            (None, json!({}), "rest"),
            (None, json!({"tags": ["unheard of"]}), "rest"),
        ];
        for (header, body, expected) in cases {
            for _ in 0..5 {
                let client = world.newcomer();
                let client = header.map_or(client.clone(), |tags| client.with_header("x-litellm-tags", tags));
                let reply = client.chat_with("gpt", &body).await;
                assert_eq!(served_by(&reply), expected, "{header:?} {body} of {workers} workers");
            }
        }
        let error = world.chat_with("strict", &json!({"tags": ["free"]})).await.error(401);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("Not allowed to access model due to tags configuration"), "{message}");
        assert_eq!(served_by(&world.chat("strict").await), "strict");
        let sent = world.provider.received();
        assert!(sent.iter().all(|request| request.json().get("tags").is_none()));
        assert!(sent.iter().all(|request| request.header("x-litellm-tags").is_none()));
    })
    .await;
}

#[tokio::test]
async fn all_tags_must_match_where_the_file_says_so_and_none_count_where_it_says_nothing() {
    let items = item("gpt", "paid", ", tags: [paid]") + &item("gpt", "both", ", tags: [paid, eu]");
    let all = "enable_tag_filtering: true, tag_filtering_match_any: false";
    let tags = json!({"tags": ["paid", "eu"]});
    to_one_and_four(&items, all, async |workers, world| {
        assert_eq!(of(&in_turn(&world, 10, &tags).await, "both"), 10, "{workers} workers");
        world.chat_with("gpt", &json!({"tags": ["paid", "us"]})).await.error(401);
    })
    .await;
    to_one_and_four(&items, "", async |_, world| {
        assert!(of(&in_turn(&world, 40, &tags).await, "paid") > 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routing_groups_have_strategies_of_their_own_and_answer_to_their_names() {
    let items = item("cheap", "dear", ", input_cost_per_token: 2, output_cost_per_token: 2")
        + &item("cheap", "bargain", ", input_cost_per_token: 1, output_cost_per_token: 1")
        + &item("one", "paris", "")
        + &item("two", "lima", "")
        + &item("gpt", "plain", "")
        + &item("gpt", "other", "");
    let groups = "routing_groups: [{group_name: thrifty, models: [cheap], routing_strategy: cost-based-routing}, {group_name: ranked, models: [one, two], routing_strategy: priority, model_priorities: {two: 1, one: 2}}]";
    to_one_and_four(&items, &format!("cooldown_time: 60, {groups}"), async |workers, world| {
        for model in ["cheap", "thrifty"] {
            for _ in 0..10 {
                assert_eq!(served_by(&world.newcomer().chat(model).await), "bargain", "{workers} workers");
            }
        }
        let counts = in_turn(&world, 40, &json!({})).await;
        assert!(of(&counts, "plain") > 5 && of(&counts, "other") > 5, "{counts:?}");
        for _ in 0..10 {
            assert_eq!(served_by(&world.newcomer().chat("ranked").await), "lima");
            assert_eq!(served_by(&world.newcomer().chat("one").await), "paris");
        }
        world.provider.script("lima", [Answer::status(401)]);
        for _ in 0..5 {
            assert_eq!(served_by(&world.newcomer().chat("ranked").await), "paris");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_burst_has_ended_least_busy_spreads_requests_evenly() {
    let names = ["paris", "virginia", "tokyo"];
    to_one_and_four(&gpt(&names), "routing_strategy: least-busy", async |workers, world| {
        first_answers(&world, &json!({})).await;
        for round in 0..2 {
            for name in names {
                world.provider.always(name, Answer::ok().after(ms(800)));
            }
            chats(&world, 12, ms(2), &json!({})).await;
            for name in names {
                world.provider.always(name, Answer::ok());
            }
            let counts = in_turn(&world, 240, &json!({})).await;
            println!("{workers} workers, round {round}: {counts:?}");
            // 80 each, and 4.8 standard deviations less.
            assert!(names.iter().all(|name| of(&counts, name) >= 45), "{counts:?} of {workers} workers");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_becomes_fast_has_its_share_again_within_a_minute() {
    let names = ["paris", "virginia"];
    to_one_and_four(&gpt(&names), "routing_strategy: latency-based-routing", async |workers, world| {
        world.provider.always("paris", Answer::ok().after(ms(500)));
        world.provider.always("virginia", Answer::ok().after(ms(50)));
        first_answers(&world, &json!({})).await;
        let counts = in_turn(&world, 30, &json!({})).await;
        assert!(of(&counts, "paris") <= 1, "{counts:?} of {workers} workers, while it is slow");
        world.provider.always("paris", Answer::ok().after(ms(5)));
        let (begun, mut last) = (Instant::now(), Vec::new());
        let is_back = |last: &[bool]| last.iter().rev().take(20).filter(|is_paris| **is_paris).count() >= 10;
        while begun.elapsed() < Duration::from_secs(60) && !is_back(&last) {
            last.push(of(&in_turn(&world, 1, &json!({})).await, "paris") == 1);
            sleep(ms(500)).await;
        }
        let counts = in_turn(&world, 120, &json!({})).await;
        println!("{workers} workers: {counts:?} after {:?}", begun.elapsed());
        assert!(of(&counts, "paris") >= 60, "{counts:?} of {workers} workers, a minute later");
    })
    .await;
}
