//! Stories of attempts that are sent again without counting.

use crate::common::{Answer, ClientResponse, World, group};
use wasm_bindgen_test::wasm_bindgen_test as story;

const NO_RETRIES: &str = "router_settings: {num_retries: 0}\n";

/// The answers in turn, and then the last one for ever.
fn in_turn(answers: &'static [Answer]) -> impl FnMut(&str) -> Answer {
    let mut next = answers.iter();
    let mut last = Answer::Ok;
    move |_| {
        last = next.next().copied().unwrap_or(last);
        last
    }
}

#[story(unsupported = test)]
fn a_reused_connection_that_was_dead_costs_no_retry_and_is_no_failure() {
    let mut world = World::of(&(group(&["paris", "oslo"], ", rpm: 1") + NO_RETRIES));
    let mut first = String::new();
    let response = world.chat("g", "", |id| {
        if first.is_empty() {
            first = id.to_owned();
            Answer::DeadConnection(30)
        } else {
            Answer::Ok
        }
    });
    assert_eq!(
        (response.status, &response.called),
        (200, &vec![first.clone(), first]),
        "the same one, which has room still"
    );
    assert_eq!(response.waits, [0.0]);
    assert_eq!(response.header("x-litellm-attempted-retries"), Some("0"));
    let line = world.lines.last().unwrap();
    assert_eq!((&line["retries"], &line["outcome"]), (&0.into(), &"success".into()));
    assert_eq!(line["attempts"][0]["outcome"], "resent");
    let counted = world.counted();
    assert!(!counted.keys().any(|name| name.contains("retries_total") || name.contains("cooldowns_total")));
    // Each has served its one request of this minute.
    assert_eq!(world.chat("g", "", |_| Answer::Ok).status, 200);
    assert_eq!(world.chat("g", "", |_| Answer::Ok).status, 429);
}

#[story(unsupported = test)]
fn several_reused_connections_may_be_dead_but_not_without_end() {
    let dead = Answer::DeadConnection(1);
    let one = group(&["paris"], "") + NO_RETRIES;
    let response = World::of(&one).chat(
        "g",
        "",
        in_turn(&[Answer::DeadConnection(1), Answer::DeadConnection(1), Answer::Ok]),
    );
    assert_eq!((response.status, response.called.len()), (200, 3));
    let response = World::of(&one).chat("g", "", |_| dead);
    assert_eq!((response.status, response.called.len()), (500, 4), "the fourth one counts");
    assert!(response.body.contains("Connection error."), "{}", response.body);
}

#[story(unsupported = test)]
fn a_request_that_may_have_reached_the_provider_is_not_sent_again_uncounted() {
    let one = group(&["paris"], "") + NO_RETRIES;
    for (what, answer) in [
        ("it had the request for two seconds", Answer::DeadConnection(2000)),
        ("an answer had begun", Answer::Reset),
        ("the connection is refused", Answer::Refused),
    ] {
        let response = World::of(&one).chat("g", "", |_| answer);
        assert_eq!((response.status, response.called.len()), (500, 1), "{what}");
    }
}

#[story(unsupported = test)]
fn sending_again_takes_no_retries() {
    let one = group(&["paris"], "") + "router_settings: {num_retries: 1, disable_cooldowns: true}\n";
    let response = World::of(&one).chat(
        "g",
        "",
        in_turn(&[Answer::DeadConnection(1), Answer::Status(500), Answer::DeadConnection(1), Answer::Ok]),
    );
    assert_eq!((response.status, response.called.len()), (200, 4));
    assert_eq!(response.header("x-litellm-attempted-retries"), Some("1"));
}

const STRICT: &str = r#"{"object":"error","message":"[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted'}]","type":"BadRequestError","code":400}"#;

fn sent(response: &ClientResponse) -> &str {
    &response.sent.as_ref().unwrap().body
}

#[story(unsupported = test)]
fn a_provider_that_refuses_an_added_option_gets_the_request_again_without_it_and_is_remembered() {
    let mut world = World::of(&(group(&["paris", "oslo"], ", tpm: 100000, rpm: 1000") + NO_RETRIES));
    let mut refused = Vec::new();
    for _ in 0..20 {
        let response = world.chat("g", r#""stream":true"#, |id| {
            if refused.iter().any(|known| known == id) {
                return Answer::Ok;
            }
            refused.push(id.to_owned());
            Answer::Error(422, STRICT)
        });
        assert_eq!(response.status, 200, "{}", response.body);
        assert_eq!(response.header("x-litellm-attempted-retries"), Some("0"));
        assert!(response.called.iter().all(|id| *id == response.called[0]), "{:?}", response.called);
        assert!(!sent(&response).contains("stream_options"), "{}", sent(&response));
    }
    assert_eq!(refused.len(), 2, "each is asked for it once");
    world.wait(3601.0);
    assert!(sent(&world.chat("g", r#""stream":true"#, |_| Answer::Ok)).contains("include_usage"));
}

const FOR_CLIENTS: &str = "general_settings: {always_include_stream_usage: true}\n";

#[story(unsupported = test)]
fn every_stream_is_asked_for_its_usage_if_the_file_wants_that_and_the_client_does_not_decide() {
    let mut world = World::of(&(group(&["paris"], "") + FOR_CLIENTS));
    for (members, expected) in [
        (r#""stream":true"#, Some(r#"{"include_usage":true}"#)),
        (r#""stream":true,"stream_options":null"#, Some("null")),
        (r#""stream":true,"stream_options":{"x":1}"#, Some(r#"{"include_usage":true,"x":1}"#)),
        (r#""stream":true,"stream_options":{"include_usage":false}"#, Some(r#"{"include_usage":false}"#)),
        (r#""n":1"#, None),
    ] {
        let response = world.chat("g", members, |_| Answer::Ok);
        let body: serde_json::Value = serde_json::from_str(sent(&response)).unwrap();
        let options = body.get("stream_options").map(ToString::to_string);
        assert_eq!(options.as_deref(), expected, "{members}");
    }
}

#[story(unsupported = test)]
fn stream_options_that_the_file_wants_for_clients_do_not_fail_a_request_either() {
    let mut world = World::of(&(group(&["paris"], "") + FOR_CLIENTS));
    let mut count = 0;
    let response = world.chat("g", r#""stream":true"#, |_| {
        count += 1;
        if count == 1 { Answer::Error(422, STRICT) } else { Answer::Ok }
    });
    assert_eq!((response.status, response.called.len()), (200, 2));
    assert!(!sent(&response).contains("stream_options"), "{}", sent(&response));
}

#[story(unsupported = test)]
fn a_refusal_of_the_clients_own_stream_options_goes_to_the_client() {
    let one = group(&["paris"], ", tpm: 100000") + NO_RETRIES;
    let asks = r#""stream":true,"stream_options":{"include_usage":true}"#;
    let mut world = World::of(&one);
    let response = world.chat("g", asks, |_| Answer::Error(400, STRICT));
    assert_eq!((response.status, response.called.len()), (400, 1));
    // Other options of the client's may be what is refused, so other requests keep the added one.
    let others = r#""stream":true,"stream_options":{"x":1}"#;
    let response = world.chat("g", others, |_| Answer::Error(400, STRICT));
    assert_eq!((response.status, response.called.len()), (400, 2));
    assert!(sent(&response).contains(r#""stream_options":{"x":1}"#), "{}", sent(&response));
    assert!(sent(&world.chat("g", r#""stream":true"#, |_| Answer::Ok)).contains("include_usage"));
}
