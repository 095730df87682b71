//! How long an attempt may take, who says so, and what the client sees when it took longer.

use std::time::{Duration, Instant};

use llm_balancer_integration::{Answer, Client, DONE, World, ask, eventually};
use serde_json::{Value, json};

/// One deployment with these litellm_params that never answers, no retries, and these sections.
async fn hanging(params: &str, sections: &str) -> World {
    let sections = if sections.contains("router_settings") {
        sections.replace("router_settings: {", "router_settings: {num_retries: 0, ")
    } else {
        format!("router_settings: {{num_retries: 0}}\n{sections}")
    };
    let world = World::new(&format!(
        "model_list:\n- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: PROVIDER/paris/v1, api_key: k{params}}}, model_info: {{id: paris}}}}\n{sections}\n"
    ))
    .await;
    world.provider.always("paris", Answer::ok().hang());
    world
}

/// Asserts that the request times out in OpenAI's shape after about this many seconds.
async fn assert_gives_up(client: &Client, body: &Value, seconds: f64) {
    let started = Instant::now();
    let reply = client.chat_with("gpt", body).await;
    let took = started.elapsed().as_secs_f64();
    let error = reply.error(408);
    assert!(error["message"].as_str().unwrap().to_lowercase().contains("time"), "{error}");
    assert_eq!(reply.header("x-litellm-model-id"), Some("paris"));
    assert!(
        took > seconds - 0.05 && took < seconds + 4.0,
        "gave up after {took} s, should after {seconds} s"
    );
}

#[tokio::test]
async fn the_time_to_answer_is_said_by_the_request_then_the_deployment_then_the_settings() {
    let nothing = json!({});
    let cases: [(&str, &str, Option<&str>, &Value, f64); 9] = [
        (", timeout: 0.5", "", None, &nothing, 0.5),
        (", timeout: 0.4", "router_settings: {timeout: 9}", None, &nothing, 0.4),
        (", request_timeout: 0.4", "router_settings: {timeout: 9}", None, &nothing, 0.4),
        ("", "router_settings: {timeout: 0.5}", None, &nothing, 0.5),
        ("", "router_settings: {timeout: 9}\nlitellm_settings: {request_timeout: 0.5}", None, &nothing, 0.5),
        (", timeout: 9", "", None, &json!({"timeout": 0.4}), 0.4),
        (", timeout: 9", "", None, &json!({"request_timeout": 0.4}), 0.4),
        (", timeout: 9", "", Some("0.4"), &nothing, 0.4),
        (", timeout: 0.2", "", None, &json!({"timeout": 0.8}), 0.8),
    ];
    for (params, sections, header, body, seconds) in cases {
        let world = hanging(params, sections).await;
        let client =
            header.map_or(world.client.clone(), |header| world.with_header("x-litellm-timeout", header));
        assert_gives_up(&client, body, seconds).await;
    }
}

#[tokio::test]
async fn a_stream_has_a_time_to_begin_of_its_own() {
    let nothing = json!({"stream": true});
    let cases: [(&str, &str, Option<&str>, Value, f64); 6] = [
        (", timeout: 9, stream_timeout: 0.4", "", None, nothing.clone(), 0.4),
        (", timeout: 9", "router_settings: {stream_timeout: 0.4}", None, nothing.clone(), 0.4),
        (", timeout: 0.5", "", None, nothing.clone(), 0.5),
        (", stream_timeout: 9", "", None, json!({"stream": true, "stream_timeout": 0.4}), 0.4),
        (", stream_timeout: 9", "", Some("0.4"), nothing, 0.4),
        // Not a stream: the time for streams is none of its business.
        (", timeout: 0.6, stream_timeout: 0.1", "", None, json!({}), 0.6),
    ];
    for (params, sections, header, body, seconds) in cases {
        let world = hanging(params, sections).await;
        let client = header
            .map_or(world.client.clone(), |header| world.with_header("x-litellm-stream-timeout", header));
        assert_gives_up(&client, &body, seconds).await;
    }
}

#[tokio::test]
async fn an_answer_that_stops_after_its_headers_is_given_up_while_nothing_was_sent() {
    let world = hanging(", timeout: 0.5", "").await;
    world.provider.always("paris", Answer::ok().hang_after(0));
    assert_gives_up(&world, &json!({"stream": true}), 0.5).await;
    assert_gives_up(&world, &json!({}), 0.5).await;
}

