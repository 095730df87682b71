//! Which deployments a model's name means: group, alias, deployment id, wildcard, provider's
//! model, in LiteLLM's order.

use llm_balancer_integration::World;
use serde_json::json;

/// A flow-style item of model_list: group, litellm model, and the provider's name as id.
fn item(group: &str, model: &str, name: &str) -> String {
    format!(
        "- {{model_name: '{group}', litellm_params: {{model: '{model}', api_base: PROVIDER/{name}/v1, api_key: k}}, model_info: {{id: '{name}'}}}}\n"
    )
}

async fn world(items: &[(&str, &str, &str)], router_settings: &str) -> World {
    let list: String = items.iter().map(|(group, model, name)| item(group, model, name)).collect();
    World::new(&format!("model_list:\n{list}router_settings: {{{router_settings}}}\n")).await
}

/// Who serves the model, and under which name the provider is asked for it.
async fn served(world: &World, model: &str) -> (String, String) {
    let reply = world.chat(model).await;
    assert_eq!(reply.status, 200, "{model}: {}", reply.text());
    let last = world.provider.received().pop().expect("a provider was called");
    assert_eq!(last.name, reply.served_by());
    (last.name.clone(), last.model())
}

fn pair(name: &str, model: &str) -> (String, String) {
    (name.to_owned(), model.to_owned())
}

#[tokio::test]
async fn a_deployment_is_reached_by_its_id() {
    let world = world(&[("gpt", "openai/a", "paris"), ("gpt", "openai/b", "virginia")], "").await;
    for _ in 0..10 {
        assert_eq!(served(&world, "virginia").await, pair("virginia", "b"));
    }
}

#[tokio::test]
async fn deployment_ids_are_litellms_to_the_last_bit() {
    let world = World::new(
        "
model_list:
- model_name: gpt
  litellm_params:
    model: openai/a-model
    api_base: http://127.0.0.1:9100/a/v1
    api_key: sk-a
    rpm: 6
",
    )
    .await;
    let listing = world.get("/v1/model/info").await.json();
    assert_eq!(
        listing["data"][0]["model_info"]["id"],
        "f673ec85de39ab1864367d1e6f02bf8937a0badc39c0a74acd3bdd71de57be2b"
    );
}

#[tokio::test]
async fn a_group_goes_before_an_id_and_an_id_before_an_alias() {
    let items =
        [("gpt", "openai/a", "solo"), ("solo", "openai/b", "tokyo"), ("other", "openai/c", "virginia")];
    let world = world(&items, "model_group_alias: {virginia: gpt}").await;
    assert_eq!(
        served(&world, "solo").await,
        pair("tokyo", "b"),
        "the group, not the deployment with that id"
    );
    assert_eq!(served(&world, "virginia").await, pair("virginia", "c"), "the deployment, not the alias");
}

#[tokio::test]
async fn an_alias_hides_the_group_of_its_name() {
    let world = world(
        &[("gpt", "openai/a", "paris"), ("solo", "openai/b", "tokyo")],
        "model_group_alias: {solo: gpt}",
    )
    .await;
    assert_eq!(served(&world, "solo").await, pair("paris", "a"));
    assert_eq!(served(&world, "tokyo").await, pair("tokyo", "b"), "by id it is still there");
    assert_eq!(served(&world, "openai/b").await, pair("tokyo", "b"), "and by its model");
}

#[tokio::test]
async fn aliases_do_not_chain_and_do_not_lead_to_ids() {
    let world =
        world(&[("gpt", "openai/a", "paris")], "model_group_alias: {one: gpt, two: one, id: paris, me: me}")
            .await;
    assert_eq!(served(&world, "one").await, pair("paris", "a"));
    for model in ["two", "id", "me"] {
        let error = world.chat(model).await.error(400);
        assert_eq!(error["type"], "invalid_request_error", "{model}");
    }
}

#[tokio::test]
async fn an_alias_may_stand_for_a_providers_model() {
    let world = world(&[("gpt", "openai/a", "paris")], "model_group_alias: {short: openai/a}").await;
    assert_eq!(served(&world, "short").await, pair("paris", "a"));
}

#[tokio::test]
async fn a_providers_model_is_served_across_groups() {
    let world = world(
        &[("gpt", "openai/m", "paris"), ("other", "openai/m", "virginia"), ("third", "openai/n", "tokyo")],
        "",
    )
    .await;
    let picks = world.picks("openai/m", 60).await;
    assert_eq!(picks.keys().map(String::as_str).collect::<Vec<_>>(), ["paris", "virginia"]);
}

