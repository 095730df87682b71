//! Stories of requests that fall back to another group.

use crate::common::{Answer, ClientResponse, World, items_of};
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
fn where_all_groups_refuse_the_soonest_of_them_says_when_to_try_again() {
    let yaml = items_of("g", &["paris"], ", rpm: 1")
        + &items_of("a", &["oslo"], "")
        + &items_of("b", &["rome"], ", rpm: 1, max_parallel_requests: 1");
    let yaml =
        format!("model_list:\n{yaml}router_settings: {{num_retries: 0, fallbacks: [{{g: [a, b]}}]}}\n");
    let wait = |response: &ClientResponse| response.header("retry-after").map(str::to_owned);
    let full = |world: &mut World| {
        world.wait(10.0);
        assert_eq!(world.chat("g", "", |_| Answer::Ok).called, ["paris"]);
        assert_eq!(world.chat("rome", "", |_| Answer::Ok).called, ["rome"]);
    };
    let mut world = World::of(&yaml);
    full(&mut world);
    let refused = world.chat("g", "", |_| Answer::RateLimited(7));
    assert_eq!((refused.status, wait(&refused).as_deref()), (429, Some("7")), "a is tried, and says so");
    assert!(refused.body.contains("Try again in 7 seconds"), "{}", refused.body);
    let mut world = World::of(&yaml);
    full(&mut world);
    let refused = world.chat("g", "", |_| Answer::RateLimited(300));
    assert_eq!(wait(&refused).as_deref(), Some("50"), "the minute of g and b");
    let refused = world.chat("g", "", |_| Answer::Status(500));
    assert_eq!(wait(&refused).as_deref(), Some("50"));

    let mut world = World::of(&yaml);
    let _begun = world.begin("b", "").unwrap();
    world.wait(60.0);
    let refused = world.chat("g", "", |_| Answer::RateLimited(30));
    assert_eq!((refused.called.join(" ").as_str(), wait(&refused).as_deref()), ("paris oslo", Some("1")));
    world.wait(60.0);
    let refused = world.chat("g", "", |_| Answer::Status(500));
    assert_eq!((refused.status, wait(&refused)), (500, None), "no time is known");
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
        "unknown value \"maximum context length\"",
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
