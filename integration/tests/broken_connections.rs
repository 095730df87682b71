//! Connections that are refused, that break before the answer, or in the middle of it.

use std::time::Duration;

use llm_balancer_integration::{Answer, DONE, World, free_port, hops, item};

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
- {model_name: gpt, litellm_params: {model: openai/m, api_base: 'http://missing.invalid/v1', api_key: k, weight: 1000000}}
- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/virginia/v1, api_key: k, weight: 1}}
- {model_name: alone, litellm_params: {model: openai/m, api_base: 'http://missing.invalid/v1', api_key: k}}
router_settings: {num_retries: 1, disable_cooldowns: true}
",
    )
    .await;
    // Six that start at once on two slow processors take ten seconds.
    assert!(
        world.balancer.ready_after < Duration::from_secs(20),
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

/// Above 64 KB an error is not read to its end, so it may break off while its retry waits. On the edge
/// Envoy answers then; behind the internal listener the retry follows at once.
#[tokio::test]
async fn a_long_error_that_breaks_off_during_the_wait_for_its_retry_has_its_line() {
    let world = World::group(&["paris"], "num_retries: 1, retry_after: 1").await;
    let head = "HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\ncontent-length: 200000\r\n\r\n";
    world.provider.script("paris", [Answer::raw([head.as_bytes(), &[b' '; 70_000]].concat())]);
    let reply = world.chat("gpt").await;
    let line = &world.logged(1).await[0];
    assert_eq!(line["status"], reply.status, "{line}");
    let expected = if reply.status == 200 { "success" } else { "stream_interrupted" };
    assert_eq!(line["outcome"], expected, "{line}");
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

/// Two deployments, of which nearly all first attempts go to the first.
async fn paris_before_virginia() -> World {
    let item = |name, weight| {
        let params = format!("model: openai/m, api_base: PROVIDER/{name}/v1, api_key: k, weight: {weight}");
        format!("- {{model_name: gpt, litellm_params: {{{params}}}, model_info: {{id: {name}}}}}\n")
    };
    let items = item("paris", 1_000_000) + &item("virginia", 1);
    World::new(&format!(
        "model_list:\n{items}router_settings: {{num_retries: 1, timeout: 3, disable_cooldowns: true}}\n"
    ))
    .await
}

/// What OpenRouter sends while a request waits for its turn. DeepSeek sends empty lines.
const COMMENT: &str = ": OPENROUTER PROCESSING\n\n";

#[tokio::test]
async fn what_breaks_off_or_stalls_behind_filler_is_tried_elsewhere() {
    let world = paris_before_virginia().await;
    for (filler, times) in [("\n", 3), (COMMENT, 2)] {
        let filler = || Answer::pieces([filler; 9]).every(Duration::from_millis(200));
        for (what, answer) in [
            ("stalls", filler().hang_after(times)),
            ("reset", filler().reset_after(times)),
            ("closed", filler().close_after(times)),
        ] {
            world.provider.always("paris", answer);
            let reply = world.chat("gpt").await;
            assert_eq!((reply.served_by().as_str(), reply.retries()), ("virginia", 1), "{what}");
        }
    }
    let late = std::iter::repeat_n("\n", 80).chain(["{\"choices\":[{}]}"]);
    world.provider.always("paris", Answer::pieces(late).every(Duration::from_millis(20)));
    let reply = world.chat("gpt").await;
    assert_eq!((reply.status, reply.retries()), (200, 0));
    assert_eq!(reply.body, [&[b'\n'; 80][..], b"{\"choices\":[{}]}"].concat(), "they arrive as they are");
}

#[tokio::test]
async fn what_ends_behind_more_filler_is_the_error_that_the_log_has() {
    let world = paris_before_virginia().await;
    let comments = || Answer::pieces([COMMENT; 9]).every(Duration::from_millis(100));
    let mut count = 0;
    for (status, answer) in
        [(500, comments().reset_after(6)), (500, comments().close_after(6)), (408, comments().hang_after(6))]
    {
        // So that the connection is a kept one, of which Envoy tells the filter.
        world.provider.always("paris", Answer::ok());
        assert_eq!(world.chat("gpt").await.served_by(), "paris");
        world.provider.always("paris", answer);
        let reply = world.chat("gpt").await;
        if hops() == "2" {
            assert_eq!((reply.served_by().as_str(), reply.retries()), ("virginia", 1));
            continue;
        }
        let code = &reply.json()["error"]["code"];
        assert_eq!((reply.status, code), (status, &status.to_string().into()), "{}", reply.text());
        assert!(!reply.headers.keys().any(|name| name.as_str().starts_with("x-llm-")), "{:?}", reply.headers);
        count += 2;
        assert_eq!(world.logged(count).await[count - 1]["status"], status);
    }
}

/// The filter that holds knows 1,024 responses, each by the last digits of a number.
#[tokio::test]
async fn comments_in_mid_stream_are_not_held_however_many_other_responses_begin() {
    let items = item("gpt", "paris", ", stream_timeout: 1") + &item("other", "virginia", "");
    let world = World::new(&format!("model_list:\n{items}")).await;
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let comments = std::iter::repeat_n(": ping\n\n", 30);
    let pieces: Vec<&str> = [event].into_iter().chain(comments).chain(["data: [DONE]\n\n"]).collect();
    world.provider.always("paris", Answer::pieces(pieces).every(Duration::from_millis(300)));
    let mut events = world.stream_chat("gpt").await;
    assert!(events.next().await.is_some());
    world.crowd(8, 1_100, "other").await;
    assert!(events.next().await.is_some(), "the stream has ended before the others");
    let text = events.rest().await;
    assert!(!events.broken && text.ends_with(DONE), "{text}");
}
