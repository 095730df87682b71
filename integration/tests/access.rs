//! Who is let in, and what may be asked without a key: the health of the balancer and of what is
//! behind it.

use std::collections::BTreeSet;
use std::time::Duration;

use llm_balancer_integration::{Answer, Client, Launch, Provider, World, ask, free_port, raw};
use serde_json::{Value, json};

const KEY: &str = "sk-key-of-the-house-4711";

/// One group of two behind a master key, and these sections.
async fn guarded(sections: &str) -> World {
    World::new(&format!(
        "
model_list:
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: PROVIDER/paris/v1, api_key: sk-paris}}, model_info: {{id: paris}}}}
- {{model_name: gpt, litellm_params: {{model: azure/m, api_base: PROVIDER/virginia, api_version: '2024-06-01', api_key: sk-virginia}}, model_info: {{id: virginia}}}}
{sections}
"
    ))
    .await
}

async fn with_master_key() -> World {
    guarded(&format!("general_settings: {{master_key: {KEY}}}")).await
}

#[tokio::test]
async fn the_key_is_accepted_in_each_of_its_headers() {
    let world = with_master_key().await;
    for (name, value) in [
        ("authorization", format!("Bearer {KEY}")),
        ("x-api-key", KEY.to_owned()),
        ("api-key", KEY.to_owned()),
        ("x-goog-api-key", KEY.to_owned()),
        ("ocp-apim-subscription-key", KEY.to_owned()),
        ("x-litellm-api-key", KEY.to_owned()),
    ] {
        let client = world.with_header(name, &value);
        client.chat("gpt").await.served_by();
        assert_eq!(client.get("/v1/models").await.status, 200, "{name}");
    }
    assert_eq!(
        world.with_header("authorization", &format!("bearer {KEY}")).chat("gpt").await.status,
        200,
        "schemes have no case"
    );
}

#[tokio::test]
async fn the_key_is_accepted_in_the_files_own_header_and_reaches_no_provider() {
    let world = guarded(&format!(
        "general_settings: {{master_key: {KEY}, litellm_key_header_name: X-Our-Key, forward_client_headers_to_llm_api: true}}"
    ))
    .await;
    let client = world.with_header("authorization", "Bearer a-proxys-token").with_header("x-mine", "1");
    assert_eq!(client.chat("gpt").await.status, 401);
    assert_eq!(client.with_header("x-our-key", "sk-other").chat("gpt").await.status, 401);
    client.with_header("x-our-key", &format!("Bearer {KEY}")).chat("gpt").await.served_by();
    let sent = world.provider.only_request();
    assert_eq!((sent.header("x-mine"), sent.header("x-our-key")), (Some("1"), None));
    world.with_header("x-our-key", KEY).chat("gpt").await.served_by();
}

#[tokio::test]
async fn no_key_is_told_so_in_litellms_words() {
    let world = with_master_key().await;
    let said = json!({"error": {"message": "Authentication Error, No api key passed in.", "type": "auth_error", "param": null, "code": "401"}});
    for path in [
        "/v1/models", "/models", "/v1/model/info", "/model/info", "/v1/model_group/info",
        "/model_group/info", "/health", "/v1/models/gpt",
    ] {
        let reply = world.get(path).await;
        assert_eq!((reply.status, reply.json()), (401, said.clone()), "{path}");
    }
    for path in [
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/embeddings",
        "/openai/deployments/gpt/chat/completions",
        "/engines/gpt/completions",
        "/v1/audio/speech",
    ] {
        let reply = world.post(path, &ask("gpt")).await;
        assert_eq!((reply.status, reply.json()), (401, said.clone()), "{path}");
    }
    assert!(world.provider.received().is_empty());
}

