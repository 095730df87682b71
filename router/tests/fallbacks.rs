//! Stories of requests that go on to another group, or to the next order of their own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a story that cannot go on, or overflows, has failed"
)]

mod common;

use common::{Answer, RequestResult, World};
use wasm_bindgen_test::wasm_bindgen_test as story;

/// One deployment for each group, named after it, and what else the file says.
fn world(groups: &[&str], settings: &str) -> World {
    let item = |name: &&str| {
        format!(
            "- model_name: {name}\n  litellm_params: {{model: openai/m, api_base: 'http://{name}.test/v1', api_key: k}}\n  model_info: {{id: at-{name}}}\n"
        )
    };
    let items: String = groups.iter().map(item).collect();
    World::of(&format!("model_list:\n{items}router_settings: {{{settings}}}\n"))
}

/// A request for `g`, which only these serve.
fn ask(world: &mut World, members: &str, serving: &[&str]) -> RequestResult {
    world.chat("g", members, |id| if serving.contains(&id) { Answer::Ok } else { Answer::Status(500) })
}

#[story(unsupported = test)]
fn a_group_that_fails_is_followed_by_its_fallbacks_in_their_order() {
    let mut world = world(&["g", "a", "b"], "num_retries: 0, fallbacks: [{g: [a, b]}]");
    let told = ask(&mut world, "", &["at-b"]);
    assert_eq!((told.status, told.called.join(" ").as_str()), (200, "at-g at-a at-b"));
    for (name, value) in [
        ("x-litellm-attempted-fallbacks", "2"),
        ("x-litellm-attempted-retries", "0"),
        ("x-litellm-model-group", "b"),
        ("x-litellm-model-id", "at-b"),
    ] {
        assert_eq!(told.header(name), Some(value), "{name}");
    }
}

#[story(unsupported = test)]
fn retries_come_before_fallbacks_and_no_request_waits_while_a_fallback_is_left() {
    let mut world = world(&["g", "a"], "num_retries: 2, fallbacks: [{g: [a]}]");
    let told = ask(&mut world, "", &["at-a"]);
    assert_eq!(told.called, ["at-g", "at-g", "at-g", "at-a"]);
    assert!(told.waits.iter().all(|wait| *wait == 0.0), "{:?}", told.waits);
}

#[story(unsupported = test)]
fn what_is_not_retried_falls_back_at_once() {
    for answer in [Answer::Status(400), Answer::Status(401), Answer::Status(404), Answer::Status(429)] {
        let mut world = world(&["g", "a"], "num_retries: 2, fallbacks: [{g: [a]}]");
        let told = world.chat("g", "", |id| if id == "at-g" { answer } else { Answer::Ok });
        assert_eq!((told.status, told.called.len()), (200, 2), "{answer:?} {:?}", told.called);
    }
}

#[story(unsupported = test)]
fn each_target_has_retries_and_fallbacks_of_its_own() {
    let settings = "num_retries: 1, fallbacks: [{g: [a, z]}, {a: [b]}]";
    let mut world = world(&["g", "a", "b", "z"], settings);
    let told = ask(&mut world, "", &["at-z"]);
    assert_eq!(told.called.join(" "), "at-g at-g at-a at-a at-b at-b at-z");
    assert_eq!(told.header("x-litellm-attempted-fallbacks"), Some("3"), "every hop counts");
}

