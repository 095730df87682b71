//! Stories of deployments that sit out for a while after they failed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a story that cannot go on, or overflows, has failed"
)]

mod common;

use std::time::Duration;

use common::{Answer, RequestResult, World, group};
use llm_balancer_router::Change;
use wasm_bindgen_test::wasm_bindgen_test as story;

/// Without retries, so that one request is one attempt.
fn world(ids: &[&str], settings: &str) -> World {
    World::of(&(group(ids, "") + &format!("router_settings: {{num_retries: 0{settings}}}\n")))
}

/// Asks a deployment by its id, which a cooldown does not stop.
fn fail(world: &mut World, id: &str, answer: Answer) {
    world.chat(id, "", |_| answer);
}

/// Who serves the group, of so many requests, each id once.
fn serving(world: &mut World, requests: u32) -> Vec<String> {
    let mut called: Vec<String> =
        (0..requests).flat_map(|_| world.chat("g", "", |_| Answer::Ok).called).collect();
    called.sort();
    called.dedup();
    called
}

fn ok(world: &mut World) -> RequestResult {
    world.chat("g", "", |_| Answer::Ok)
}

#[story(unsupported = test)]
fn a_rate_limited_deployment_cools_down_and_serves_again() {
    let mut world = world(&["paris", "oslo"], "");
    fail(&mut world, "paris", Answer::Status(429));
    assert_eq!(serving(&mut world, 30), ["oslo"]);
    world.wait(4.9);
    assert_eq!(serving(&mut world, 30), ["oslo"]);
    world.wait(0.1);
    assert_eq!(serving(&mut world, 30), ["oslo", "paris"]);
}

#[story(unsupported = test)]
fn a_rate_limit_with_its_time_in_the_body_only_cools_for_that_time() {
    const GOOGLE: &str = r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded.","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]"#;
    let mut world = world(&["paris", "oslo"], "");
    fail(&mut world, "paris", Answer::Says(429, GOOGLE));
    world.wait(33.9);
    assert_eq!(serving(&mut world, 30), ["oslo"]);
    world.wait(0.1);
    assert_eq!(serving(&mut world, 30), ["oslo", "paris"]);
}

/// Errors as providers write them.
const NO_MODEL: &str =
    r#"{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","code":404}}"#;
const NO_DEPLOYMENT: &str = r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#;
const NO_ROUTE: &str = r#"{"detail":"Not Found"}"#;
const NO_RESPONSE: &str = r#"{"error":{"message":"Previous response with id 'resp_1' not found.","code":"previous_response_not_found"}}"#;
const NO_CREDIT: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#;
const TOO_LARGE: &str = r#"{"error":{"message":"Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 7500","code":"rate_limit_exceeded"}}"#;

#[story(unsupported = test)]
fn what_cools_at_once_depends_on_the_class_and_on_being_the_only_member() {
    for (status, body, in_group, alone) in [
        (429, "", true, false),
        (529, "", true, false),
        (401, "", true, true),
        (402, "", true, false),
        (404, NO_MODEL, true, true),
        (404, NO_DEPLOYMENT, true, true),
        (404, NO_ROUTE, false, false),
        (404, "", false, false),
        (405, "", false, false),
        (400, NO_RESPONSE, false, false),
        (404, NO_RESPONSE, false, false),
        (400, NO_CREDIT, true, false),
        (413, TOO_LARGE, false, false),
        (429, TOO_LARGE, false, false),
        (400, "", false, false),
        (403, "", false, false),
        (409, "", false, false),
        (413, "", false, false),
        (422, "", false, false),
        (408, "", false, false),
        (424, "", false, false),
        (500, "", false, false),
        (503, "", false, false),
    ] {
        let mut both = world(&["paris", "oslo"], "");
        fail(&mut both, "paris", Answer::Says(status, body));
        assert_eq!(serving(&mut both, 30) == ["oslo"], in_group, "{status} {body} in a group");
        let mut one = world(&["paris"], "");
        fail(&mut one, "paris", Answer::Says(status, body));
        assert_eq!(ok(&mut one).status == 429, alone, "{status} {body} alone");
    }
}

