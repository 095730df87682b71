//! Stories of requests that fall back to another group, or to the next `order` of their own.

use crate::common::{Answer, CHAT, ClientResponse, World, group, items};
use wasm_bindgen_test::wasm_bindgen_test as story;

/// One deployment `at-..` for each group, and further router_settings.
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
fn ask(world: &mut World, members: &str, serving: &[&str]) -> ClientResponse {
    world.chat("g", members, |id| if serving.contains(&id) { Answer::Ok } else { Answer::Status(500) })
}

#[story(unsupported = test)]
fn a_group_that_fails_is_followed_by_its_fallbacks_in_their_order() {
    let mut world = world(&["g", "a", "b"], "num_retries: 0, fallbacks: [{g: [a, b]}]");
    let response = ask(&mut world, "", &["at-b"]);
    assert_eq!((response.status, response.called.join(" ").as_str()), (200, "at-g at-a at-b"));
    for (name, value) in [
        ("x-litellm-attempted-fallbacks", "2"),
        ("x-litellm-attempted-retries", "0"),
        ("x-litellm-model-group", "b"),
        ("x-litellm-model-id", "at-b"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
}

#[story(unsupported = test)]
fn retries_precede_fallbacks_and_there_is_no_wait_while_a_fallback_is_left() {
    let mut world = world(&["g", "a"], "num_retries: 2, fallbacks: [{g: [a]}]");
    let response = ask(&mut world, "", &["at-a"]);
    assert_eq!(response.called, ["at-g", "at-g", "at-g", "at-a"]);
    assert!(response.waits.iter().all(|wait| *wait == 0.0), "{:?}", response.waits);
}

#[story(unsupported = test)]
fn what_is_not_retried_falls_back_at_once() {
    for answer in [Answer::Status(400), Answer::Status(401), Answer::Status(404), Answer::Status(429)] {
        let mut world = world(&["g", "a"], "num_retries: 2, fallbacks: [{g: [a]}]");
        let response = world.chat("g", "", |id| if id == "at-g" { answer } else { Answer::Ok });
        assert_eq!((response.status, response.called.len()), (200, 2), "{answer:?} {:?}", response.called);
    }
}

#[story(unsupported = test)]
fn each_target_has_retries_and_fallbacks_of_its_own() {
    let settings = "num_retries: 1, fallbacks: [{g: [a, z]}, {a: [b]}]";
    let mut world = world(&["g", "a", "b", "z"], settings);
    let response = ask(&mut world, "", &["at-z"]);
    assert_eq!(response.called.join(" "), "at-g at-g at-a at-a at-b at-b at-z");
    assert_eq!(response.header("x-litellm-attempted-fallbacks"), Some("3"), "every hop counts");
}

#[story(unsupported = test)]
fn when_all_fail_the_client_gets_the_error_of_the_first_group() {
    let mut world = world(&["g", "a"], "num_retries: 0, fallbacks: [{g: [a]}]");
    let response = world.chat("g", "", |id| match id {
        "at-g" => Answer::Error(418, r#"{"error":"the first"}"#),
        _ => Answer::Status(503),
    });
    assert_eq!((response.status, response.body.as_str()), (418, r#"{"error":"the first"}"#));
    assert_eq!(response.header("x-request-id"), Some("of-at-g"), "the request that support looks for");
    assert_eq!(response.header("x-litellm-model-id"), Some("at-a"), "the last that was tried");
    assert_eq!(response.header("x-litellm-attempted-fallbacks"), Some("1"));
}

#[story(unsupported = test)]
fn when_the_last_connection_is_reset_the_client_still_gets_the_error_of_the_first_group() {
    let mut world = world(&["g", "a"], "num_retries: 0, fallbacks: [{g: [a]}]");
    let response = world.chat("g", "", |id| match id {
        "at-g" => Answer::Error(418, r#"{"error":"the first"}"#),
        _ => Answer::Reset,
    });
    assert_eq!((response.status, response.body.as_str()), (418, r#"{"error":"the first"}"#));
    assert_eq!(response.header("x-litellm-model-id"), Some("at-a"));
}

#[story(unsupported = test)]
fn a_long_prompt_and_a_filtered_one_have_lists_of_their_own() {
    const LONG: Answer = Answer::Error(400, r#"{"error":{"code":"context_length_exceeded"}}"#);
    const FILTERED: Answer = Answer::Error(400, r#"{"error":{"code":"content_filter"}}"#);
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
        let response = world.chat(model, "", |id| if id == first { answer } else { Answer::Ok });
        assert_eq!(response.called, expected, "{model} {answer:?}");
    }
}

#[story(unsupported = test)]
fn without_a_list_for_long_prompts_the_ordinary_one_serves() {
    let mut world = world(&["g", "a"], "fallbacks: [{g: [a]}]");
    let long = Answer::Error(400, r#"{"error":"maximum context length"}"#);
    let response = world.chat("g", "", |id| if id == "at-g" { long } else { Answer::Ok });
    assert_eq!(response.called, ["at-g", "at-a"]);
}

#[story(unsupported = test)]
fn default_fallbacks_are_for_every_group() {
    let mut world = world(&["g", "a", "b"], "num_retries: 0, default_fallbacks: [a], fallbacks: [{b: [g]}]");
    assert_eq!(ask(&mut world, "", &["at-a"]).called, ["at-g", "at-a"]);
    let response = world.chat("b", "", |id| if id == "at-a" { Answer::Ok } else { Answer::Status(500) });
    assert_eq!(response.called, ["at-b", "at-g", "at-a"]);
}

#[story(unsupported = test)]
fn a_request_names_fallbacks_in_three_forms_and_none_of_them_reaches_the_provider() {
    let mut world = world(&["g", "a", "b"], "num_retries: 0, fallbacks: [{g: [b]}]");
    for members in [
        r#""fallbacks":["a"]"#,
        r#""fallbacks":[{"model":"a","temperature":0.5}]"#,
        r#""fallbacks":[{"g":["a"]}]"#,
    ] {
        let response = ask(&mut world, members, &["at-a"]);
        assert_eq!(response.called, ["at-g", "at-a"], "{members}");
        let body = response.sent.unwrap().body;
        assert!(!body.contains("fallbacks"), "{body}");
        assert_eq!(body.contains(r#""temperature":0.5"#), members.contains("temperature"), "{body}");
    }
}

#[story(unsupported = test)]
fn a_request_can_do_without_fallbacks() {
    let mut world = world(&["g", "a"], "num_retries: 0, fallbacks: [{g: [a]}]");
    let response = ask(&mut world, r#""disable_fallbacks":true"#, &["at-a"]);
    assert_eq!((response.status, response.called.join(" ").as_str()), (500, "at-g"));
}

#[story(unsupported = test)]
fn an_unknown_target_is_skipped() {
    let mut world = world(&["g", "a"], "num_retries: 0");
    let response = ask(&mut world, r#""fallbacks":["nowhere","a"]"#, &["at-a"]);
    assert_eq!((response.status, response.called.join(" ").as_str()), (200, "at-g at-a"));
    let response = ask(&mut world, r#""fallbacks":["nowhere"]"#, &[]);
    assert_eq!((response.status, response.called.join(" ").as_str()), (500, "at-g"), "the first error");
}

#[story(unsupported = test)]
fn an_unknown_model_has_no_fallbacks() {
    let mut world = world(&["a"], "default_fallbacks: [a]");
    assert_eq!(world.chat("nobody", r#""fallbacks":["a"]"#, |_| Answer::Ok).status, 400);
}

/// As in LiteLLM, which looks for a deployment where a name is an alias or there is a wildcard.
#[story(unsupported = test)]
fn a_name_that_leads_to_no_deployment_has_fallbacks_if_it_may_lead_to_one() {
    let file = |wildcard: &str, settings: &str| {
        let of_a = "- {model_name: a, litellm_params: {model: openai/m, api_base: 'http://a.test/v1', api_key: k}, model_info: {id: at-a}}\n";
        let skipped = "- {model_name: skipped, litellm_params: {model: bedrock/anthropic.claude-v2}}\n";
        let aliases = "model_group_alias: {one: a, chained: one, dangling: none, to-skipped: skipped}";
        let skip = "llm_balancer: {unsupported_deployments: skip}";
        World::of(&format!(
            "model_list:\n{of_a}{skipped}{wildcard}router_settings: {{{aliases}{settings}}}\n{skip}\n"
        ))
    };
    const WILDCARD: &str = "- {model_name: mistral/*, litellm_params: {model: mistral/*, api_key: k}}\n";
    const OF_CLIENT: &str = r#""fallbacks":["a"]"#;
    for (wildcard, settings, members, served) in [
        ("", ", default_fallbacks: [a]", "", &["chained", "dangling", "skipped", "to-skipped"][..]),
        (
            WILDCARD,
            ", default_fallbacks: [a]",
            "",
            &["chained", "dangling", "skipped", "to-skipped", "unmatched"],
        ),
        (WILDCARD, "", OF_CLIENT, &["chained", "dangling", "skipped", "to-skipped", "unmatched"]),
        ("", ", fallbacks: [{skipped: [a]}, {dangling: [a]}]", "", &["skipped", "dangling"]),
        (WILDCARD, "", "", &[]),
    ] {
        let mut world = file(wildcard, settings);
        for model in ["chained", "dangling", "skipped", "to-skipped", "unmatched"] {
            let response = world.chat(model, members, |_| Answer::Ok);
            if served.contains(&model) {
                let fallbacks = response.header("x-litellm-attempted-fallbacks");
                assert_eq!((response.called.join(" ").as_str(), fallbacks), ("at-a", Some("1")), "{model}");
            } else {
                assert!(matches!(response.status, 400 | 404), "{model}: {}", response.body);
                assert!(response.called.is_empty(), "{model}: {:?}", response.called);
            }
        }
    }
}

#[story(unsupported = test)]
fn a_target_by_its_id_serves_even_while_it_cools_down() {
    let mut world = world(&["g", "a"], "num_retries: 0, fallbacks: [{g: [at-a]}]");
    world.chat("at-a", "", |_| Answer::Status(401));
    assert_eq!(world.chat("a", "", |_| Answer::Ok).status, 429);
    assert_eq!(ask(&mut world, "", &["at-a"]).called, ["at-g", "at-a"]);
}

#[story(unsupported = test)]
fn a_group_that_cools_down_is_followed_by_its_fallbacks_without_a_call() {
    let mut world = world(&["g", "a"], "num_retries: 0, fallbacks: [{g: [a]}]");
    world.chat("at-g", r#""disable_fallbacks":true"#, |_| Answer::Status(401));
    let response = ask(&mut world, "", &["at-a"]);
    assert_eq!((response.status, response.called.join(" ").as_str()), (200, "at-a"));
    assert_eq!(response.header("x-litellm-attempted-fallbacks"), Some("1"));
}

#[story(unsupported = test)]
fn mock_errors_fall_back_like_real_ones_without_a_call() {
    let lists = "fallbacks: [{g: [a]}], context_window_fallbacks: [{g: [long]}], content_policy_fallbacks: [{g: [lax]}]";
    for (mock, expected) in [
        ("mock_testing_fallbacks", "at-a"),
        ("mock_testing_context_fallbacks", "at-long"),
        ("mock_testing_context_window_fallbacks", "at-long"),
        ("mock_testing_content_policy_fallbacks", "at-lax"),
    ] {
        let mut world = world(&["g", "a", "long", "lax"], lists);
        let response = world.chat("g", &format!(r#""{mock}":true"#), |_| Answer::Ok);
        assert_eq!((response.status, response.called.join(" ").as_str()), (200, expected), "{mock}");
        assert_eq!(response.header("x-litellm-attempted-fallbacks"), Some("1"), "{mock}");
        assert!(!response.sent.unwrap().body.contains("mock"));
    }
    let response = world(&["g"], "").chat("g", r#""mock_testing_fallbacks":true"#, |_| Answer::Ok);
    assert_eq!((response.status, response.called.len()), (500, 0));
}

#[story(unsupported = test)]
fn mock_errors_go_to_the_next_order_like_real_ones() {
    for (members, expected) in [
        (r#""mock_testing_fallbacks":true"#, (200, "second")),
        (r#""mock_testing_rate_limit_error":true,"num_retries":0"#, (200, "second")),
        (r#""mock_testing_fallbacks":true,"disable_fallbacks":true"#, (500, "")),
        (r#""mock_testing_context_fallbacks":true"#, (400, "")),
    ] {
        let response = ordered("").chat("g", members, |_| Answer::Ok);
        assert_eq!((response.status, response.called.join(" ").as_str()), expected, "{members}");
        let steps = if expected.0 == 200 { "1" } else { "0" };
        assert_eq!(response.header("x-litellm-attempted-fallbacks"), Some(steps), "{members}");
    }
}

/// A group of two orders.
fn ordered(settings: &str) -> World {
    let yaml = group(&["first"], ", order: 1") + &items(&["second"], ", order: 2") + settings;
    World::of(&yaml)
}

#[story(unsupported = test)]
fn the_next_order_serves_as_soon_as_the_first_has_failed_and_counts_as_a_fallback() {
    for answer in
        [Answer::Status(500), Answer::Status(404), Answer::Status(429), Answer::TimedOut, Answer::Reset]
    {
        let mut world = ordered("router_settings: {num_retries: 2}\n");
        let response = world.chat("g", "", |id| if id == "second" { Answer::Ok } else { answer });
        assert_eq!(response.called, ["first", "second"], "{answer:?}");
        assert!(response.waits.iter().all(|wait| *wait == 0.0), "{:?}", response.waits);
        assert_eq!(response.header("x-litellm-attempted-fallbacks"), Some("1"));
    }
    let mut world = ordered("router_settings: {num_retries: 2}\n");
    assert_eq!(world.chat("g", "", |_| Answer::Ok).called, ["first"]);
}

/// As fallbacks do: another model may take what the first one does not.
#[story(unsupported = test)]
fn an_error_of_the_request_goes_to_the_next_order_and_not_to_the_same() {
    let of_two = "- {model_name: two, litellm_params: {model: openai/m, api_key: k, api_base: 'http://t.test/v1'}, model_info: {id: t}}\n";
    let prioritised = "router_settings: {num_retries: 2, fallbacks: [{g: [two]}, {best: [two]}], routing_groups: [{group_name: best, models: [alone, g], routing_strategy: priority, model_priorities: {alone: 1, g: 2}}]}\n";
    let of_alone = of_two.replace("two", "alone").replace("id: t", "id: alone");
    for path in [CHAT, "/v1/embeddings", "/v1/responses"] {
        for status in [400, 413, 415, 422] {
            let mut world = ordered(&(of_two.to_owned() + &of_alone + prioritised));
            let mut ask = |model: &str, members: &str, works: &str| {
                let body = format!(r#"{{"model":"{model}","messages":[],"input":"x"{members}}}"#);
                let answer = |id: &str| if id == works { Answer::Ok } else { Answer::Status(status) };
                let response = world.post(path, &[], body.as_bytes(), answer);
                (response.status, response.called.join(" "))
            };
            assert_eq!(ask("g", "", "second"), (200, "first second".to_owned()), "{path} {status}");
            assert_eq!(ask("g", r#","stream":true"#, "second"), (200, "first second".to_owned()));
            assert_eq!(ask("g", "", "t"), (200, "first second t".to_owned()), "{path} {status}");
            assert_eq!(ask("g", "", ""), (status, "first second t".to_owned()), "{path} {status}");
            let (last, called) = ask("best", "", "t");
            assert_eq!(last, 200, "{path} {status}");
            assert!(called.starts_with("alone ") && called.ends_with(" t"), "{called}");
        }
    }
    for body in [r#"{"error":"maximum context length"}"#, r#"{"error":{"code":"content_filter"}}"#] {
        let response = ordered("").chat("g", "", |_| Answer::Error(400, body));
        assert_eq!(response.called, ["first"], "{body}");
    }
}

#[story(unsupported = test)]
fn a_request_without_fallbacks_does_not_go_to_the_next_order() {
    let without = r#""disable_fallbacks":true"#;
    for (settings, expected) in
        [("{num_retries: 0}", "first"), ("{num_retries: 1, disable_cooldowns: true}", "first first")]
    {
        let mut world = ordered(&format!("router_settings: {settings}\n"));
        let response =
            world.chat("g", without, |id| if id == "second" { Answer::Ok } else { Answer::Status(500) });
        assert_eq!((response.status, response.called.join(" ").as_str()), (500, expected), "{settings}");
    }
    let groups = "routing_groups: [{group_name: best, models: [one, g], routing_strategy: priority, model_priorities: {one: 1, g: 2}}]";
    let one = "- {model_name: one, litellm_params: {model: openai/m, api_key: k, api_base: 'http://o.test/v1'}, model_info: {id: one}}\n";
    let mut world = ordered(&format!("{one}router_settings: {{num_retries: 0, {groups}}}\n"));
    let response = world.chat("best", without, |_| Answer::Status(500));
    assert_eq!((response.status, response.called.join(" ").as_str()), (500, "one"));
    // As in LiteLLM, a retry takes the next order while the first cools down.
    let mut world = ordered("router_settings: {num_retries: 1}\n");
    let response =
        world.chat("g", without, |id| if id == "second" { Answer::Ok } else { Answer::Status(429) });
    assert_eq!((response.status, response.called.join(" ").as_str()), (200, "first second"));
    assert_eq!(response.header("x-litellm-attempted-fallbacks"), Some("0"));
    assert_eq!(response.header("x-litellm-attempted-retries"), Some("1"));
}

#[story(unsupported = test)]
fn every_deployment_of_an_order_is_tried_once_before_the_next_order() {
    let yaml = group(&["a", "b", "c"], ", order: 1")
        + &items(&["d"], ", order: 2")
        + &items(&["e", "f"], ", order: 3");
    let settings = "router_settings: {num_retries: 3, disable_cooldowns: true}\n";
    let mut world = World::of(&(yaml.clone() + settings));
    for _ in 0..20 {
        let response = world.chat("g", "", |_| Answer::Status(500));
        let called = response.called.join(" ");
        let mut first: Vec<&str> = called.split(' ').take(3).collect();
        first.sort_unstable();
        assert_eq!(first, ["a", "b", "c"], "{called}");
        assert_eq!(&response.called[3], "d", "{called}");
        // Behind the last order there is nothing else, so its retries wait.
        assert_eq!(response.called.len(), 8, "{called}");
        assert!(response.called[4..].iter().all(|id| id == "e" || id == "f"), "{called}");
    }
    let response = World::of(&(yaml + "router_settings: {num_retries: 1}\n"))
        .chat("g", "", |id| if id == "d" { Answer::Ok } else { Answer::Status(500) });
    assert_eq!(response.called.len(), 3, "two of the first order, then the next: {:?}", response.called);
}

#[story(unsupported = test)]
fn the_next_order_serves_at_once_while_the_first_cools_down() {
    let mut world = ordered("");
    world.chat("first", "", |_| Answer::Status(401));
    let response = world.chat("g", "", |_| Answer::Ok);
    assert_eq!(
        (response.called.join(" ").as_str(), response.header("x-litellm-attempted-fallbacks")),
        ("second", Some("0"))
    );
}

#[story(unsupported = test)]
fn orders_come_before_fallbacks() {
    let yaml = "- model_name: a\n  litellm_params: {model: openai/m, api_base: 'http://a.test/v1', api_key: k}\n  model_info: {id: a}\n";
    let mut world =
        ordered(&(yaml.to_owned() + "router_settings: {num_retries: 0, fallbacks: [{g: [a]}]}\n"));
    let response = world.chat("g", "", |id| if id == "a" { Answer::Ok } else { Answer::Status(500) });
    assert_eq!(response.called, ["first", "second", "a"]);
    assert_eq!(response.header("x-litellm-attempted-fallbacks"), Some("2"));
}

#[story(unsupported = test)]
fn a_client_that_disconnects_at_any_stage_leaves_nothing_in_flight() {
    let settings = "num_retries: 1, default_max_parallel_requests: 1, fallbacks: [{g: [a]}]";
    for stage in 0..4 {
        let mut world = world(&["g", "a"], settings);
        let mut calls = 0;
        world.chat("g", "", |_| {
            calls += 1;
            if calls > stage { Answer::ClientDisconnects } else { Answer::Status(500) }
        });
        for group in ["g", "a"] {
            assert!(world.begin(group, "").is_ok(), "{group} after {stage} failures");
        }
    }
}

#[story(unsupported = test)]
fn a_request_ends_with_a_response_however_many_attempts_it_asks_for() {
    const DOWN: Answer = Answer::Error(503, r#"{"error":"down"}"#);
    for failing in [DOWN, Answer::Reset, Answer::TimedOut, Answer::Refused] {
        for members in [
            r#""num_retries":10,"fallbacks":["a","b"]"#,
            r#""num_retries":1000,"fallbacks":["a","b"]"#,
            r#""num_retries":1000"#,
            r#""num_retries":24,"fallbacks":["a",{"model":"a","n":1},{"model":"a","n":2},{"model":"b","n":3},"b"]"#,
        ] {
            let mut world = world(&["g", "a", "b"], "disable_cooldowns: true");
            let response = world.chat("g", members, |_| failing);
            assert_eq!((response.called.len(), response.status >= 408), (25, true), "{members} {response:?}");
            assert!(!response.body.is_empty(), "{members} {failing:?}");
            assert_eq!(world.lines.len(), 1);
            assert_eq!(world.lines[0]["attempts"].as_array().map(Vec::len), Some(25));
            let counted = world.counted();
            let requests: Vec<_> =
                counted.iter().filter(|(name, _)| name.starts_with("requests_total")).collect();
            assert_eq!(requests.len(), 1, "{requests:?}");
            if members.contains("fallbacks") {
                assert!(
                    response.called.iter().any(|id| id == "at-b"),
                    "every fallback has its turn: {:?}",
                    response.called
                );
            }
        }
    }
}

#[story(unsupported = test)]
fn words_of_the_client_in_an_error_lead_to_no_special_fallback() {
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
            let response = world.chat("g", "", |_| Answer::Error(status, body));
            assert_eq!(
                (response.called.as_slice(), response.status),
                (&["at-g".to_owned()][..], status),
                "{body}"
            );
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
            let response =
                world.chat("g", "", |id| if id == "at-g" { Answer::Error(status, body) } else { Answer::Ok });
            assert_eq!(response.called, ["at-g", expected], "{status} {body}");
        }
    }
}