#[story(unsupported = test)]
fn when_all_fail_the_client_gets_the_error_of_the_first_group() {
    let mut world = world(&["g", "a"], "num_retries: 0, fallbacks: [{g: [a]}]");
    let told = world.chat("g", "", |id| match id {
        "at-g" => Answer::Says(418, r#"{"error":"the first"}"#),
        _ => Answer::Status(503),
    });
    assert_eq!((told.status, told.body.as_str()), (418, r#"{"error":"the first"}"#));
    assert_eq!(told.header("x-litellm-model-id"), Some("at-a"), "the last that was tried");
    assert_eq!(told.header("x-litellm-attempted-fallbacks"), Some("1"));
}

#[story(unsupported = test)]
fn after_a_reset_of_the_last_connection_the_client_gets_the_error_of_the_first_group() {
    let mut world = world(&["g", "a"], "num_retries: 0, fallbacks: [{g: [a]}]");
    let told = world.chat("g", "", |id| match id {
        "at-g" => Answer::Says(418, r#"{"error":"the first"}"#),
        _ => Answer::Broken,
    });
    assert_eq!((told.status, told.body.as_str()), (418, r#"{"error":"the first"}"#));
    assert_eq!(told.header("x-litellm-model-id"), Some("at-a"));
}

#[story(unsupported = test)]
fn a_long_prompt_and_a_filtered_one_have_lists_of_their_own() {
    const LONG: Answer = Answer::Says(400, r#"{"error":{"code":"context_length_exceeded"}}"#);
    const FILTERED: Answer = Answer::Says(400, r#"{"error":{"code":"content_filter"}}"#);
    let lists = "fallbacks: [{g: [a]}, {h: [a]}], context_window_fallbacks: [{g: [long]}], content_policy_fallbacks: [{g: [lax]}]";
    let mut world = world(&["g", "h", "a", "long", "lax"], lists);
    for (model, answer, expected) in [
        ("g", LONG, &["at-g", "at-long"][..]),
        ("g", FILTERED, &["at-g", "at-lax"]),
        ("g", Answer::Status(400), &["at-g", "at-a"]),
        ("h", LONG, &["at-h"]),
        ("h", Answer::Status(400), &["at-h", "at-a"]),
    ] {
        let first = format!("at-{model}");
        let told = world.chat(model, "", |id| if id == first { answer } else { Answer::Ok });
        assert_eq!(told.called, expected, "{model} {answer:?}");
    }
}

#[story(unsupported = test)]
fn without_a_list_for_long_prompts_the_ordinary_one_serves() {
    let mut world = world(&["g", "a"], "fallbacks: [{g: [a]}]");
    let long = Answer::Says(400, r#"{"error":"maximum context length"}"#);
    let told = world.chat("g", "", |id| if id == "at-g" { long } else { Answer::Ok });
    assert_eq!(told.called, ["at-g", "at-a"]);
}

#[story(unsupported = test)]
fn default_fallbacks_are_for_every_group() {
    let mut world = world(&["g", "a", "b"], "num_retries: 0, default_fallbacks: [a], fallbacks: [{b: [g]}]");
    assert_eq!(ask(&mut world, "", &["at-a"]).called, ["at-g", "at-a"]);
    let told = world.chat("b", "", |id| if id == "at-a" { Answer::Ok } else { Answer::Status(500) });
    assert_eq!(told.called, ["at-b", "at-g", "at-a"]);
}

#[story(unsupported = test)]
fn a_request_names_fallbacks_in_three_forms_and_none_of_them_reaches_the_provider() {
    let mut world = world(&["g", "a", "b"], "num_retries: 0, fallbacks: [{g: [b]}]");
    for members in [
        r#""fallbacks":["a"]"#,
        r#""fallbacks":[{"model":"a","temperature":0.5}]"#,
        r#""fallbacks":[{"g":["a"]}]"#,
    ] {
        let told = ask(&mut world, members, &["at-a"]);
        assert_eq!(told.called, ["at-g", "at-a"], "{members}");
        let body = told.sent.unwrap().body;
        assert!(!body.contains("fallbacks"), "{body}");
        assert_eq!(body.contains(r#""temperature":0.5"#), members.contains("temperature"), "{body}");
    }
}

#[story(unsupported = test)]
fn a_request_can_do_without_fallbacks() {
    let mut world = world(&["g", "a"], "num_retries: 0, fallbacks: [{g: [a]}]");
    let told = ask(&mut world, r#""disable_fallbacks":true"#, &["at-a"]);
    assert_eq!((told.status, told.called.join(" ").as_str()), (500, "at-g"));
}

#[story(unsupported = test)]
fn a_fallback_that_does_not_exist_is_skipped() {
    let mut world = world(&["g", "a"], "num_retries: 0");
    let told = ask(&mut world, r#""fallbacks":["nowhere","a"]"#, &["at-a"]);
    assert_eq!((told.status, told.called.join(" ").as_str()), (200, "at-g at-a"));
    let told = ask(&mut world, r#""fallbacks":["nowhere"]"#, &[]);
    assert_eq!((told.status, told.called.join(" ").as_str()), (500, "at-g"), "the first error");
}

#[story(unsupported = test)]
fn an_unknown_model_has_no_fallbacks() {
    let mut world = world(&["a"], "default_fallbacks: [a]");
    assert_eq!(world.chat("nobody", r#""fallbacks":["a"]"#, |_| Answer::Ok).status, 400);
}

#[story(unsupported = test)]
fn a_fallback_by_its_id_serves_even_while_it_cools_down() {
    let mut world = world(&["g", "a"], "num_retries: 0, fallbacks: [{g: [at-a]}]");
    world.chat("at-a", "", |_| Answer::Status(401));
    assert_eq!(world.chat("a", "", |_| Answer::Ok).status, 429);
    assert_eq!(ask(&mut world, "", &["at-a"]).called, ["at-g", "at-a"]);
}

#[story(unsupported = test)]
fn a_group_that_cools_down_is_followed_by_its_fallbacks_without_a_call() {
    let mut world = world(&["g", "a"], "num_retries: 0, fallbacks: [{g: [a]}]");
    world.chat("at-g", r#""disable_fallbacks":true"#, |_| Answer::Status(401));
    let told = ask(&mut world, "", &["at-a"]);
    assert_eq!((told.status, told.called.join(" ").as_str()), (200, "at-a"));
    assert_eq!(told.header("x-litellm-attempted-fallbacks"), Some("1"));
}

#[story(unsupported = test)]
fn mock_errors_take_the_way_of_true_ones_without_a_call() {
    let lists = "fallbacks: [{g: [a]}], context_window_fallbacks: [{g: [long]}], content_policy_fallbacks: [{g: [lax]}]";
    for (mock, expected) in [
        ("mock_testing_fallbacks", "at-a"),
        ("mock_testing_context_fallbacks", "at-long"),
        ("mock_testing_context_window_fallbacks", "at-long"),
        ("mock_testing_content_policy_fallbacks", "at-lax"),
    ] {
        let mut world = world(&["g", "a", "long", "lax"], lists);
        let told = world.chat("g", &format!(r#""{mock}":true"#), |_| Answer::Ok);
        assert_eq!((told.status, told.called.join(" ").as_str()), (200, expected), "{mock}");
        assert_eq!(told.header("x-litellm-attempted-fallbacks"), Some("1"), "{mock}");
        assert!(!told.sent.unwrap().body.contains("mock"));
    }
    let told = world(&["g"], "").chat("g", r#""mock_testing_fallbacks":true"#, |_| Answer::Ok);
    assert_eq!((told.status, told.called.len()), (500, 0));
}

/// A group of two orders.
fn ordered(settings: &str) -> World {
    let yaml = common::group(&["first"], ", order: 1") + &common::group(&["second"], ", order: 2") + settings;
    World::of(&yaml.replacen("model_list:\n", "", 2).replacen("- model", "model_list:\n- model", 1))
}

#[story(unsupported = test)]
fn the_next_order_serves_as_soon_as_the_first_has_failed_and_counts_as_a_fallback() {
    for answer in
        [Answer::Status(500), Answer::Status(404), Answer::Status(429), Answer::TooSlow, Answer::Broken]
    {
        let mut world = ordered("router_settings: {num_retries: 2}\n");
        let told = world.chat("g", "", |id| if id == "second" { Answer::Ok } else { answer });
        assert_eq!(told.called, ["first", "second"], "{answer:?}");
        assert!(told.waits.iter().all(|wait| *wait == 0.0), "{:?}", told.waits);
        assert_eq!(told.header("x-litellm-attempted-fallbacks"), Some("1"));
    }
    let mut world = ordered("router_settings: {num_retries: 2}\n");
    assert_eq!(world.chat("g", "", |_| Answer::Ok).called, ["first"]);
    let told = world.chat("g", "", |_| Answer::Status(400));
    assert_eq!(told.called, ["first"], "the request's own fault is nobody else's business");
}

#[story(unsupported = test)]
fn every_deployment_of_an_order_is_tried_once_before_the_next_order() {
    let group = |ids: &[&str], params| common::group(ids, params).replace("model_list:\n", "");
    let yaml = "model_list:\n".to_owned()
        + &group(&["a", "b", "c"], ", order: 1")
        + &group(&["d"], ", order: 2")
        + &group(&["e", "f"], ", order: 3");
    let settings = "router_settings: {num_retries: 3, disable_cooldowns: true}\n";
    let mut world = World::of(&(yaml.clone() + settings));
    for _ in 0..20 {
        let told = world.chat("g", "", |_| Answer::Status(500));
        let called = told.called.join(" ");
        let mut first: Vec<&str> = called.split(' ').take(3).collect();
        first.sort_unstable();
        assert_eq!(first, ["a", "b", "c"], "{called}");
        assert_eq!(&told.called[3], "d", "{called}");
        // The last order has nowhere else to go, so its retries wait.
        assert_eq!(told.called.len(), 8, "{called}");
        assert!(told.called[4..].iter().all(|id| id == "e" || id == "f"), "{called}");
    }
    let told = World::of(&(yaml + "router_settings: {num_retries: 1}\n"))
        .chat("g", "", |id| if id == "d" { Answer::Ok } else { Answer::Status(500) });
    assert_eq!(told.called.len(), 3, "two of the first order, then the next: {:?}", told.called);
}

#[story(unsupported = test)]
fn the_next_order_serves_at_once_while_the_first_cools_down() {
    let mut world = ordered("");
    world.chat("first", "", |_| Answer::Status(401));
    let told = world.chat("g", "", |_| Answer::Ok);
    assert_eq!(
        (told.called.join(" ").as_str(), told.header("x-litellm-attempted-fallbacks")),
        ("second", Some("0"))
    );
}

#[story(unsupported = test)]
fn orders_come_before_fallbacks() {
    let yaml = "- model_name: a\n  litellm_params: {model: openai/m, api_base: 'http://a.test/v1', api_key: k}\n  model_info: {id: a}\n";
    let mut world =
        ordered(&(yaml.to_owned() + "router_settings: {num_retries: 0, fallbacks: [{g: [a]}]}\n"));
    let told = world.chat("g", "", |id| if id == "a" { Answer::Ok } else { Answer::Status(500) });
    assert_eq!(told.called, ["first", "second", "a"]);
    assert_eq!(told.header("x-litellm-attempted-fallbacks"), Some("2"));
}

#[story(unsupported = test)]
fn a_client_that_disconnects_at_any_stage_leaves_nothing_in_flight() {
    let settings = "num_retries: 1, default_max_parallel_requests: 1, fallbacks: [{g: [a]}]";
    for stage in 0..4 {
        let mut world = world(&["g", "a"], settings);
        let mut calls = 0;
        world.chat("g", "", |_| {
            calls += 1;
            if calls > stage { Answer::Left } else { Answer::Status(500) }
        });
        for group in ["g", "a"] {
            assert!(world.begin(group, "").is_ok(), "{group} after {stage} failures");
        }
    }
}

#[story(unsupported = test)]
fn a_request_ends_with_an_answer_however_many_attempts_it_asks_for() {
    const DOWN: Answer = Answer::Says(503, r#"{"error":"down"}"#);
    for failing in [DOWN, Answer::Broken, Answer::TooSlow, Answer::Refused] {
        for members in [
            r#""num_retries":10,"fallbacks":["a","b"]"#,
            r#""num_retries":1000,"fallbacks":["a","b"]"#,
            r#""num_retries":1000"#,
            r#""num_retries":24,"fallbacks":["a",{"model":"a","n":1},{"model":"a","n":2},{"model":"b","n":3},"b"]"#,
        ] {
            let mut world = world(&["g", "a", "b"], "disable_cooldowns: true");
            let told = world.chat("g", members, |_| failing);
            assert_eq!((told.called.len(), told.status >= 408), (25, true), "{members} {told:?}");
            assert!(!told.body.is_empty(), "{members} {failing:?}");
            assert_eq!(world.lines.len(), 1);
            assert_eq!(world.lines[0]["attempts"].as_array().map(Vec::len), Some(25));
            let counted = world.counted();
            let requests: Vec<_> =
                counted.iter().filter(|(name, _)| name.starts_with("requests_total")).collect();
            assert_eq!(requests.len(), 1, "{requests:?}");
            if members.contains("fallbacks") {
                assert!(
                    told.called.iter().any(|id| id == "at-b"),
                    "every fallback has its turn: {:?}",
                    told.called
                );
            }
        }
    }
}

#[story(unsupported = test)]
fn the_clients_own_words_lead_to_no_special_fallback() {
    let lists = "context_window_fallbacks: [{g: [long]}], content_policy_fallbacks: [{g: [lax]}]";
    for body in [
        r#"{"detail":[{"type":"string_type","loc":["body"],"msg":"Input should be a valid string","input":"maximum context length","ctx":{"error":"content_policy_violation"}}]}"#,
        r#"{"error":{"message":"Invalid value: 'maximum context length'.","type":"invalid_request_error","param":"tool_choice","code":null}}"#,
        r#"{"error":{"message":"1 validation error: {'type': 'x', 'input': 'prompt is too long, content_filter'}","code":400}}"#,
        r#"{"error":{"message":"Unknown name","failed_generation":"context_length_exceeded"},"input":"content_filter"}"#,
        r#"{"error":{"message":"The tool \"safety system\" is unknown","metadata":{"flagged_input":"content policy"}}}"#,
        "<html>maximum context length, content_policy_violation</html>",
        "maximum context length",
    ] {
        for status in [400, 413, 422] {
            let mut world = world(&["g", "long", "lax"], lists);
            let told = world.chat("g", "", |_| Answer::Says(status, body));
            assert_eq!((told.called.as_slice(), told.status), (&["at-g".to_owned()][..], status), "{body}");
        }
    }
}

#[story(unsupported = test)]
fn a_long_prompt_is_recognised_with_any_status_and_in_any_case() {
    let lists =
        "num_retries: 0, context_window_fallbacks: [{g: [long]}], content_policy_fallbacks: [{g: [lax]}]";
    for (body, expected) in [
        (
            r#"{"type":"error","error":{"message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            "at-long",
        ),
        (r#"{"message":"Input is too long for requested model."}"#, "at-long"),
        (r#"{"error":{"message":"THE REQUEST EXCEEDS THE AVAILABLE CONTEXT SIZE"}}"#, "at-long"),
        (r#"{"error":{"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#, "at-lax"),
        (r#"{"error":{"code":"cyber_policy"}}"#, "at-lax"),
        (r#"{"error":{"message":"input new_sensitive (1026)"}}"#, "at-lax"),
    ] {
        for status in [400, 403, 413, 422, 500] {
            let mut world = world(&["g", "long", "lax"], lists);
            let told =
                world.chat("g", "", |id| if id == "at-g" { Answer::Says(status, body) } else { Answer::Ok });
            assert_eq!(told.called, ["at-g", expected], "{status} {body}");
        }
    }
}
