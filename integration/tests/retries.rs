//! What is retried, where, how often and how soon; and what the client gets if every attempt fails.

#[path = "../../router/tests/failures/rules.rs"]
mod rules;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use llm_balancer_integration::{Answer, Provider, World};
use rules::{ATTEMPTS, ATTEMPTS_BY_POLICY, RETRY_POLICY, RULES, Rule};
use serde_json::{Value, json};

const FIVE: [&str; 5] = ["paris", "virginia", "tokyo", "lima", "oslo"];

/// A group of five that all give the same answer; none cools down.
async fn five_that(answer: Answer, router_settings: &str) -> World {
    let world = World::group(&FIVE, &format!("disable_cooldowns: true, {router_settings}")).await;
    for name in FIVE {
        world.provider.always(name, answer.clone());
    }
    world
}

fn distinct(calls: &[String]) -> usize {
    calls.iter().collect::<BTreeSet<_>>().len()
}

#[tokio::test]
async fn what_is_retried_depends_on_the_status_and_the_last_answer_is_the_clients() {
    let world = five_that(Answer::ok(), "").await;
    for Rule { status, is_retried, .. } in RULES.into_iter().filter(|rule| rule.body.is_empty()) {
        let calls = if is_retried { 4 } else { 1 };
        for name in FIVE {
            world.provider.always(name, Answer::status(status));
        }
        let started = Instant::now();
        let reply = world.chat("gpt").await;
        let made = world.provider.calls();
        assert_eq!((made.len(), distinct(&made)), (calls, calls), "{status}: {made:?}");
        let last = made.last().unwrap();
        let error = json!({"error": {"message": format!("{last} says {status}"), "type": "provider_error", "param": null}});
        assert_eq!(reply.status, status);
        assert_eq!(reply.json()["error"]["message"], error["error"]["message"], "{status}");
        assert_eq!(reply.header("x-litellm-model-id"), Some(last.as_str()), "{status}");
        assert_eq!(reply.retries() as usize, calls - 1, "{status}");
        assert_eq!(reply.header("x-litellm-max-retries"), Some("3"), "{status}");
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{status} took {:?} though others were untried",
            started.elapsed()
        );
        world.provider.forget();
    }
}

#[tokio::test]
async fn an_error_keeps_the_providers_headers_and_body() {
    let world = World::group(&["paris"], "num_retries: 0").await;
    let answer = Answer::status(429)
        .body("{\"error\": {\"code\":\"x\"} }")
        .header("content-type", "application/json; v=1")
        .retry_after("7");
    world.provider.always("paris", answer);
    let reply = world.chat("gpt").await;
    assert_eq!((reply.status, reply.text().as_str()), (429, "{\"error\": {\"code\":\"x\"} }"));
    assert_eq!(
        (reply.header("content-type"), reply.header("retry-after")),
        (Some("application/json; v=1"), Some("7"))
    );
    assert_eq!(reply.header("x-llm-retry"), None);
}

#[tokio::test]
async fn a_deployment_that_failed_is_not_asked_again_while_another_is_untried() {
    let world = World::group(&["paris", "virginia", "tokyo"], "disable_cooldowns: true").await;
    world.provider.always("paris", Answer::status(500));
    world.provider.always("virginia", Answer::status(429));
    let mut times = Vec::new();
    for _ in 0..25 {
        let started = Instant::now();
        let reply = world.chat("gpt").await;
        assert_eq!(reply.served_by(), "tokyo");
        let calls = world.provider.calls();
        assert_eq!(distinct(&calls), calls.len(), "{calls:?}");
        assert_eq!(reply.retries() as usize, calls.len() - 1);
        times.push(started.elapsed());
        world.provider.forget();
    }
    times.sort_unstable();
    assert!(times[12] < Duration::from_millis(500), "the untried one is asked at once: {times:?}");
}

#[tokio::test]
async fn a_lone_deployment_that_refuses_the_key_is_asked_once() {
    let world = World::group(&["paris"], "disable_cooldowns: true").await;
    world.provider.always("paris", Answer::status(401));
    assert_eq!(world.chat("gpt").await.status, 401);
    assert_eq!(world.provider.calls().len(), 1);
}

/// When each request came, counted from the first.
fn times(provider: &Provider) -> Vec<Duration> {
    let received = provider.received();
    received.iter().map(|request| request.at - received[0].at).collect()
}

#[tokio::test]
async fn a_lone_deployment_is_given_time_between_attempts_and_the_error_comes_without_another_wait() {
    let world = World::group(&["paris"], "num_retries: 2").await;
    world.provider.always("paris", Answer::status(500));
    assert_eq!(world.chat("gpt").await.status, 500);
    let after_the_last = world.provider.received().last().unwrap().at.elapsed();
    let times = times(&world.provider);
    assert_eq!(times.len(), 3);
    let gaps = [times[1], times[2] - times[1]].map(|gap| gap.as_secs_f64());
    // 0.5 s doubling, and up to 0.75 s of jitter: LiteLLM's rule.
    assert!((0.45..4.0).contains(&gaps[0]) && (0.95..4.0).contains(&gaps[1]), "{gaps:?}");
    // Another wait would take two seconds.
    assert!(after_the_last < Duration::from_millis(1900), "{after_the_last:?} after the last failure");
}

