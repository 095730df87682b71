//! Stories of what providers have beside OpenAI's parameters, as clients and files write it.

use crate::common::{Answer, CHAT, World};
use wasm_bindgen_test::wasm_bindgen_test as story;

const GOOGLES: [&str; 2] = ["gemini/m", "vertex_ai/google/m, vertex_project: p, vertex_location: eu"];

/// What the deployment gets beside its model and the messages.
fn sent(params: &str, path: &str, members: &str) -> String {
    let yaml = format!("model_list:\n- {{model_name: g, litellm_params: {{model: {params}, api_key: k}}}}\n");
    let body = format!(r#"{{"model":"g","messages":[]{members}}}"#);
    let sent = World::of(&yaml).post(path, &[], body.as_bytes(), |_| Answer::Ok).sent.unwrap();
    let (_, rest) = sent.body.split_once(r#""messages":[]"#).unwrap();
    rest.strip_suffix('}').unwrap().to_owned()
}

#[story(unsupported = test)]
fn google_gets_its_own_options_where_it_reads_them() {
    let option = r#""google":{"thinking_config":{"thinking_budget":3}}"#;
    let nested = format!(r#","extra_body":{{{option}}}"#);
    for model in GOOGLES {
        for (params, client) in [
            // A client's extra_body, which OpenAI's SDK has merged once, or has not.
            ("", nested.clone()),
            ("", format!(r#","extra_body":{{"extra_body":{{{option}}}}}"#)),
            (", extra_body: {google: {thinking_config: {thinking_budget: 3}}}", String::new()),
            (", extra_body: {extra_body: {google: {thinking_config: {thinking_budget: 3}}}}", String::new()),
            // The client's go before those of the file.
            (", extra_body: {google: {cached_content: c}}", nested.clone()),
        ] {
            assert_eq!(sent(&format!("{model}{params}"), CHAT, &client), nested, "{model}{params} {client}");
        }
        let both = r#","extra_body":{"seed":1,"google":{"a":2}}"#;
        assert_eq!(sent(model, CHAT, both), r#","seed":1,"extra_body":{"google":{"a":2}}"#);
        let both = r#","extra_body":{"google":1,"extra_body":{"google":2}}"#;
        assert_eq!(sent(model, CHAT, both), r#","google":1,"extra_body":{"google":2}"#, "nothing is lost");
    }
}

/// As LiteLLM sends it, which merges one layer.
#[story(unsupported = test)]
fn an_extra_body_in_an_extra_body_is_a_member_for_the_provider() {
    const MODEL: &str = "openai/m, api_base: 'http://p.test/v1'";
    for (params, client, expected) in [
        ("", r#","extra_body":{"extra_body":{"a":1},"b":2}"#, r#","extra_body":{"a":1},"b":2"#),
        ("", r#","extra_body":{"google":{"a":1}}"#, r#","google":{"a":1}"#),
        (", extra_body: {extra_body: {a: 1}}", "", r#","extra_body":{"a":1}"#),
        (", extra_body: {extra_body: {a: 1}}", r#","extra_body":{"b":2}"#, r#","extra_body":{"a":1},"b":2"#),
        (
            ", extra_body: {extra_body: {a: 1}}",
            r#","extra_body":{"extra_body":{"a":2}}"#,
            r#","extra_body":{"a":2}"#,
        ),
        (
            ", additional_drop_params: [extra_body]",
            r#","extra_body":{"extra_body":{"a":1},"b":2}"#,
            r#","b":2"#,
        ),
    ] {
        assert_eq!(sent(&format!("{MODEL}{params}"), CHAT, client), expected, "{params} {client}");
    }
}

/// LiteLLM takes it out of chats and completions for its own queue.
#[story(unsupported = test)]
fn a_priority_goes_to_servers_that_may_have_a_queue() {
    const EMBEDDINGS: &str = "/v1/embeddings";
    for (model, path, is_sent) in [
        ("hosted_vllm/m, api_base: 'http://p.test/v1'", CHAT, true),
        ("hosted_vllm/m, api_base: 'http://p.test/v1'", "/v1/completions", true),
        ("openai/m, api_base: 'http://p.test/v1'", CHAT, true),
        ("litellm_proxy/m, api_base: 'http://p.test/v1'", CHAT, true),
        ("openai/gpt-4o", CHAT, false),
        ("openai/gpt-4o, api_base: 'https://eu.api.openai.com/v1'", "/v1/completions", false),
        ("gemini/m", CHAT, false),
        ("anthropic/m", CHAT, false),
        ("openai/m", EMBEDDINGS, true),
        ("cohere/rerank-v3.5", "/v1/rerank", true),
    ] {
        let expected = if is_sent { r#","priority":5"# } else { "" };
        assert_eq!(sent(model, path, r#","priority":5"#), expected, "{model} {path}");
        assert_eq!(sent(model, path, r#","extra_body":{"priority":5}"#), expected, "{model} {path}");
    }
    assert_eq!(
        sent("openai/gpt-4o, extra_body: {priority: 1}", CHAT, r#","priority":5"#),
        r#","priority":1"#
    );
}
