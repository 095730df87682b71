//! Stories of tokens: what a request reserves of a limit, and the deployments that are large enough
//! for it.

use llm_balancer_router::StreamEnd;
use wasm_bindgen_test::wasm_bindgen_test as story;

use crate::common::{Answer, CHAT, ClientResponse, World, group, items, items_of};

/// A list of messages of so many tokens, with its names and braces.
fn prompt(tokens: usize) -> String {
    let around = r#"[{"role":"user","content":""}]"#.len();
    format!(r#""messages":[{{"role":"user","content":"{}"}}]"#, "x".repeat(4 * tokens - around))
}

/// A message with an image of so many bytes in base64.
fn image(bytes: usize) -> String {
    let data = "iVBORw0K".repeat(bytes / 8);
    format!(
        r#""messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}]"#
    )
}

/// A small and a large deployment, each with further parameters.
fn two_sizes(small: &str, large: &str) -> String {
    group(&["small"], &format!(", tpm: 1000{small}")) + &items(&["large"], &format!(", tpm: 100000{large}"))
}

fn left(response: &ClientResponse) -> u64 {
    response.header("x-ratelimit-remaining-tokens").unwrap().parse().unwrap()
}

/// How many requests are admitted at once before one is refused.
fn admitted(world: &mut World, members: &str) -> usize {
    (0..1000).take_while(|_| world.begin("g", members).is_ok()).count()
}

#[story(unsupported = test)]
fn an_agent_that_sets_a_high_limit_is_served_as_long_as_its_answers_are_short() {
    let mut world = World::of(&group(&["paris"], ", tpm: 30000"));
    for nth in 0..10 {
        let response = world.chat("g", r#""max_tokens":32000"#, |_| Answer::Used(100, 300));
        assert_eq!(response.status, 200, "request {nth}");
    }
    let response = world.chat("g", r#""max_tokens":32000"#, |_| Answer::Ok);
    assert_eq!(left(&response), 30_000 - 10 * 400 - (1 + 300), "an answer of 300 tokens is expected by now");
}

#[story(unsupported = test)]
fn before_anything_is_known_of_its_answers_256_tokens_are_reserved_for_each() {
    for (members, expected) in [
        ("", 3),
        (r#""max_tokens":32000"#, 3),
        (r#""max_tokens":99"#, 10),
        (r#""max_tokens":32000,"n":3"#, 1),
        (r#""max_tokens":99,"n":2"#, 5),
        (r#""max_tokens":99,"max_completion_tokens":32000"#, 3),
        (r#""max_tokens":32000,"max_completion_tokens":99"#, 3),
        (r#""max_tokens":99,"max_completion_tokens":9"#, 10),
    ] {
        let mut world = World::of(&group(&["paris"], ", tpm: 1000"));
        assert_eq!(admitted(&mut world, members), expected, "{members}");
    }
}

/// Clients of llama.cpp, LM Studio and Ollama send -1 for no limit, and the provider gets it.
#[story(unsupported = test)]
fn a_length_of_minus_one_reserves_as_much_as_none() {
    for own in ["", ", max_tokens: 10", ", max_completion_tokens: 10", ", max_tokens: -1"] {
        for name in ["max_tokens", "max_completion_tokens"] {
            let mut world = World::of(&group(&["paris"], &format!(", tpm: 1000{own}")));
            let members = format!(r#""{name}":-1"#);
            assert_eq!(admitted(&mut world, &members), 3, "{members} beside {own}");
            world.wait(60.0);
            let response = world.chat("g", &members, |_| Answer::Used(4, 90));
            assert!(response.sent.unwrap().body.contains(":-1"), "{members} beside {own}");
            world.wait(60.0);
            assert_eq!(admitted(&mut world, &members), 10, "its answers take 90 tokens by now");
        }
    }
}

#[story(unsupported = test)]
fn a_burst_is_limited_by_the_tokens_of_recent_responses() {
    for (taken, expected) in [(vec![99; 3], 10), (vec![199; 3], 5), (vec![9, 9, 199], 5)] {
        let mut world = World::of(&group(&["paris"], ", tpm: 1000"));
        for completion in &taken {
            world.chat("g", "", |_| Answer::Used(0, *completion));
        }
        world.wait(60.0);
        assert_eq!(admitted(&mut world, r#""max_tokens":32000"#), expected, "{taken:?}");
    }
}

#[story(unsupported = test)]
fn of_many_answers_a_few_long_ones_do_not_count_and_old_ones_are_forgotten() {
    let mut world = World::of(&group(&["paris"], ", tpm: 1000000"));
    let mut reserved = |answers: &[u64]| {
        answers.iter().for_each(|tokens| drop(world.chat("g", "", |_| Answer::Used(0, *tokens))));
        world.wait(60.0);
        1_000_000 - left(&world.chat("g", "", |_| Answer::Ok))
    };
    assert_eq!(reserved(&[5000; 20]), 5001);
    assert_eq!(reserved(&[99; 17]), 5001, "three of twenty are long");
    assert_eq!(reserved(&[99]), 100, "two of twenty are long");
}

#[story(unsupported = test)]
fn several_answers_are_several_times_as_long_as_one() {
    let mut world = World::of(&group(&["paris"], ", tpm: 1000"));
    world.chat("g", r#""n":3"#, |_| Answer::Used(0, 300));
    world.wait(60.0);
    let response = world.chat("g", "", |_| Answer::Ok);
    assert_eq!(left(&response), 1000 - 101, "100 of each of the three");
    world.wait(60.0);
    assert_eq!(left(&world.chat("g", r#""n":5"#, |_| Answer::Ok)), 1000 - 501);
}

#[story(unsupported = test)]
fn embeddings_do_not_count_for_the_length_of_responses() {
    let mut world = World::of(&group(&["paris"], ", tpm: 1000"));
    world.chat("g", "", |_| Answer::Used(0, 200));
    let body = br#"{"model":"g","input":"1234567"}"#;
    let response = world.post("/v1/embeddings", &[], body, |_| Answer::Used(1, 0));
    assert_eq!(left(&response), 1000 - 200 - 3, "the text and no answer");
    world.wait(60.0);
    assert_eq!(left(&world.chat("g", "", |_| Answer::Ok)), 1000 - 201);
}

/// Anthropic's `message_start` has the prompt, and one token of an answer that has just begun.
#[story(unsupported = test)]
fn what_a_stream_reports_before_its_end_is_not_taken_for_the_whole() {
    for end in [StreamEnd::ClientDisconnected, StreamEnd::Interrupted, StreamEnd::TimedOut { passed: 40_000 }]
    {
        let mut world = World::of(&group(&["paris"], ", tpm: 5000"));
        let admitted =
            (0..100).take_while(|_| world.chat("g", "", |_| Answer::UsedSoFar(25, 1, end)).status == 200);
        assert_eq!(admitted.count(), 5000 / 257, "{end:?}: each counts as reserved");
        world.wait(60.0);
        world.chat("g", "", |_| Answer::UsedSoFar(25, 500, end));
        let response = world.chat("g", "", |_| Answer::Ok);
        assert_eq!(left(&response), 5000 - 525 - 257, "{end:?}: more than reserved, and no whole answer");
    }
}

#[story(unsupported = test)]
fn an_image_counts_as_an_image_and_leaves_room_for_text() {
    let mut world = World::of(&group(&["paris"], ", tpm: 30000"));
    assert_eq!(world.chat("g", "", |_| Answer::Used(10, 10)).status, 200);
    let _in_flight = world.begin("g", &image(2_500_000)).unwrap();
    let response = world.chat("g", &prompt(100), |_| Answer::Ok);
    assert_eq!(response.status, 200, "a text beside an image");
    let reserved = 30_000 - 20 - left(&response) - 110;
    assert!((765..900).contains(&reserved), "{reserved} tokens for an image and a short answer");
}

#[story(unsupported = test)]
fn a_prompt_goes_where_it_fits_into_a_minute() {
    for strategy in ["simple-shuffle", "usage-based-routing-v2", "least-busy", "cost-based-routing"] {
        let settings = format!("router_settings: {{routing_strategy: {strategy}}}\n");
        let mut world = World::of(&(two_sizes(", weight: 1000000", "") + &settings));
        for _ in 0..20 {
            assert_eq!(world.chat("g", &prompt(2000), |_| Answer::Ok).called, ["large"], "{strategy}");
        }
        let response = world.chat("g", &(prompt(900) + r#","max_tokens":500"#), |_| Answer::Ok);
        assert_eq!(response.called, ["large"], "{strategy}: the answer would not fit");
        assert_eq!(
            world.chat("small", &prompt(2000), |_| Answer::Ok).status,
            200,
            "a whole minute, as asked"
        );
    }
}

#[story(unsupported = test)]
fn tokens_that_requests_in_flight_reserve_may_be_free_at_any_moment() {
    let mut world = World::of(&group(&["paris"], ", tpm: 1000"));
    world.wait(20.0);
    let begun = world.begin("g", &prompt(600)).unwrap();
    let wait = |world: &mut World| {
        let refused = world.chat("g", &prompt(600), |_| Answer::Ok);
        assert_eq!(refused.status, 429, "{refused:?}");
        refused.header("retry-after").map(str::to_owned)
    };
    assert_eq!(wait(&mut world).as_deref(), Some("1"));
    world.end(begun, Some(500));
    assert_eq!(wait(&mut world).as_deref(), Some("40"), "500 are used");
}

#[story(unsupported = test)]
fn a_deployment_that_is_large_enough_is_waited_for() {
    let mut world = World::of(&two_sizes("", ""));
    world.wait(20.0);
    let whole = world.begin("g", &prompt(99_700)).unwrap();
    assert_eq!(world.id(&whole), "large");
    let refused = world.chat("g", &prompt(2000), |_| Answer::Ok);
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(world.chat("g", &prompt(100), |_| Answer::Ok).called, ["small"], "which has its room");
    world.end(whole, Some(10));
    assert_eq!(world.chat("g", &prompt(2000), |_| Answer::Ok).called, ["large"]);
}

#[story(unsupported = test)]
fn where_none_is_large_enough_one_with_an_empty_minute_serves() {
    let mut world = World::of(&group(&["paris", "oslo"], ", tpm: 1000"));
    let (first, _second) =
        (world.begin("g", &prompt(2000)).unwrap(), world.begin("g", &prompt(2000)).unwrap());
    let refused = world.begin("g", &prompt(2000)).unwrap_err();
    assert_eq!(refused.status, 429, "both minutes are taken");
    world.end(first, Some(0));
    assert!(world.begin("g", &prompt(2000)).is_ok());
}

#[story(unsupported = test)]
fn a_deployment_that_the_request_cannot_use_is_not_waited_for() {
    let cooling = two_sizes(", order: 2", ", order: 1");
    let mut world = World::of(&cooling);
    world.chat("large", "", |_| Answer::RateLimited(30));
    assert_eq!(world.chat("g", &prompt(2000), |_| Answer::Ok).called, ["small"], "the large one cools down");

    let mut world = World::of(&two_sizes("", ""));
    let response = world.chat("g", &prompt(2000), |id| match id {
        "large" => Answer::Status(401),
        _ => Answer::Ok,
    });
    assert_eq!((response.status, response.called), (200, vec!["large".to_owned(), "small".to_owned()]));

    let settings = "router_settings: {enable_tag_filtering: true}\n";
    let mut world = World::of(&(two_sizes(", tags: [free]", ", tags: [paid]") + settings));
    let members = prompt(2000) + r#","tags":["free"]"#;
    assert_eq!(world.chat("g", &members, |_| Answer::Ok).called, ["small"], "the large one has other tags");
}

#[story(unsupported = test)]
fn of_a_later_order_the_first_that_is_large_enough_serves() {
    let mut world = World::of(&two_sizes(", order: 1", ", order: 2"));
    assert_eq!(world.chat("g", &prompt(2000), |_| Answer::Ok).called, ["large"]);
    assert_eq!(world.chat("g", &prompt(100), |_| Answer::Ok).called, ["small"]);
    let mut world = World::of(&two_sizes(", order: 2", ", order: 1, num_retries: 0"));
    let response = world.chat("g", &prompt(2000), |id| match id {
        "large" => Answer::Status(500),
        _ => Answer::Ok,
    });
    assert_eq!((response.status, response.called), (200, vec!["large".to_owned(), "small".to_owned()]));
}

#[story(unsupported = test)]
fn a_long_answer_does_not_close_a_small_deployment_for_good() {
    let mut world = World::of(&two_sizes(", weight: 1000000", ", weight: 1"));
    assert_eq!(world.chat("g", "", |_| Answer::Used(0, 90_000)).called, ["small"]);
    world.wait(60.0);
    assert_eq!(world.chat("g", "", |_| Answer::Used(0, 10)).called, ["small"]);
}

/// Of up to nine answers, the longest is expected.
#[story(unsupported = test)]
fn short_requests_are_served_after_an_answer_longer_than_the_limit() {
    for (tpm, completion) in [(10_000, 12_000), (10_000, 9_000), (30_000, u64::from(u32::MAX))] {
        for members in ["", r#""max_tokens":32000"#, r#""n":2"#] {
            let mut world = World::of(&group(&["paris"], &format!(", tpm: {tpm}")));
            world.chat("g", "", |_| Answer::Used(10, completion));
            assert_eq!(world.chat("g", members, |_| Answer::Used(5, 5)).status, 429, "the minute is used up");
            world.wait(60.0);
            for nth in 1..=8 {
                let status = world.chat("g", members, |_| Answer::Used(5, 5)).status;
                assert_eq!(status, 200, "request {nth} after an answer of {completion}: {members}");
            }
        }
    }
}

/// A second answer of the same length would be beyond the limit.
#[story(unsupported = test)]
fn of_answers_as_long_as_the_limit_one_is_in_flight_at_a_time() {
    let mut world = World::of(&group(&["paris"], ", tpm: 10000"));
    world.chat("g", "", |_| Answer::Used(10, 9_000));
    world.wait(60.0);
    assert_eq!(admitted(&mut world, ""), 1);
}

#[story(unsupported = test)]
fn a_sibling_without_room_for_the_request_is_not_tried() {
    let yaml =
        group(&["paris"], ", tpm: 10000, weight: 1000000") + &items(&["oslo"], ", tpm: 10000, weight: 1");
    let mut world = World::of(&yaml);
    let _nearly_full = world.begin("oslo", &prompt(9000)).unwrap();
    let response = world.chat("g", &prompt(2000), |_| Answer::Status(500));
    assert!(response.called.iter().all(|id| id == "paris"), "{:?}", response.called);
    assert!(response.waits.iter().all(|wait| *wait > 0.0), "it came back at once: {:?}", response.waits);

    let fallback = items_of("f", &["lima"], "");
    let mut world = World::of(&(yaml + &fallback + "router_settings: {fallbacks: [{g: [f]}]}\n"));
    let _nearly_full = world.begin("oslo", &prompt(9000)).unwrap();
    let response = world.chat("g", &prompt(2000), |id| match id {
        "paris" => Answer::RateLimited(5),
        _ => Answer::Ok,
    });
    assert_eq!(response.called, ["paris", "lima"], "the fallback at once");
}

#[story(unsupported = test)]
fn a_fallback_without_room_for_the_request_is_not_tried_either() {
    let named = |id: &str, name: &str, params: &str| items_of(name, &[id], params);
    let settings = |fallbacks: &str| {
        format!("router_settings: {{disable_cooldowns: true, num_retries: 2, fallbacks: [{fallbacks}]}}\n")
    };
    let full = group(&["paris"], "") + &named("lima", "f", ", tpm: 3000");
    let ask = |yaml: &str| {
        let mut world = World::of(yaml);
        let _nearly_full = world.begin("f", &prompt(2000)).unwrap();
        let mut first = true;
        world.chat("g", &prompt(2000), |id| match id {
            "paris" if std::mem::take(&mut first) => Answer::RateLimited(5),
            _ => Answer::Ok,
        })
    };
    let response = ask(&(full.clone() + &settings("{g: [f]}")));
    assert_eq!(response.called, ["paris", "paris"], "there is no other deployment");
    assert!(matches!(response.waits[..], [wait] if wait >= 5.0), "{:?}", response.waits);
    let response = ask(&(full + &named("oslo", "e", ", tpm: 3000") + &settings("{g: [f]}, {f: [e]}")));
    assert_eq!(response.called, ["paris", "oslo"], "the fallback of the fallback has room");
}

#[story(unsupported = test)]
fn an_explanation_names_the_deployment_that_is_too_small() {
    const EXPLAIN: &str = "x-llm-balancer-explain";
    let key = "general_settings: {master_key: sk-long-enough}\n";
    let asking = [("authorization", "Bearer sk-long-enough"), (EXPLAIN, "1")];
    let body = format!(r#"{{"model":"g",{}}}"#, prompt(2000));
    let reasons = |yaml: String| {
        let response = World::of(&yaml).post(CHAT, &asking, body.as_bytes(), |_| Answer::Ok);
        let explanation: serde_json::Value = serde_json::from_str(response.header(EXPLAIN).unwrap()).unwrap();
        let candidates = explanation["candidates"].as_array().unwrap().clone();
        candidates.iter().map(|candidate| candidate["reason"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(reasons(two_sizes("", "") + key), [Some("tpm_too_small".to_owned()), None]);
    let equals = group(&["paris", "oslo"], ", tpm: 1000") + key;
    assert_eq!(reasons(equals), [None, None], "each has a whole minute for it");
}

/// A stream of so many tokens, each in an event.
fn stream(tokens: usize) -> &'static [&'static str] {
    vec!["data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n"; tokens].leak()
}

#[story(unsupported = test)]
fn a_stream_without_its_usage_counts_the_tokens_that_have_arrived() {
    let ends = [
        StreamEnd::ClientDisconnected,
        StreamEnd::Interrupted,
        StreamEnd::TimedOut { passed: 9000 },
        StreamEnd::Complete,
    ];
    for end in ends {
        let mut world = World::of(&group(&["paris"], ", tpm: 20000"));
        let prompt = prompt(100);
        let members = format!(r#"{prompt},"stream":true"#);
        world.chat("g", &members, |_| Answer::Stream(stream(3000), end));
        let response = world.chat("g", &prompt, |_| Answer::Ok);
        assert_eq!(left(&response), 20_000 - (100 + 3000) - (100 + 256), "{end:?}");
        let mut world = World::of(&group(&["paris"], ", tpm: 20000"));
        world.chat("g", &members, |_| Answer::Stream(stream(30), end));
        let response = world.chat("g", &prompt, |_| Answer::Ok);
        assert_eq!(left(&response), 20_000 - 2 * (100 + 256), "{end:?}: no less than was reserved");
    }
}
