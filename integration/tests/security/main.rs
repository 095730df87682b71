//! What a client, a provider or a neighbour on the machine may try, and that it comes to nothing.
//! docs/SECURITY.md names the test of each threat, of other files too.

mod cardinality;
mod frames;
mod headers;
mod machine;
mod patience;
mod responses;
mod secrets;
mod splitting;
mod work;

use fake_provider::Received;
use llm_balancer_integration::World;

/// Headers that a provider gets of a chat, and no others.
const EXPECTED: [&str; 7] =
    ["host", "user-agent", "authorization", "content-type", "content-length", "accept", "transfer-encoding"];

/// Any model, in two attempts: the first one fails at `virginia`, and `paris` serves the second, to
/// which the connection inside Envoy leads.
async fn two_attempts(sections: &str) -> World {
    let item = |name: &str, weight: u32| {
        format!(
            "- {{model_name: '*', litellm_params: {{model: openai/*, api_base: PROVIDER/{name}/v1, api_key: sk-{name}, weight: {weight}}}, model_info: {{id: {name}}}}}\n"
        )
    };
    let items = item("virginia", 1_000_000_000) + &item("paris", 1);
    let config = format!(
        "model_list:\n{items}router_settings: {{num_retries: 1, disable_cooldowns: true}}\n{sections}"
    );
    let world = World::new(&config).await;
    world.provider.always("virginia", fake_provider::Answer::status(503));
    world
}

/// Asserts that a provider got an ordinary chat and nothing besides.
#[track_caller]
fn assert_clean(what: &str, sent: &Received) {
    let name = &sent.name;
    assert_eq!(sent.method, "POST", "{what}");
    assert_eq!(sent.target, format!("/{name}/v1/chat/completions"), "{what}");
    let mut names: Vec<_> = sent.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    for header in &names {
        assert!(EXPECTED.contains(&header.as_str()), "{what}: {header} in {:?}", sent.headers);
    }
    names.dedup();
    assert_eq!(names.len(), sent.headers.len(), "{what}: a header twice in {:?}", sent.headers);
    assert_eq!(sent.header("authorization"), Some(format!("Bearer sk-{name}").as_str()), "{what}");
    assert!(sent.json()["model"].is_string(), "{what}: {}", String::from_utf8_lossy(&sent.body));
}