#[tokio::test]
async fn a_deployment_that_takes_too_long_is_left_for_another() {
    let world = World::new(
        "
model_list:
- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/paris/v1, api_key: k, weight: 1000000, timeout: 0.4}}
- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/virginia/v1, api_key: k, weight: 1}}
router_settings: {disable_cooldowns: true}
",
    )
    .await;
    for answer in [
        Answer::ok().hang(),
        Answer::ok().hang_after(0),
        Answer::status(500).hang_after(0),
        Answer::status(500).hang_after(1),
    ] {
        world.provider.script("paris", [answer.clone()]);
        let started = Instant::now();
        let reply = world.chat("gpt").await;
        assert_eq!((reply.served_by().as_str(), reply.retries()), ("virginia", 1), "{answer:?}");
        let took = started.elapsed().as_secs_f64();
        assert!((0.35..1.5).contains(&took), "{answer:?} took {took} s");
        world.provider.script("paris", [answer.clone()]);
        let mut events = world.stream_chat("gpt").await;
        assert_eq!((events.status, events.header("x-litellm-model-id").is_some()), (200, true));
        assert!(events.rest().await.contains("from virginia"), "{answer:?}");
    }
    assert!(world.provider.abandoned() >= 8, "the connections of answers that timed out are closed");
}

/// The filter waits before it asks the same deployment again, and meanwhile holds a response that
/// has no end.
#[tokio::test]
async fn a_request_keeps_its_attempts_over_a_wait_after_an_answer_that_stopped() {
    let mut body = ask("gpt");
    (body["num_retries"], body["stream"]) = (json!(2), json!(true));
    for answer in [Answer::ok().hang_after(0), Answer::status(500).hang_after(1)] {
        let world = hanging(", timeout: 0.4", "router_settings: {disable_cooldowns: true}").await;
        world.provider.script("paris", [answer.clone(), answer.clone(), Answer::ok().events(2)]);
        let mut events = world.stream("/v1/chat/completions", &body).await;
        assert!(events.rest().await.contains("1 from paris"), "{answer:?}");
        let log = || world.balancer.log();
        assert!(eventually(async || log().contains(r#""outcome":"success","model""#)).await, "{}", log());
        let lines = world.balancer.access_log();
        let of_group: Vec<&Value> = lines.iter().filter(|line| line["group"] == "gpt").collect();
        let [line] = &of_group[..] else { panic!("{answer:?}: {of_group:#?}") };
        let attempts = line["attempts"].as_array().into_iter().flatten();
        let outcomes: Vec<_> = attempts.map(|attempt| attempt["outcome"].as_str()).collect();
        assert_eq!(outcomes, [Some("timeout"), Some("timeout"), Some("success")], "{answer:?}");
        assert_eq!(line["retries"], 2, "{answer:?}");
    }
}

#[tokio::test]
async fn a_stream_may_take_as_long_as_it_likes_while_it_goes_on() {
    let world = hanging(", timeout: 2, stream_timeout: 2", "").await;
    world.provider.always("paris", Answer::ok().events(8).every(Duration::from_millis(400)));
    let mut events = world.stream_chat("gpt").await;
    let text = events.rest().await;
    assert!(!events.broken && text.contains("7 from paris") && text.ends_with(DONE), "{text}");
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_ended_and_the_client_can_tell() {
    let world = hanging(", stream_timeout: 0.5", "").await;
    world.provider.always("paris", Answer::ok().hang_after(2));
    let started = Instant::now();
    let mut events = world.stream_chat("gpt").await;
    let mut text = String::new();
    while let Some((_, bytes)) = events.next().await {
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert!(text.contains("1 from paris"), "{text}");
    assert!(events.broken || text.contains("\"error\""), "it looks whole: {text}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(world.provider.calls().len(), 1);
}

#[tokio::test]
async fn the_time_is_per_attempt_and_not_for_all_of_them() {
    let world = World::group(
        &["paris", "virginia", "tokyo"],
        "timeout: 0.4, num_retries: 2, disable_cooldowns: true",
    )
    .await;
    for name in ["paris", "virginia", "tokyo"] {
        world.provider.always(name, Answer::ok().hang());
    }
    let started = Instant::now();
    let reply = world.chat("gpt").await;
    reply.error(408);
    assert_eq!((reply.retries(), world.provider.calls().len()), (2, 3));
    let took = started.elapsed().as_secs_f64();
    assert!((1.15..2.5).contains(&took), "three times 0.4 s took {took} s");
}

#[tokio::test]
async fn a_slow_answer_within_its_time_is_an_answer() {
    let world = hanging(", timeout: 2", "").await;
    world
        .provider
        .always("paris", Answer::ok().after(Duration::from_millis(700)).every(Duration::from_millis(200)));
    assert_eq!(world.chat("gpt").await.served_by(), "paris");
}

#[tokio::test]
async fn a_timeout_that_is_no_number_is_the_clients_mistake() {
    let world = hanging("", "").await;
    world.with_header("x-litellm-timeout", "soon").chat("gpt").await.error(400);
    world.chat_with("gpt", &json!({"timeout": "soon"})).await.error(400);
}
