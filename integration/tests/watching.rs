//! What an operator sees: metrics on the admin port, one line of JSON for each request on stdout,
//! and why a deployment was picked.

use std::time::Duration;

use llm_balancer_integration::{Answer, Client, World, ask, eventually, item, minute};
use serde_json::{Value, json};

/// Prometheus' view: `name{labels} value`, by the text before the value.
async fn metric(world: &World, series: &str) -> Option<f64> {
    let text = Client::new(world.balancer.admin_port).get("/stats/prometheus").await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    line.parse().ok()
}

/// Waits until a series has this value: counts are handed in once a second.
async fn shows(world: &World, series: &str, value: f64) {
    let mut last = None;
    let shown = eventually(async || {
        last = metric(world, series).await;
        last == Some(value)
    });
    if !shown.await {
        let text = Client::new(world.balancer.admin_port).get("/stats/prometheus").await.text();
        let ours: Vec<_> = text.lines().filter(|line| line.starts_with("llm_balancer")).collect();
        panic!("{series} is {last:?} and not {value}\n{}", ours.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_sees_requests_attempts_tokens_and_times_by_group_and_deployment() {
    let config = format!(
        "model_list:\n{}{}router_settings: {{retry_after: 0}}\n",
        item("gpt-4.1", "one", ", rpm: 50, weight: 1000000"),
        item("gpt-4.1", "two", ", weight: 1"),
    );
    let world = World::with_workers(2, &config).await;
    minute::with_room_for(Duration::from_secs(10)).await;
    world.provider.script("one", [Answer::status(500), Answer::ok().using(3, 4)]);
    world.provider.always("two", Answer::ok().using(10, 20));
    for _ in 0..2 {
        assert_eq!(world.chat("gpt-4.1").await.status, 200);
    }
    world.chat("nobody").await;
    let one = r#"group="gpt-4.1",deployment="one""#;
    let two = r#"group="gpt-4.1",deployment="two""#;
    for (series, value) in [
        (r#"requests_total{group="gpt-4.1",outcome="success",status="200"}"#.to_owned(), 2.0),
        (r#"requests_total{outcome="refused",status="400"}"#.to_owned(), 1.0),
        (r#"refusals_total{reason="unknown_model"}"#.to_owned(), 1.0),
        (format!(r#"attempts_total{{{one},outcome="server_error",status="500"}}"#), 1.0),
        (format!(r#"attempts_total{{{one},outcome="success",status="200"}}"#), 1.0),
        (format!(r#"attempts_total{{{two},outcome="success",status="200"}}"#), 1.0),
        (format!("retries_total{{{one}}}"), 1.0),
        (format!(r#"tokens_total{{{two},type="completion"}}"#), 20.0),
        (format!(r#"tokens_total{{{one},type="prompt"}}"#), 3.0),
        (format!("limit_requests{{{one}}}"), 50.0),
        (format!("remaining_requests{{{one}}}"), 48.0),
        (format!("cooling_down{{{one}}}"), 0.0),
        (format!("in_flight{{{two}}}"), 0.0),
        (format!("duration_milliseconds_count{{{two}}}"), 1.0),
        (format!(r#"time_to_first_byte_milliseconds_bucket{{{two},le="600000"}}"#), 1.0),
        ("config_revision{}".to_owned(), 1.0),
        (format!(r#"build_info{{version="{}"}}"#, env!("CARGO_PKG_VERSION")), 1.0),
    ] {
        // The minute may have turned.
        if series.starts_with("remaining")
            && metric(&world, &format!("llm_balancer_{series}")).await == Some(50.0)
        {
            continue;
        }
        shows(&world, &format!("llm_balancer_{series}"), value).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_and_a_cooldown_show_while_they_last() {
    let world = World::group(&["one"], "num_retries: 0, cooldown_time: 4").await;
    let labels = r#"{group="gpt",deployment="one"}"#;
    world.provider.always("one", Answer::ok().events(1000).every(Duration::from_millis(50)));
    let mut stream = world.stream_chat("gpt").await;
    stream.next().await.expect("a first event");
    shows(&world, &format!("llm_balancer_in_flight{labels}"), 1.0).await;
    drop(stream);
    shows(&world, &format!("llm_balancer_in_flight{labels}"), 0.0).await;
    shows(
        &world,
        r#"llm_balancer_requests_total{group="gpt",outcome="client_disconnected",status="200"}"#,
        1.0,
    )
    .await;
    world.provider.always("one", Answer::status(401));
    world.chat("gpt").await;
    shows(&world, &format!("llm_balancer_cooldowns_total{labels}"), 1.0).await;
    shows(&world, &format!("llm_balancer_cooling_down{labels}"), 1.0).await;
    shows(&world, &format!("llm_balancer_cooling_down{labels}"), 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_has_one_line_with_all_of_its_attempts() {
    let world = World::group(&["one", "two"], "").await;
    world.provider.script("one", [Answer::status(500)]);
    world.provider.script("two", [Answer::status(429), Answer::ok().using(5, 6)]);
    world.provider.always("one", Answer::ok().using(5, 6));
    let reply = world.chat("gpt").await;
    assert_eq!(reply.status, 200);
    world.post("/v1/chat/completions?key=secret", &ask("nobody")).await;
    world.get("/v1/models").await;
    world.get("/health/liveliness").await;
    let lines = world.logged(3).await;
    let served = &lines[0];
    assert_eq!(served["outcome"], "success", "{served:#}");
    assert_eq!((&served["status"], &served["group"]), (&json!(200), &json!("gpt")));
    assert_eq!(served["client"], "127.0.0.1");
    assert_eq!(served["request_id"].as_str(), reply.header("x-litellm-call-id"));
    assert_eq!(served["tokens"], json!({"prompt": 5, "completion": 6}));
    assert_eq!(served["routing"]["strategy"], "simple-shuffle");
    let attempts = served["attempts"].as_array().expect("attempts");
    assert_eq!(served["retries"], attempts.len() - 1);
    assert_eq!(attempts.last().expect("one at least")["outcome"], "success");
    assert_eq!(attempts.last().expect("one at least")["deployment"], served["deployment"]);
    assert!(
        attempts.iter().rev().skip(1).all(|attempt| attempt["status"].as_u64() >= Some(429)),
        "{served:#}"
    );
    assert!(served["duration_ms"].as_u64() >= served["first_byte_ms"].as_u64(), "{served:#}");
    assert_eq!((&lines[1]["outcome"], &lines[1]["reason"]), (&json!("refused"), &json!("unknown_model")));
    assert!(!lines[1].to_string().contains("secret"), "{}", lines[1]);
    assert_eq!(lines[2]["path"], "/v1/models");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_before_the_end_has_a_line_and_so_does_an_answer_that_breaks_off() {
    let world = World::group(&["one"], "num_retries: 0, disable_cooldowns: true").await;
    world.provider.always("one", Answer::ok().events(1000).every(Duration::from_millis(50)));
    let mut stream = world.stream_chat("gpt").await;
    stream.next().await.expect("a first event");
    drop(stream);
    assert_eq!(world.logged(1).await[0]["outcome"], "client_disconnected");
    world.provider.always("one", Answer::ok().events(10).reset_after(3));
    world.stream_chat("gpt").await.rest().await;
    let broken = world.logged(2).await[1].clone();
    assert_eq!(
        (&broken["outcome"], &broken["stream"]),
        (&json!("stream_interrupted"), &json!(true)),
        "{broken:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_cannot_be_reached_is_logged_with_envoys_words() {
    let config = "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_base: 'http://127.0.0.1:1/v1', api_key: k}, model_info: {id: one}}\nrouter_settings: {num_retries: 0}\n";
    let world = World::new(config).await;
    assert_eq!(world.chat("gpt").await.status, 500);
    let line = world.logged(1).await.remove(0);
    assert_eq!(line["outcome"], "connection_error", "{line:#}");
    let detail = line["attempts"][0]["detail"].as_str().unwrap_or_default();
    assert!(detail.to_lowercase().contains("refused"), "{line:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_can_be_switched_off_and_on_again() {
    let items = format!("model_list:\n{}", item("gpt", "one", ""));
    let world = World::new(&format!("{items}llm_balancer: {{access_log: off}}\n")).await;
    assert_eq!(world.chat("gpt").await.status, 200);
    shows(&world, r#"llm_balancer_requests_total{group="gpt",outcome="success",status="200"}"#, 1.0).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.balancer.access_log(), Vec::<Value>::new());
    world.balancer.replace_file(&items.replace("PROVIDER", &world.provider.origin()));
    world.balancer.says("reloaded").await;
    assert_eq!(world.chat("gpt").await.status, 200);
    assert_eq!(world.logged(1).await[0]["deployment"], "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_explanation_is_for_whoever_has_the_master_key() {
    const EXPLAIN: &str = "x-llm-balancer-explain";
    let config = format!(
        "model_list:\n{}{}general_settings: {{master_key: sk-of-the-operator}}\n",
        item("gpt", "one", ", rpm: 1, weight: 1000000"),
        item("gpt", "two", ", weight: 1"),
    );
    let world = World::new(&config).await;
    let operator = world.client.with_header("authorization", "Bearer sk-of-the-operator");
    minute::with_room_for(Duration::from_secs(5)).await;
    assert_eq!(operator.chat("gpt").await.header(EXPLAIN), None, "it was not asked for");
    let reply = operator.with_header(EXPLAIN, "1").chat("gpt").await;
    let told: Value = serde_json::from_str(reply.header(EXPLAIN).expect("an explanation")).expect("JSON");
    assert_eq!(told["selected"], "two", "{told:#}");
    assert_eq!(told["candidates"][0]["reason"], "over_rpm", "{told:#}");
    assert_eq!(told["candidates"][1]["eligible"], true, "{told:#}");
    let stranger = world.client.with_header(EXPLAIN, "1").chat("gpt").await;
    assert_eq!((stranger.status, stranger.header(EXPLAIN)), (401, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gauges_are_true_after_a_reload_that_removes_a_deployment_and_one_that_takes_that_back() {
    let both = format!("model_list:\n{}{}", item("gpt", "one", ", rpm: 50"), item("gpt", "two", ", rpm: 60"));
    let world = World::with_workers(2, &both).await;
    let both = both.replace("PROVIDER", &world.provider.origin());
    let one = format!("model_list:\n{}", item("gpt", "one", ", rpm: 70"));
    let one = one.replace("PROVIDER", &world.provider.origin());
    let limit = |name: &str| format!(r#"llm_balancer_limit_requests{{group="gpt",deployment="{name}"}}"#);
    world.chat("gpt").await;
    shows(&world, &limit("one"), 50.0).await;
    shows(&world, &limit("two"), 60.0).await;
    // A client keeps its connection, and the old configuration with it.
    world.balancer.replace_file(&one);
    world.balancer.says("reloaded (configuration 2)").await;
    world.chat("gpt").await;
    shows(&world, &limit("one"), 70.0).await;
    shows(&world, &limit("two"), 0.0).await;
    shows(&world, "llm_balancer_config_revision{}", 2.0).await;
    world.balancer.replace_file(&both);
    world.balancer.says("reloaded (configuration 3)").await;
    world.chat("gpt").await;
    shows(&world, &limit("one"), 50.0).await;
    shows(&world, &limit("two"), 60.0).await;
    shows(&world, "llm_balancer_config_revision{}", 3.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_turned_away_in_the_middle_of_a_large_body_is_told_about_once() {
    const COUNT: usize = 8;
    let config = format!(
        "model_list:\n{}general_settings: {{master_key: sk-of-the-operator}}\n",
        item("gpt", "one", "")
    );
    let world = World::new(&config).await;
    let body = format!(r#"{{"model":"gpt","messages":[],"x":"{}"}}"#, "x".repeat(30 << 20));
    for _ in 0..COUNT {
        let reply = world
            .newcomer()
            .send(hyper::Method::POST, "/v1/chat/completions", "application/json", body.clone())
            .await;
        assert_eq!(reply.status, 401);
    }
    let refused = r#"llm_balancer_requests_total{outcome="refused",status="401"}"#;
    shows(&world, refused, COUNT as f64).await;
    assert_eq!(world.logged(COUNT).await[0]["reason"], "unauthorized");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_a_stream_in_the_log_however_it_ends_and_an_explanation_survives_a_break() {
    let config = format!(
        "model_list:\n{}general_settings: {{master_key: sk-of-the-operator}}\nrouter_settings: {{num_retries: 0}}\n",
        item("gpt", "one", "")
    );
    let world = World::new(&config).await;
    let operator = world.client.with_header("authorization", "Bearer sk-of-the-operator");
    world.provider.always("one", Answer::ok().close_after(0));
    let asking = operator.with_header("x-llm-balancer-explain", "1");
    let reply = asking.chat_with("gpt", &json!({"stream": true})).await;
    assert_eq!(reply.status, 500);
    let told: Value =
        serde_json::from_str(reply.header("x-llm-balancer-explain").expect("an explanation")).expect("JSON");
    assert_eq!(told["selected"], "one", "{told:#}");
    operator.chat_with("nobody", &json!({"stream": true})).await;
    operator.get("/health").await;
    let lines = world.logged(3).await;
    assert_eq!(
        (&lines[0]["stream"], &lines[0]["outcome"]),
        (&json!(true), &json!("stream_interrupted")),
        "{:#}",
        lines[0]
    );
    assert_eq!(
        (&lines[1]["stream"], &lines[1]["reason"]),
        (&json!(true), &json!("unknown_model")),
        "{:#}",
        lines[1]
    );
    assert_eq!((&lines[2]["path"], &lines[2]["status"]), (&json!("/health"), &json!(200)));
}
