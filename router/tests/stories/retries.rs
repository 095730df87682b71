//! Stories of requests whose first deployment fails.

use crate::common::{Answer, CHAT, ClientResponse, World, group, items, items_of};
use crate::rules::{ATTEMPTS, ATTEMPTS_BY_POLICY, RETRY_POLICY, RULES, Rule};
use wasm_bindgen_test::wasm_bindgen_test as story;

const CITIES: [&str; 3] = ["paris", "oslo", "rome"];

fn cities(settings: &str) -> World {
    World::of(&(group(&CITIES, "") + settings))
}

fn sorted(response: &ClientResponse) -> Vec<&str> {
    let mut called: Vec<&str> = response.called.iter().map(String::as_str).collect();
    called.sort_unstable();
    called
}

#[story(unsupported = test)]
fn a_request_tries_every_deployment_once_before_it_tries_one_twice() {
    let mut world = cities("router_settings: {num_retries: 2}\n");
    for _ in 0..50 {
        let response = world.chat("g", "", |_| Answer::Status(500));
        assert_eq!(sorted(&response), ["oslo", "paris", "rome"]);
        assert_eq!(response.waits, [0.0, 0.0], "an untried deployment is tried at once");
        assert_eq!(response.status, 500);
        // Past the cooldowns.
        world.wait(61.0);
    }
}

#[story(unsupported = test)]
fn a_request_waits_only_where_no_untried_deployment_is_left_and_never_after_the_last_attempt() {
    let response = World::of(&group(&["paris"], "")).chat("g", "", |_| Answer::Status(500));
    assert_eq!(response.called.len(), 4, "three retries where nothing is set");
    assert_eq!(response.waits.len(), 3);
    for (wait, least) in response.waits.iter().zip([0.5, 1.0, 2.0]) {
        assert!((least..least + 0.75).contains(wait), "{wait} s instead of {least} s and jitter");
    }
}

#[story(unsupported = test)]
fn a_deployment_of_weight_0_gets_no_retry_while_another_can_serve() {
    let yaml = group(&["paris"], ", weight: 1") + &items(&["oslo"], ", weight: 0");
    let mut world = World::of(&(yaml + "router_settings: {num_retries: 2}\n"));
    let response = world.chat("g", "", |_| Answer::Error(500, ""));
    assert_eq!(response.called, ["paris"; 3]);
    assert!(response.waits.iter().all(|wait| *wait > 0.0), "no other one is left: {:?}", response.waits);
    let too_large = r#"{"error":{"message":"Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 7500","code":"rate_limit_exceeded"}}"#;
    let refuses = |id: &str| if id == "paris" { Answer::Error(429, too_large) } else { Answer::Ok };
    assert_eq!(world.chat("g", "", refuses).called, ["paris", "oslo"], "paris never serves this one");
    let cools_down = |id: &str| if id == "paris" { Answer::RateLimited(30) } else { Answer::Ok };
    assert_eq!(world.chat("g", "", cools_down).called, ["paris", "oslo"]);
}

