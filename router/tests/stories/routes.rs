//! Stories of routes: where a request comes in, and which deployments can serve it there.

use crate::common::{Answer, ClientResponse, World};
use wasm_bindgen_test::wasm_bindgen_test as story;

/// A group of which one deployment serves chats alone, one is Azure's, and one has every route.
const MIXED: &str = "
model_list:
- {model_name: g, litellm_params: {model: anthropic/c, api_key: k}, model_info: {id: chats}}
- {model_name: g, litellm_params: {model: azure/m, api_base: 'https://r.test', api_version: 2024-06-01, api_key: k}, model_info: {id: azure}}
- {model_name: g, litellm_params: {model: openai/m, api_base: 'http://a.test/v1', api_key: k}, model_info: {id: all}}
- {model_name: chats-only, litellm_params: {model: anthropic/c, api_key: k}, model_info: {id: lone}}
- {model_name: falls-back, litellm_params: {model: anthropic/c, api_key: k}, model_info: {id: first}}
router_settings: {fallbacks: [{falls-back: [g]}]}
";

fn post(world: &mut World, path: &str, model: &str) -> ClientResponse {
    world.post(path, &[], format!(r#"{{"model":"{model}","input":"hi"}}"#).as_bytes(), |_| Answer::Ok)
}

#[story(unsupported = test)]
fn a_deployment_without_the_route_is_skipped() {
    let mut world = World::of(MIXED);
    for (path, able) in [
        ("/v1/chat/completions", ["all", "azure", "chats"].as_slice()),
        ("/v1/embeddings", ["all", "azure"].as_slice()),
        ("/v1/responses", ["all", "azure"].as_slice()),
        ("/v1/moderations", ["all"].as_slice()),
        ("/v1/rerank", ["all"].as_slice()),
    ] {
        let mut called: Vec<String> = (0..60).flat_map(|_| post(&mut world, path, "g").called).collect();
        assert_eq!(called.len(), 60, "{path}: one call each");
        called.sort();
        called.dedup();
        assert_eq!(called, able, "{path}");
    }
}

#[story(unsupported = test)]
fn retries_stay_among_those_that_have_the_route() {
    let mut world =
        World::of(&MIXED.replace("{fallbacks", "{num_retries: 5, disable_cooldowns: true, fallbacks"));
    for _ in 0..20 {
        let body = br#"{"model":"g","input":"hi"}"#;
        let response = world.post("/v1/embeddings", &[], body, |_| Answer::Status(500));
        assert!(
            response.called.len() > 1 && !response.called.contains(&"chats".to_owned()),
            "{:?}",
            response.called
        );
    }
}

#[story(unsupported = test)]
fn segments_behind_a_model_of_the_path_are_no_part_of_its_name() {
    let yaml = "
model_list:
- {model_name: gpt, litellm_params: {model: openai/m, api_base: 'http://a.test/v1', api_key: k}}
- {model_name: meta/llama, litellm_params: {model: openai/m, api_base: 'http://a.test/v1', api_key: k}}
- {model_name: gpt/mini, litellm_params: {model: openai/m, api_base: 'http://a.test/v1', api_key: k}}
";
    let mut world = World::of(yaml);
    for (path, status, words) in [
        ("/openai/deployments/gpt/extensions/chat/completions", 404, "is not served here"),
        ("/openai/deployments/meta/llama/extensions/chat/completions", 404, "is not served here"),
        ("/v1/engines/meta%2Fllama/a/b/embeddings", 404, "is not served here"),
        ("/openai/deployments/gpt/mini/chat/completions", 200, ""),
        ("/engines/meta%2Fllama/embeddings", 200, ""),
        ("/engines/other/gpt/chat/completions", 400, "Invalid model name"),
        ("/engines/metal/gpt/chat/completions", 400, "Invalid model name"),
    ] {
        let response = world.post(path, &[], b"{}", |_| Answer::Ok);
        assert_eq!(response.status, status, "{path}: {}", response.body);
        assert!(response.body.contains(words), "{path}: {}", response.body);
    }
}

#[story(unsupported = test)]
fn every_refusal_about_a_group_names_it() {
    let yaml = "
model_list:
- {model_name: g, litellm_params: {model: anthropic/c, api_key: k}, model_info: {id: a, max_input_tokens: 10}}
- {model_name: h, litellm_params: {model: openai/m, api_base: 'http://a.test/v1', api_key: k}, model_info: {id: b}}
- {model_name: '*', litellm_params: {model: openai/*, api_base: 'http://a.test/v1', api_key: k}}
router_settings: {enable_pre_call_checks: true, num_retries: 3}
";
    let mut world = World::of(yaml);
    let long = format!(r#","messages":["{}"]"#, "four".repeat(100));
    for (path, model, members, status) in [
        ("/v1/chat/completions", "g", &*long, 400),
        ("/v1/messages", "h", "", 400),
        ("/v1/embeddings", "g", "", 404),
        ("/v1/chat/completions", "g", r#","mock_testing_fallbacks":true"#, 500),
        ("/v1/embeddings", "g", r#","fallbacks":["a*"]"#, 404),
    ] {
        let body = format!(r#"{{"model":"{model}"{members}}}"#);
        let response = world.post(path, &[], body.as_bytes(), |_| Answer::Ok);
        assert_eq!((response.status, response.called.len()), (status, 0), "{}", response.body);
        let (group, fallbacks) = if members.contains("a*") { ("a*", "1") } else { (model, "0") };
        for (name, value) in [
            ("x-litellm-model-group", group),
            ("x-litellm-attempted-retries", "0"),
            ("x-litellm-max-retries", "0"),
            ("x-litellm-attempted-fallbacks", fallbacks),
        ] {
            let all: Vec<_> = response.headers.iter().filter(|(own, _)| own == name).collect();
            assert_eq!(all, [&(name.to_owned(), value.to_owned())], "{path} {body}");
        }
    }
    let none = world.chat("a*", "", |_| Answer::Ok);
    assert_eq!((none.status, none.header("x-litellm-model-group")), (400, None), "no group");
}

#[story(unsupported = test)]
fn a_route_that_no_deployment_has_is_refused_with_a_reason() {
    let mut world = World::of(MIXED);
    for model in ["chats-only", "lone", "chats", "anthropic/c"] {
        let response = post(&mut world, "/v1/embeddings", model);
        assert_eq!((response.status, response.called.len()), (404, 0), "{model}");
        let error: serde_json::Value = serde_json::from_str(&response.body).unwrap();
        let message = error["error"]["message"].as_str().unwrap();
        for part in [&format!("`{model}`"), "/embeddings", "anthropic"] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(error["error"]["param"], "model");
        assert_eq!(post(&mut world, "/v1/chat/completions", model).called.len(), 1, "{model} still chats");
    }
}

#[story(unsupported = test)]
fn a_group_without_the_route_falls_back() {
    let mut world = World::of(MIXED);
    assert_eq!(post(&mut world, "/v1/moderations", "falls-back").called, ["all"]);
    assert_eq!(post(&mut world, "/v1/chat/completions", "falls-back").called, ["first"]);
}

#[story(unsupported = test)]
fn rerankings_are_routed_like_everything_else() {
    let yaml = "
model_list:
- {model_name: r, litellm_params: {model: hosted_vllm/v, api_base: 'http://v.test/v1', rpm: 1}, model_info: {id: vllm}}
- {model_name: r, litellm_params: {model: cohere/rerank-v3.5, api_key: k, rpm: 1}, model_info: {id: cohere}}
router_settings: {disable_cooldowns: true}
";
    let body = br#"{"model":"r","query":"q","documents":["a","b"],"top_n":1,"num_retries":3}"#;
    for path in ["/rerank", "/v1/rerank", "/v2/rerank"] {
        let mut world = World::of(yaml);
        let first = world.post(path, &[], body, |_| Answer::Status(500));
        assert_eq!(first.called.len(), 2, "{path}: {:?}", first.called);
        let sent = first.sent.unwrap();
        let (at, model) =
            if first.called[1] == "vllm" { ("/v1/rerank", "v") } else { ("/v2/rerank", "rerank-v3.5") };
        assert_eq!(sent.header(":path"), at);
        assert_eq!(
            sent.body,
            format!(r#"{{"model":"{model}","query":"q","documents":["a","b"],"top_n":1}}"#)
        );
    }
    let mut world = World::of(yaml);
    let statuses: Vec<u16> =
        (0..3).map(|_| world.post("/v1/rerank", &[], body, |_| Answer::Ok).status).collect();
    assert_eq!(statuses, [200, 200, 429], "limits hold");
}

#[story(unsupported = test)]
fn an_unknown_path_names_the_base_url() {
    let world = World::of(MIXED);
    let reply = |path, scheme| {
        let headers = [
            (":method", "POST"),
            (":path", path),
            (":authority", "host:4000"),
            ("x-forwarded-proto", scheme),
        ];
        match world.router.on_request_headers(&headers.into_iter().collect(), false) {
            llm_balancer_router::Arrival::Reply(reply, _) => reply,
            other => panic!("{path}: {other:?}"),
        }
    };
    for path in [
        "/", "/v1", "/openai/v1", "/v1/v1/chat/completions", "/chat/completions/v1",
        "/api/v1/chat/completions", "/v1/messages/batches",
    ] {
        let reply = reply(path, "http");
        assert_eq!(reply.status, 404, "{path}");
        assert!(
            reply.body.contains("Not Found") && reply.body.contains(" http://host:4000/v1"),
            "{}",
            reply.body
        );
        let names_the_route = reply.body.contains("http://host:4000/v1/chat/completions");
        assert_eq!(names_the_route, path.contains("completions"), "{}", reply.body);
    }
    assert!(reply("/", "https").body.contains("https://host:4000/v1"));
}

#[story(unsupported = test)]
fn a_websocket_is_refused_in_a_way_that_makes_clients_use_http() {
    let world = World::of(MIXED);
    for headers in [
        [(":method", "GET"), (":path", "/v1/responses"), ("upgrade", "websocket")],
        [(":method", "GET"), (":path", "/v1/realtime?model=g"), ("upgrade", "WebSocket")],
        [(":method", "GET"), (":path", "/v1/responses"), ("upgrade", "websocket, TLS/1.2")],
        [(":method", "GET"), (":path", "/v1/responses"), ("upgrade", "foo,websocket")],
        [(":method", "CONNECT"), (":path", "/v1/responses"), (":protocol", "websocket")],
    ] {
        match world.router.on_request_headers(&headers.into_iter().collect(), false) {
            llm_balancer_router::Arrival::Reply(reply, _) => {
                assert_eq!(reply.status, 426, "{headers:?}");
                assert!(reply.body.contains("WebSockets are not served"), "{}", reply.body);
            }
            other => panic!("{headers:?}: {other:?}"),
        }
    }
}

#[story(unsupported = test)]
fn no_body_is_awaited_of_an_upgrade_a_tunnel_or_a_length_above_the_limit() {
    for (headers, awaited) in [
        (vec![(":method", "POST"), ("content-length", "10")], true),
        (vec![(":method", "POST")], true),
        (vec![(":method", "POST"), ("content-length", "11")], false),
        (vec![(":method", "POST"), ("content-length", "x")], false),
        (vec![(":method", "GET"), ("upgrade", "websocket")], false),
        (vec![(":method", "GET"), ("upgrade", "websocket"), ("content-length", "0")], false),
        (vec![(":method", "CONNECT"), ("content-length", "0")], false),
    ] {
        let name = format!("{headers:?}");
        assert_eq!(llm_balancer_router::sends_body(&headers.into_iter().collect(), 10), awaited, "{name}");
    }
}

const NAMED: &str = "
model_list:
- {model_name: g, litellm_params: {model: openai/one, api_base: 'http://a.test/v1', api_key: k}, model_info: {id: a}}
- {model_name: g, litellm_params: {model: openai/two, api_base: 'http://b.test/v1', api_key: k}, model_info: {id: b}}
- {model_name: 'w/*', litellm_params: {model: 'openai/*', api_base: 'http://w.test/v1', api_key: k}, model_info: {id: w}}
router_settings:
  model_group_alias: {alias: g, hidden: {model: g, hidden: true}, chain: alias}
  routing_groups: [{group_name: both, models: [g], routing_strategy: least-busy}]
";

#[story(unsupported = test)]
fn health_probes_what_a_request_for_the_name_may_reach() {
    let world = World::of(NAMED);
    for (query, expected) in [
        ("", [0, 1, 2].as_slice()),
        ("?model=", &[0, 1, 2]),
        ("?model=g", &[0, 1]),
        ("?model=alias", &[0, 1]),
        ("?model=hidden", &[0, 1]),
        ("?model=both", &[0, 1]),
        ("?model=b", &[1]),
        ("?model=openai/two", &[1]),
        ("?model=openai%2Ftwo", &[1]),
        ("?model=w/x", &[2]),
        ("?model=w/*", &[2]),
        ("?model=chain", &[]),
        ("?model=nowhere", &[]),
        ("?model_id=b", &[1]),
        ("?model=nowhere&model_id=a", &[0]),
    ] {
        let probe = world.to_probe(&format!("/health{query}"));
        assert_eq!(probe.deployments, expected, "{query}");
        assert_eq!(probe.is_named, !matches!(query, "" | "?model="), "{query}");
    }
    for query in ["model_id=nowhere", "model_id=nowhere&model=g", "model_id=g"] {
        assert_eq!(world.get(&format!("/health?{query}")).status, 404, "{query}");
    }
}

#[story(unsupported = test)]
fn model_info_of_an_unknown_id_is_refused() {
    let world = World::of(NAMED);
    for path in ["/model/info", "/v1/model/info"] {
        assert_eq!(world.get(&format!("{path}?litellm_model_id=a")).status, 200);
        let reply = world.get(&format!("{path}?litellm_model_id=nowhere"));
        assert_eq!(reply.status, 400);
        assert!(reply.body.contains("'litellm_model_id' must be the id of a deployment"), "{}", reply.body);
    }
}
