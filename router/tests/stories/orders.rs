//! Stories of the next `order` of a group, which is its first fallback.

use crate::common::{Answer, CHAT, World, group, items};
use wasm_bindgen_test::wasm_bindgen_test as story;

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
