//! Stories of `GET /v1/models` and `/v1/models/{id}`, in the forms that clients read.

use llm_balancer_router::Reply;
use serde_json::{Value, json};
use wasm_bindgen_test::wasm_bindgen_test as story;

use crate::common::World;

const FILE: &str = r#"
model_list:
- {model_name: claude-main, litellm_params: {model: anthropic/claude-a, api_key: k}, model_info: {id: a, display_name: "The \"main\" one", max_input_tokens: 200000, max_output_tokens: 64000}}
- {model_name: gpt, litellm_params: {model: openai/b, api_key: k}, model_info: {id: b, display_name: 7}}
- {model_name: team/x, litellm_params: {model: openai/c, api_key: k}, model_info: {id: c}}
- {model_name: any/*, litellm_params: {model: openai/*, api_key: k}}
router_settings:
  model_group_alias: {claude-gpt: gpt, secret: {model: gpt, hidden: true}}
"#;

const CLIENT: &[(&str, &str)] = &[("anthropic-version", "2023-06-01")];
const LISTED: [&str; 4] = ["claude-gpt", "claude-main", "gpt", "team/x"];

fn json_of(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.body);
    serde_json::from_str(&reply.body).unwrap()
}

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect()
}

#[story(unsupported = test)]
fn clients_of_anthropic_get_its_form_of_the_list() {
    let world = World::of(FILE);
    for path in ["/v1/models", "/models", "/v1/models?limit=1000&beta=true"] {
        let list = json_of(&world.get_with(path, CLIENT));
        assert_eq!(ids(&list), LISTED, "{path}");
        assert_eq!(
            list["data"][1],
            json!({
                "type": "model", "id": "claude-main", "display_name": "The \"main\" one",
                "created_at": "2023-02-28T18:56:42Z", "lifecycle": "active",
                "max_input_tokens": 200_000, "max_tokens": 64_000
            })
        );
        let plain = &list["data"][2];
        assert_eq!((&plain["display_name"], &plain["max_tokens"]), (&json!("gpt"), &Value::Null));
        let frame = (&list["has_more"], &list["first_id"], &list["last_id"], &list["object"]);
        assert_eq!(frame, (&json!(false), &json!("claude-gpt"), &json!("team/x"), &Value::Null), "{path}");
    }
    let patterns = json_of(&world.get_with("/v1/models?return_wildcard_routes=true", CLIENT));
    assert_eq!(patterns["last_id"], "any/*");
    let model = json_of(&world.get_with("/v1/models/any%2Fone", CLIENT));
    assert_eq!((&model["id"], &model["type"]), (&json!("any/one"), &json!("model")));
}

#[story(unsupported = test)]
fn a_list_is_paged_in_both_directions_until_it_ends() {
    let world = World::of(FILE);
    for (query, page, has_more) in [
        ("limit=3", &LISTED[..3], true),
        ("limit=4", &LISTED[..], false),
        ("limit=2&after_id=claude-main", &LISTED[2..], false),
        ("limit=1&after_id=claude-main", &LISTED[2..3], true),
        ("after_id=team%2Fx", &[], false),
        ("limit=2&before_id=team%2Fx", &LISTED[1..3], true),
        ("limit=2&before_id=gpt", &LISTED[..2], false),
        ("before_id=claude-gpt&limit=2", &[], false),
    ] {
        let list = json_of(&world.get_with(&format!("/v1/models?{query}"), CLIENT));
        assert_eq!((ids(&list), &list["has_more"]), (page.to_vec(), &json!(has_more)), "{query}");
        let ends = (list["first_id"].as_str(), list["last_id"].as_str());
        assert_eq!(ends, (page.first().copied(), page.last().copied()), "{query}");
    }
    for (query, wrong) in
        [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("after_id=gone", "after_id")]
    {
        let reply = world.get_with(&format!("/v1/models?{query}"), CLIENT);
        let error: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((reply.status, &error["type"]), (400, &json!("error")), "{query}");
        assert!(error["error"]["message"].as_str().unwrap().contains(wrong), "{}", reply.body);
        assert_eq!(world.get(&format!("/v1/models?{query}")).status, 200, "OpenAI's list has no pages");
    }
    let unknown = world.get_with("/v1/models/nothing", CLIENT);
    let error: Value = serde_json::from_str(&unknown.body).unwrap();
    assert_eq!((unknown.status, &error["error"]["type"]), (404, &json!("not_found_error")));
}

/// Codex up to 0.155 logs an error at each start where `models` is missing, and reads nothing else of
/// the list. Where it is empty, it keeps the models that it knows.
#[story(unsupported = test)]
fn codex_gets_an_empty_list_of_its_own_form_beside_openais() {
    let world = World::of(FILE);
    for headers in [&[], CLIENT] {
        let list = json_of(&world.get_with("/v1/models?client_version=0.155.1", headers));
        assert_eq!((ids(&list), &list["models"]), (LISTED.to_vec(), &json!([])));
        assert_eq!(list["object"], "list");
    }
    for path in ["/v1/models", "/v1/models?client_version="] {
        assert_eq!(json_of(&world.get(path))["models"], Value::Null, "{path}");
    }
}
