//! Stories of the names by which a client can ask for a model.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a story that cannot go on has failed"
)]

mod common;

use common::{Answer, CHAT, World};
use wasm_bindgen_test::wasm_bindgen_test as story;

const FILE: &str = "
model_list:
- {model_name: gpt, litellm_params: {model: openai/a, api_base: http://a.test/v1, api_key: k}, model_info: {id: a}}
- {model_name: solo, litellm_params: {model: openai/b, api_base: http://b.test/v1, api_key: k}, model_info: {id: b}}
- {model_name: b, litellm_params: {model: openai/c, api_base: http://c.test/v1, api_key: k}, model_info: {id: c}}
router_settings:
  model_group_alias:
    alias1: gpt
    chain: alias1
    solo: gpt
    secret: {model: gpt, hidden: true}
    z: openai/c
    by-id: a
    dangling: nowhere
    a: solo
";

fn called(world: &mut World, model: &str) -> Result<String, u16> {
    let told = world.chat(model, "", |_| Answer::Ok);
    told.called.first().cloned().ok_or(told.status)
}

#[story(unsupported = test)]
fn names_are_looked_up_in_litellms_order() {
    let mut world = World::of(FILE);
    for (model, deployment) in [
        ("gpt", Ok("a")),
        ("alias1", Ok("a")),
        ("solo", Ok("a")),
        ("secret", Ok("a")),
        ("c", Ok("c")),
        ("b", Ok("c")),
        ("a", Ok("a")),
        ("openai/b", Ok("b")),
        ("z", Ok("c")),
        ("chain", Err(400)),
        ("by-id", Err(400)),
        ("dangling", Err(400)),
        ("GPT", Err(400)),
    ] {
        let expected = deployment.map(str::to_owned);
        assert_eq!(called(&mut world, model), expected, "{model}");
    }
}

#[story(unsupported = test)]
fn an_unknown_name_is_an_error_that_names_it() {
    let told = World::of(FILE).chat("zzz", "", |_| Answer::Ok);
    assert_eq!(told.status, 400);
    assert!(
        told.body.contains("/chat/completions: Invalid model name passed in model=zzz."),
        "{}",
        told.body
    );
}

const WILD: &str = "
model_list:
- {model_name: 'a/*', litellm_params: {model: 'openai/*', api_base: http://any.test/v1, api_key: k}, model_info: {id: any}}
- {model_name: 'a/b*', litellm_params: {model: 'openai/x-*', api_base: http://b.test/v1, api_key: k}, model_info: {id: b}}
- {model_name: 'a/exact', litellm_params: {model: openai/e, api_base: http://e.test/v1, api_key: k}, model_info: {id: e}}
- {model_name: 'openai/*', litellm_params: {model: 'openai/*', api_base: http://o.test/v1, api_key: k}, model_info: {id: o}}
";

#[story(unsupported = test)]
fn the_most_specific_wildcard_serves_and_fills_in_the_model() {
    let mut world = World::of(WILD);
    for (model, deployment, sent) in [
        ("a/exact", "e", "e"),
        ("a/c/d", "any", "c/d"),
        ("a/bcd", "b", "x-cd"),
        ("openai/gpt-9", "o", "gpt-9"),
        ("gpt-4o", "o", "gpt-4o"),
    ] {
        let told = world.chat(model, "", |_| Answer::Ok);
        assert_eq!(told.called, [deployment], "{model}");
        let sent = format!(r#""model":"{sent}""#);
        let body = told.sent.unwrap().body;
        assert!(body.contains(&sent), "{model}: {body}");
    }
    let told = world.chat("nothing", "", |_| Answer::Ok);
    assert_eq!(told.status, 400);
    assert!(told.body.contains("There are no healthy deployments for this model"), "{}", told.body);
    assert_eq!(world.chat("any", "", |_| Answer::Ok).status, 400, "a wildcard's id names no model");
}

#[story(unsupported = test)]
fn a_model_in_the_path_goes_before_the_bodys() {
    let mut world = World::of(FILE);
    let body = br#"{"model":"nowhere","messages":[]}"#;
    for path in [
        "/openai/deployments/gpt/chat/completions?api-version=2024-02-01",
        "/engines/gpt/chat/completions",
        "/chat/completions?model=gpt",
    ] {
        let told = world.post(path, &[], body, |_| Answer::Ok);
        assert_eq!(told.called, ["a"], "{path}");
        let sent = told.sent.unwrap();
        assert_eq!(sent.header(":path"), "/v1/chat/completions");
        assert!(sent.body.contains(r#""model":"a""#), "{}", sent.body);
    }
    assert_eq!(world.post(CHAT, &[], body, |_| Answer::Ok).status, 400);
}

#[story(unsupported = test)]
fn listings_show_what_can_be_asked_for() {
    let world = World::of(FILE);
    let ids = |body: &str| -> Vec<String> {
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        json["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let models = world.get("/v1/models").body;
    assert_eq!(ids(&models), ["alias1", "solo", "a", "gpt", "b"]);
    assert_eq!(world.get("/models").body, models);
    assert_eq!(world.get("/v1/models/gpt").status, 200);
    for unlisted in ["chain", "dangling", "nowhere"] {
        assert_eq!(world.get(&format!("/v1/models/{unlisted}")).status, 404, "{unlisted}");
    }
}

const SKIPPING: &str = "
model_list:
- {model_name: claude, litellm_params: {model: bedrock/anthropic.claude-v2}, model_info: {id: on-bedrock}}
- {model_name: sage/*, litellm_params: {model: sagemaker/*}}
- {model_name: gpt, litellm_params: {model: openai/a, api_base: http://a.test/v1, api_key: k}, model_info: {id: a}}
- {model_name: '*', litellm_params: {model: openai/*, api_base: http://any.test/v1, api_key: k}, model_info: {id: any}}
router_settings:
  model_group_alias: {best: claude, gpt: gpt}
  fallbacks: [{gpt: [claude, best, any-other]}]
  routing_groups: [{group_name: smart, models: [claude], routing_strategy: least-busy}]
  num_retries: 0
llm_balancer: {unsupported_deployments: skip}
";

#[story(unsupported = test)]
fn what_was_skipped_is_not_found_and_the_answer_says_why() {
    let mut world = World::of(SKIPPING);
    for model in ["claude", "best", "smart", "on-bedrock", "sage/llama", "bedrock/anthropic.claude-v2"] {
        let told = world.chat(model, "", |_| Answer::Ok);
        let served_by_the_wildcard = model.starts_with("bedrock/");
        if served_by_the_wildcard {
            assert_eq!(told.called, ["any"], "a wildcard goes before a litellm model");
            continue;
        }
        assert_eq!((told.status, told.called.len()), (404, 0), "{model}: {}", told.body);
        assert!(told.body.contains("is configured, but its deployments were skipped: "), "{}", told.body);
        assert!(
            told.body.contains("does not serve this model")
                || told.body.contains("the format of sagemaker is not supported"),
            "{}",
            told.body
        );
    }
    let told = world.chat("gpt", "", |id| if id == "a" { Answer::Status(500) } else { Answer::Ok });
    assert_eq!(told.called, ["a", "any"], "skipped fallbacks are passed over");
}

#[story(unsupported = test)]
fn every_name_that_is_served_can_be_looked_up() {
    let world = World::of(FILE);
    for served in ["gpt", "alias1", "secret", "a", "openai/b", "z"] {
        let reply = world.get(&format!("/v1/models/{served}"));
        assert_eq!(reply.status, 200, "{served}");
        assert!(reply.body.starts_with(&format!(r#"{{"id":"{served}","object":"model""#)), "{}", reply.body);
    }
    let world = World::of(WILD);
    for served in ["a/exact", "a/c/d", "a%2Fc", "openai/gpt-9", "gpt-4o"] {
        assert_eq!(world.get(&format!("/v1/models/{served}")).status, 200, "{served}");
    }
    for unknown in ["nothing", "a/*", "any"] {
        assert_eq!(world.get(&format!("/v1/models/{unknown}")).status, 404, "{unknown}");
    }
}

#[story(unsupported = test)]
fn no_provider_is_asked_for_a_star() {
    let yaml = format!(
        "{WILD}
- {{model_name: plain, litellm_params: {{model: 'openai/*', api_base: http://p.test/v1, api_key: k}}, model_info: {{id: p}}}}
- {{model_name: 'c/*', litellm_params: {{model: 'openai/*-*', api_base: http://c.test/v1, api_key: k}}, model_info: {{id: c}}}}
- {{model_name: 'fixed/*', litellm_params: {{model: openai/f, api_base: http://f.test/v1, api_key: k}}, model_info: {{id: f}}}}
router_settings:
  model_group_alias: {{works: 'fixed/*'}}
  routing_groups: [{{group_name: both, models: ['openai/*', 'fixed/*'], routing_strategy: simple-shuffle}}, {{group_name: starred, models: ['a/*'], routing_strategy: simple-shuffle}}]
"
    );
    let mut world = World::of(&yaml);
    for model in ["a/*", "a/b*", "openai/*", "openai/gpt-*", "*", "any", "o", "p", "plain", "c/x", "starred"]
    {
        let told = world.chat(model, "", |_| Answer::Ok);
        assert_eq!((told.status, told.called.len()), (400, 0), "{model}: {}", told.body);
    }
    for model in ["fixed/*", "f", "works", "both"] {
        let told = world.chat(model, "", |_| Answer::Ok);
        assert_eq!(told.called, ["f"], "{model}: {}", told.body);
    }
}
