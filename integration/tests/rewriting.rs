//! What the provider gets: the request as its deployment wants it, and nothing of the client's that
//! is not its business.

use hyper::Method;
use llm_balancer_integration::{Answer, World, raw};
use serde_json::json;

/// One deployment with these further litellm_params, and these sections behind the list.
async fn world(params: &str, sections: &str) -> World {
    World::new(&format!(
        "model_list:\n- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: PROVIDER/paris/v1, api_key: sk-paris{params}}}, model_info: {{id: paris}}}}\n{sections}"
    ))
    .await
}

#[tokio::test]
async fn path_host_credentials_and_model_are_the_deployments() {
    let world = world("", "").await;
    world.with_header("authorization", "Bearer sk-client").chat("gpt").await.served_by();
    let sent = world.provider.only_request();
    assert_eq!((sent.method.as_str(), sent.target.as_str()), ("POST", "/paris/v1/chat/completions"));
    assert_eq!(sent.header("host"), Some(format!("127.0.0.1:{}", world.provider.port()).as_str()));
    assert_eq!(sent.header("authorization"), Some("Bearer sk-paris"));
    assert_eq!(sent.header("content-type"), Some("application/json"));
    assert_eq!(sent.json(), json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}));
}

#[tokio::test]
async fn a_trailing_slash_of_the_base_does_not_double() {
    let world = World::new("model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/paris/v1/, api_key: k}}\n").await;
    world.chat("gpt").await.served_by();
    assert_eq!(world.provider.only_request().target, "/paris/v1/chat/completions");
}

#[tokio::test]
async fn a_deployment_without_a_key_sends_none_of_the_clients() {
    let world = World::new("model_list:\n- {model_name: gpt, litellm_params: {model: hosted_vllm/m, api_base: PROVIDER/paris/v1}}\n").await;
    world.with_header("authorization", "Bearer sk-client").chat("gpt").await.served_by();
    let sent = world.provider.only_request();
    assert!(sent.headers.iter().all(|(_, value)| !value.contains("sk-client")), "{:?}", sent.headers);
}

