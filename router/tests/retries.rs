//! Stories of requests whose first deployment fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a story that cannot go on has failed"
)]

mod common;

use common::{Answer, RequestResult, World, group};
use wasm_bindgen_test::wasm_bindgen_test as story;

const CITIES: [&str; 3] = ["paris", "oslo", "rome"];

fn cities(settings: &str) -> World {
    World::of(&(group(&CITIES, "") + settings))
}

fn sorted(told: &RequestResult) -> Vec<&str> {
    let mut called: Vec<&str> = told.called.iter().map(String::as_str).collect();
    called.sort_unstable();
    called
}

#[story(unsupported = test)]
fn a_request_tries_every_deployment_once_before_it_tries_one_twice() {
    let mut world = cities("router_settings: {num_retries: 2}\n");
    for _ in 0..50 {
        let told = world.chat("g", "", |_| Answer::Status(500));
        assert_eq!(sorted(&told), ["oslo", "paris", "rome"]);
        assert_eq!(told.waits, [0.0, 0.0], "an untried deployment is tried at once");
        assert_eq!(told.status, 500);
        // Whoever was cooled down by this is back for the next.
        world.wait(61.0);
    }
}

#[story(unsupported = test)]
fn a_request_waits_only_when_nothing_else_is_left_and_never_after_the_last() {
    let told = World::of(&group(&["paris"], "")).chat("g", "", |_| Answer::Status(500));
    assert_eq!(told.called.len(), 4, "three retries where nothing is set");
    assert_eq!(told.waits.len(), 3);
    for (wait, least) in told.waits.iter().zip([0.5, 1.0, 2.0]) {
        assert!((least..least + 0.75).contains(wait), "{wait} s instead of {least} s and jitter");
    }
}