#[tokio::test]
async fn a_lone_deployment_that_says_when_to_come_back_is_asked_then() {
    let world = World::group(&["paris"], "num_retries: 1").await;
    world.provider.script("paris", [Answer::status(429).retry_after("2")]);
    let reply = world.chat("gpt").await;
    assert_eq!((reply.served_by().as_str(), reply.retries()), ("paris", 1));
    let gap = times(&world.provider)[1].as_secs_f64();
    assert!((1.95..3.5).contains(&gap), "asked again after {gap} s");
}

#[tokio::test]
async fn a_time_to_come_back_that_makes_no_sense_is_not_waited_for() {
    let world = World::group(&["paris"], "num_retries: 1").await;
    for hint in ["soon", "-5", "nan", "1e400", "99999999999999999999", "", "61"] {
        world.provider.script("paris", [Answer::status(429).retry_after(hint)]);
        let started = Instant::now();
        assert_eq!(world.chat("gpt").await.served_by(), "paris", "{hint:?}");
        assert!(started.elapsed() < Duration::from_secs(10), "{hint:?} took {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn the_number_of_retries_is_the_clients_then_the_deployments_then_the_routers() {
    for (params, sections, header, members, attempts) in ATTEMPTS {
        let item = |name: &str| {
            format!(
                "- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: PROVIDER/{name}/v1, api_key: k{params}}}}}\n"
            )
        };
        let world = World::new(&format!("model_list:\n{}{sections}", FIVE.map(item).concat())).await;
        for name in FIVE {
            world.provider.always(name, Answer::status(500));
        }
        let client =
            header.map_or(world.client.clone(), |header| world.with_header("x-litellm-num-retries", header));
        let reply = client.chat_with("gpt", &object(members)).await;
        let case = format!("{params} {sections} {header:?} {members}");
        assert_eq!(world.provider.calls().len(), attempts, "{case}");
        assert_eq!(
            reply.header("x-litellm-max-retries"),
            Some((attempts - 1).to_string().as_str()),
            "{case}"
        );
    }
}

/// An object with these members.
fn object(members: &str) -> Value {
    serde_json::from_str(&format!("{{{members}}}")).unwrap()
}

#[tokio::test]
async fn a_policy_overrides_the_number_except_a_clients_zero() {
    let world = five_that(Answer::ok(), RETRY_POLICY).await;
    for (status, members, attempts) in ATTEMPTS_BY_POLICY {
        for name in FIVE {
            world.provider.always(name, Answer::status(status));
        }
        assert_eq!(world.chat_with("gpt", &object(members)).await.status, status);
        assert_eq!(world.provider.calls().len(), attempts, "{status} with {members}");
        world.provider.forget();
    }
}

#[tokio::test]
async fn a_groups_retry_policy_goes_before_the_general_one() {
    let settings = "retry_policy: {InternalServerErrorRetries: 0}, model_group_retry_policy: {gpt: {InternalServerErrorRetries: 2}}";
    let world = five_that(Answer::status(500), settings).await;
    world.chat("gpt").await;
    assert_eq!(world.provider.calls().len(), 3);
}

#[tokio::test]
async fn a_mock_rate_limit_error_fails_the_first_attempt_alone() {
    let world = World::group(&["paris", "virginia"], "").await;
    let reply = world.chat_with("gpt", &json!({"mock_testing_rate_limit_error": true})).await;
    assert_eq!((reply.status, reply.retries()), (200, 1), "{}", reply.text());
    let sent = world.provider.only_request();
    assert!(sent.json().get("mock_testing_rate_limit_error").is_none());
}

#[tokio::test]
async fn a_mock_rate_limit_error_without_retries_is_the_clients() {
    let world = World::group(&["paris"], "num_retries: 0").await;
    let reply = world.chat_with("gpt", &json!({"mock_testing_rate_limit_error": true})).await;
    let error = reply.error(429);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("This is a mock exception for model=gpt, to trigger a rate limit error."),
        "{error}"
    );
    assert!(world.provider.received().is_empty());
}

#[tokio::test]
async fn mock_errors_can_be_forbidden() {
    let world = World::new(
        "
model_list:
- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/paris/v1, api_key: k}}
general_settings: {dangerously_allow_mock_testing_request_params: false}
",
    )
    .await;
    world.chat_with("gpt", &json!({"mock_testing_rate_limit_error": true})).await.error(400);
    assert!(world.provider.received().is_empty());
}
