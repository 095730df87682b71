//! Stories of Anthropic's Messages: requests and errors pass in their own format, and everything
//! else is as on OpenAI's routes.

use crate::common::{Answer, CHAT, ClientResponse, World};
use wasm_bindgen_test::wasm_bindgen_test as story;

const MESSAGES: &str = "/v1/messages";
const COUNT_TOKENS: &str = "/v1/messages/count_tokens";
const BODY: &[u8] = br#"{"model":"claude","max_tokens":99,"messages":[{"role":"user","content":"hi"}]}"#;

/// A group with a deployment of Anthropic's, one of a server that serves its API, and one of
/// OpenAI's; a group of each kind.
const MIXED: &str = "
model_list:
- {model_name: claude, litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: sk-ant}, model_info: {id: own}}
- {model_name: claude, litellm_params: {model: openai/m, api_base: 'http://vllm.test/v1', api_key: sk-vllm, llm_balancer: {wire: anthropic}}, model_info: {id: vllm}}
- {model_name: claude, litellm_params: {model: openai/m, api_base: 'http://a.test/v1', api_key: k}, model_info: {id: chats}}
- {model_name: gpt, litellm_params: {model: openai/m, api_base: 'http://a.test/v1', api_key: k}, model_info: {id: gpt}}
- {model_name: foundry, litellm_params: {model: azure_ai/claude-opus-4, api_base: 'https://r.services.ai.azure.com', api_key: sk-azure}, model_info: {id: foundry, llm_balancer: {wire: anthropic}}}
";

/// Two deployments of Anthropic's, each with further litellm_params.
fn two(params: &str, settings: &str) -> String {
    let item = |id: &str| {
        format!(
            "- {{model_name: claude, litellm_params: {{model: anthropic/m, api_key: k, api_base: 'http://{id}.test'{params}}}, model_info: {{id: {id}}}}}\n"
        )
    };
    format!("model_list:\n{}{}{settings}", item("paris"), item("oslo"))
}

fn post(world: &mut World, path: &str, answer: impl FnMut(&str) -> Answer) -> ClientResponse {
    world.post(path, &[("content-type", "application/json")], BODY, answer)
}

/// The type and the message of an error in Anthropic's shape.
fn error(body: &str) -> (String, String) {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["type"], body["request_id"].is_null()), (&"error".into(), true), "{body}");
    let text = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    (text("type"), text("message"))
}

#[story(unsupported = test)]
fn a_request_goes_to_deployments_that_speak_its_api() {
    let mut world = World::of(MIXED);
    for (path, able) in
        [(MESSAGES, ["own", "vllm"]), (COUNT_TOKENS, ["own", "vllm"]), (CHAT, ["chats", "own"])]
    {
        let mut called: Vec<String> =
            (0..60).flat_map(|_| post(&mut world, path, |_| Answer::Ok).called).collect();
        assert_eq!(called.len(), 60, "{path}: one call each");
        called.sort();
        called.dedup();
        assert_eq!(called, able, "{path}");
    }
}

