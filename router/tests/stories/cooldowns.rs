//! Stories of deployments that cool down after failures.

use std::time::Duration;

use crate::common::{Answer, ClientResponse, World, group, items_of};
use crate::rules::{COOLDOWN_TIMES, RULES, Rule};
use llm_balancer_router::{Call, Change, Moment, SplitMix};
use wasm_bindgen_test::wasm_bindgen_test as story;

/// Without retries, so that one request is one attempt.
fn world(ids: &[&str], settings: &str) -> World {
    World::of(&(group(ids, "") + &format!("router_settings: {{num_retries: 0{settings}}}\n")))
}

/// A failure of one deployment, called by its id, which works during a cooldown, too.
fn fail(world: &mut World, id: &str, answer: Answer) {
    world.chat(id, "", |_| answer);
}

/// The ids of the deployments that serve so many requests to the group.
fn serving(world: &mut World, requests: u32) -> Vec<String> {
    let mut called: Vec<String> =
        (0..requests).flat_map(|_| world.chat("g", "", |_| Answer::Ok).called).collect();
    called.sort();
    called.dedup();
    called
}

fn ok(world: &mut World) -> ClientResponse {
    world.chat("g", "", |_| Answer::Ok)
}

#[story(unsupported = test)]
fn a_rate_limited_deployment_is_skipped_while_it_cools_down() {
    let mut world = world(&["paris", "oslo"], "");
    fail(&mut world, "paris", Answer::Status(429));
    assert_eq!(serving(&mut world, 30), ["oslo"]);
    world.wait(4.9);
    assert_eq!(serving(&mut world, 30), ["oslo"]);
    world.wait(0.1);
    assert_eq!(serving(&mut world, 30), ["oslo", "paris"]);
}

#[story(unsupported = test)]
fn a_limit_whose_time_is_in_the_body_alone_cools_for_that_time() {
    const GOOGLE: &str = r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded.","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]"#;
    const AZURE: &str = r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded the token rate limit of your current pricing tier. Please retry after 34 seconds."}}"#;
    for body in [GOOGLE, AZURE] {
        let mut world = world(&["paris", "oslo"], "");
        fail(&mut world, "paris", Answer::Error(429, body));
        world.wait(33.9);
        assert_eq!(serving(&mut world, 30), ["oslo"]);
        world.wait(0.1);
        assert_eq!(serving(&mut world, 30), ["oslo", "paris"]);
        let response = self::world(&["paris"], "").chat("g", "", |_| Answer::Error(429, body));
        assert_eq!((response.body.as_str(), response.header("retry-after")), (body, Some("34")));
    }
}

/// Errors as providers write them.
const NO_MODEL: &str =
    r#"{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","code":404}}"#;
const NO_DEPLOYMENT: &str = r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#;
const NO_ROUTE: &str = r#"{"detail":"Not Found"}"#;

#[story(unsupported = test)]
fn what_cools_at_once_depends_on_the_error_and_on_siblings() {
    for Rule { status, body, cools_in_group, cools_alone, .. } in RULES {
        let mut both = world(&["paris", "oslo"], "");
        fail(&mut both, "paris", Answer::Error(status, body));
        assert_eq!(serving(&mut both, 30) == ["oslo"], cools_in_group, "{status} {body} in a group");
        let mut one = world(&["paris"], "");
        fail(&mut one, "paris", Answer::Error(status, body));
        assert_eq!(ok(&mut one).status == 429, cools_alone, "{status} {body} alone");
    }
}

#[story(unsupported = test)]
fn more_than_half_of_at_least_five_failures_cool_a_deployment_down() {
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
    let response = ok(&mut world);
    assert_eq!((response.status, response.called.len()), (429, 0));
}

#[story(unsupported = test)]
fn while_all_cool_down_the_error_has_the_end_of_the_first_cooldown_and_nothing_of_other_groups() {
    let yaml = group(&["paris", "oslo"], "") + &items_of("h", &["rome", "bonn"], "");
    let mut world = World::of(&(yaml + "router_settings: {num_retries: 0}\n"));
    fail(&mut world, "rome", Answer::RateLimited(3));
    fail(&mut world, "paris", Answer::RateLimited(40));
    fail(&mut world, "oslo", Answer::RateLimited(20));
    world.wait(7.5);
    let response = ok(&mut world);
    assert_eq!((response.status, response.header("retry-after")), (429, Some("13")), "12.5 s are left");
    for words in [r#""type":"all_deployments_in_cooldown""#, "Try again in 13 seconds", "'paris'", "'oslo'"] {
        assert!(response.body.contains(words), "{words}: {}", response.body);
    }
    assert!(!response.body.contains("rome") && !response.body.contains("bonn"), "{}", response.body);
    world.wait(13.0);
    assert_eq!(ok(&mut world).called, ["oslo"]);
}

#[story(unsupported = test)]
fn the_later_end_of_two_cooldowns_counts() {
    let mut world = world(&["paris", "oslo"], "");
    fail(&mut world, "paris", Answer::RateLimited(20));
    fail(&mut world, "paris", Answer::Status(429));
    world.wait(19.0);
    assert_eq!(serving(&mut world, 30), ["oslo"], "five seconds do not replace twenty");
}

