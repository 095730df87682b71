//! Stories of requests that the filter sees once, on somebody else's listener: Envoy tries again by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a story that cannot go on has failed"
)]

mod common;

use common::{Answer, RequestResult, World, group};
use wasm_bindgen_test::wasm_bindgen_test as story;

fn world(members: &[&str], params: &str, settings: &str) -> World {
    let mut world = World::of(&(group(members, params) + settings));
    world.router = world.router.in_single_hop();
    world
}

/// Of another group.
const OTHER: &str =
    "- {model_name: other, litellm_params: {model: openai/m, api_key: k}, model_info: {id: oslo}}\n";

fn sent<'a>(told: &'a RequestResult, name: &str) -> &'a str {
    told.sent.as_ref().expect("it was sent").header(name)
}

#[story(unsupported = test)]
fn envoys_headers_have_the_number_of_retries_and_the_timeout_of_each() {
    let mut world = world(&["paris"], "", "router_settings: {num_retries: 2, timeout: 30}\n");
    let told = world.chat("g", "", |_| Answer::Ok);
    assert_eq!(sent(&told, "x-envoy-max-retries"), "2");
    assert_eq!(sent(&told, "x-envoy-retry-on"), "5xx,retriable-status-codes");
    assert_eq!(sent(&told, "x-envoy-retriable-status-codes"), "408,409,424,425,429,499");
    assert_eq!(sent(&told, "x-envoy-upstream-rq-per-try-timeout-ms"), "30000");
    assert_eq!(sent(&told, "x-envoy-upstream-rq-timeout-ms"), "90000", "for all three together");
}

#[story(unsupported = test)]
fn a_stream_has_its_time_to_the_first_byte_and_no_end() {
    let mut world = world(&["paris"], "", "router_settings: {num_retries: 1, timeout: 30}\n");
    let told = world.chat("g", r#""stream":true"#, |_| Answer::Ok);
    assert_eq!(sent(&told, "x-envoy-upstream-rq-per-try-timeout-ms"), "30000");
    assert_eq!(sent(&told, "x-envoy-upstream-rq-timeout-ms"), "");
}

#[story(unsupported = test)]
fn a_client_that_wants_no_retries_gets_none() {
    let mut world = world(&["paris"], "", "router_settings: {num_retries: 3}\n");
    let told = world.chat("g", r#""num_retries":0"#, |_| Answer::Ok);
    assert_eq!((sent(&told, "x-envoy-max-retries"), sent(&told, "x-envoy-retry-on")), ("0", ""));
}

#[story(unsupported = test)]
fn a_failure_is_final_and_counts() {
    let settings = "router_settings: {num_retries: 2, fallbacks: [{g: [other]}], cooldown_time: 60}\n";
    let mut world = world(&["paris", "rome"], "", &(OTHER.to_owned() + settings));
    let told = world.chat("g", "", |_| Answer::SlowDown(30));
    assert_eq!((told.status, told.called.len()), (429, 1), "no other attempt is asked for");
    for _ in 0..10 {
        let next = world.chat("g", "", |_| Answer::Ok);
        assert_ne!(next.called, told.called, "it sits out");
    }
}

#[story(unsupported = test)]
fn a_group_that_is_full_leads_to_its_fallback_before_anything_is_sent() {
    let mut config = group(&["paris"], ", rpm: 1");
    config.push_str(
        "- {model_name: other, litellm_params: {model: openai/m, api_key: k}, model_info: {id: oslo}}\n",
    );
    config.push_str("router_settings: {fallbacks: [{g: [other]}]}\n");
    let mut world = World::of(&config);
    world.router = world.router.in_single_hop();
    let mut called = || world.chat("g", "", |_| Answer::Ok).called;
    assert_eq!((called(), called()), (vec!["paris".to_owned()], vec!["oslo".to_owned()]));
}