#[story(unsupported = test)]
fn a_providers_retry_after_is_waited_for() {
    let told = World::of(&group(&["paris"], "")).chat("g", r#""num_retries":1"#, |_| Answer::SlowDown(2));
    assert!((2.0..2.75).contains(&told.waits[0]), "{:?}", told.waits);
    assert_eq!(told.status, 429);
}

#[story(unsupported = test)]
fn the_class_of_an_error_decides_whether_it_is_retried() {
    const NO_DEPLOYMENT: &str = r#"{"error":{"code":"DeploymentNotFound"}}"#;
    const NO_CREDIT: &str = r#"{"error":{"message":"Your credit balance is too low"}}"#;
    const TOO_LARGE: &str =
        r#"{"error":{"message":"Request too large for model `m`: Limit 6000","code":"rate_limit_exceeded"}}"#;
    const NO_RESPONSE: &str = r#"{"error":{"code":"previous_response_not_found"}}"#;
    for (status, body, calls) in [
        (400, "", 1),
        (400, NO_CREDIT, 3),
        (400, NO_RESPONSE, 3),
        (413, "", 1),
        (413, TOO_LARGE, 3),
        (422, "", 1),
        (401, "", 3),
        (402, "", 3),
        (403, "", 3),
        (404, "", 3),
        (404, NO_DEPLOYMENT, 3),
        (405, "", 3),
        (408, "", 3),
        (409, "", 3),
        (410, "", 3),
        (421, "", 3),
        (424, "", 3),
        (429, "", 3),
        (499, "", 3),
        (500, "", 3),
        (501, "", 3),
        (502, "", 3),
        (503, "", 3),
        (504, "", 3),
        (529, "", 3),
    ] {
        let mut world = cities("router_settings: {num_retries: 2}\n");
        let told = world.chat("g", "", |_| Answer::Says(status, body));
        assert_eq!((told.called.len(), told.status), (calls, status), "{status} {body}");
        assert!(
            body.is_empty() || told.body == body,
            "the client gets the provider's own words: {}",
            told.body
        );
        assert_eq!(told.waits.iter().sum::<f64>(), 0.0, "{status} {body}");
    }
}

#[story(unsupported = test)]
fn clients_do_not_notice_an_unknown_deployment_while_a_sibling_serves() {
    const NO_DEPLOYMENT: Answer = Answer::Says(404, r#"{"error":{"code":"DeploymentNotFound"}}"#);
    let mut world = cities("");
    let mut failed = 0;
    for _ in 0..60 {
        let told = world.chat("g", "", |id| if id == "oslo" { NO_DEPLOYMENT } else { Answer::Ok });
        assert_eq!(told.status, 200);
        failed += told.called.iter().filter(|id| *id == "oslo").count();
    }
    assert_eq!(failed, 1, "it cools down");
}

#[story(unsupported = test)]
fn a_single_deployment_with_a_wrong_key_is_tried_once() {
    let told = World::of(&group(&["paris"], "")).chat("g", "", |_| Answer::Status(401));
    assert_eq!((told.called.len(), told.status), (1, 401));
}

#[story(unsupported = test)]
fn a_deployment_that_refuses_the_key_is_not_tried_again_while_others_are_left() {
    let mut world = World::of(&(group(&["paris", "oslo"], "") + "router_settings: {num_retries: 3}\n"));
    for _ in 0..20 {
        let told =
            world.chat("g", "", |id| if id == "paris" { Answer::Status(401) } else { Answer::Status(500) });
        let paris = told.called.iter().filter(|id| *id == "paris").count();
        assert_eq!(paris, 1, "{:?}", told.called);
        world.wait(61.0);
    }
}

#[story(unsupported = test)]
fn the_number_of_retries_is_the_clients_then_the_deployments_then_the_routers() {
    let with_deployment = group(&["paris"], ", num_retries: 4");
    let router = "router_settings: {num_retries: 1}\nlitellm_settings: {num_retries: 6}\n";
    for (yaml, members, calls) in [
        (group(&["paris"], ""), "", 4),
        (group(&["paris"], "") + router, "", 2),
        (group(&["paris"], "") + "litellm_settings: {num_retries: 2}\n", "", 3),
        (group(&["paris"], "") + "router_settings: {num_retries: 0}\n", "", 1),
        (with_deployment.clone() + router, "", 5),
        (with_deployment.clone() + router, r#""num_retries":1"#, 2),
        (with_deployment + router, r#""num_retries":0"#, 1),
    ] {
        let told = World::of(&yaml).chat("g", members, |_| Answer::Status(500));
        assert_eq!(told.called.len(), calls, "{members} {yaml}");
        assert_eq!(told.header("x-litellm-attempted-retries"), Some((calls - 1).to_string().as_str()));
    }
}

#[story(unsupported = test)]
fn a_header_asks_for_retries_like_the_body() {
    let mut world = cities("");
    let body = br#"{"model":"g","messages":[]}"#;
    let told = world.post(common::CHAT, &[("x-litellm-num-retries", "1")], body, |_| Answer::Status(500));
    assert_eq!(told.called.len(), 2);
}

#[story(unsupported = test)]
fn a_policy_overrides_the_number_except_a_clients_zero() {
    let policy = "router_settings: {num_retries: 1, retry_policy: {InternalServerErrorRetries: 3, BadRequestErrorRetries: 2}}\n";
    for (members, answer, calls) in [
        ("", Answer::Status(500), 4),
        (r#""num_retries":5"#, Answer::Status(500), 4),
        (r#""num_retries":0"#, Answer::Status(500), 1),
        ("", Answer::Status(400), 3),
        ("", Answer::Refused, 4),
        ("", Answer::Status(503), 2),
    ] {
        let told = cities(policy).chat("g", members, |_| answer);
        assert_eq!(told.called.len(), calls, "{members} {answer:?}");
    }
}

#[story(unsupported = test)]
fn a_groups_own_policy_goes_first() {
    let policy = "router_settings: {retry_policy: {RateLimitErrorRetries: 5}, model_group_retry_policy: {g: {RateLimitErrorRetries: 1}}}\n";
    assert_eq!(cities(policy).chat("g", "", |_| Answer::Status(429)).called.len(), 2);
}

#[story(unsupported = test)]
fn the_response_has_the_number_of_retries() {
    let mut world = cities("router_settings: {num_retries: 2}\n");
    let mut left = 2;
    let told = world.chat("g", "", |_| {
        left -= 1;
        if left >= 0 { Answer::Status(500) } else { Answer::Ok }
    });
    assert_eq!(told.status, 200);
    assert_eq!(told.header("x-litellm-attempted-retries"), Some("2"));
    assert_eq!(told.header("x-litellm-max-retries"), Some("2"));
    assert_eq!(told.header("x-litellm-model-id"), told.called.last().map(String::as_str));
    assert_eq!(told.header("x-litellm-model-group"), Some("g"));
    assert_eq!(told.header("x-litellm-attempted-fallbacks"), Some("0"));
}

#[story(unsupported = test)]
fn without_any_response_the_client_gets_an_error_that_names_the_deployment() {
    for (answer, status, message) in [
        (Answer::Refused, 500, "Connection error."),
        (Answer::Broken, 500, "Connection error."),
        (Answer::TooSlow, 408, "Request timed out: no answer within 6000 seconds."),
    ] {
        let told = cities("router_settings: {num_retries: 1}\n").chat("g", "", |_| answer);
        assert_eq!((told.called.len(), told.status), (2, status), "{answer:?}");
        assert!(told.body.contains(message), "{}", told.body);
        assert_eq!(told.header("x-litellm-model-id"), told.called.last().map(String::as_str));
    }
}

#[story(unsupported = test)]
fn mock_testing_rate_limit_error_fails_once_and_then_succeeds() {
    let mock = r#""mock_testing_rate_limit_error":true"#;
    let told = cities("router_settings: {num_retries: 2}\n").chat("g", mock, |_| Answer::Ok);
    assert_eq!((told.status, told.called.len()), (200, 1));
    assert_eq!(told.header("x-litellm-attempted-retries"), Some("1"));
    assert_eq!(told.header("x-litellm-max-retries"), Some("2"));
    assert!(!told.sent.unwrap().body.contains("mock"));

    let told = cities("router_settings: {num_retries: 0}\n").chat("g", mock, |_| Answer::Ok);
    assert_eq!((told.status, told.called.len()), (429, 0));
    assert!(told.body.contains("This is a mock exception for model=g, to trigger a rate limit error."));

    let off = "general_settings: {dangerously_allow_mock_testing_request_params: false}\n";
    assert_eq!(cities(off).chat("g", mock, |_| Answer::Ok).status, 400);
}

#[story(unsupported = test)]
fn a_redirect_is_tried_elsewhere_and_never_passed_on() {
    let told = cities("router_settings: {num_retries: 1}\n").chat("g", "", |_| Answer::Status(307));
    assert_eq!((told.called.len(), told.status), (2, 502));
    assert!(told.body.contains("redirect"), "{}", told.body);
}

#[story(unsupported = test)]
fn a_wrong_key_does_not_end_a_request_that_another_deployment_may_yet_serve() {
    let mut world = World::of(&(group(&["paris", "oslo"], "") + "router_settings: {num_retries: 2}\n"));
    for _ in 0..20 {
        let mut failed = false;
        let told = world.chat("g", "", |id| match id {
            "paris" => Answer::Status(401),
            _ if failed => Answer::Ok,
            _ => {
                failed = true;
                Answer::Status(500)
            }
        });
        assert_eq!(told.status, 200, "{:?}", told.called);
        world.wait(61.0);
    }
}

#[story(unsupported = test)]
fn no_request_gets_more_retries_than_the_edge_makes() {
    let told = cities("").chat("g", r#""num_retries":1000"#, |_| Answer::Status(500));
    assert_eq!((told.called.len(), told.status), (25, 500));
}

#[story(unsupported = test)]
fn a_status_that_http_does_not_have_is_a_server_error() {
    for status in [600, 999, 1000, u16::MAX] {
        let told =
            cities("router_settings: {num_retries: 1}\n").chat("g", "", |_| Answer::Says(status, "{}"));
        assert_eq!((told.called.len(), told.status), (2, 502), "{status}");
        assert!(told.body.contains(&format!("status {status}")), "{}", told.body);
    }
}