#[tokio::test]
async fn names_are_case_sensitive() {
    let world = world(&[("gpt", "openai/a", "paris")], "").await;
    world.chat("GPT").await.error(400);
}

#[tokio::test]
async fn a_wildcard_hands_on_what_it_matched() {
    let items = [
        ("wild/*", "openai/*", "paris"),
        ("a-*-b", "openai/x-*", "tokyo"),
        ("fixed/*", "openai/always", "virginia"),
    ];
    let world = world(&items, "").await;
    assert_eq!(served(&world, "wild/gpt-4o").await, pair("paris", "gpt-4o"));
    assert_eq!(
        served(&world, "wild/meta/llama-3").await,
        pair("paris", "meta/llama-3"),
        "slashes are matched too"
    );
    assert_eq!(served(&world, "a-1-b").await, pair("tokyo", "x-1"));
    assert_eq!(served(&world, "fixed/anything").await, pair("virginia", "always"));
}

#[tokio::test]
async fn a_wildcard_is_anchored_at_both_ends() {
    let world = world(&[("a-*-b", "openai/*", "tokyo")], "").await;
    for model in ["a-1-b/c", "xa-1-b", "a-b"] {
        let error = world.chat(model).await.error(400);
        let message = error["message"].as_str().unwrap_or_default();
        assert!(
            message.contains(&format!("model={model}")) && message.contains("no healthy deployments"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn an_exact_name_goes_before_a_wildcard_and_a_longer_wildcard_before_a_shorter() {
    let items = [
        ("*", "openai/*", "paris"),
        ("openai/*", "openai/*", "tokyo"),
        ("openai/gpt-*", "openai/gpt-*", "virginia"),
        ("openai/gpt-4", "openai/x", "lima"),
    ];
    let world = world(&items, "").await;
    assert_eq!(served(&world, "openai/gpt-4").await, pair("lima", "x"));
    assert_eq!(served(&world, "openai/gpt-3").await, pair("virginia", "gpt-3"));
    assert_eq!(served(&world, "openai/o1").await, pair("tokyo", "o1"));
    assert_eq!(served(&world, "anything").await, pair("paris", "anything"));
}

#[tokio::test]
async fn deployments_of_one_wildcard_share_its_requests() {
    let world = world(&[("wild/*", "openai/*", "paris"), ("wild/*", "openai/*", "virginia")], "").await;
    assert_eq!(world.picks("wild/x", 60).await.len(), 2);
}

#[tokio::test]
async fn the_header_names_the_group_as_it_was_asked_for() {
    let world = world(&[("wild/*", "openai/*", "paris")], "").await;
    let reply = world.chat("wild/x").await;
    assert_eq!(reply.header("x-litellm-model-group"), Some("wild/x"));
}

#[tokio::test]
async fn names_with_every_kind_of_character_are_names() {
    let items = [
        ("meta/llama-3:70b", "openai/a", "paris"),
        ("modèle \"é\"", "openai/b", "tokyo"),
        ("a.b+c(d)[e]", "openai/c", "lima"),
    ];
    let world = world(&items, "").await;
    assert_eq!(served(&world, "meta/llama-3:70b").await, pair("paris", "a"));
    assert_eq!(served(&world, "modèle \"é\"").await, pair("tokyo", "b"));
    assert_eq!(served(&world, "a.b+c(d)[e]").await, pair("lima", "c"));
    let escaped = r#"{"model": "mod\u00e8le \"\u00e9\"", "messages": []}"#;
    let reply = world.send(hyper::Method::POST, "/v1/chat/completions", "application/json", escaped).await;
    assert_eq!(reply.served_by(), "tokyo", "the same name, escaped");
}

#[tokio::test]
async fn an_unknown_model_is_a_bad_request_that_says_where_to_look() {
    let world = world(&[("gpt", "openai/a", "paris")], "").await;
    let error = world.chat("zzz").await.error(400);
    let message = error["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("Invalid model name passed in model=zzz") && message.contains("/v1/models"),
        "{message}"
    );
    assert_eq!((&error["type"], &error["param"]), (&json!("invalid_request_error"), &json!(null)));
    assert!(world.provider.received().is_empty());
}