#[story(unsupported = test)]
fn a_providers_retry_after_is_waited_for() {
    let response =
        World::of(&group(&["paris"], "")).chat("g", r#""num_retries":1"#, |_| Answer::RateLimited(2));
    assert!((2.0..2.75).contains(&response.waits[0]), "{:?}", response.waits);
    assert_eq!(response.status, 429);
}

#[story(unsupported = test)]
fn what_is_retried_depends_on_the_error() {
    for Rule { status, body, is_retried, .. } in RULES {
        let mut world = cities("router_settings: {num_retries: 2}\n");
        let response = world.chat("g", "", |_| Answer::Error(status, body));
        let calls = if is_retried { 3 } else { 1 };
        assert_eq!((response.called.len(), response.status), (calls, status), "{status} {body}");
        assert!(body.is_empty() || response.body == body, "not the provider's own error: {}", response.body);
        assert_eq!(response.waits.iter().sum::<f64>(), 0.0, "{status} {body}");
    }
}

#[story(unsupported = test)]
fn a_client_does_not_notice_a_renamed_deployment_while_a_sibling_serves() {
    const NO_DEPLOYMENT: Answer = Answer::Error(404, r#"{"error":{"code":"DeploymentNotFound"}}"#);
    let mut world = cities("");
    let mut failed = 0;
    for _ in 0..60 {
        let response = world.chat("g", "", |id| if id == "oslo" { NO_DEPLOYMENT } else { Answer::Ok });
        assert_eq!(response.status, 200);
        failed += response.called.iter().filter(|id| *id == "oslo").count();
    }
    assert_eq!(failed, 1, "it cools down");
}

#[story(unsupported = test)]
fn the_only_deployment_of_a_group_with_a_wrong_key_is_called_once() {
    let response = World::of(&group(&["paris"], "")).chat("g", "", |_| Answer::Status(401));
    assert_eq!((response.called.len(), response.status), (1, 401));
}

#[story(unsupported = test)]
fn a_deployment_that_refuses_the_key_is_not_called_again_while_others_are_left() {
    let mut world = World::of(&(group(&["paris", "oslo"], "") + "router_settings: {num_retries: 3}\n"));
    for _ in 0..20 {
        let response =
            world.chat("g", "", |id| if id == "paris" { Answer::Status(401) } else { Answer::Status(500) });
        let paris = response.called.iter().filter(|id| *id == "paris").count();
        assert_eq!(paris, 1, "{:?}", response.called);
        world.wait(61.0);
    }
}

#[story(unsupported = test)]
fn the_number_of_retries_is_the_clients_then_the_deployments_then_the_routers() {
    for (params, sections, header, members, attempts) in ATTEMPTS {
        let mut world = World::of(&(group(&["paris"], params) + sections));
        let body =
            format!(r#"{{"messages":[],"model":"g"{}{members}}}"#, if members.is_empty() { "" } else { "," });
        let headers: Vec<(&str, &str)> =
            header.map(|number| ("x-litellm-num-retries", number)).into_iter().collect();
        let response = world.post(CHAT, &headers, body.as_bytes(), |_| Answer::Status(500));
        assert_eq!(response.called.len(), attempts, "{params} {sections} {header:?} {members}");
        let retries = (attempts - 1).to_string();
        assert_eq!(response.header("x-litellm-attempted-retries"), Some(&*retries));
        assert_eq!(response.header("x-litellm-max-retries"), Some(&*retries));
    }
}

#[story(unsupported = test)]
fn a_policy_overrides_the_number_except_a_clients_zero() {
    let settings = format!("router_settings: {{{RETRY_POLICY}}}\n");
    for (status, members, attempts) in ATTEMPTS_BY_POLICY {
        let response = cities(&settings).chat("g", members, |_| Answer::Status(status));
        assert_eq!(response.called.len(), attempts, "{status} {members}");
    }
    let response = cities(&settings).chat("g", "", |_| Answer::Refused);
    assert_eq!(response.called.len(), 2, "no connection counts as an internal server error");
}

#[story(unsupported = test)]
fn a_groups_own_policy_has_precedence() {
    let policy = "router_settings: {retry_policy: {RateLimitErrorRetries: 5}, model_group_retry_policy: {g: {RateLimitErrorRetries: 1}}}\n";
    assert_eq!(cities(policy).chat("g", "", |_| Answer::Status(429)).called.len(), 2);
}

#[story(unsupported = test)]
fn the_policy_of_the_requested_name_goes_before_that_of_its_group() {
    let file = "
model_list:
- {model_name: g, litellm_params: {model: openai/m, api_key: k}, model_info: {id: one}}
- {model_name: openai/*, litellm_params: {model: openai/*, api_key: k}}
router_settings:
  num_retries: 0
  model_group_alias: {fast: g, slow: g}
  routing_groups: [{group_name: both, models: [g], routing_strategy: simple-shuffle}]
  model_group_retry_policy:
    g: {InternalServerErrorRetries: 1}
    fast: {InternalServerErrorRetries: 2}
    both: {InternalServerErrorRetries: 3}
    one: {InternalServerErrorRetries: 4}
    openai/gpt-9: {InternalServerErrorRetries: 5}
";
    for (model, attempts) in [
        ("g", 2),
        ("slow", 2),
        ("fast", 3),
        ("both", 4),
        ("one", 5),
        ("openai/gpt-9", 6),
        ("openai/gpt-8", 1),
    ] {
        let response = World::of(file).chat(model, "", |_| Answer::Status(500));
        assert_eq!(response.called.len(), attempts, "{model}");
    }
}

#[story(unsupported = test)]
fn the_response_has_the_number_of_its_retries() {
    let mut world = cities("router_settings: {num_retries: 2}\n");
    let mut left = 2;
    let response = world.chat("g", "", |_| {
        left -= 1;
        if left >= 0 { Answer::Status(500) } else { Answer::Ok }
    });
    assert_eq!(response.status, 200);
    assert_eq!(response.header("x-litellm-attempted-retries"), Some("2"));
    assert_eq!(response.header("x-litellm-max-retries"), Some("2"));
    assert_eq!(response.header("x-litellm-model-id"), response.called.last().map(String::as_str));
    assert_eq!(response.header("x-litellm-model-group"), Some("g"));
    assert_eq!(response.header("x-litellm-attempted-fallbacks"), Some("0"));
}

#[story(unsupported = test)]
fn without_a_response_the_client_gets_an_error_that_names_the_deployment() {
    for (answer, status, message) in [
        (Answer::Refused, 500, "Connection error."),
        (Answer::Reset, 500, "Connection error."),
        (Answer::TimedOut, 408, "Request timed out: no answer within 6000 seconds."),
    ] {
        let response = cities("router_settings: {num_retries: 1}\n").chat("g", "", |_| answer);
        assert_eq!((response.called.len(), response.status), (2, status), "{answer:?}");
        assert!(response.body.contains(message), "{}", response.body);
        assert_eq!(response.header("x-litellm-model-id"), response.called.last().map(String::as_str));
    }
}

#[story(unsupported = test)]
fn mock_testing_rate_limit_error_fails_once_and_then_succeeds() {
    let mock = r#""mock_testing_rate_limit_error":true"#;
    let response = cities("router_settings: {num_retries: 2}\n").chat("g", mock, |_| Answer::Ok);
    assert_eq!((response.status, response.called.len()), (200, 1));
    assert_eq!(response.header("x-litellm-attempted-retries"), Some("1"));
    assert_eq!(response.header("x-litellm-max-retries"), Some("2"));
    assert!(!response.sent.unwrap().body.contains("mock"));

    let response = cities("router_settings: {num_retries: 0}\n").chat("g", mock, |_| Answer::Ok);
    assert_eq!((response.status, response.called.len()), (429, 0));
    assert!(response.body.contains("This is a mock exception for model=g, to trigger a rate limit error."));

    let off = "general_settings: {dangerously_allow_mock_testing_request_params: false}\n";
    assert_eq!(cities(off).chat("g", mock, |_| Answer::Ok).status, 400);
}

#[story(unsupported = test)]
fn a_redirect_is_tried_elsewhere_and_never_passed_on() {
    let response = cities("router_settings: {num_retries: 1}\n").chat("g", "", |_| Answer::Status(307));
    assert_eq!((response.called.len(), response.status), (2, 502));
    assert!(response.body.contains("redirect"), "{}", response.body);
}

#[story(unsupported = test)]
fn a_wrong_key_does_not_end_a_request_that_another_deployment_can_serve() {
    let mut world = World::of(&(group(&["paris", "oslo"], "") + "router_settings: {num_retries: 2}\n"));
    for _ in 0..20 {
        let mut failed = false;
        let response = world.chat("g", "", |id| match id {
            "paris" => Answer::Status(401),
            _ if failed => Answer::Ok,
            _ => {
                failed = true;
                Answer::Status(500)
            }
        });
        assert_eq!(response.status, 200, "{:?}", response.called);
        world.wait(61.0);
    }
}

#[story(unsupported = test)]
fn no_request_gets_more_retries_than_the_edge_makes() {
    let response = cities("").chat("g", r#""num_retries":1000"#, |_| Answer::Status(500));
    assert_eq!((response.called.len(), response.status), (25, 500));
}

#[story(unsupported = test)]
fn a_status_that_http_does_not_have_is_a_server_error() {
    for status in [600, 999, 1000, u16::MAX] {
        let response =
            cities("router_settings: {num_retries: 1}\n").chat("g", "", |_| Answer::Error(status, "{}"));
        assert_eq!((response.called.len(), response.status), (2, 502), "{status}");
        assert!(response.body.contains(&format!("status {status}")), "{}", response.body);
    }
}

#[story(unsupported = test)]
fn a_retry_that_no_deployment_admits_is_not_counted_and_the_client_gets_the_providers_error() {
    const BODY: &str = r#"{"error":{"message":"out of memory"}}"#;
    for fallbacks in ["", ", fallbacks: [{g: [a]}]"] {
        let yaml = group(&["paris"], ", max_parallel_requests: 1")
            + &items_of("a", &["oslo"], ", max_parallel_requests: 1")
            + &format!("router_settings: {{num_retries: 2{fallbacks}}}\n");
        let mut world = World::of(&yaml);
        let _fallback = world.begin("a", "").unwrap();
        let first = world.begin("g", "").unwrap();
        let retry_state = world.fail(first, 500, BODY);
        let _other = world.begin("g", "").unwrap();
        let reply = world.attempt_again("g", "", Some(retry_state)).unwrap_err();
        assert_eq!((reply.status, reply.body.as_str()), (500, BODY), "{fallbacks}");
        let header =
            |name: &str| reply.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| &**value);
        assert_eq!(header("x-litellm-attempted-retries"), Some("0"), "{reply:?}");
        assert_eq!(header("x-litellm-model-id"), Some("paris"), "{reply:?}");
        assert_eq!(header("retry-after"), None, "{reply:?}");
        let line = &world.lines[0];
        assert_eq!((&line["outcome"], &line["status"]), (&"server_error".into(), &500.into()), "{line}");
        assert_eq!((&line["retries"], &line["reason"]), (&0.into(), &serde_json::Value::Null), "{line}");
    }
}

#[story(unsupported = test)]
fn a_retry_that_is_admitted_is_counted_and_answers_for_itself() {
    let mut world =
        World::of(&(group(&["paris"], ", max_parallel_requests: 1") + "router_settings: {num_retries: 2}\n"));
    let first = world.begin("g", "").unwrap();
    let retry_state = world.fail(first, 500, "first");
    let second = world.attempt_again("g", "", Some(retry_state)).unwrap();
    assert_eq!(second.retry_state.retries, 1);
    let retry_state = world.fail(second, 503, "second");
    let _other = world.begin("g", "").unwrap();
    let reply = world.attempt_again("g", "", Some(retry_state)).unwrap_err();
    assert_eq!((reply.status, reply.body.as_str()), (503, "second"));
}
