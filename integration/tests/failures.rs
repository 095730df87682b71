//! Whose fault a failure is, as clients see it: what one client does wrong costs no other anything,
//! what a sibling would serve goes to the sibling, and every request ends in a full answer.

use llm_balancer_integration::{Answer, Client, World, ask, eventually, item};
use serde_json::json;

/// OpenAI's answer to a model that it does not know.
const NO_MODEL: &str = r#"{"error":{"message":"The model `typo` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#;
/// Azure's to a deployment that was renamed.
const NO_DEPLOYMENT: &str = r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#;
/// A chat server's to a route that it does not have.
const NO_ROUTE: &str = r#"{"detail":"Not Found"}"#;
/// OpenAI's to a response that another account made.
const NO_RESPONSE: &str = r#"{"error":{"message":"Previous response with id 'resp_1' not found.","type":"invalid_request_error","param":"previous_response_id","code":"previous_response_not_found"}}"#;

fn not_found(body: &str) -> Answer {
    Answer::status(404).body(body)
}

/// The sum of all series that begin like this.
async fn counted(world: &World, series: &str) -> f64 {
    let text = Client::new(world.balancer.admin_port).get("/stats/prometheus").await.text();
    let values =
        text.lines().filter(|line| line.starts_with(series)).filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn behind_a_wildcard_one_clients_unknown_model_costs_no_other_client_anything() {
    let config = "model_list:\n- {model_name: '*', litellm_params: {model: openai/*, api_base: PROVIDER/all/v1, api_key: k}, model_info: {id: all}}\nrouter_settings: {cooldown_time: 60}\n";
    let mut world = World::new(config).await;
    for answer in [not_found(NO_MODEL), not_found(NO_DEPLOYMENT), Answer::status(404), Answer::status(410)] {
        for _ in 0..5 {
            world.provider.forget();
            world.provider.script("all", [answer.clone()]);
            let reply = world.chat("typo").await;
            assert!([404, 410].contains(&reply.status), "{}", reply.text());
            assert_eq!(world.provider.calls(), ["all"], "it is asked once");
            assert_eq!(world.newcomer().chat("gpt").await.status, 200);
        }
    }
    world.provider.script("all", [not_found(NO_MODEL)]);
    assert_eq!(world.chat("typo").await.text(), NO_MODEL, "the client gets the provider's own words");
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_route_that_a_backend_lacks_and_an_id_that_it_does_not_know_cool_no_deployment() {
    let mut world = World::group(&["paris"], "cooldown_time: 60, num_retries: 0").await;
    for (path, body, answer) in [
        ("/v1/embeddings", json!({"model": "gpt", "input": "x"}), not_found(NO_ROUTE)),
        ("/v1/embeddings", json!({"model": "gpt", "input": "x"}), Answer::status(405)),
        (
            "/v1/responses",
            json!({"model": "gpt", "input": "x", "previous_response_id": "resp_1"}),
            not_found(NO_RESPONSE),
        ),
        (
            "/v1/responses",
            json!({"model": "gpt", "input": "x", "previous_response_id": "resp_1"}),
            Answer::status(400).body(NO_RESPONSE),
        ),
    ] {
        for _ in 0..3 {
            world.provider.script("paris", [answer.clone()]);
            let status = world.post(path, &body).await.status;
            assert!([400, 404, 405].contains(&status), "{status}");
            assert_eq!(world.newcomer().chat("gpt").await.status, 200, "{path}");
        }
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn a_deployment_that_was_renamed_is_not_seen_by_a_client_while_a_sibling_serves() {
    let items = item("gpt", "renamed", ", weight: 1000000") + &item("gpt", "there", ", weight: 1");
    for answer in [
        not_found(NO_DEPLOYMENT),
        not_found(NO_MODEL),
        Answer::status(410).body(r#"{"error":{"message":"The model `m` has been retired."}}"#),
        Answer::status(421),
        Answer::status(400).body(r#"{"type":"error","error":{"message":"Your credit balance is too low to access the Anthropic API."}}"#),
        Answer::status(402),
    ] {
        let world = World::new(&format!("model_list:\n{items}router_settings: {{cooldown_time: 60}}\n")).await;
        world.provider.always("renamed", answer.clone());
        for _ in 0..10 {
            assert_eq!(world.chat("gpt").await.served_by(), "there", "{answer:?}");
        }
        assert_eq!(world.provider.received_by("renamed").len(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn a_request_too_large_for_one_account_is_served_by_another_and_small_ones_by_both() {
    const TOO_LARGE: &str = r#"{"error":{"message":"Request too large for model `m` in organization `o` on tokens per minute (TPM): Limit 6000, Requested 7500, please reduce your message size and try again.","type":"tokens","code":"rate_limit_exceeded"}}"#;
    let items = item("gpt", "small", ", weight: 1000000") + &item("gpt", "large", ", weight: 1");
    let world = World::new(&format!("model_list:\n{items}")).await;
    world.provider.script("small", [Answer::status(413).body(TOO_LARGE)]);
    assert_eq!(world.chat("gpt").await.served_by(), "large");
    assert_eq!(world.chat("gpt").await.served_by(), "small");
}

#[tokio::test]
async fn an_order_that_is_down_costs_one_attempt() {
    let items = item("gpt", "first", ", order: 1") + &item("gpt", "second", ", order: 2");
    let config = format!(
        "model_list:\n{items}router_settings: {{num_retries: 3, timeout: 0.5, disable_cooldowns: true}}\n"
    );
    let world = World::new(&config).await;
    for answer in
        [Answer::status(500), Answer::ok().hang(), Answer::ok().reset(), Answer::ok().reset_after(0)]
    {
        world.provider.always("first", answer.clone());
        let reply = world.chat("gpt").await;
        assert_eq!((reply.status, reply.served_by().as_str()), (200, "second"), "{answer:?}");
        assert_eq!(world.provider.calls(), ["first", "second"], "{answer:?}");
        assert_eq!(reply.header("x-litellm-attempted-fallbacks"), Some("1"));
        world.provider.forget();
    }
}

#[tokio::test]
async fn a_clients_own_limit_that_passes_in_mid_answer_says_nothing_about_the_deployment() {
    let mut world = World::group(&["paris", "oslo"], "cooldown_time: 60, num_retries: 0").await;
    let stuck = Answer::ok().events(5).hang_after(1);
    world.provider.always("paris", stuck.clone());
    world.provider.always("oslo", stuck);
    for _ in 0..8 {
        let body = json!({"model": "gpt", "messages": [], "stream": true, "stream_timeout": 0.3});
        let mut events = world.stream("/v1/chat/completions", &body).await;
        events.rest().await;
    }
    for _ in 0..8 {
        let client = world.with_header("x-litellm-timeout", "0.3");
        let _ = client.try_chat("gpt").await;
    }
    let lines = world.logged(16).await;
    for line in &lines {
        assert_eq!(line["attempts"][0]["class"], "client_timeout", "{line}");
        assert_eq!(line["outcome"], "timeout", "{line}");
    }
    for name in ["paris", "oslo"] {
        world.provider.always(name, Answer::ok());
    }
    assert!(eventually(async || counted(&world, "llm_balancer_failures_total{").await == 16.0).await);
    assert_eq!(counted(&world, "llm_balancer_cooldowns_total{").await, 0.0);
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn the_last_attempt_that_is_allowed_ends_in_a_full_answer() {
    let items = item("gpt", "gpt", "") + &item("one", "one", "") + &item("two", "two", "");
    let config =
        format!("model_list:\n{items}router_settings: {{disable_cooldowns: true, retry_after: 0}}\n");
    let mut world = World::new(&config).await;
    let failures =
        [Answer::status(500), Answer::ok().reset(), Answer::ok().reset_after(0), Answer::status(404)];
    for (count, answer) in failures.into_iter().enumerate() {
        for name in ["gpt", "one", "two"] {
            world.provider.always(name, answer.clone());
        }
        let asked = json!({"num_retries": 10, "fallbacks": ["one", "two"]});
        let reply = world.chat_with("gpt", &asked).await;
        assert!(!reply.json()["error"].is_null(), "{} {}", reply.status, reply.text());
        assert_eq!(reply.header("x-litellm-attempted-fallbacks"), Some("2"), "{answer:?}");
        let calls = world.provider.calls();
        assert!(calls.len() <= 25 && calls.contains(&"two".to_owned()), "{calls:?}");
        let lines = world.logged(count + 1).await;
        assert_eq!(lines[count]["attempts"].as_array().map(Vec::len), Some(calls.len()));
        assert_eq!(lines[count]["status"], reply.status);
        let requests = (count + 1) as f64;
        assert!(eventually(async || counted(&world, "llm_balancer_requests_total{").await == requests).await);
        world.provider.forget();
    }
    for name in ["gpt", "one", "two"] {
        world.provider.always(name, Answer::ok());
    }
    world.assert_well("gpt").await;
}

#[tokio::test]
async fn whatever_a_provider_sends_as_an_error_ends_in_an_answer_and_one_line() {
    let mut world = World::group(&["paris"], "num_retries: 0, disable_cooldowns: true").await;
    let deep = format!("{}{}", r#"{"error":"#.repeat(5_000), "}".repeat(5_000));
    let list = format!(r#"{{"detail":[{}0]}}"#, r#"{"msg":"x","input":"y"},"#.repeat(20_000));
    let bodies: [Vec<u8>; 12] = [
        Vec::new(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\"\"".to_vec(),
        b"{\"error\":null}".to_vec(),
        b"{\"error\":{\"message\":[1,{}],\"code\":{\"a\":[]}}}".to_vec(),
        b"{\"error\":{\"message\":\"prompt is too lo".to_vec(),
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03compressed".to_vec(),
        b"{\"error\":{\"message\":\"\\ud800\"}}".to_vec(),
        vec![0xff; 100_000],
        deep.into_bytes(),
        list.into_bytes(),
    ];
    let mut count = 0;
    for status in [400, 404, 422, 500] {
        for body in &bodies {
            world.provider.script("paris", [Answer::status(status).body(body.clone())]);
            let reply = world.post("/v1/chat/completions", &ask("gpt")).await;
            assert_eq!(reply.status, status, "{:?}", String::from_utf8_lossy(&body[..body.len().min(60)]));
            count += 1;
        }
    }
    world.logged(count).await;
    world.assert_well("gpt").await;
}
