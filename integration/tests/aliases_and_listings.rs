//! What models there are: groups, their aliases, and who may see them, in LiteLLM's shapes.

use std::collections::BTreeSet;

use llm_balancer_integration::{World, ask};
use serde_json::{Value, json};

const CONFIG: &str = "
model_list:
- model_name: gpt
  litellm_params: {model: openai/m-paris, api_base: PROVIDER/paris/v1, api_key: sk-very-secret-paris, rpm: 6, tpm: 1000, temperature: 0.5}
  model_info: {id: paris, mode: chat, note: mine}
- model_name: gpt
  litellm_params: {model: azure/m-virginia, api_base: PROVIDER/virginia, api_key: sk-very-secret-virginia, api_version: '2024-06-01', rpm: 1}
  model_info: {id: virginia}
- model_name: embed
  litellm_params: {model: openai/e, api_base: PROVIDER/tokyo/v1, api_key: sk-very-secret-tokyo}
  model_info: {id: tokyo}
router_settings:
  model_group_alias:
    plain: gpt
    shown: {model: embed, hidden: false}
    secret: {model: gpt, hidden: true}
    dangling: nowhere
llm_balancer: {limits: soft}
";

/// Keys of a row of LiteLLM's /model_group/info.
const GROUP_KEYS: [&str; 29] = [
    "model_group",
    "providers",
    "max_input_tokens",
    "max_output_tokens",
    "input_cost_per_token",
    "output_cost_per_token",
    "input_cost_per_pixel",
    "mode",
    "tpm",
    "rpm",
    "itpm",
    "otpm",
    "supports_parallel_function_calling",
    "supports_vision",
    "supports_web_search",
    "supports_url_context",
    "supports_reasoning",
    "supports_function_calling",
    "supports_fast_mode",
    "supported_reasoning_efforts",
    "supported_openai_params",
    "configurable_clientside_auth_params",
    "description",
    "supported_endpoints",
    "supports_background_chat",
    "is_public_model_group",
    "health_status",
    "health_response_time",
    "health_checked_at",
];

fn rows(listing: &Value) -> Vec<Value> {
    listing["data"].as_array().unwrap_or_else(|| panic!("no data: {listing}")).clone()
}

fn column(listing: &Value, key: &str) -> Vec<String> {
    rows(listing).iter().map(|row| row[key].as_str().unwrap_or_default().to_owned()).collect()
}

fn row(listing: &Value, key: &str, value: &str) -> Value {
    let found = rows(listing).into_iter().find(|row| row[key] == value);
    found.unwrap_or_else(|| panic!("no row with {key} {value}: {listing}"))
}

#[tokio::test]
async fn an_alias_is_routed_whether_it_is_a_string_or_hidden_or_not() {
    let world = World::new(CONFIG).await;
    for alias in ["plain", "secret"] {
        let reply = world.chat(alias).await;
        assert!(["paris", "virginia"].contains(&reply.served_by().as_str()));
        // As LiteLLM does: the group as it was asked for.
        assert_eq!(reply.header("x-litellm-model-group"), Some(alias));
    }
    let reply = world.post("/v1/embeddings", &json!({"model": "shown", "input": "x"})).await;
    assert_eq!(reply.json()["served_by"], "tokyo");
    let sent = world.provider.received_by("tokyo");
    assert_eq!(sent[0].model(), "e");
}

#[tokio::test]
async fn models_lists_visible_aliases_first_and_then_the_groups() {
    let world = World::new(CONFIG).await;
    for path in ["/v1/models", "/models"] {
        let listing = world.get(path).await.json();
        assert_eq!(listing["object"], "list");
        assert_eq!(column(&listing, "id"), ["plain", "shown", "gpt", "embed"], "{path}");
        for row in rows(&listing) {
            assert_eq!(row["object"], "model");
            assert_eq!(row["created"], 1_677_610_602);
            assert_eq!(row["owned_by"], "openai");
        }
    }
}

#[tokio::test]
async fn a_wildcards_models_are_found_and_its_pattern_reaches_no_provider() {
    let world = World::new(
        "
model_list:
- {model_name: 'team/*', litellm_params: {model: 'openai/*', api_base: PROVIDER/paris/v1, api_key: k}, model_info: {id: wild}}
",
    )
    .await;
    for name in ["team/gpt-4o", "team%2Fllama"] {
        let model = world.get(&format!("/v1/models/{name}")).await.json();
        assert_eq!(model["id"], json!(name.replace("%2F", "/")), "{model}");
    }
    world.get("/v1/models/team/*").await.error(404);
    for model in ["team/*", "wild", "team/gpt-*"] {
        world.chat(model).await.error(400);
    }
    assert!(world.provider.received().is_empty());
    world.chat("team/gpt-4o").await.served_by();
    assert_eq!(world.provider.only_request().model(), "gpt-4o");
}