#[tokio::test]
async fn nothing_of_the_clients_credentials_or_of_ours_reaches_the_provider() {
    let world = world("", "general_settings: {master_key: sk-master-key-of-the-house}\n").await;
    let ours = [
        "x-llm-stream-id", "x-llm-cluster", "x-llm-retry", "x-envoy-attempt-count", "x-envoy-max-retries",
        "x-envoy-upstream-rq-timeout-ms", "x-litellm-tags", "x-litellm-num-retries",
    ];
    let mut client = world
        .with_header("authorization", "Bearer sk-master-key-of-the-house")
        .with_header("x-api-key", "sk-client")
        .with_header("api-key", "sk-client");
    for name in ours {
        client = client.with_header(name, "1");
    }
    client = client.with_header("x-custom", "mine").with_header("cookie", "session=sk-client");
    client.chat("gpt").await.served_by();
    let sent = world.provider.only_request();
    for (name, value) in &sent.headers {
        let lower = name.to_ascii_lowercase();
        assert!(!value.contains("sk-client") && !value.contains("sk-master"), "{name}: {value}");
        for prefix in ["x-llm", "x-envoy", "x-litellm", "x-custom", "x-forwarded", "cookie", "x-api-key"] {
            assert!(!lower.starts_with(prefix), "{name}: {value}");
        }
    }
    assert_eq!(sent.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization")).count(), 1);
}

#[tokio::test]
async fn clients_headers_are_forwarded_where_the_settings_say_so() {
    let world = world("", "general_settings: {forward_client_headers_to_llm_api: true}\n").await;
    world
        .with_header("x-custom", "mine")
        .with_header("x-llm-cluster", "evil")
        .with_header("x-litellm-tags", "a")
        .chat("gpt")
        .await
        .served_by();
    let sent = world.provider.only_request();
    assert_eq!(sent.header("x-custom"), Some("mine"));
    assert_eq!((sent.header("x-llm-cluster"), sent.header("x-litellm-tags")), (None, None));
}

#[tokio::test]
async fn a_client_cannot_choose_the_cluster_or_pretend_to_be_another_attempt() {
    let mut world = World::group(&["paris", "virginia"], "").await;
    let client = world
        .with_header("x-llm-cluster", "virginia")
        .with_header("x-llm-stream-id", "1")
        .with_header("x-envoy-attempt-count", "9");
    let replies: Vec<_> = futures_in_turn(&client, 30).await;
    assert!(replies.contains(&"paris".to_owned()) && replies.contains(&"virginia".to_owned()), "{replies:?}");
    world.assert_well("gpt").await;
}

async fn futures_in_turn(client: &llm_balancer_integration::Client, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..count {
        let reply = client.chat("gpt").await;
        assert_eq!(reply.retries(), 0);
        names.push(reply.served_by());
    }
    names
}

#[tokio::test]
async fn defaults_are_sent_unless_the_client_says_otherwise() {
    let world = world(", temperature: 0.25, max_tokens: 77, stop: [END], organization: org-9, extra_headers: {X-Team: red, x-cost: '7'}", "").await;
    world.chat("gpt").await.served_by();
    world.chat_with("gpt", &json!({"temperature": 1, "max_tokens": null})).await.served_by();
    let sent = world.provider.received();
    let first = sent[0].json();
    assert_eq!(
        (&first["temperature"], &first["max_tokens"], &first["stop"]),
        (&json!(0.25), &json!(77), &json!(["END"]))
    );
    assert_eq!(sent[1].json()["temperature"], json!(1));
    assert_eq!(sent[0].header("x-team"), Some("red"));
    assert_eq!(sent[0].header("x-cost"), Some("7"));
    assert_eq!(sent[0].header("openai-organization"), Some("org-9"));
}

#[tokio::test]
async fn extra_body_overrides_openais_parameters_alone_and_dropped_params_go() {
    let world = world(
        ", extra_body: {top_p: 0.5, top_k: 5, guided: {json: true}}, additional_drop_params: [logit_bias, seed]",
        "",
    )
    .await;
    world
        .chat_with("gpt", &json!({"top_p": 1, "top_k": 1, "logit_bias": {"5": 1}, "seed": 3, "foo": "kept"}))
        .await
        .served_by();
    let body = world.provider.only_request().json();
    assert_eq!(
        [&body["top_p"], &body["top_k"], &body["guided"], &body["foo"]],
        [&json!(0.5), &json!(1), &json!({"json": true}), &json!("kept")]
    );
    assert!(body.get("logit_bias").is_none() && body.get("seed").is_none(), "{body}");
    let text = String::from_utf8(world.provider.only_request().body).unwrap();
    assert_eq!(text.matches("top_k").count(), 1, "{text}");
}

#[tokio::test]
async fn what_only_the_router_understands_is_removed() {
    let world = world("", "").await;
    let ours = json!({
        "metadata": {"a": 1}, "litellm_metadata": {}, "tags": ["x"], "fallbacks": ["gpt"], "context_window_fallbacks": [], "num_retries": 1, "timeout": 9,
        "stream_timeout": 9, "request_timeout": 9, "max_retries": 1, "cache": {"no-cache": true}, "caching": false, "guardrails": [],
        "rpm": 1, "tpm": 1, "order": 1, "drop_params": true, "disable_fallbacks": true, "stream_options": {"include_usage": true}
    });
    let mut body = ours.clone();
    body["store"] = json!(false);
    body["foo"] = json!({"bar": [1, null]});
    body["priority"] = json!(1);
    world.chat_with("gpt", &body).await.served_by();
    let sent = world.provider.only_request().json();
    for key in ours.as_object().unwrap().keys() {
        assert!(sent.get(key).is_none(), "{key} went through: {sent}");
    }
    let kept = ["store", "foo", "priority"].map(|key| &sent[key]);
    assert_eq!(kept, [&json!(false), &json!({"bar": [1, null]}), &json!(1)]);
}

#[tokio::test]
async fn metadata_goes_with_a_chat_that_the_provider_is_to_store() {
    let world = world("", "").await;
    let body = json!({"store": true, "metadata": {"tags": ["x"], "conversation": "7"}});
    world.chat_with("gpt", &body).await.served_by();
    let sent = world.provider.only_request().json();
    assert_eq!((&sent["store"], &sent["metadata"]), (&json!(true), &json!({"conversation": "7"})));
}

#[tokio::test]
async fn stream_options_stay_where_there_is_a_stream() {
    let world = world("", "").await;
    let body =
        json!({"model": "gpt", "messages": [], "stream": true, "stream_options": {"include_usage": true}});
    world.stream("/v1/chat/completions", &body).await.rest().await;
    assert_eq!(world.provider.only_request().json()["stream_options"], json!({"include_usage": true}));
}

#[tokio::test]
async fn a_client_cannot_bring_its_own_provider() {
    let world = world("", "").await;
    for (key, value, status) in [
        ("api_base", "http://127.0.0.1:1/evil", 400),
        ("base_url", "http://127.0.0.1:1/evil", 400),
        ("api_key", "sk-client", 200),
        ("custom_llm_provider", "azure", 200),
        ("mock_response", "fake", 200),
    ] {
        let reply = world.chat_with("gpt", &json!({ key: value })).await;
        assert_eq!(reply.status, status, "{key}: {}", reply.text());
    }
    assert_eq!(world.provider.calls(), ["paris"; 3]);
    for sent in world.provider.received() {
        let text = String::from_utf8_lossy(&sent.body).into_owned();
        assert!(
            !text.contains("evil")
                && !text.contains("sk-client")
                && !text.contains("custom_llm")
                && !text.contains("fake"),
            "{text}"
        );
        assert_eq!(sent.header("authorization"), Some("Bearer sk-paris"));
    }
}

#[tokio::test]
async fn what_is_not_the_routers_business_is_not_touched() {
    let world = world("", "").await;
    // Escapes, spacing, a nested `model` and `timeout`; numbers beyond a float; a string that looks
    // like a member.
    let untouched = [
        r#"[ {"role":"user","content":"caf\u00e9 \ud83d\ude00 \/ é","model":"inner", "timeout": 3} ]"#,
        "123456789012345678901234567890",
        "1.10e-2",
        r#""\"model\":\"gpt\"""#,
    ];
    let [messages, seed, t, z] = untouched;
    let body = format!(r#"{{ "messages": {messages},"seed":{seed}, "model" : "gpt" , "t":{t},"z":{z} }}"#);
    world.send(Method::POST, "/v1/chat/completions", "application/json", body).await.served_by();
    let sent = world.provider.only_request();
    let text = String::from_utf8(sent.body.clone()).unwrap();
    for part in untouched {
        assert!(text.contains(part), "{part} became {text}");
    }
    assert_eq!(sent.model(), "m");
}

#[tokio::test]
async fn azure_gets_its_path_its_version_and_its_key() {
    let world = World::new(
        "
model_list:
- model_name: gpt
  litellm_params: {model: azure/my-deployment, api_base: PROVIDER/virginia, api_version: '2024-06-01', api_key: sk-azure}
  model_info: {id: virginia}
",
    )
    .await;
    let client = world.with_header("authorization", "Bearer sk-client").with_header("api-key", "sk-client");
    for (path, route, body) in [
        ("/v1/chat/completions", "chat/completions", json!({"model": "gpt", "messages": []})),
        ("/v1/embeddings", "embeddings", json!({"model": "gpt", "input": "x"})),
        (
            "/openai/deployments/gpt/chat/completions?api-version=1999-01-01",
            "chat/completions",
            json!({"messages": []}),
        ),
    ] {
        let reply = client.post(path, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let sent = world.provider.received().pop().unwrap();
        assert_eq!(
            sent.target,
            format!("/virginia/openai/deployments/my-deployment/{route}?api-version=2024-06-01")
        );
        assert_eq!((sent.header("api-key"), sent.header("authorization")), (Some("sk-azure"), None));
        assert_eq!(sent.model(), "my-deployment");
    }
}

#[tokio::test]
async fn a_key_from_the_environment_reaches_the_provider_and_no_log() {
    let config = "model_list:\n- {model_name: gpt, litellm_params: {model: openai/m, api_base: PROVIDER/paris/v1, api_key: os.environ/PARIS_KEY}}\n";
    let world = World::launched(config, |launch| {
        launch.env("PARIS_KEY", "sk-from-the-environment").arg("--log-level").arg("debug")
    })
    .await;
    world.chat("gpt").await.served_by();
    assert_eq!(world.provider.only_request().header("authorization"), Some("Bearer sk-from-the-environment"));
    world.logged(1).await;
    let log = world.balancer.log();
    // At this level Envoy itself writes the headers that it sends.
    let filters = ["[wasm]", "[dynamic_modules]"];
    let (of_filter, rest): (Vec<_>, Vec<_>) =
        log.lines().partition(|line| filters.iter().any(|component| line.contains(component)));
    let of_requests: Vec<_> = rest.into_iter().filter(|line| line.starts_with('{')).collect();
    assert!(!of_filter.is_empty() && of_requests.len() == 1, "{log}");
    for line in [of_filter, of_requests].concat() {
        assert!(!line.contains("sk-from-the-environment"), "{line}");
    }
}

#[tokio::test]
async fn each_attempt_is_written_for_its_own_deployment() {
    let world = World::new(
        "
model_list:
- {model_name: gpt, litellm_params: {model: openai/a, api_base: PROVIDER/paris/v1, api_key: sk-paris, temperature: 0.1, extra_headers: {x-paris: '1'}}}
- {model_name: gpt, litellm_params: {model: azure/b, api_base: PROVIDER/virginia, api_version: v9, api_key: sk-virginia, extra_body: {top_k: 2}}}
- {model_name: gpt, litellm_params: {model: openai/a-rather-long-name-of-a-model, api_base: PROVIDER/tokyo/v1}}
router_settings: {num_retries: 2, disable_cooldowns: true}
",
    )
    .await;
    for name in ["paris", "virginia", "tokyo"] {
        world.provider.always(name, Answer::status(503));
    }
    assert_eq!(world.chat("gpt").await.status, 503);
    let one = |name: &str| {
        let mut sent = world.provider.received_by(name);
        assert_eq!(sent.len(), 1, "{:?}", world.provider.calls());
        sent.remove(0)
    };
    let ask = json!([{"role": "user", "content": "hi"}]);
    let (paris, virginia, tokyo) = (one("paris"), one("virginia"), one("tokyo"));
    assert_eq!(paris.json(), json!({"model": "a", "messages": ask, "temperature": 0.1}));
    assert_eq!((paris.header("x-paris"), paris.header("api-key")), (Some("1"), None));
    assert_eq!(virginia.json(), json!({"model": "b", "messages": ask, "top_k": 2}));
    assert_eq!((virginia.header("x-paris"), virginia.header("authorization")), (None, None));
    assert_eq!(tokyo.json(), json!({"model": "a-rather-long-name-of-a-model", "messages": ask}));
    assert!(tokyo.headers.iter().all(|(_, value)| !value.contains("sk-")), "{:?}", tokyo.headers);
}

#[tokio::test]
async fn the_role_developer_is_the_providers_own_in_each_attempt_also_of_a_large_body() {
    let world = World::new(
        "
model_list:
- {model_name: a, litellm_params: {model: hosted_vllm/m, api_base: PROVIDER/paris/v1}}
- {model_name: b, litellm_params: {model: openai/o3, api_base: PROVIDER/tokyo/v1, api_key: k}}
- {model_name: c, litellm_params: {model: mistral/m, api_base: PROVIDER/virginia/v1, api_key: k}}
router_settings: {num_retries: 0, fallbacks: [{a: [b, c]}]}
",
    )
    .await;
    for name in ["paris", "tokyo"] {
        world.provider.always(name, Answer::status(503));
    }
    for length in [3, 1 << 20] {
        let text = "x".repeat(length);
        let body = |model: &str, role: &str| {
            format!(
                r#"{{"model":"{model}","messages":[{{"role" : "{role}","content":"{text}"}}, {{"content":[{{"role":"developer","text":"{text}"}}],"role":"user"}},{{"role":"{role}"}}],"n":1}}"#
            )
        };
        let asked = body("a", "developer");
        let reply = world.send(Method::POST, "/v1/chat/completions", "application/json", asked).await;
        assert_eq!(reply.served_by(), "virginia");
        for (name, model, role) in
            [("paris", "m", "system"), ("tokyo", "o3", "developer"), ("virginia", "m", "system")]
        {
            let sent = world.provider.received_by(name).pop().unwrap();
            assert!(sent.body == body(model, role).as_bytes(), "{name} {length}");
        }
    }
}

#[tokio::test]
async fn the_last_of_several_model_members_counts_and_only_one_is_sent_on() {
    let world = World::new(
        "
model_list:
- {model_name: gpt, litellm_params: {model: openai/a, api_base: PROVIDER/paris/v1, api_key: k}}
- {model_name: other, litellm_params: {model: openai/b, api_base: PROVIDER/tokyo/v1, api_key: k}}
",
    )
    .await;
    for body in [
        r#"{"model": "gpt", "messages": [], "model": "other"}"#,
        r#"{"model": "gpt", "messages": [], "mod\u0065l": "other"}"#,
        r#"{"m\u006fdel": "gpt", "model": 7, "model": "other", "messages": []}"#,
    ] {
        let reply = world.send(Method::POST, "/v1/chat/completions", "application/json", body).await;
        assert_eq!(reply.served_by(), "tokyo", "{body}");
        let sent = world.provider.received().pop().unwrap();
        let text = String::from_utf8(sent.body.clone()).unwrap();
        assert_eq!(sent.json()["model"], "b", "{text}");
        assert!(text.matches("\"model\"").count() == 1 && !text.contains("\\u00"), "{text}");
    }
}

#[tokio::test]
async fn hop_by_hop_headers_stay_on_their_hop() {
    let world = world("", "").await;
    let body = r#"{"model":"gpt","messages":[]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: balancer\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: 5\r\nte: trailers\r\nproxy-authorization: Basic c2stY2xpZW50\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = raw::request(world.balancer.port, request.as_bytes()).await;
    assert_eq!(raw::status(&answer), 200, "{answer}");
    let sent = world.provider.only_request();
    for name in ["x-hop", "keep-alive", "proxy-authorization"] {
        assert_eq!(sent.header(name), None);
    }
}