#[story(unsupported = test)]
fn a_deployment_that_fails_in_most_of_five_attempts_cools_down() {
    for (answers, cools) in [(5, true), (4, false)] {
        let mut world = world(&["paris", "oslo"], "");
        (0..answers).for_each(|_| fail(&mut world, "paris", Answer::Status(500)));
        assert_eq!(serving(&mut world, 30) == ["oslo"], cools, "{answers} failures");
    }
    let mut half = world(&["paris", "oslo"], "");
    for _ in 0..8 {
        fail(&mut half, "paris", Answer::Ok);
        half.wait(1.0);
        fail(&mut half, "paris", Answer::Refused);
    }
    assert_eq!(serving(&mut half, 30), ["oslo", "paris"], "half is not more than half");
}

#[story(unsupported = test)]
fn every_attempt_counts_retries_included() {
    let mut world =
        World::of(&(group(&["paris", "oslo", "rome"], "") + "router_settings: {num_retries: 2}\n"));
    assert_eq!(world.chat("g", "", |_| Answer::Status(429)).called.len(), 3);
    let told = ok(&mut world);
    assert_eq!((told.status, told.called.len()), (429, 0));
}

#[story(unsupported = test)]
fn when_all_cool_down_the_client_gets_the_time_of_the_first_and_nothing_of_other_groups() {
    let yaml = group(&["paris", "oslo"], "")
        + &group(&["rome", "bonn"], "")
            .replace("model_list:\n", "")
            .replace("model_name: g", "model_name: h");
    let mut world = World::of(&(yaml + "router_settings: {num_retries: 0}\n"));
    fail(&mut world, "rome", Answer::SlowDown(3));
    fail(&mut world, "paris", Answer::SlowDown(40));
    fail(&mut world, "oslo", Answer::SlowDown(20));
    world.wait(7.5);
    let told = ok(&mut world);
    assert_eq!((told.status, told.header("retry-after")), (429, Some("13")), "12.5 s are left");
    for words in [r#""type":"all_deployments_in_cooldown""#, "Try again in 13 seconds", "'paris'", "'oslo'"] {
        assert!(told.body.contains(words), "{words}: {}", told.body);
    }
    assert!(!told.body.contains("rome") && !told.body.contains("bonn"), "{}", told.body);
    world.wait(13.0);
    assert_eq!(ok(&mut world).called, ["oslo"]);
}

#[story(unsupported = test)]
fn of_two_cooldowns_the_later_end_counts() {
    let mut world = world(&["paris", "oslo"], "");
    fail(&mut world, "paris", Answer::SlowDown(20));
    fail(&mut world, "paris", Answer::Status(429));
    world.wait(19.0);
    assert_eq!(serving(&mut world, 30), ["oslo"], "five seconds are no reason to forget twenty");
}

#[story(unsupported = test)]
fn the_deployments_cooldown_time_goes_before_retry_after_and_that_before_the_routers() {
    let none = "router_settings: {num_retries: 0}\n";
    let own = "router_settings: {num_retries: 0, cooldown_time: 2}\n";
    for (params, answer, settings, seconds) in [
        ("", Answer::Status(429), none, 5),
        ("", Answer::Status(429), own, 2),
        ("", Answer::SlowDown(20), own, 20),
        (", cooldown_time: 3", Answer::SlowDown(20), own, 3),
        (", cooldown_time: 0", Answer::SlowDown(20), own, 0),
        ("", Answer::SlowDown(20), "router_settings: {num_retries: 0, disable_cooldowns: true}\n", 0),
    ] {
        let mut world = World::of(&(group(&["paris", "oslo"], params) + settings));
        fail(&mut world, "paris", answer);
        fail(&mut world, "oslo", answer);
        let wait: u64 = ok(&mut world).header("retry-after").map_or(0, |wait| wait.parse().unwrap());
        assert_eq!(wait, seconds, "{params} {answer:?} {settings}");
    }
}