#[story(unsupported = test)]
fn a_model_without_a_deployment_of_the_api_is_refused_with_the_route_that_it_has() {
    let mut world = World::of(MIXED);
    for (path, route) in [(MESSAGES, "/v1/chat/completions."), (COUNT_TOKENS, "/v1/responses/input_tokens.")]
    {
        let response = world.post(path, &[], br#"{"model":"gpt"}"#, |_| Answer::Ok);
        assert_eq!((response.status, response.called.len()), (400, 0));
        let (kind, message) = error(&response.body);
        assert_eq!(kind, "invalid_request_error");
        assert!(message.contains("`gpt`") && message.ends_with(route), "{message}");
    }
    let counts = world.post("/v1/responses/input_tokens", &[], br#"{"model":"foundry"}"#, |_| Answer::Ok);
    assert!(counts.body.contains("/v1/messages/count_tokens."), "{}", counts.body);
    let response = world.chat("foundry", "", |_| Answer::Ok);
    assert_eq!((response.status, response.called.len()), (400, 0));
    let body: serde_json::Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(body["error"]["code"], "400", "OpenAI's shape on OpenAI's route");
    assert!(body["error"]["message"].as_str().unwrap().contains("/v1/messages"));
    assert_eq!(world.lines.last().unwrap()["reason"], "unsupported_route");
}

#[story(unsupported = test)]
fn the_provider_gets_its_own_key_and_the_clients_version_and_betas() {
    let mut world = World::of(MIXED);
    let client = [
        ("x-api-key", "sk-client"),
        ("authorization", "Bearer sk-client"),
        ("anthropic-version", "2024-01-01"),
        ("anthropic-beta", "context-1m-2025-08-07,effort-2025-11-24"),
        ("anthropic-beta", "another"),
        ("anthropic-dangerous-direct-browser-access", "true"),
        ("x-app", "cli"),
    ];
    for (model, path, key, bearer) in [
        ("own", "https://api.anthropic.com/v1/messages", "sk-ant", ""),
        ("vllm", "http://vllm.test/v1/messages", "sk-vllm", "Bearer sk-vllm"),
        ("foundry", "https://r.services.ai.azure.com/anthropic/v1/messages", "sk-azure", ""),
    ] {
        let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
        let response = world.post("/v1/messages?beta=true", &client, body.as_bytes(), |_| Answer::Ok);
        let sent = response.sent.unwrap();
        let url =
            format!("{}://{}{}", sent.header(":scheme"), sent.header(":authority"), sent.header(":path"));
        assert_eq!(url, path);
        assert_eq!((sent.header("x-api-key"), sent.header("authorization")), (key, bearer), "{model}");
        let all = |wanted: &str| -> Vec<String> {
            let named = sent.headers.iter().filter(|(name, _)| *name == wanted);
            named.map(|(_, value)| value.to_owned()).collect()
        };
        assert_eq!(all("anthropic-version"), ["2024-01-01"]);
        assert_eq!(all("anthropic-beta"), ["context-1m-2025-08-07,effort-2025-11-24", "another"]);
        assert!(sent.headers.iter().all(|(_, value)| !value.contains("sk-client")));
        for none in ["api-key", "x-app", "anthropic-dangerous-direct-browser-access"] {
            assert_eq!(sent.header(none), "", "{none}");
        }
    }
}

#[story(unsupported = test)]
fn a_client_without_a_version_gets_the_current_one_and_the_file_goes_before_both() {
    let version = |yaml: &str, headers: &[(&str, &str)]| {
        let sent = World::of(yaml).post(MESSAGES, headers, BODY, |_| Answer::Ok).sent.unwrap();
        let named = sent.headers.iter().filter(|(name, _)| *name == "anthropic-version");
        named.map(|(_, value)| value.to_owned()).collect::<Vec<String>>()
    };
    let client = [("anthropic-version", "2024-01-01")];
    assert_eq!(version(&two("", ""), &[]), ["2023-06-01"]);
    assert_eq!(version(&two("", ""), &client), ["2024-01-01"]);
    let own = two(", extra_headers: {anthropic-version: '2025-01-01'}", "");
    assert_eq!(version(&own, &client), ["2025-01-01"]);
    assert_eq!(version(&own, &[]), ["2025-01-01"]);
}

#[story(unsupported = test)]
fn betas_of_the_file_and_of_the_client_are_sent() {
    let betas = |params: &str, client: &[(&str, &str)]| {
        let sent = World::of(&two(params, "")).post(MESSAGES, client, BODY, |_| Answer::Ok).sent.unwrap();
        let named = sent.headers.iter().filter(|(name, _)| *name == "anthropic-beta");
        named.map(|(_, value)| value.to_owned()).collect::<Vec<String>>()
    };
    let (file, client) =
        (", extra_headers: {anthropic-beta: context-1m}", [("anthropic-beta", "effort,thinking")]);
    assert_eq!(betas(file, &client), ["context-1m", "effort,thinking"]);
    assert_eq!(betas(file, &[]), ["context-1m"]);
    assert_eq!(betas("", &client), ["effort,thinking"]);
}

#[story(unsupported = test)]
fn a_token_of_anthropics_is_sent_as_a_token_and_oauths_with_its_beta() {
    for (token, betas) in
        [("sk-ant-oat01-x", vec!["oauth-2025-04-20", "effort"]), ("sk-ant-api03-x", vec!["effort"])]
    {
        let is_token = !token.contains("api03");
        let yaml = format!(
            "model_list:\n- {{model_name: claude, litellm_params: {{model: anthropic/m, api_key: {token}}}}}\n"
        );
        for path in [MESSAGES, CHAT] {
            let client = [("anthropic-beta", "effort")];
            let sent = World::of(&yaml).post(path, &client, BODY, |_| Answer::Ok).sent.unwrap();
            let as_key = path == MESSAGES && !is_token;
            let bearer = format!("Bearer {token}");
            assert_eq!(sent.header("x-api-key"), if as_key { token } else { "" });
            assert_eq!(sent.header("authorization"), if as_key { "" } else { &bearer });
            let named = sent.headers.iter().filter(|(name, _)| *name == "anthropic-beta");
            let sent_betas: Vec<_> = named.map(|(_, value)| value).collect();
            let expected: Vec<_> =
                betas.iter().copied().filter(|beta| path == MESSAGES || *beta != "effort").collect();
            assert_eq!(sent_betas, expected, "{token} {path}");
        }
    }
}

#[story(unsupported = test)]
fn openais_routes_of_anthropic_keep_their_bearer_key_and_get_no_version() {
    let mut world = World::of(MIXED);
    let client = [("anthropic-beta", "x"), ("anthropic-version", "2023-06-01")];
    let sent = world.post(CHAT, &client, br#"{"model":"own","messages":[]}"#, |_| Answer::Ok).sent.unwrap();
    assert_eq!(sent.header(":path"), "/v1/chat/completions");
    assert_eq!((sent.header("authorization"), sent.header("x-api-key")), ("Bearer sk-ant", ""));
    assert_eq!((sent.header("anthropic-version"), sent.header("anthropic-beta")), ("", ""));
}

#[story(unsupported = test)]
fn a_body_keeps_its_members_in_their_order_and_bytes() {
    let rest = r#""max_tokens":32000,"stream":true,"system":[{"type":"text","text":"\u00e9","cache_control":{"type":"ephemeral"}}],"metadata":{"user_id":"user_1_session_2","tags":["kept"]},"thinking":{"type":"enabled","budget_tokens":1024},"tools":[{"name":"f","input_schema":{"type":"object"}}],"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}"#;
    let body = format!(r#"{{"model":"claude","litellm_metadata":{{"tags":[]}},{rest}"#);
    let sent = World::of(&two("", "")).post(MESSAGES, &[], body.as_bytes(), |_| Answer::Ok).sent.unwrap();
    assert_eq!(sent.body, format!(r#"{{"model":"m",{rest}"#));
}

#[story(unsupported = test)]
fn counting_tokens_gets_no_parameter_that_anthropic_refuses_there() {
    let mut world = World::of(&two(
        ", max_tokens: 5, temperature: 0.5, thinking: {type: disabled}, extra_body: {top_k: 3}",
        "",
    ));
    let body = br#"{"model":"claude","messages":[]}"#;
    let mut sent = |path: &str| {
        let sent = world.post(path, &[], body, |_| Answer::Ok).sent.unwrap();
        (sent.header(":path").to_owned(), sent.body)
    };
    let counted = r#"{"model":"m","messages":[],"thinking":{"type":"disabled"}}"#;
    assert_eq!(sent(COUNT_TOKENS), (COUNT_TOKENS.to_owned(), counted.to_owned()));
    assert!(sent(MESSAGES).1.contains(r#""max_tokens":5,"temperature":0.5"#));
}

#[story(unsupported = test)]
fn a_message_gets_no_parameter_of_chats_from_the_file() {
    let mut world = World::of(&two(
        ", stop: [x], seed: 3, reasoning_effort: low, top_k: 4, temperature: 0.5, extra_body: {own: 1}",
        "",
    ));
    let sent = world.post(MESSAGES, &[], br#"{"model":"claude","messages":[],"seed":7}"#, |_| Answer::Ok);
    let expected = r#"{"model":"m","messages":[],"seed":7,"top_k":4,"temperature":0.5,"own":1}"#;
    assert_eq!(sent.sent.unwrap().body, expected, "what the client sends stays");
}

#[story(unsupported = test)]
fn counting_tokens_takes_a_request_of_the_minute_and_no_tokens() {
    let mut world = World::of(&two(", tpm: 1000, rpm: 2", ""));
    for _ in 0..4 {
        let response = post(&mut world, COUNT_TOKENS, |_| Answer::Ok);
        assert_eq!((response.status, response.header("x-ratelimit-remaining-tokens")), (200, Some("2000")));
    }
    let response = post(&mut world, COUNT_TOKENS, |_| Answer::Ok);
    assert_eq!((response.status, error(&response.body).0), (429, "rate_limit_error".to_owned()));
    assert!(response.header("retry-after").is_some());
}

#[story(unsupported = test)]
fn a_request_reserves_its_prompt_and_its_answer() {
    let mut world = World::of(&two(", tpm: 1000", ""));
    let answer = |world: &mut World, body: &str| {
        let response = world.post(MESSAGES, &[], body.as_bytes(), |_| Answer::Ok);
        response.header("x-ratelimit-remaining-tokens").map(|left| 2000 - left.parse::<u64>().unwrap())
    };
    for (members, tokens) in [
        (r#""messages":[]"#, 1 + 9),
        (r#""messages":[],"system":"1234567890""#, 4 + 9),
        (
            r#""messages":[],"system":[{"type":"text","text":"1","cache_control":{"type":"ephemeral"}}]"#,
            17 + 9,
        ),
        (r#""messages":[],"tools":[{"name":"1234567890"}]"#, 7 + 9),
    ] {
        let body = format!(r#"{{"model":"claude","max_tokens":9,{members}}}"#);
        assert_eq!(answer(&mut world, &body), Some(tokens), "{members}");
        world.wait(60.0);
    }
}

#[story(unsupported = test)]
fn an_overloaded_deployment_cools_down_and_another_one_answers() {
    const OVERLOADED: &str =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#;
    let mut world = World::of(&two("", "router_settings: {num_retries: 2}\n"));
    let mut first = None;
    let response = post(&mut world, MESSAGES, |id| {
        let is_first = *first.get_or_insert_with(|| id.to_owned()) == id;
        if is_first { Answer::Error(529, OVERLOADED) } else { Answer::Ok }
    });
    assert_eq!((response.status, response.called.len()), (200, 2));
    assert_eq!(response.waits, [0.0]);
    let first = first.unwrap();
    for _ in 0..10 {
        assert!(!post(&mut world, MESSAGES, |_| Answer::Ok).called.contains(&first), "{first} cools down");
    }
}

#[story(unsupported = test)]
fn an_error_of_the_provider_passes_as_it_is() {
    const INVALID: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: Field required"},"request_id":"req_1"}"#;
    let response = post(&mut World::of(&two("", "")), MESSAGES, |_| Answer::Error(400, INVALID));
    assert_eq!((response.status, response.body.as_str(), response.called.len()), (400, INVALID, 1));
}

#[story(unsupported = test)]
fn what_the_router_answers_has_anthropics_shape() {
    let keyed = two("", "general_settings: {master_key: sk-long-enough-master-key}\n");
    let key = ("x-api-key", "sk-long-enough-master-key");
    let mut locked = World::of(&keyed);
    for (path, headers, body, status, kind) in [
        (MESSAGES, vec![], BODY, 401, "authentication_error"),
        (COUNT_TOKENS, vec![("authorization", "Bearer other")], BODY, 401, "authentication_error"),
        (
            "/v1/messages/batches",
            vec![key, ("anthropic-version", "2023-06-01")],
            BODY,
            404,
            "not_found_error",
        ),
        ("/v1/models/x", vec![key, ("anthropic-version", "2023-06-01")], BODY, 405, "invalid_request_error"),
        (MESSAGES, vec![key, ("content-length", "99999999999")], BODY, 413, "request_too_large"),
        (MESSAGES, vec![key], b"{", 400, "invalid_request_error"),
        (MESSAGES, vec![key], br#"{"model":"other"}"#, 400, "invalid_request_error"),
    ] {
        let response = locked.post(path, &headers, body, |_| Answer::Ok);
        assert_eq!((response.status, error(&response.body).0.as_str()), (status, kind), "{path}");
    }
    let bearer = [("authorization", "Bearer sk-long-enough-master-key")];
    assert_eq!(locked.post(MESSAGES, &bearer, BODY, |_| Answer::Ok).status, 200);
    for (answer, status, kind) in [
        (Answer::Refused, 500, "api_error"),
        (Answer::TimedOut, 408, "timeout_error"),
        (Answer::Status(529), 529, "overloaded_error"),
        (Answer::Reset, 500, "api_error"),
    ] {
        let response = post(&mut World::of(&two("", "")), MESSAGES, |_| answer);
        assert_eq!((response.status, error(&response.body).0.as_str()), (status, kind), "{answer:?}");
    }
}

#[story(unsupported = test)]
fn a_base_url_with_the_version_is_corrected_by_the_answer() {
    let client = [("anthropic-version", "2023-06-01"), (":authority", "host:4000")];
    let response = World::of(MIXED).post("/v1/v1/messages", &client, BODY, |_| Answer::Ok);
    let (kind, message) = error(&response.body);
    assert_eq!((response.status, kind.as_str()), (404, "not_found_error"));
    let expected =
        "The base URL for clients is http://host:4000, and this route is http://host:4000/v1/messages.";
    assert!(message.ends_with(expected), "{message}");
    // Also where no route is to be recognised.
    let response = World::of(MIXED).post("/v1/messages/batches", &client, BODY, |_| Answer::Ok);
    let (_, message) = error(&response.body);
    assert!(message.ends_with("The base URL for clients is http://host:4000."), "{message}");
}

#[story(unsupported = test)]
fn a_group_without_the_api_falls_back_to_one_that_has_it() {
    let yaml = format!("{MIXED}router_settings: {{fallbacks: [{{gpt: [foundry]}}, {{foundry: [gpt]}}]}}\n");
    let mut world = World::of(&yaml);
    let response = world.post(MESSAGES, &[], br#"{"model":"gpt","messages":[]}"#, |_| Answer::Ok);
    assert_eq!(response.called, ["foundry"]);
    assert_eq!(response.header("x-litellm-attempted-fallbacks"), Some("1"));
    assert_eq!(world.chat("foundry", "", |_| Answer::Ok).called, ["gpt"]);
    let response = world.post(MESSAGES, &[], br#"{"model":"gpt","messages":[]}"#, |_| Answer::Status(500));
    assert!(response.called.iter().all(|id| id == "foundry"), "{:?}", response.called);
    assert_eq!((response.status, error(&response.body).0.as_str()), (400, "invalid_request_error"), "gpt's");
}

#[story(unsupported = test)]
fn aliases_wildcards_and_tags_lead_to_deployments_of_the_api() {
    let yaml = "
model_list:
- {model_name: 'claude-*', litellm_params: {model: 'anthropic/claude-*', api_key: k, tags: [paid]}, model_info: {id: wild}}
- {model_name: 'claude-*', litellm_params: {model: 'openai/claude-*', api_base: 'http://a.test', api_key: k, tags: [paid, free]}, model_info: {id: chats}}
router_settings: {model_group_alias: {best: claude-opus-4-5}, enable_tag_filtering: true}
";
    let mut world = World::of(yaml);
    for model in ["claude-opus-4-5", "best"] {
        let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
        let paid = world.post(MESSAGES, &[("x-litellm-tags", "paid")], body.as_bytes(), |_| Answer::Ok);
        assert_eq!(paid.called, ["wild"], "{model}");
        assert!(paid.sent.unwrap().body.contains(r#""model":"claude-opus-4-5""#), "{model}");
        let free = world.post(MESSAGES, &[("x-litellm-tags", "free")], body.as_bytes(), |_| Answer::Ok);
        assert_eq!((free.status, error(&free.body).0.as_str()), (401, "authentication_error"), "{model}");
    }
}

/// Anthropic's own `fallbacks`, which its beta turns on, for refusals alone.
#[story(unsupported = test)]
fn fallbacks_of_anthropics_beta_are_anthropics_and_the_files_stay() {
    const BETA: &str = "context-1m-2025-08-07,server-side-fallback-2026-07-01";
    let yaml = "
model_list:
- {model_name: fable, litellm_params: {model: anthropic/fable, api_key: k}, model_info: {id: fable}}
- {model_name: opus, litellm_params: {model: anthropic/opus, api_key: k}, model_info: {id: opus}}
- {model_name: other, litellm_params: {model: anthropic/other, api_key: k}, model_info: {id: other}}
router_settings: {num_retries: 0, fallbacks: [{fable: [opus]}]}
";
    let send = |beta: &[(&str, &str)], fallbacks: &str| {
        let body = format!(r#"{{"model":"fable","messages":[],"fallbacks":{fallbacks}}}"#);
        World::of(yaml).post(MESSAGES, beta, body.as_bytes(), |id| {
            if id == "fable" { Answer::Status(500) } else { Answer::Ok }
        })
    };
    let beta = [("anthropic-beta", BETA)];
    for fallbacks in
        [r#""default""#, r#"[{"model": "other"}]"#, r#"[{"model":"x","max_tokens":1},{"model":"y"}]"#]
    {
        let response = send(&beta, fallbacks);
        assert_eq!((response.status, response.called), (200, vec!["fable".to_owned(), "opus".to_owned()]));
        let body = format!(r#"{{"model":"opus","messages":[],"fallbacks":{fallbacks}}}"#);
        assert_eq!(response.sent.unwrap().body, body);
    }
    for (beta, fallbacks) in [
        (beta.as_slice(), r#"["other"]"#),
        (&beta, r#"[{"fable": ["other"]}]"#),
        (&[], r#"[{"model": "other"}]"#),
        (&[("anthropic-beta", "context-1m-2025-08-07")], r#"[{"model": "other"}]"#),
    ] {
        let response = send(beta, fallbacks);
        assert_eq!(response.called, ["fable", "other"], "{fallbacks}");
        assert_eq!(response.sent.unwrap().body, r#"{"model":"other","messages":[]}"#);
    }
    assert_eq!(send(&[], r#""default""#).status, 400);
    let chat = |world: &mut World| {
        world.post(CHAT, &beta, br#"{"model":"fable","messages":[],"fallbacks":"default"}"#, |_| Answer::Ok)
    };
    assert_eq!(chat(&mut World::of(yaml)).status, 400, "chats have no such beta");
}
