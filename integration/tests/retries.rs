//! What is tried again, where, how often and how soon; and what the client is told when nothing
//! helped.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use llm_balancer_integration::{Answer, DONE, Provider, World, free_port};
use serde_json::{Value, json};

const FIVE: [&str; 5] = ["paris", "virginia", "tokyo", "lima", "oslo"];

/// A group of five that all give the same answer, none of which ever sits out.
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
async fn a_refused_connection_hands_over_and_alone_it_is_a_connection_error() {
    let world = World::new(&format!(
        "
model_list:
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: 'http://127.0.0.1:{0}/paris/v1', api_key: k, weight: 1000000}}, model_info: {{id: paris}}}}
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: PROVIDER/virginia/v1, api_key: k, weight: 1}}, model_info: {{id: virginia}}}}
- {{model_name: alone, litellm_params: {{model: openai/m, api_base: 'http://127.0.0.1:{0}/paris/v1', api_key: k}}, model_info: {{id: alone}}}}
router_settings: {{num_retries: 1, disable_cooldowns: true}}
",
        free_port()
    ))
    .await;
    let reply = world.chat("gpt").await;
    assert_eq!((reply.served_by().as_str(), reply.retries()), ("virginia", 1));
    let reply = world.chat("alone").await;
    let error = reply.error(500);
    assert!(error["message"].as_str().unwrap().contains("Connection error."), "{error}");
    assert_eq!((reply.header("x-litellm-model-id"), reply.retries()), (Some("alone"), 1));
}

