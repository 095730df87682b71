//! Every route of OpenAI's that needs no translation, under each of its paths, with JSON and with
//! forms.

use hyper::Method;
use llm_balancer_integration::{Received, Reply, World};
use serde_json::{Value, json};

const BOUNDARY: &str = "----a boundary'7";
const FORM: &str = "multipart/form-data; boundary=\"----a boundary'7\"";

/// The fields of a form, in order; a name with a semicolon carries further parameters.
fn form(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let (name, more) =
            name.split_once(';').map_or((*name, String::new()), |(name, more)| (name, format!(";{more}")));
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n")
                .as_bytes(),
        );
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// The parts of a form that was sent on, as (head, content), sorted: their order is free.
fn parts(received: &Received) -> Vec<(String, Vec<u8>)> {
    let kind = received.header("content-type").expect("a content-type");
    assert_eq!(kind, FORM, "the boundary is still the client's");
    let delimiter = format!("\r\n--{BOUNDARY}");
    let mut body = b"\r\n".to_vec();
    body.extend_from_slice(&received.body);
    let mut places: Vec<usize> =
        (0..body.len()).filter(|place| body[*place..].starts_with(delimiter.as_bytes())).collect();
    let end = places.pop().expect("the last delimiter");
    assert!(body[end + delimiter.len()..].starts_with(b"--"), "the form ends");
    let starts = places.iter().map(|place| place + delimiter.len() + 2);
    let ends = places.iter().skip(1).copied().chain([end]);
    let split = |part: &[u8]| {
        let head = part.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
        (String::from_utf8_lossy(&part[..head]).to_ascii_lowercase(), part[head + 4..].to_vec())
    };
    sorted(starts.zip(ends).map(|(start, end)| split(&body[start..end])))
}

/// The same of the form that should have been sent.
fn wanted(fields: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    let head = |name: &str| {
        let (name, more) =
            name.split_once(';').map_or((name, String::new()), |(name, more)| (name, format!(";{more}")));
        format!("content-disposition: form-data; name=\"{name}\"{more}").to_ascii_lowercase()
    };
    sorted(fields.iter().map(|(name, value)| (head(name), value.to_vec())))
}

fn sorted(parts: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let mut parts: Vec<_> = parts.collect();
    parts.sort();
    parts
}

async fn post_form(world: &World, path: &str, fields: &[(&str, &[u8])]) -> Reply {
    world.send(Method::POST, path, FORM, form(fields)).await
}

#[tokio::test]
async fn every_json_route_reaches_the_providers_route_of_the_same_name() {
    let world = World::group(&["paris"], "").await;
    let routes: [(&str, Value); 10] = [
        ("/chat/completions", json!({"messages": []})),
        ("/completions", json!({"prompt": "hi"})),
        ("/embeddings", json!({"input": "hi"})),
        ("/images/generations", json!({"prompt": "a cat"})),
        ("/audio/speech", json!({"input": "hi", "voice": "alloy"})),
        ("/moderations", json!({"input": "hi"})),
        ("/responses", json!({"input": "hi"})),
        ("/responses/compact", json!({"input": "hi"})),
        ("/responses/input_tokens", json!({"input": "hi"})),
        ("/rerank", json!({"query": "hi", "documents": ["a", "b"]})),
    ];
    for (route, mut body) in routes {
        body["model"] = json!("gpt");
        for path in [route.to_owned(), format!("/v1{route}")] {
            let reply = world.post(&path, &body).await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            let names_none = ["/moderations", "/embeddings", "/responses/input_tokens"].contains(&route);
            assert!(reply.text().contains("paris") || names_none, "{path}");
            assert_eq!(reply.header("x-litellm-model-id"), Some("paris"), "{path}");
            let sent = world.provider.received().pop().expect("a request");
            assert_eq!(sent.target, format!("/paris/v1{route}"), "{path}");
            assert_eq!(sent.model(), "m-paris", "{path}");
        }
    }
}

