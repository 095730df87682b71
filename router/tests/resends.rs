//! Attempts that are made again without counting.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a story that cannot go on has failed"
)]

mod common;

use common::{Answer, World, group};
use wasm_bindgen_test::wasm_bindgen_test as story;

const NO_RETRIES: &str = "router_settings: {num_retries: 0}\n";

/// Each answer in turn, the last one for good.
fn in_turn(answers: &'static [Answer]) -> impl FnMut(&str) -> Answer {
    let mut next = answers.iter();
    let mut last = Answer::Ok;
    move |_| {
        last = next.next().copied().unwrap_or(last);
        last
    }
}

#[story(unsupported = test)]
fn a_reused_connection_that_was_closed_costs_no_retry_and_is_no_failure() {
    let mut world = World::of(&(group(&["paris", "oslo"], ", rpm: 1") + NO_RETRIES));
    let mut first = String::new();
    let told = world.chat("g", "", |id| match first.is_empty() {
        true => {
            first = id.to_owned();
            Answer::DeadConnection(30)
        }
        false => Answer::Ok,
    });
    assert_eq!(
        (told.status, &told.called),
        (200, &vec![first.clone(), first]),
        "the same one, which has room still"
    );
    assert_eq!(told.waits, [0.0]);
    assert_eq!(told.header("x-litellm-attempted-retries"), Some("0"));
    let line = world.lines.last().unwrap();
    assert_eq!((&line["retries"], &line["outcome"]), (&0.into(), &"success".into()));
    assert_eq!(line["attempts"][0]["outcome"], "resent");
    let counted = world.counted();
    assert!(!counted.keys().any(|name| name.contains("retries_total") || name.contains("cooldowns_total")));
    // Both have served one of the two requests that this minute has.
    assert_eq!(world.chat("g", "", |_| Answer::Ok).status, 200);
    assert_eq!(world.chat("g", "", |_| Answer::Ok).status, 429);
}

#[story(unsupported = test)]
fn a_request_is_resent_over_several_closed_connections_up_to_a_limit() {
    let dead = Answer::DeadConnection(1);
    let one = group(&["paris"], "") + NO_RETRIES;
    let told = World::of(&one).chat(
        "g",
        "",
        in_turn(&[Answer::DeadConnection(1), Answer::DeadConnection(1), Answer::Ok]),
    );
    assert_eq!((told.status, told.called.len()), (200, 3));
    let told = World::of(&one).chat("g", "", |_| dead);
    assert_eq!((told.status, told.called.len()), (500, 4), "the fourth one counts");
    assert!(told.body.contains("Connection error."), "{}", told.body);
}

#[story(unsupported = test)]
fn a_request_that_may_have_reached_the_provider_is_not_resent() {
    let one = group(&["paris"], "") + NO_RETRIES;
    for (what, answer) in [
        ("it had the request for two seconds", Answer::DeadConnection(2000)),
        ("an answer had begun", Answer::Broken),
        ("nobody listens", Answer::Refused),
    ] {
        let told = World::of(&one).chat("g", "", |_| answer);
        assert_eq!((told.status, told.called.len()), (500, 1), "{what}");
    }
}

#[story(unsupported = test)]
fn resends_leave_the_retries_for_failures() {
    let one = group(&["paris"], "") + "router_settings: {num_retries: 1, disable_cooldowns: true}\n";
    let told = World::of(&one).chat(
        "g",
        "",
        in_turn(&[Answer::DeadConnection(1), Answer::Status(500), Answer::DeadConnection(1), Answer::Ok]),
    );
    assert_eq!((told.status, told.called.len()), (200, 4));
    assert_eq!(told.header("x-litellm-attempted-retries"), Some("1"));
}

const STRICT: &str = r#"{"object":"error","message":"[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted'}]","type":"BadRequestError","code":400}"#;

fn sent(told: &common::RequestResult) -> &str {
    &told.sent.as_ref().unwrap().body
}

#[story(unsupported = test)]
fn a_provider_that_refuses_an_added_parameter_gets_requests_without_it() {
    let mut world = World::of(&(group(&["paris", "oslo"], ", tpm: 100000, rpm: 1000") + NO_RETRIES));
    let mut refused = Vec::new();
    for _ in 0..20 {
        let told = world.chat("g", r#""stream":true"#, |id| {
            if refused.iter().any(|known| known == id) {
                return Answer::Ok;
            }
            refused.push(id.to_owned());
            Answer::Says(422, STRICT)
        });
        assert_eq!(told.status, 200, "{}", told.body);
        assert_eq!(told.header("x-litellm-attempted-retries"), Some("0"));
        assert!(told.called.iter().all(|id| *id == told.called[0]), "{:?}", told.called);
        assert!(!sent(&told).contains("stream_options"), "{}", sent(&told));
    }
    assert_eq!(refused.len(), 2, "each is asked for it once");
    world.wait(3601.0);
    assert!(sent(&world.chat("g", r#""stream":true"#, |_| Answer::Ok)).contains("include_usage"));
}

#[story(unsupported = test)]
fn an_error_about_the_clients_own_stream_options_goes_to_the_client() {
    let one = group(&["paris"], ", tpm: 100000") + NO_RETRIES;
    let asks = r#""stream":true,"stream_options":{"include_usage":true}"#;
    let mut world = World::of(&one);
    let told = world.chat("g", asks, |_| Answer::Says(400, STRICT));
    assert_eq!((told.status, told.called.len()), (400, 1));
    // Of the client's other options nothing is believed for others, since it may be those that are refused.
    let others = r#""stream":true,"stream_options":{"x":1}"#;
    let told = world.chat("g", others, |_| Answer::Says(400, STRICT));
    assert_eq!((told.status, told.called.len()), (400, 2));
    assert!(sent(&told).contains(r#""stream_options":{"x":1}"#), "{}", sent(&told));
    assert!(sent(&world.chat("g", r#""stream":true"#, |_| Answer::Ok)).contains("include_usage"));
}
