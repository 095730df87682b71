//! What is retried, where, how often and how soon; and what the client gets if every attempt fails.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use llm_balancer_integration::{Answer, Provider, World};
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
    let calls_by_status = [
        (400, 1),
        (401, 4),
        (403, 4),
        (404, 4),
        (405, 4),
        (408, 4),
        (409, 4),
        (410, 4),
        (413, 1),
        (421, 4),
        (422, 1),
        (424, 4),
        (429, 4),
        (499, 4),
        (500, 4),
        (502, 4),
        (503, 4),
        (504, 4),
        (529, 4),
    ];
    for (status, calls) in calls_by_status {
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
    for _ in 0..25 {
        let started = Instant::now();
        let reply = world.chat("gpt").await;
        assert_eq!(reply.served_by(), "tokyo");
        let calls = world.provider.calls();
        assert_eq!(distinct(&calls), calls.len(), "{calls:?}");
        assert_eq!(reply.retries() as usize, calls.len() - 1);
        assert!(
            started.elapsed() < Duration::from_millis(500),
            "the untried one is asked at once, not after {:?}",
            started.elapsed()
        );
        world.provider.forget();
    }
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
    let started = Instant::now();
    assert_eq!(world.chat("gpt").await.status, 500);
    let took = started.elapsed();
    let times = times(&world.provider);
    assert_eq!(times.len(), 3);
    let gaps = [times[1], times[2] - times[1]].map(|gap| gap.as_secs_f64());
    // 0.5 s doubling, and up to 0.75 s of jitter: LiteLLM's rule.
    assert!((0.45..1.7).contains(&gaps[0]) && (0.95..2.2).contains(&gaps[1]), "{gaps:?}");
    assert!(took - times[2] < Duration::from_millis(400), "{:?} after the last failure", took - times[2]);
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
        assert!(started.elapsed() < Duration::from_millis(1700), "{hint:?} took {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn how_often_is_said_by_the_request_then_the_deployment_then_the_router() {
    let body = json!({"num_retries": 1});
    let nothing = json!({});
    let deployment = |retries: &str| {
        let item = |name: &str| {
            format!(
                "- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: PROVIDER/{name}/v1, api_key: k{retries}}}}}\n"
            )
        };
        format!("model_list:\n{}", FIVE.map(item).concat())
    };
    let cases: [(&str, &str, Option<&str>, &Value, usize); 10] = [
        ("", "", None, &nothing, 4),
        ("", "router_settings: {num_retries: 2, disable_cooldowns: true}", None, &nothing, 3),
        ("", "router_settings: {num_retries: 0}", None, &nothing, 1),
        ("", "litellm_settings: {num_retries: 2}", None, &nothing, 3),
        ("", "{router_settings: {num_retries: 1}, litellm_settings: {num_retries: 3}}", None, &nothing, 2),
        (", num_retries: 4", "router_settings: {num_retries: 0}", None, &nothing, 5),
        (", num_retries: 0", "router_settings: {num_retries: 2}", None, &nothing, 1),
        (", num_retries: 4", "", None, &body, 2),
        (", num_retries: 4", "", Some("1"), &nothing, 2),
        ("", "router_settings: {num_retries: 3}", Some("0"), &nothing, 1),
    ];
    for (of_deployment, sections, header, body, calls) in cases {
        let sections =
            sections.trim_start_matches('{').replace("}, litellm", "}\nlitellm").replace("}}", "}");
        let config = format!("{}{sections}\n", deployment(of_deployment));
        let config = config
            .replace("router_settings: {", "router_settings: {disable_cooldowns: true, ")
            .replace("true, disable_cooldowns: true", "true");
        let world = World::new(&config).await;
        for name in FIVE {
            world.provider.always(name, Answer::status(500));
        }
        let client =
            header.map_or(world.client.clone(), |header| world.with_header("x-litellm-num-retries", header));
        let reply = client.chat_with("gpt", body).await;
        assert_eq!(
            world.provider.calls().len(),
            calls,
            "{sections:?} with {header:?} and {body} on {of_deployment:?}"
        );
        assert_eq!(reply.header("x-litellm-max-retries"), Some((calls - 1).to_string().as_str()));
    }
}

#[tokio::test]
async fn a_retry_policy_beats_every_number_but_the_requests_zero() {
    let settings = "num_retries: 3, retry_policy: {InternalServerErrorRetries: 1, BadRequestErrorRetries: 2, RateLimitErrorRetries: 0}";
    let world = five_that(Answer::ok(), settings).await;
    let cases = [
        (500, json!({}), 2),
        (500, json!({"num_retries": 4}), 2),
        (500, json!({"num_retries": 0}), 1),
        (400, json!({}), 3),
        (429, json!({}), 1),
        (408, json!({}), 4),
    ];
    for (status, body, calls) in cases {
        for name in FIVE {
            world.provider.always(name, Answer::status(status));
        }
        assert_eq!(world.chat_with("gpt", &body).await.status, status);
        assert_eq!(world.provider.calls().len(), calls, "{status} with {body}");
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
