//! Stories of the names under which a client can request a model.

use crate::common::{Answer, CHAT, World};
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
    let response = world.chat(model, "", |_| Answer::Ok);
    response.called.first().cloned().ok_or(response.status)
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
    let response = World::of(FILE).chat("zzz", "", |_| Answer::Ok);
    assert_eq!(response.status, 400);
    assert!(
        response.body.contains("/chat/completions: Invalid model name passed in model=zzz."),
        "{}",
        response.body
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
        let response = world.chat(model, "", |_| Answer::Ok);
        assert_eq!(response.called, [deployment], "{model}");
        let sent = format!(r#""model":"{sent}""#);
        let body = response.sent.unwrap().body;
        assert!(body.contains(&sent), "{model}: {body}");
    }
    let response = world.chat("nothing", "", |_| Answer::Ok);
    assert_eq!(response.status, 400);
    assert!(response.body.contains("There are no healthy deployments for this model"), "{}", response.body);
    assert_eq!(world.chat("any", "", |_| Answer::Ok).status, 400, "a wildcard's id names no model");
}

const SPELLED: &str = "
model_list:
- {model_name: fireworks_ai/*, litellm_params: {model: fireworks_ai/*, api_key: k}}
- {model_name: openrouter/*, litellm_params: {model: openrouter/*, api_key: k}}
- {model_name: vertex_ai/*, litellm_params: {model: vertex_ai/*, vertex_project: p, api_key: k}}
- {model_name: azure/*, litellm_params: {model: azure/o_series/*, api_base: https://a.test, api_version: 2024-10-21, api_key: k}}
- {model_name: bedrock/*, litellm_params: {model: bedrock/*, aws_region_name: us-east-1, api_key: k}}
- {model_name: huggingface/*, litellm_params: {model: huggingface/*, api_key: k}}
- {model_name: groq/*, litellm_params: {model: groq/*, api_key: k}}
";

#[story(unsupported = test)]
fn what_fills_a_star_is_spelled_as_the_provider_does() {
    let mut world = World::of(SPELLED);
    for (model, sent) in [
        ("fireworks_ai/llama-v3p1-8b", "accounts/fireworks/models/llama-v3p1-8b"),
        ("fireworks_ai/accounts/own/models/m", "accounts/own/models/m"),
        ("fireworks_ai/nomic-ai/nomic-embed-text-v1.5", "nomic-ai/nomic-embed-text-v1.5"),
        ("fireworks_ai/whisper-v3", "whisper-v3"),
        ("openrouter/auto", "openrouter/auto"),
        ("openrouter/meta-llama/llama-3", "meta-llama/llama-3"),
        ("vertex_ai/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("vertex_ai/meta/llama-3.3", "meta/llama-3.3"),
        ("azure/o3", "o3"),
        ("bedrock/converse/us-west-2/openai.gpt-oss", "openai.gpt-oss"),
        ("huggingface/openai/gpt-oss-20b", "openai/gpt-oss-20b"),
        ("huggingface/groq/openai/gpt-oss-20b", "openai/gpt-oss-20b:groq"),
        ("groq/openai/gpt-oss", "openai/gpt-oss"),
    ] {
        let response = world.chat(model, "", |_| Answer::Ok);
        let body = response.sent.unwrap().body;
        assert!(body.contains(&format!(r#""model":"{sent}""#)), "{model}: {body}");
    }
}

fn called_with(world: &mut World, model: &str) -> Result<(String, String), u16> {
    let response = world.chat(model, "", |_| Answer::Ok);
    let Some(sent) = response.sent else { return Err(response.status) };
    let body: serde_json::Value = serde_json::from_str(&sent.body).unwrap();
    Ok((response.called[0].clone(), body["model"].as_str().unwrap().to_owned()))
}

const ANY: &str = "
model_list:
- {model_name: '*', litellm_params: {model: '*', api_key: k}, model_info: {id: openai}}
- {model_name: anthropic/*, litellm_params: {model: anthropic/*, api_key: k}, model_info: {id: anthropic}}
- {model_name: fast, litellm_params: {model: groq/llama, api_key: k}, model_info: {id: groq}}
";

#[story(unsupported = test)]
fn a_star_without_a_provider_serves_openais_models_alone() {
    let mut world = World::of(ANY);
    for (model, expected) in [
        ("gpt-4o", Ok(("openai", "gpt-4o"))),
        ("openai/gpt-4o", Ok(("openai", "gpt-4o"))),
        ("gpt-3.5-turbo-instruct", Ok(("openai", "gpt-3.5-turbo-instruct"))),
        ("unheard-of", Ok(("openai", "unheard-of"))),
        ("anthropic/claude-x", Ok(("anthropic", "claude-x"))),
        ("claude-x", Ok(("anthropic", "claude-x"))),
        ("groq/llama", Ok(("groq", "llama"))),
        ("groq/other", Err(400)),
        ("gemini-2.5-pro", Err(400)),
    ] {
        let expected = expected.map(|(id, sent)| (id.to_owned(), sent.to_owned()));
        assert_eq!(called_with(&mut world, model), expected, "{model}");
    }
    let body = world.chat("groq/other", "", |_| Answer::Ok).body;
    assert!(body.contains("No deployment serves the provider of model=groq/other."), "{body}");
    assert_eq!(world.get("/v1/models/groq%2Fother").status, 404);
}

#[story(unsupported = test)]
fn a_star_with_an_address_takes_every_name() {
    let own = "{model_name: '*', litellm_params: {model: '*', api_base: http://own.test/v1, api_key: k}, model_info: {id: own}}";
    let mut world = World::of(&format!("model_list:\n- {own}\n"));
    for (model, sent) in [("openai/m", "m"), ("groq/m", "groq/m"), ("claude-x", "claude-x")] {
        assert_eq!(called_with(&mut world, model), Ok(("own".to_owned(), sent.to_owned())), "{model}");
    }
    let mut world = World::of(&format!("{ANY}- {own}\n"));
    for _ in 0..20 {
        assert_eq!(called_with(&mut world, "groq/m"), Ok(("own".to_owned(), "groq/m".to_owned())));
    }
}

#[story(unsupported = test)]
fn a_model_in_the_path_has_precedence_over_the_bodys() {
    let mut world = World::of(FILE);
    let body = br#"{"model":"nowhere","messages":[]}"#;
    for path in [
        "/openai/deployments/gpt/chat/completions?api-version=2024-02-01",
        "/engines/gpt/chat/completions",
        "/chat/completions?model=gpt",
    ] {
        let response = world.post(path, &[], body, |_| Answer::Ok);
        assert_eq!(response.called, ["a"], "{path}");
        let sent = response.sent.unwrap();
        assert_eq!(sent.header(":path"), "/v1/chat/completions");
        assert!(sent.body.contains(r#""model":"a""#), "{}", sent.body);
    }
    assert_eq!(world.post(CHAT, &[], body, |_| Answer::Ok).status, 400);
}

#[story(unsupported = test)]
fn listings_have_the_names_that_are_served() {
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

#[story(unsupported = test)]
fn routing_groups_are_listed_after_the_aliases() {
    let item = |name: &str, model: &str, rpm: u32| {
        format!("- {{model_name: '{name}', litellm_params: {{model: '{model}', api_key: k, rpm: {rpm}}}}}\n")
    };
    let models =
        [item("one", "openai/1", 3), item("two", "mistral/2", 4), item("w/*", "openai/*", 5)].concat();
    let world = World::of(&format!(
        "model_list:
{}router_settings:
  model_group_alias: {{alias: one, of-both: both, of-starred: starred}}
  routing_groups:
  - {{group_name: both, models: [one, two], routing_strategy: least-busy}}
  - {{group_name: best, models: [one, two], routing_strategy: priority, model_priorities: {{one: 1, two: 2}}}}
  - {{group_name: starred, models: ['w/*'], routing_strategy: least-busy}}
",
        models
    ));
    let listing = |path: &str| -> serde_json::Value { serde_json::from_str(&world.get(path).body).unwrap() };
    let column = |path: &str, key: &str| -> Vec<String> {
        let rows = listing(path)["data"].as_array().unwrap().clone();
        rows.iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
    };
    let expected = ["alias", "of-both", "both", "best", "one", "two"];
    assert_eq!(column("/v1/models", "id"), expected);
    assert_eq!(column("/model_group/info", "model_group")[..6], expected);
    let both = listing("/model_group/info?model_group=both");
    assert_eq!(both["data"][0]["rpm"], 7, "the limits of all members together");
    assert_eq!(both["data"][0]["providers"], serde_json::json!(["openai", "mistral"]));
    // As in LiteLLM, which lists each deployment once, and again under its aliases.
    assert!(!column("/model/info", "model_name").contains(&"both".to_owned()));
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
fn a_skipped_model_is_not_found_and_the_error_says_why() {
    let mut world = World::of(SKIPPING);
    for model in ["claude", "best", "smart", "on-bedrock", "sage/llama", "bedrock/anthropic.claude-v2"] {
        let response = world.chat(model, "", |_| Answer::Ok);
        let served_by_the_wildcard = model.starts_with("bedrock/");
        if served_by_the_wildcard {
            assert_eq!(response.called, ["any"], "a wildcard has precedence over a litellm model");
            continue;
        }
        assert_eq!((response.status, response.called.len()), (404, 0), "{model}: {}", response.body);
        let reason = match model {
            "sage/llama" => "the format of sagemaker is not supported",
            _ => "Bedrock's OpenAI-compatible endpoint does not serve this model",
        };
        let message = format!("is configured, but its deployments were skipped: {reason}");
        assert!(response.body.contains(&message), "{}", response.body);
    }
    let response = world.chat("gpt", "", |id| if id == "a" { Answer::Status(500) } else { Answer::Ok });
    assert_eq!(response.called, ["a", "any"], "skipped fallbacks are not tried");
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
        let response = world.chat(model, "", |_| Answer::Ok);
        assert_eq!((response.status, response.called.len()), (400, 0), "{model}: {}", response.body);
    }
    for model in ["fixed/*", "f", "works", "both"] {
        let response = world.chat(model, "", |_| Answer::Ok);
        assert_eq!(response.called, ["f"], "{model}: {}", response.body);
    }
}

/// Clients request what is listed.
#[story(unsupported = test)]
fn a_pattern_is_listed_only_for_those_who_ask_for_patterns() {
    let item = |name: &str| {
        format!("- {{model_name: '{name}', litellm_params: {{model: 'openai/{name}', api_key: k}}}}\n")
    };
    let world = World::of(&format!("model_list:\n{}{}", item("gpt-4o"), item("team-*")));
    let listed = |query: &str| world.get(&format!("/v1/models{query}")).body.contains("team-*");
    assert!(
        !listed("") && !listed("?return_wildcard_routes=false") && listed("?return_wildcard_routes=true")
    );
}

#[story(unsupported = test)]
fn a_name_that_a_wildcard_turns_into_a_dot_segment_reaches_no_provider() {
    let mut world = World::of(
        "
model_list:
- {model_name: 'az/*', litellm_params: {model: 'azure/*', api_base: 'https://r.test', api_version: 2024-06-01, api_key: k}, model_info: {id: azure}}
- {model_name: 'x*', litellm_params: {model: 'openai/*', api_key: k}, model_info: {id: other}}
",
    );
    for model in ["az/..", "az/.", "x.."] {
        let response = world.chat(model, "", |_| Answer::Ok);
        assert!(response.called.is_empty() && (400..500).contains(&response.status), "{model}");
    }
    for model in ["az/...", "az/gpt-4.1", "az/../a", "x"] {
        assert_eq!(world.chat(model, "", |_| Answer::Ok).status, 200, "{model}");
    }
}