#[story(unsupported = test)]
fn allowed_fails_are_allowed_by_all_workers_together() {
    let mut one = world(&["paris", "oslo"], ", allowed_fails: 2");
    let mut other = one.beside(2);
    fail(&mut one, "paris", Answer::Status(500));
    fail(&mut other, "paris", Answer::Status(500));
    assert_eq!(serving(&mut one, 30), ["oslo", "paris"]);
    fail(&mut one, "paris", Answer::Status(500));
    assert_eq!(serving(&mut one, 30), ["oslo"]);
}

#[story(unsupported = test)]
fn a_policy_counts_each_kind_of_failure() {
    let policy =
        ", allowed_fails_policy: {RateLimitErrorAllowedFails: 1, InternalServerErrorAllowedFails: 0}";
    let mut limited = world(&["paris", "oslo"], policy);
    fail(&mut limited, "paris", Answer::Status(429));
    assert_eq!(serving(&mut limited, 30), ["oslo", "paris"]);
    fail(&mut limited, "paris", Answer::Status(429));
    assert_eq!(serving(&mut limited, 30), ["oslo"]);
    let mut broken = world(&["paris", "oslo"], policy);
    fail(&mut broken, "paris", Answer::Status(500));
    assert_eq!(serving(&mut broken, 30), ["oslo"]);
}

#[story(unsupported = test)]
fn every_worker_sees_a_cooldown_before_it_sends_a_request_there() {
    for strategy in ["simple-shuffle", "least-busy", "usage-based-routing", "cost-based-routing"] {
        let settings = format!(", routing_strategy: {strategy}");
        let mut one = world(&["paris", "oslo"], &settings);
        let mut other = one.beside(2);
        assert_eq!(serving(&mut other, 30), ["oslo", "paris"]);
        fail(&mut one, "paris", Answer::Status(429));
        assert_eq!(serving(&mut other, 30), ["oslo"], "{strategy}");
    }
}

#[story(unsupported = test)]
fn wildcards_cool_down_like_all_others() {
    let mut world = World::of(
        &(group(&["paris", "oslo"], "")
            .replace("model_name: g", "model_name: 'any/*'")
            .replace("openai/m", "openai/*")
            + "router_settings: {num_retries: 0}\n"),
    );
    let told = world.chat("any/thing", "", |_| Answer::Status(429));
    for _ in 0..20 {
        let next = world.chat("any/other", "", |_| Answer::Ok).called;
        assert!(next.len() == 1 && next != told.called, "{next:?}");
    }
}

#[story(unsupported = test)]
fn a_deployment_that_is_named_by_id_serves_while_it_cools_down() {
    let mut world = world(&["paris", "oslo"], "");
    fail(&mut world, "paris", Answer::Status(401));
    assert_eq!(world.chat("paris", "", |_| Answer::Ok).called, ["paris"]);
}