#[tokio::test]
async fn a_single_model_is_found_under_every_name_that_is_served() {
    let world = World::new(CONFIG).await;
    for name in ["gpt", "embed", "plain", "shown", "secret"] {
        let model = world.get(&format!("/v1/models/{name}")).await.json();
        assert_eq!((&model["id"], &model["object"]), (&json!(name), &json!("model")), "{model}");
    }
    for name in ["dangling", "nothing"] {
        let error = world.get(&format!("/v1/models/{name}")).await.error(404);
        assert_eq!(
            error["message"],
            json!(format!("The model `{name}` does not exist or is not accessible"))
        );
    }
}

#[tokio::test]
async fn model_info_has_a_row_for_each_deployment_and_again_for_each_visible_alias() {
    let world = World::new(CONFIG).await;
    for path in ["/v1/model/info", "/model/info"] {
        let reply = world.get(path).await;
        let listing = reply.json();
        assert_eq!(
            column(&listing, "model_name"),
            ["gpt", "gpt", "embed", "plain", "plain", "shown"],
            "{path}"
        );
        let ids: Vec<Value> = rows(&listing).iter().map(|row| row["model_info"]["id"].clone()).collect();
        assert_eq!(
            ids,
            ["paris", "virginia", "tokyo", "paris", "virginia", "tokyo"].map(|id| json!(id)),
            "{path}"
        );
        assert!(
            !reply.text().contains("very-secret") && !reply.text().contains("api_key"),
            "{}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn model_info_shows_parameters_and_info_as_they_were_written() {
    let world = World::new(CONFIG).await;
    let paris = rows(&world.get("/v1/model/info").await.json())[0].clone();
    let params = &paris["litellm_params"];
    assert_eq!(params["model"], "openai/m-paris");
    assert_eq!(params["api_base"], json!(format!("{}/paris/v1", world.provider.origin())));
    assert_eq!(
        (&params["rpm"], &params["tpm"], &params["temperature"]),
        (&json!(6), &json!(1000), &json!(0.5))
    );
    for flag in ["use_in_pass_through", "use_litellm_proxy", "merge_reasoning_content_in_choices"] {
        assert_eq!(params[flag], json!(false), "{flag}");
    }
    let info = &paris["model_info"];
    assert_eq!(
        (&info["id"], &info["db_model"], &info["mode"], &info["note"]),
        (&json!("paris"), &json!(false), &json!("chat"), &json!("mine"))
    );
}

#[tokio::test]
async fn model_info_can_be_asked_for_one_deployment() {
    let world = World::new(CONFIG).await;
    let listing = world.get("/v1/model/info?litellm_model_id=virginia").await.json();
    assert_eq!(rows(&listing).len(), 1, "{listing}");
    assert_eq!(rows(&listing)[0]["model_info"]["id"], "virginia");
}

#[tokio::test]
async fn model_group_info_sums_the_limits_of_the_group() {
    let world = World::new(CONFIG).await;
    for path in ["/model_group/info", "/v1/model_group/info"] {
        let listing = world.get(path).await.json();
        assert_eq!(column(&listing, "model_group"), ["plain", "shown", "gpt", "embed"], "{path}");
        let gpt = row(&listing, "model_group", "gpt");
        assert_eq!((&gpt["rpm"], &gpt["tpm"]), (&json!(7), &json!(1000)));
        let providers: BTreeSet<&str> =
            gpt["providers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!(providers, BTreeSet::from(["azure", "openai"]));
        let embed = row(&listing, "model_group", "embed");
        assert_eq!((&embed["rpm"], &embed["tpm"]), (&Value::Null, &Value::Null));
        let known: BTreeSet<&str> =
            GROUP_KEYS.into_iter().chain(["custom_tags", "custom_metadata"]).collect();
        for key in gpt.as_object().into_iter().flatten().map(|(key, _)| key.as_str()) {
            assert!(known.contains(key), "LiteLLM has no {key}");
        }
    }
}

#[tokio::test]
async fn model_group_info_can_be_asked_for_one_group_and_says_nothing_of_hidden_ones() {
    let world = World::new(CONFIG).await;
    let one = world.get("/model_group/info?model_group=plain").await.json();
    assert_eq!(column(&one, "model_group"), ["plain"]);
    let hidden = world.get("/model_group/info?model_group=secret").await.json();
    assert_eq!(hidden["data"], json!([]));
}

#[tokio::test]
async fn listings_are_for_get_and_chats_are_for_post() {
    let world = World::new(CONFIG).await;
    let posted = world.post("/v1/models", &ask("gpt")).await;
    let gotten = world.get("/v1/chat/completions").await;
    for reply in [posted, gotten] {
        let error = reply.error(405);
        assert!(error["message"].as_str().unwrap().contains("Method Not Allowed"), "{error}");
    }
}

#[tokio::test]
async fn an_alias_without_a_group_is_no_model() {
    let world = World::new(CONFIG).await;
    let error = world.chat("dangling").await.error(400);
    assert_eq!(error["type"], "invalid_request_error");
}