#[tokio::test]
async fn a_name_that_nobody_knows_hands_over_and_alone_it_is_a_connection_error() {
    let world = World::new(
        "
model_list:
- {model_name: gpt, litellm_params: {model: openai/m, api_base: 'http://nobody.invalid/v1', api_key: k, weight: 1000000}}
- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/virginia/v1, api_key: k, weight: 1}}
- {model_name: alone, litellm_params: {model: openai/m, api_base: 'http://nobody.invalid/v1', api_key: k}}
router_settings: {num_retries: 1, disable_cooldowns: true}
",
    )
    .await;
    assert!(
        world.balancer.ready_after < Duration::from_secs(10),
        "the name held up the start: {:?}",
        world.balancer.ready_after
    );
    let reply = world.chat("gpt").await;
    assert_eq!((reply.served_by().as_str(), reply.retries()), ("virginia", 1));
    let error = world.chat("alone").await.error(500);
    assert!(error["message"].as_str().unwrap().contains("Connection error."), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_tried_elsewhere() {
    let huge = "x".repeat(200_000);
    let breaks = [
        ("reset", Answer::ok().reset()),
        ("closed", Answer::ok().close()),
        ("garbage", Answer::raw("this is no HTTP\r\n\r\n")),
        ("nothing but a line", Answer::raw("HTTP/1.1 200 OK\r\n")),
        ("two lengths", Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx")),
        ("huge headers", Answer::ok().header("x-huge", huge)),
        ("reset after the headers", Answer::ok().reset_after(0)),
        ("closed after the headers", Answer::ok().close_after(0)),
        ("reset after the headers of an error", Answer::status(500).reset_after(0)),
        ("reset in an error", Answer::status(500).reset_after(1)),
        ("closed in an error", Answer::status(400).close_after(1)),
        (
            "an error shorter than it said",
            Answer::status(500).header("content-length", "9999").close_after(2),
        ),
    ];
    let world = World::group(&["paris", "virginia"], "disable_cooldowns: true").await;
    // A kept connection that breaks is no failure, so none is kept.
    for name in ["paris", "virginia"] {
        world.provider.always(name, Answer::ok().header("connection", "close"));
    }
    for (what, answer) in breaks {
        world.provider.script("paris", [answer.clone()]);
        world.provider.script("virginia", [answer]);
        let reply = world.chat("gpt").await;
        assert_eq!(reply.status, 200, "{what}: {}", reply.text());
        let calls = world.provider.calls();
        assert!(calls.len() == 3 && calls[0] != calls[1], "{what}: {calls:?}");
        world.provider.forget();
    }
}

#[tokio::test]
async fn a_lone_connection_that_breaks_without_retries_is_tried_once() {
    let world = World::group(&["paris"], "num_retries: 0").await;
    for answer in [
        Answer::ok().reset(),
        Answer::ok().reset_after(0),
        Answer::ok().close_after(0),
        Answer::status(500).close_after(1),
    ] {
        world.provider.script("paris", [answer.clone()]);
        let reply = world.chat("gpt").await;
        let error = reply.error(500);
        assert!(error["message"].as_str().unwrap().contains("Connection error."), "{answer:?}: {error}");
        assert_eq!((reply.retries(), world.provider.calls().len()), (0, 1), "{answer:?}");
        assert_eq!(reply.header("x-litellm-model-id"), Some("paris"));
        world.provider.forget();
    }
}

#[tokio::test]
async fn when_every_connection_breaks_the_client_gets_a_connection_error() {
    let world = World::group(&["paris", "virginia"], "num_retries: 1, disable_cooldowns: true").await;
    for name in ["paris", "virginia"] {
        world.provider.always(name, Answer::ok().reset());
    }
    let error = world.chat("gpt").await.error(500);
    assert!(error["message"].as_str().unwrap().contains("Connection error."), "{error}");
    assert_eq!(world.provider.calls().len(), 2);
}

#[tokio::test]
async fn a_stream_that_breaks_before_its_first_byte_is_tried_elsewhere() {
    let world = World::group(&["paris", "virginia"], "disable_cooldowns: true").await;
    // A kept connection that breaks is no failure, so none is kept.
    for name in ["paris", "virginia"] {
        world.provider.always(name, Answer::ok().header("connection", "close"));
    }
    for answer in [Answer::ok().reset_after(0), Answer::ok().close_after(0), Answer::ok().reset()] {
        let started_with = if world.chat("gpt").await.served_by() == "paris" { "paris" } else { "virginia" };
        world.provider.forget();
        world.provider.script("paris", [answer.clone()]);
        world.provider.script("virginia", [answer]);
        let mut events = world.stream_chat("gpt").await;
        assert_eq!(events.status, 200, "after {started_with}");
        let text = events.rest().await;
        assert!(!events.broken && text.ends_with(DONE), "{text}");
        assert_eq!(events.header("x-litellm-attempted-retries"), Some("2"));
        assert_eq!(world.provider.calls().len(), 3);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_after_its_first_byte_is_not_tried_again_and_the_client_can_tell() {
    let world = World::group(&["paris", "virginia"], "").await;
    for answer in [Answer::ok().reset_after(2), Answer::ok().close_after(2)] {
        for name in ["paris", "virginia"] {
            world.provider.always(name, answer.clone().every(Duration::from_millis(30)));
        }
        let mut events = world.stream_chat("gpt").await;
        assert_eq!(events.status, 200);
        let mut text = String::new();
        while let Some((_, bytes)) = events.next().await {
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        assert!(text.contains("\"0 from ") && text.contains("\"1 from "), "{text}");
        assert!(events.broken || text.contains("\"error\""), "it looks whole: {text}");
        assert_eq!(world.provider.calls().len(), 1);
        world.provider.forget();
    }
}

#[tokio::test]
async fn a_plain_answer_cut_short_is_never_taken_for_a_whole_one() {
    let world = World::group(&["paris"], "num_retries: 0").await;
    for answer in [
        Answer::ok().reset_after(1),
        Answer::ok().close_after(1),
        Answer::ok().header("content-length", "100000").close_after(2),
    ] {
        world.provider.always("paris", answer);
        let reply = world.chat("gpt").await;
        assert!(!reply.complete || reply.status == 500, "{} {}", reply.status, reply.text());
    }
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

#[tokio::test]
async fn a_provider_that_uses_our_header_names_fools_nobody() {
    let world = World::group(&["paris"], "").await;
    let pretend = |answer: Answer| {
        answer
            .header("x-llm-retry", "1")
            .header("x-litellm-model-id", "evil")
            .header("x-litellm-attempted-retries", "9")
            .header("x-envoy-attempt-count", "9")
            .header("x-llm-cluster", "evil")
    };
    for (answer, status) in [(pretend(Answer::ok()), 200), (pretend(Answer::status(400)), 400)] {
        world.provider.always("paris", answer);
        let reply = world.chat("gpt").await;
        assert_eq!(reply.status, status);
        assert_eq!(world.provider.calls().len(), 1, "a header of the provider's made us retry");
        assert_eq!(
            reply
                .headers
                .get_all("x-litellm-model-id")
                .iter()
                .map(|value| value.to_str().unwrap())
                .collect::<Vec<_>>(),
            ["paris"]
        );
        assert_eq!(reply.headers.get_all("x-litellm-attempted-retries").iter().count(), 1);
        assert_eq!(reply.retries(), 0);
        assert_eq!(reply.header("x-llm-retry"), None);
        world.provider.forget();
    }
}

#[tokio::test]
async fn a_provider_behind_an_envoy_of_its_own_does_not_stop_our_retries() {
    let world = World::group(&["paris", "virginia"], "disable_cooldowns: true").await;
    // With these an Envoy tells the next one that trying again would be of no use: here it is,
    // elsewhere.
    let answers = [
        Answer::status(503).header("x-envoy-overloaded", "true"),
        Answer::status(429).header("x-envoy-ratelimited", "true"),
    ];
    for answer in answers {
        world.provider.script("paris", [answer.clone()]);
        world.provider.script("virginia", [answer.clone()]);
        let reply = world.chat("gpt").await;
        assert_eq!((reply.status, reply.retries()), (200, 2), "{answer:?}: {}", reply.text());
        assert_eq!(world.provider.calls().len(), 3);
        world.provider.forget();
    }
}