#[story(unsupported = test)]
fn the_deployments_cooldown_time_has_precedence_over_the_providers_and_that_over_the_routers() {
    for (params, settings, hint, seconds) in COOLDOWN_TIMES {
        let settings = format!("router_settings: {{num_retries: 0{settings}}}\n");
        let mut world = World::of(&(group(&["paris", "oslo"], params) + &settings));
        let answer = hint.map_or(Answer::Status(429), Answer::RateLimited);
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
fn every_worker_sees_a_cooldown_before_it_sends_anything_there() {
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
        &("model_list:\n".to_owned()
            + &items_of("'any/*'", &["paris", "oslo"], "").replace("openai/m", "openai/*")
            + "router_settings: {num_retries: 0}\n"),
    );
    let response = world.chat("any/thing", "", |_| Answer::Status(429));
    for _ in 0..20 {
        let next = world.chat("any/other", "", |_| Answer::Ok).called;
        assert!(next.len() == 1 && next != response.called, "{next:?}");
    }
}

#[story(unsupported = test)]
fn a_deployment_that_is_called_by_its_id_serves_nevertheless() {
    let mut world = world(&["paris", "oslo"], "");
    fail(&mut world, "paris", Answer::Status(401));
    assert_eq!(world.chat("paris", "", |_| Answer::Ok).called, ["paris"]);
}

#[story(unsupported = test)]
fn behind_a_wildcard_an_unknown_model_is_the_clients_own_fault_and_a_wrong_key_is_not() {
    let item = items_of("'*'", &["paris"], "").replace("openai/m", "openai/*");
    let yaml = format!("model_list:\n{item}router_settings: {{num_retries: 2}}\n");
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
            let response = world.chat("typo", "", |_| Answer::Error(status, body));
            assert_eq!((response.status, response.called.len()), (status, 1), "{body}");
            assert!(body.is_empty() || response.body == body, "{}", response.body);
            assert_eq!(world.chat("gpt", "", |_| Answer::Ok).status, 200, "{status} {body}");
        }
    }
    let mut world = World::of(&yaml);
    world.chat("gpt", "", |_| Answer::Status(401));
    assert_eq!(world.chat("gpt", "", |_| Answer::Ok).status, 429);
}

#[story(unsupported = test)]
fn a_time_limit_of_the_client_is_no_failure_of_the_deployment() {
    const SLOW: [Answer; 2] = [Answer::TimedOut, Answer::Stalls];
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
    // The configuration's limit is the shorter one here, and counts.
    let params = ", stream_timeout: 1";
    let mut world = World::of(&(group(&["paris", "oslo"], params) + "router_settings: {num_retries: 0}\n"));
    (0..6).for_each(|_| drop(world.chat("paris", r#""stream":true,"timeout":9"#, |_| Answer::Stalls)));
    assert_eq!(serving(&mut world, 30), ["oslo"]);
}

#[story(unsupported = test)]
fn a_clients_time_limit_in_mid_stream_is_reported_as_such() {
    for (member, answer, outcome, class) in [
        (r#""stream":true,"stream_timeout":0.1"#, Answer::Stalls, "timeout", "client_timeout"),
        (r#""timeout":0.1"#, Answer::Stalls, "timeout", "client_timeout"),
        (r#""timeout":0.1"#, Answer::TimedOut, "timeout", "client_timeout"),
        (r#""stream":true"#, Answer::Stalls, "timeout", "server"),
        (r#""stream":true"#, Answer::IsUnread, "timeout", "client_timeout"),
        (r#""stream":true"#, Answer::Interrupted, "stream_interrupted", "server"),
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
fn a_client_that_disconnects_is_no_failure_of_the_deployment() {
    let mut world = world(&["paris", "oslo"], ", allowed_fails: 0");
    fail(&mut world, "paris", Answer::ClientDisconnects);
    assert_eq!(serving(&mut world, 30), ["oslo", "paris"]);
}

/// Behind so many bytes, a silence may be that of a client that does not read.
#[story(unsupported = test)]
fn a_client_that_does_not_read_is_no_failure_of_the_deployment() {
    for member in [r#""stream":true"#, ""] {
        let mut world = world(&["paris", "oslo"], ", allowed_fails: 0");
        world.chat("paris", member, |_| Answer::IsUnread);
        assert_eq!(serving(&mut world, 30), ["oslo", "paris"], "{member}");
        world.chat("paris", member, |_| Answer::Stalls);
        assert_eq!(serving(&mut world, 30), ["oslo"], "{member}");
    }
}

#[story(unsupported = test)]
fn a_reload_does_not_end_a_cooldown() {
    let mut world = world(&["paris", "oslo"], "");
    fail(&mut world, "paris", Answer::RateLimited(60));
    let yaml = group(&["paris", "oslo", "rome"], "");
    assert_eq!(serving(&mut world.reloaded(&yaml), 40), ["oslo", "rome"]);
}

#[story(unsupported = test)]
fn a_clock_that_steps_back_does_not_lengthen_a_cooldown_by_hours() {
    let mut world = world(&["paris", "oslo"], "");
    fail(&mut world, "paris", Answer::RateLimited(30));
    world.now -= Duration::from_secs(10);
    assert_eq!(serving(&mut world, 30), ["oslo"], "a small step is none");
    world.now -= Duration::from_secs(3600);
    assert_eq!(serving(&mut world, 30), ["oslo", "paris"]);
}

#[story(unsupported = test)]
fn cooldowns_that_begin_together_are_published_in_one_call_to_redis() {
    // What a call has at most keeps its reply small.
    for (count, expected) in [(2, vec![2]), (100, vec![100]), (130, vec![128, 2])] {
        let ids: Vec<String> = (0..count).map(|number| format!("d{number}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut world = world(&ids, ", redis_host: redis.test");
        for id in ids {
            fail(&mut world, id, Answer::Status(429));
        }
        let mut random = SplitMix::new(7);
        let mut moment = Moment { now: world.now, random: &mut random, store: &*world.store };
        let mut published = || world.router.fleet().unwrap().publish_news(&mut moment);
        let deployments = |call: &Call| String::from_utf8_lossy(&call.bytes).matches("}:fleet").count();
        assert_eq!(published().iter().map(deployments).collect::<Vec<_>>(), expected);
        assert!(published().is_empty(), "once");
    }
}