#[tokio::test]
async fn speech_comes_back_byte_for_byte() {
    let world = World::group(&["paris"], "").await;
    let reply =
        world.post("/v1/audio/speech", &json!({"model": "gpt", "input": "hi", "voice": "alloy"})).await;
    let expected: Vec<u8> = b"ID3paris".iter().copied().chain(0..=255).collect();
    assert_eq!(reply.body.as_ref(), expected);
    assert_eq!(reply.header("content-type"), Some("audio/mpeg"));
}

#[tokio::test]
async fn responses_and_completions_stream_too() {
    let world = World::group(&["paris"], "").await;
    for (path, body) in [
        ("/v1/responses", json!({"model": "gpt", "input": "hi", "stream": true})),
        ("/v1/completions", json!({"model": "gpt", "prompt": "hi", "stream": true})),
    ] {
        let mut events = world.stream(path, &body).await;
        assert_eq!(events.status, 200);
        assert!(events.rest().await.contains("2 from paris"), "{path}");
    }
}

#[tokio::test]
async fn the_model_in_the_path_beats_the_model_in_the_body() {
    let world = World::new(
        "
model_list:
- {model_name: gpt, litellm_params: {model: openai/a, api_base: PROVIDER/paris/v1, api_key: k}}
- {model_name: other, litellm_params: {model: openai/b, api_base: PROVIDER/tokyo/v1, api_key: k}}
- {model_name: meta/llama, litellm_params: {model: openai/c, api_base: PROVIDER/lima/v1, api_key: k}}
",
    )
    .await;
    let paths = [
        ("/openai/deployments/gpt/chat/completions", "/paris/v1/chat/completions"),
        ("/openai/deployments/gpt/chat/completions?api-version=2024-02-01", "/paris/v1/chat/completions"),
        ("/openai/deployments/gpt/completions", "/paris/v1/completions"),
        ("/openai/deployments/gpt/embeddings", "/paris/v1/embeddings"),
        ("/openai/deployments/gpt/images/generations", "/paris/v1/images/generations"),
        ("/engines/gpt/chat/completions", "/paris/v1/chat/completions"),
        ("/engines/gpt/completions", "/paris/v1/completions"),
        ("/engines/gpt/embeddings", "/paris/v1/embeddings"),
        ("/openai/deployments/meta%2Fllama/chat/completions", "/lima/v1/chat/completions"),
        ("/openai/deployments/meta%2fllama/chat/completions", "/lima/v1/chat/completions"),
        ("/openai/deployments/meta/llama/chat/completions", "/lima/v1/chat/completions"),
        ("/engines/meta%2Fllama/chat/completions", "/lima/v1/chat/completions"),
    ];
    for (path, target) in paths {
        let unnamed = json!({"messages": [], "prompt": "hi", "input": "hi"});
        let mut named = unnamed.clone();
        named["model"] = json!("other");
        for body in [named, unnamed] {
            let reply = world.post(path, &body).await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            let sent = world.provider.received().pop().expect("a request");
            assert_eq!(sent.target, target, "{path}");
            assert_eq!(
                sent.model(),
                if target.starts_with("/lima") { "c" } else { "a" },
                "{path} with {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_slash_too_many_is_overlooked() {
    let world = World::group(&["paris"], "").await;
    for path in [
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/chat/completions/",
        "/openai//deployments/gpt/chat/completions",
    ] {
        let reply = world.post(path, &json!({"model": "gpt", "messages": []})).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(world.provider.received().pop().unwrap().target, "/paris/v1/chat/completions", "{path}");
    }
}

#[tokio::test]
async fn an_azure_deployment_by_date_is_asked_where_azure_has_its_routes() {
    let world = World::new(
        "
model_list:
- {model_name: gpt, litellm_params: {model: azure/dep, api_base: PROVIDER/azure, api_version: 2025-04-01-preview, api_key: k}}
",
    )
    .await;
    let deployed = "/azure/openai/deployments/dep";
    for (route, target) in [
        ("/chat/completions", format!("{deployed}/chat/completions")),
        ("/embeddings", format!("{deployed}/embeddings")),
        ("/responses", "/azure/openai/responses".to_owned()),
        ("/responses/compact", "/azure/openai/responses/compact".to_owned()),
    ] {
        world.post(&format!("/v1{route}"), &json!({"model": "gpt", "input": "hi", "messages": []})).await;
        let sent = world.provider.received().pop().expect("a request");
        assert_eq!(sent.target, format!("{target}?api-version=2025-04-01-preview"));
        assert_eq!(sent.model(), "dep", "{route}: the model is in the body as well");
    }
    world.provider.forget();
    let error = world.post("/v1/moderations", &json!({"model": "gpt", "input": "hi"})).await.error(404);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("/moderations") && message.contains("azure"), "{message}");
    assert!(world.provider.received().is_empty(), "the provider is not asked for what it does not have");
}

#[tokio::test]
async fn a_deployment_without_the_route_is_passed_over() {
    let world = World::new(
        "
model_list:
- {model_name: gpt, litellm_params: {model: azure/dep, api_base: PROVIDER/azure, api_version: 2024-06-01, api_key: k}}
- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/paris/v1, api_key: k}}
",
    )
    .await;
    for _ in 0..20 {
        let reply = world.post("/v1/moderations", &json!({"model": "gpt", "input": "hi"})).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert!(world.provider.calls().iter().all(|name| name == "paris"), "{:?}", world.provider.calls());
}

#[tokio::test]
async fn rerankings_are_served_retried_and_limited() {
    let world = World::new(
        "
model_list:
- {model_name: r, litellm_params: {model: hosted_vllm/v, api_base: PROVIDER/vllm/v1, rpm: 2}}
- {model_name: r, litellm_params: {model: cohere/rerank-v3.5, api_base: PROVIDER/cohere, api_key: k, rpm: 2}}
router_settings: {disable_cooldowns: true}
",
    )
    .await;
    llm_balancer_integration::minute::with_room_for(std::time::Duration::from_secs(10)).await;
    world.provider.script("vllm", [llm_balancer_integration::Answer::status(500)]);
    let body = json!({"model": "r", "query": "q", "documents": ["a", "b", "c"], "top_n": 2});
    let mut statuses = Vec::new();
    for path in ["/v1/rerank", "/rerank", "/v2/rerank", "/v1/rerank", "/v1/rerank"] {
        let reply = world.post(path, &body).await;
        statuses.push(reply.status);
        if reply.status == 200 {
            assert_eq!(reply.json()["results"][0]["index"], 2, "{}", reply.text());
        }
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429], "four of the minute, one of which failed");
    for sent in world.provider.received() {
        let (target, model) = match sent.name.as_str() {
            "vllm" => ("/vllm/v1/rerank", "v"),
            _ => ("/cohere/v2/rerank", "rerank-v3.5"),
        };
        assert_eq!((sent.target.as_str(), sent.model().as_str()), (target, model));
        assert_eq!(sent.json()["top_n"], 2);
    }
}

