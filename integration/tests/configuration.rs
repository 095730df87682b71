//! What the configuration says, as clients and providers see it: secrets of the environment,
//! skipped deployments, accepted refusals, addresses that were copied with a route, tags and paths.

use llm_balancer_integration::{Balancer, Client, Launch, Provider, World};
use serde_json::json;

#[tokio::test]
async fn keys_that_only_the_environment_holds_lose_their_line_break() {
    let provider = Provider::start().await;
    let config = "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/paris/v1}, model_info: {id: paris}}\n"
        .replace("PROVIDER", &provider.origin());
    let balancer = Launch::new(&config)
        .env("OPENAI_API_KEY", "sk-of-the-provider\n")
        .env("LITELLM_MASTER_KEY", " sk-master-key-of-the-house\r\n")
        .start()
        .await;
    let client = Client::new(balancer.port);
    let guarded = client.with_header("authorization", "Bearer sk-master-key-of-the-house");
    assert_eq!(guarded.chat("gpt").await.served_by(), "paris");
    assert_eq!(provider.only_request().header("authorization"), Some("Bearer sk-of-the-provider"));
    assert_eq!(client.chat("gpt").await.status, 401);
}

#[tokio::test]
async fn a_key_that_no_header_can_hold_is_refused_before_anything_starts() {
    let config = "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_base: 'http://127.0.0.1:1'}}\n";
    for (name, value) in [("OPENAI_API_KEY", "sk-a\nsk-b"), ("LITELLM_MASTER_KEY", "sk-long\renough")] {
        let (usable, output) = Balancer::check_with(config, &[(name, value)]);
        assert!(!usable, "{output}");
        let message = format!("environment variable {name}: invalid character: a line break");
        assert!(output.contains(&message) && !output.contains("sk-"), "{output}");
        let refusal = Launch::new(config).env(name, value).refused().await;
        assert!(refusal.output.contains(&message), "{}", refusal.output);
    }
}

#[test]
fn an_organization_that_breaks_a_header_is_refused() {
    let config = |organization: &str| {
        format!(
            "model_list:\n- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: 'http://127.0.0.1:1', api_key: k, organization: \"{organization}\"}}}}\n"
        )
    };
    let (usable, output) = Balancer::check(&config(r"org-1\r\nx-evil: 1"));
    assert!(!usable && output.contains("organization: invalid character: a line break"), "{output}");
    assert!(Balancer::check(&config("org-1")).0);
}

#[tokio::test]
async fn what_was_skipped_is_a_404_that_says_so_and_the_rest_is_served() {
    let world = World::new(
        "model_list:
- {model_name: claude, litellm_params: {model: bedrock/anthropic.claude-v2}}
- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/paris/v1, api_key: k}, model_info: {id: paris}}
- {model_name: '*', litellm_params: {model: openai/*, api_base: PROVIDER/any/v1, api_key: k}, model_info: {id: any}}
router_settings:
  model_group_alias: {best: claude}
  fallbacks: [{gpt: [best]}]
llm_balancer: {unsupported_deployments: skip}
",
    )
    .await;
    assert_eq!(world.chat("gpt").await.served_by(), "paris");
    for model in ["claude", "best"] {
        let reply = world.chat(model).await;
        let error = reply.error(404);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("is configured, but its deployments were skipped"), "{message}");
        assert!(world.get(&format!("/v1/models/{model}")).await.text().contains("skipped"));
    }
    assert_eq!(world.provider.calls(), ["paris"], "not even the wildcard serves in its place");
    assert!(!world.get("/v1/models").await.text().contains("claude"));
}

#[tokio::test]
async fn a_refusal_that_the_operator_accepts_is_a_warning_at_each_start() {
    let config = "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_base: 'http://127.0.0.1:1', api_key: k}}
litellm_settings: {callbacks: [my.hook]}\n";
    let refusal = Launch::new(config).refused().await;
    assert!(refusal.output.contains("error: litellm_settings.callbacks[0]"), "{}", refusal.output);
    let accepted = format!("{config}llm_balancer: {{accept: [litellm_settings.callbacks]}}\n");
    let balancer = Launch::new(&accepted).start().await;
    let log = balancer.log();
    assert!(log.contains("warning: litellm_settings.callbacks[0]") && log.contains("accepted by"), "{log}");
}

#[tokio::test]
async fn members_are_dropped_by_path() {
    let world = World::new(
        "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/paris/v1, api_key: k, \
         additional_drop_params: ['reasoning.summary', 'tools[*].function.strict']}}\n",
    )
    .await;
    let members = json!({
        "reasoning": {"effort": "low", "summary": "auto"},
        "tools": [{"type": "function", "function": {"name": "f", "strict": true}}],
    });
    world.chat_with("gpt", &members).await.served_by();
    let sent = world.provider.only_request().json();
    assert_eq!(sent["reasoning"], json!({"effort": "low"}));
    assert_eq!(sent["tools"], json!([{"type": "function", "function": {"name": "f"}}]));
}

#[tokio::test]
async fn a_request_never_reaches_what_its_tags_exclude() {
    let world = World::new(
        "model_list:
- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/eu/v1, api_key: k, tags: [eu]}, model_info: {id: eu}}
- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/us/v1, api_key: k, tags: [us, default]}, model_info: {id: us}}
router_settings: {enable_tag_filtering: true}
",
    )
    .await;
    for _ in 0..10 {
        assert_eq!(world.chat_with("gpt", &json!({"tags": ["&eu"]})).await.served_by(), "eu");
        assert_eq!(world.with_header("x-litellm-tags", "eu,!us").chat("gpt").await.served_by(), "eu");
    }
    assert_eq!(world.chat_with("gpt", &json!({"metadata": {"tags": ["!us"]}})).await.status, 401);
    assert_eq!(world.chat_with("gpt", &json!({"tags": ["!us", "!eu"]})).await.status, 401);
    assert_eq!(world.chat_with("gpt", &json!({"tags": ["! us"]})).await.status, 400);
    assert!(world.provider.calls().iter().all(|name| name == "eu"));
}

#[tokio::test]
async fn an_address_from_azures_portal_is_taken_apart() {
    let world = World::new(
        "model_list:
- {model_name: gpt, litellm_params: {model: azure/four, api_key: k, api_base: 'PROVIDER/paris/openai/deployments/four/chat/completions?api-version=2024-10-21'}}
- {model_name: embed, litellm_params: {model: openai/e, api_key: k, api_base: 'PROVIDER/paris/v1/embeddings'}}
",
    )
    .await;
    world.chat("gpt").await.served_by();
    let sent = world.provider.only_request();
    assert_eq!(sent.target, "/paris/openai/deployments/four/chat/completions?api-version=2024-10-21");
    world.provider.forget();
    world.post("/v1/embeddings", &json!({"model": "embed", "input": "hi"})).await.served_by();
    assert_eq!(world.provider.only_request().target, "/paris/v1/embeddings");
}

#[tokio::test]
async fn a_name_that_is_too_long_for_a_header_is_a_400() {
    let world = World::new(
        "model_list:\n- {model_name: '*', litellm_params: {model: openai/*, api_base: PROVIDER/any/v1, api_key: k}}\n",
    )
    .await;
    assert_eq!(world.chat(&"n".repeat(1025)).await.status, 400);
    assert_eq!(world.chat(&"n".repeat(500)).await.status, 200);
    assert_eq!(world.provider.count(), 1);
}
