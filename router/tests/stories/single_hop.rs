//! Stories of requests that pass the filter once, on a gateway's own listener, where Envoy makes
//! the retries.

use crate::common::{Answer, ClientResponse, World, group};
use wasm_bindgen_test::wasm_bindgen_test as story;

fn world(members: &[&str], params: &str, settings: &str) -> World {
    let mut world = World::of(&(group(members, params) + settings));
    world.router = world.router.in_single_hop();
    world
}

/// A deployment of another group.
const OTHER: &str =
    "- {model_name: other, litellm_params: {model: openai/m, api_key: k}, model_info: {id: oslo}}\n";

fn sent<'a>(response: &'a ClientResponse, name: &str) -> &'a str {
    response.sent.as_ref().expect("it was sent").header(name)
}

#[story(unsupported = test)]
fn envoy_gets_the_number_of_retries_and_the_time_of_each_attempt() {
    let mut world = world(&["paris"], "", "router_settings: {num_retries: 2, timeout: 30}\n");
    let response = world.chat("g", "", |_| Answer::Ok);
    assert_eq!(sent(&response, "x-envoy-max-retries"), "2");
    assert_eq!(sent(&response, "x-envoy-retry-on"), "5xx,retriable-status-codes");
    assert_eq!(sent(&response, "x-envoy-retriable-status-codes"), "408,409,424,425,429,499");
    assert_eq!(sent(&response, "x-envoy-upstream-rq-per-try-timeout-ms"), "30000");
    assert_eq!(sent(&response, "x-envoy-upstream-rq-timeout-ms"), "90000", "for all three together");
}

#[story(unsupported = test)]
fn a_stream_has_its_time_to_the_first_byte_and_no_end() {
    let mut world = world(&["paris"], "", "router_settings: {num_retries: 1, timeout: 30}\n");
    let response = world.chat("g", r#""stream":true"#, |_| Answer::Ok);
    assert_eq!(sent(&response, "x-envoy-upstream-rq-per-try-timeout-ms"), "30000");
    assert_eq!(sent(&response, "x-envoy-upstream-rq-timeout-ms"), "");
}

#[story(unsupported = test)]
fn a_request_for_no_retries_gets_none() {
    let mut world = world(&["paris"], "", "router_settings: {num_retries: 3}\n");
    let response = world.chat("g", r#""num_retries":0"#, |_| Answer::Ok);
    assert_eq!((sent(&response, "x-envoy-max-retries"), sent(&response, "x-envoy-retry-on")), ("0", ""));
}

#[story(unsupported = test)]
fn a_failure_is_final_and_is_remembered() {
    let settings = "router_settings: {num_retries: 2, fallbacks: [{g: [other]}], cooldown_time: 60}\n";
    let mut world = world(&["paris", "rome"], "", &(OTHER.to_owned() + settings));
    let response = world.chat("g", "", |_| Answer::RateLimited(30));
    assert_eq!((response.status, response.called.len()), (429, 1), "no other attempt is asked for");
    for _ in 0..10 {
        let next = world.chat("g", "", |_| Answer::Ok);
        assert_ne!(next.called, response.called, "it cools down");
    }
}

#[story(unsupported = test)]
fn a_full_group_falls_back_before_anything_is_sent() {
    let settings = "router_settings: {fallbacks: [{g: [other]}]}\n";
    let mut world = world(&["paris"], ", rpm: 1", &(OTHER.to_owned() + settings));
    let mut called = || world.chat("g", "", |_| Answer::Ok).called;
    assert_eq!((called(), called()), (vec!["paris".to_owned()], vec!["oslo".to_owned()]));
}