#[tokio::test]
async fn an_image_is_edited_by_json_as_well() {
    let world = World::group(&["paris"], "").await;
    let body = json!({"model": "gpt", "prompt": "a hat", "images": [{"image_url": "https://images.example/cat.png"}]});
    let reply = world.post("/v1/images/edits", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let sent = world.provider.only_request();
    assert_eq!((sent.header("content-type"), sent.model().as_str()), (Some("application/json"), "m-paris"));
    assert_eq!(sent.json()["images"], body["images"]);
}

#[tokio::test]
async fn embeddings_of_messages_reach_the_provider() {
    let world = World::group(&["paris"], "").await;
    let messages = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://images.example/cat.png"}}]}]);
    let reply = world.post("/v1/embeddings", &json!({"model": "gpt", "messages": messages})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(world.provider.only_request().json()["messages"], messages);
}

#[tokio::test]
async fn the_model_may_stand_in_the_query() {
    let world = World::group(&["paris"], "").await;
    let reply = world.post("/v1/chat/completions?model=gpt", &json!({"messages": []})).await;
    assert_eq!(reply.served_by(), "paris");
    let sent = world.provider.only_request();
    assert_eq!((sent.target.as_str(), sent.model().as_str()), ("/paris/v1/chat/completions", "m-paris"));
}

#[tokio::test]
async fn a_form_carries_its_model_first_or_last() {
    let world = World::group(&["paris"], "").await;
    let audio: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let file = ("file; filename=\"speech.mp3\"", audio.as_slice());
    let orders: [[(&str, &[u8]); 3]; 3] = [
        [("model", b"gpt"), file, ("language", b"en")],
        [file, ("language", b"en"), ("model", b"gpt")],
        [("language", b"en"), ("model", b"gpt"), file],
    ];
    for fields in orders {
        let reply = post_form(&world, "/v1/audio/transcriptions", &fields).await;
        assert_eq!(reply.json()["text"], "hi from paris", "{}", reply.text());
        let sent = world.provider.received().pop().expect("a request");
        assert_eq!(sent.target, "/paris/v1/audio/transcriptions");
        let replaced =
            fields.map(|(name, value)| (name, if name == "model" { b"m-paris".as_slice() } else { value }));
        assert_eq!(parts(&sent), wanted(&replaced), "the form is the client's but for the model");
    }
}

#[tokio::test]
async fn a_file_that_looks_like_a_form_is_still_a_file() {
    let world = World::group(&["paris"], "").await;
    let trap =
        b"\r\n--another\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nevil\r\n--another--\r\n--"
            .as_slice();
    let fields: [(&str, &[u8]); 3] =
        [("file; filename=\"name=model\"", trap), ("prompt", b"model: evil"), ("model", b"gpt")];
    let reply = post_form(&world, "/v1/audio/transcriptions", &fields).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let expected = wanted(&[fields[0], fields[1], ("model", b"m-paris")]);
    assert_eq!(parts(&world.provider.only_request()), expected);
}

#[tokio::test]
async fn an_image_is_edited_with_a_form_and_the_edit_is_retried() {
    let world = World::group(&["paris", "virginia"], "disable_cooldowns: true").await;
    for name in ["paris", "virginia"] {
        world.provider.script(name, [llm_balancer_integration::Answer::status(500)]);
    }
    let image = [137, 80, 78, 71, 13, 10, 26, 10, 0, 255];
    let fields: [(&str, &[u8]); 3] =
        [("image; filename=\"cat.png\"", &image), ("prompt", b"a hat"), ("model", b"gpt")];
    for path in ["/v1/images/edits", "/images/edits"] {
        let reply = post_form(&world, path, &fields).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    for sent in world.provider.received() {
        assert_eq!(sent.target, format!("/{}/v1/images/edits", sent.name));
        let model = format!("m-{}", sent.name);
        assert_eq!(parts(&sent), wanted(&[fields[0], fields[1], ("model", model.as_bytes())]));
    }
    assert!(world.provider.count() >= 3, "{:?}", world.provider.calls());
}

#[tokio::test]
async fn a_form_without_a_model_is_a_bad_request() {
    let world = World::group(&["paris"], "").await;
    let reply = post_form(&world, "/v1/audio/transcriptions", &[("file; filename=\"a\"", b"x")]).await;
    reply.error(400);
    let reply =
        world.send(Method::POST, "/v1/audio/transcriptions", "multipart/form-data", "no boundary").await;
    reply.error(400);
    assert!(world.provider.received().is_empty());
}

#[tokio::test]
async fn an_unknown_path_is_not_found_and_the_base_url_is_named() {
    let world = World::group(&["paris"], "").await;
    let base = format!("http://127.0.0.1:{}/v1", world.balancer.port);
    for path in [
        "/v1/nothing", "/", "/v1", "/openai/v1", "/v1/chat/completions/x", "/chat/completions/v1",
        "/v1/v1/chat/completions", "/api/v1/chat/completions",
    ] {
        let error = world.post(path, &json!({"model": "gpt"})).await.error(404);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("Not Found") && message.contains(&base), "{path}: {error}");
    }
    assert!(world.provider.received().is_empty());
}