#[tokio::test]
async fn a_wrong_key_is_no_key() {
    let world = with_master_key().await;
    let long = format!("{KEY}x");
    for key in ["", " ", "sk-other", KEY.trim_end_matches('1'), &long, &KEY.to_uppercase()] {
        let reply = world.with_header("authorization", &format!("Bearer {key}")).chat("gpt").await;
        assert_eq!(reply.error(401)["type"], "auth_error", "{key:?}");
        assert!(!reply.text().contains(KEY), "the answer gives the key away");
    }
    assert_eq!(world.with_header("authorization", &format!("Basic {KEY}")).chat("gpt").await.status, 401);
    assert!(world.provider.received().is_empty());
}

#[tokio::test]
async fn a_wrong_key_in_one_header_does_not_spoil_the_right_one_in_authorization() {
    let world = with_master_key().await;
    let client =
        world.with_header("authorization", &format!("Bearer {KEY}")).with_header("x-api-key", "sk-other");
    client.chat("gpt").await.served_by();
}

#[tokio::test]
async fn a_path_written_otherwise_does_not_get_around_the_key() {
    let world = with_master_key().await;
    for path in [
        "//v1/models",
        "/v1/../v1/models",
        "/health/liveliness/../../v1/models",
        "/V1/models",
        "/v1%2fmodels",
        "/health/liveliness/x",
        "/health/liveliness%2f..%2f..%2fv1/models",
        "/health/",
    ] {
        assert_eq!(world.get(path).await.status, 401, "{path}");
    }
    for path in [
        "/health/liveliness/../../v1/chat/completions",
        "//v1/chat/completions",
        "/v1/chat/completions/../chat/completions",
    ] {
        assert_eq!(world.post(path, &ask("gpt")).await.status, 401, "{path}");
    }
    assert!(world.provider.received().is_empty());
}

#[tokio::test]
async fn liveliness_and_readiness_need_no_key() {
    let world = with_master_key().await;
    for path in ["/health/liveliness", "/health/liveness"] {
        let reply = world.get(path).await;
        assert_eq!((reply.status, reply.json()), (200, json!("I'm alive!")), "{path}");
    }
    let reply = world.get("/health/readiness").await;
    assert_eq!((reply.status, reply.json()["status"].clone()), (200, json!("healthy")));
}

#[tokio::test]
async fn a_key_from_the_environment_or_in_the_wrong_section_guards_as_well() {
    let provider = Provider::start().await;
    let sections = [
        "general_settings: {master_key: os.environ/HOUSE_KEY}",
        "litellm_settings: {master_key: os.environ/HOUSE_KEY}",
        "litellm_settings: {master_key: sk-key-of-the-house-4711}",
    ];
    for section in sections {
        let config = format!(
            "model_list:\n- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: {}/paris/v1, api_key: k}}}}\n{section}\n",
            provider.origin()
        );
        let balancer = Launch::new(&config).env("HOUSE_KEY", KEY).start().await;
        let client = Client::new(balancer.port);
        assert_eq!(client.chat("gpt").await.status, 401, "{section}");
        client.with_header("authorization", &format!("Bearer {KEY}")).chat("gpt").await.served_by();
    }
}

fn entries(health: &Value, key: &str) -> Vec<String> {
    let ids = health[key]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| entry["model_id"].as_str().unwrap_or_default().to_owned());
    let mut ids: Vec<_> = ids.collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn health_asks_every_deployment_for_its_models_and_burns_no_token() {
    let world = with_master_key().await;
    let client = world.with_header("authorization", &format!("Bearer {KEY}"));
    let health = client.get("/health").await.json();
    assert_eq!(entries(&health, "healthy_endpoints"), ["paris", "virginia"], "{health}");
    assert_eq!(
        (&health["healthy_count"], &health["unhealthy_count"], &health["unhealthy_endpoints"]),
        (&json!(2), &json!(0), &json!([]))
    );
    let first = &health["healthy_endpoints"][0];
    assert!(first["model"].is_string() && first["api_base"].is_string(), "{first}");
    for sent in world.provider.received() {
        assert_eq!(sent.method, "GET", "{}", sent.target);
        assert!(sent.body.is_empty() && sent.target.contains("/models"), "{}", sent.target);
        assert!(sent.headers.iter().all(|(_, value)| !value.contains(KEY)), "{:?}", sent.headers);
    }
    let paris = &world.provider.received_by("paris")[0];
    assert_eq!(
        (paris.target.as_str(), paris.header("authorization")),
        ("/paris/v1/models", Some("Bearer sk-paris"))
    );
    assert_eq!(world.provider.received_by("virginia")[0].header("api-key"), Some("sk-virginia"));
}

