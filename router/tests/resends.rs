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
fn a_kept_connection_that_was_dead_costs_no_retry_and_is_no_failure() {
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
fn several_kept_connections_may_be_dead_but_not_without_end() {
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
fn what_may_have_reached_the_provider_is_not_sent_again_uncounted() {
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
fn retries_are_left_for_what_counts() {
    let one = group(&["paris"], "") + "router_settings: {num_retries: 1, disable_cooldowns: true}\n";
    let told = World::of(&one).chat(
        "g",
        "",
        in_turn(&[Answer::DeadConnection(1), Answer::Status(500), Answer::DeadConnection(1), Answer::Ok]),
    );
    assert_eq!((told.status, told.called.len()), (200, 4));
    assert_eq!(told.header("x-litellm-attempted-retries"), Some("1"));
}