#[story(unsupported = test)]
fn of_a_wildcard_an_unknown_model_is_the_clients_error_and_a_wrong_key_is_not() {
    let yaml =
        group(&["paris"], "").replace("model_name: g", "model_name: '*'").replace("openai/m", "openai/*");
    let yaml = yaml + "router_settings: {num_retries: 2}\n";
    for (status, body) in [
        (404, NO_MODEL),
        (404, NO_DEPLOYMENT),
        (404, ""),
        (404, NO_ROUTE),
        (400, r#"{"error":{"message":"foo is not a valid model ID","code":400}}"#),
        (410, ""),
    ] {
        let mut world = World::of(&yaml);
        for _ in 0..20 {
            let told = world.chat("typo", "", |_| Answer::Says(status, body));
            assert_eq!((told.status, told.called.len()), (status, 1), "{body}");
            assert!(body.is_empty() || told.body == body, "{}", told.body);
            assert_eq!(world.chat("gpt", "", |_| Answer::Ok).status, 200, "{status} {body}");
        }
    }
    let mut world = World::of(&yaml);
    world.chat("gpt", "", |_| Answer::Status(401));
    assert_eq!(world.chat("gpt", "", |_| Answer::Ok).status, 429);
}

#[story(unsupported = test)]
fn a_timeout_that_the_client_set_does_not_count_for_the_deployment() {
    const SLOW: [Answer; 2] = [Answer::TooSlow, Answer::Stalls];
    for (member, cools) in [
        (r#""timeout":0.1"#, false),
        (r#""stream":true,"stream_timeout":0.1"#, false),
        (r#""stream":true,"timeout":0.1"#, false),
        (r#""stream":true"#, true),
        ("", true),
    ] {
        for answer in SLOW {
            let mut world = world(&["paris", "oslo"], "");
            (0..6).for_each(|_| drop(world.chat("paris", member, |_| answer)));
            assert_eq!(serving(&mut world, 30) == ["oslo"], cools, "{member} {answer:?}");
        }
    }
    // The configuration's limit is shorter here, and it is the one that counts.
    let params = ", stream_timeout: 1";
    let mut world = World::of(&(group(&["paris", "oslo"], params) + "router_settings: {num_retries: 0}\n"));
    (0..6).for_each(|_| drop(world.chat("paris", r#""stream":true,"timeout":9"#, |_| Answer::Stalls)));
    assert_eq!(serving(&mut world, 30), ["oslo"]);
}

#[story(unsupported = test)]
fn a_clients_timeout_in_mid_stream_is_reported_as_such() {
    for (member, answer, outcome, class) in [
        (r#""stream":true,"stream_timeout":0.1"#, Answer::Stalls, "timeout", "client_timeout"),
        (r#""timeout":0.1"#, Answer::Stalls, "timeout", "client_timeout"),
        (r#""timeout":0.1"#, Answer::TooSlow, "timeout", "client_timeout"),
        (r#""stream":true"#, Answer::Stalls, "timeout", "server"),
        (r#""stream":true"#, Answer::BreaksOff, "stream_interrupted", "server"),
    ] {
        let mut world = world(&["paris"], "");
        world.chat("g", member, |_| answer);
        let line = &world.lines[0];
        let attempt = &line["attempts"][0];
        assert_eq!((&line["outcome"], &attempt["class"]), (&outcome.into(), &class.into()), "{line}");
    }
}

#[story(unsupported = test)]
fn failures_during_a_cooldown_are_no_new_cooldowns() {
    let mut world = world(&["paris", "oslo"], "");
    for _ in 0..200 {
        fail(&mut world, "paris", Answer::Status(429));
        world.wait(0.01);
    }
    let cooldowns = |world: &mut World| {
        let counted = world.counted();
        counted.get("cooldowns_total;group=g;deployment=paris").cloned().unwrap_or_default()
    };
    assert_eq!(cooldowns(&mut world), [Change::Add(1)]);
    assert_eq!(serving(&mut world, 30), ["oslo"]);
    world.wait(6.0);
    fail(&mut world, "paris", Answer::Status(429));
    assert_eq!(cooldowns(&mut world), [Change::Add(1)]);
}

#[story(unsupported = test)]
fn a_client_that_disconnects_does_not_count_for_the_deployment() {
    let mut world = world(&["paris", "oslo"], ", allowed_fails: 0");
    fail(&mut world, "paris", Answer::Left);
    assert_eq!(serving(&mut world, 30), ["oslo", "paris"]);
}

#[story(unsupported = test)]
fn a_reload_changes_no_cooldown() {
    let mut world = world(&["paris", "oslo"], "");
    fail(&mut world, "paris", Answer::SlowDown(60));
    let yaml = group(&["paris", "oslo", "rome"], "");
    assert_eq!(serving(&mut world.reloaded(&yaml), 40), ["oslo", "rome"]);
}

#[story(unsupported = test)]
fn a_clock_that_steps_back_cools_no_deployment_for_hours() {
    let mut world = world(&["paris", "oslo"], "");
    fail(&mut world, "paris", Answer::SlowDown(30));
    world.now -= Duration::from_secs(10);
    assert_eq!(serving(&mut world, 30), ["oslo"], "a small step is none");
    world.now -= Duration::from_secs(3600);
    assert_eq!(serving(&mut world, 30), ["oslo", "paris"]);
}