#[tokio::test]
async fn health_names_the_deployments_that_do_not_answer() {
    let world = World::new(&format!(
        "
model_list:
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: PROVIDER/paris/v1, api_key: k}}, model_info: {{id: paris}}}}
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: PROVIDER/broken/v1, api_key: k}}, model_info: {{id: broken}}}}
- {{model_name: gpt, litellm_params: {{model: openai/m, api_base: 'http://127.0.0.1:{}/v1', api_key: k}}, model_info: {{id: refused}}}}
- {{model_name: other, litellm_params: {{model: openai/m, api_base: PROVIDER/tokyo/v1, api_key: k}}, model_info: {{id: tokyo}}}}
",
        free_port()
    ))
    .await;
    world.provider.always("broken", Answer::status(503));
    let health = world.get("/health").await.json();
    assert_eq!(entries(&health, "healthy_endpoints"), ["paris", "tokyo"], "{health}");
    assert_eq!(entries(&health, "unhealthy_endpoints"), ["broken", "refused"], "{health}");
    assert_eq!((&health["healthy_count"], &health["unhealthy_count"]), (&json!(2), &json!(2)));
    // What Envoy answers without a connection is no answer of the deployment.
    let errors = health["unhealthy_endpoints"].as_array().unwrap();
    let errors: BTreeSet<&str> = errors.iter().filter_map(|entry| entry["error"].as_str()).collect();
    assert_eq!(
        errors,
        BTreeSet::from(["GET models was answered with status 503", "no answer to GET models"])
    );
    assert_eq!(world.get("/health").await.status, 200);
    assert_eq!(world.get("/health?model=gpt").await.status, 200);
    assert_eq!(world.get("/health?model_id=paris").await.status, 200);
    for dead in ["model_id=broken", "model_id=refused", "model=nowhere"] {
        assert_eq!(world.get(&format!("/health?{dead}")).await.status, 503, "{dead}");
    }
    assert_eq!(world.get("/health?model_id=nowhere").await.status, 404);
    let health = world.get("/health?model=other").await.json();
    assert_eq!(
        (entries(&health, "healthy_endpoints"), &health["unhealthy_count"]),
        (vec!["tokyo".to_owned()], &json!(0))
    );
}

#[tokio::test]
async fn health_does_not_wait_forever_for_a_deployment_that_hangs() {
    let world = World::group(&["paris", "virginia"], "timeout: 1").await;
    world.provider.always("paris", Answer::ok().hang());
    let started = std::time::Instant::now();
    let health = world.get("/health").await.json();
    assert_eq!(entries(&health, "unhealthy_endpoints"), ["paris"], "{health}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

/// An answer in mid-body would end the connection, which a client that still sends takes for an
/// error: Claude Code shows ECONNRESET, and no 401.
#[tokio::test]
async fn a_refusal_waits_for_the_body_and_keeps_the_connection() {
    let world = with_master_key().await;
    let body = format!(r#"{{"model":"gpt","messages":[],"user":"{}"}}"#, "u".repeat(3 << 20));
    let mut socket = raw::connect(world.balancer.port).await;
    for length in [Some(body.len()), None, Some(body.len())] {
        let mut request = raw::chat("", length);
        match length {
            Some(_) => request.extend_from_slice(body.as_bytes()),
            None => request.extend_from_slice(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes()),
        }
        let answer = raw::exchange(&mut socket, &request, raw::complete).await;
        assert_eq!(raw::status(&answer), 401, "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("connection: close"), "{length:?}: {answer}");
    }
    assert_eq!(world.logged(3).await[2]["status"], 401);
}
