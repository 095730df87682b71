//! Headers by which a client on this machine might change what Envoy does with its request.

use std::time::Duration;

use llm_balancer_integration::{Answer, Client, Reply, World, free_port};
use tokio::task::JoinSet;

/// A group whose first choice refuses connections, so that every request takes one retry. The
/// second answers after 50 ms, long enough for a timeout of a millisecond.
async fn one_retry_each() -> World {
    let world = World::new(&format!(
        "
model_list:
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: 'http://127.0.0.1:{}/v1', api_key: none, weight: 1000000000}}}}
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: PROVIDER/paris/v1, api_key: none, weight: 1}}}}
router_settings: {{disable_cooldowns: true}}
",
        free_port()
    ))
    .await;
    world.provider.always("paris", Answer::ok().after(Duration::from_millis(50)));
    world
}

fn assert_served_by_the_second(reply: &Reply) {
    assert_eq!((reply.status, reply.retries()), (200, 1), "{}", reply.text());
}

fn with(client: &Client, headers: &[(&str, &str)]) -> Client {
    headers.iter().fold(client.clone(), |client, (name, value)| client.with_header(name, value))
}

#[tokio::test]
async fn a_client_on_this_machine_has_no_say_in_envoys_timeouts_and_retries() {
    let world = one_retry_each().await;
    let headers = [
        ("x-envoy-max-retries", "0"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("x-envoy-upstream-rq-per-try-timeout-ms", "1"),
    ];
    let client = with(&world.client, &headers);
    assert_served_by_the_second(&client.chat("gpt").await);
    // Nor one that claims to come from elsewhere.
    let client = client.with_header("x-forwarded-for", "10.0.0.1");
    assert_served_by_the_second(&client.chat("gpt").await);
}

#[tokio::test]
async fn requests_that_share_an_id_of_their_clients_are_not_taken_for_one() {
    let world = one_retry_each().await;
    let mut chats = JoinSet::new();
    for _ in 0..20 {
        let headers = [("x-request-id", "the-same"), ("x-llm-stream-id", "the-same")];
        let client = with(&world.newcomer(), &headers);
        chats.spawn(async move { client.chat("gpt").await });
    }
    for reply in chats.join_all().await {
        assert_served_by_the_second(&reply);
    }
}

#[tokio::test]
async fn a_repeated_header_without_a_value_does_not_cost_a_request_its_retry() {
    let world = World::group(&["paris", "virginia"], "num_retries: 1, disable_cooldowns: true").await;
    let client = world.client.with_header("x-part", "1").with_header("x-part", "");
    world.provider.always("paris", Answer::status(500));
    let before = world.provider.received_by("paris").len();
    while world.provider.received_by("paris").len() == before {
        let reply = client.chat("gpt").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}
