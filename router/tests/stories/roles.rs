//! Stories of the role `developer`, which OpenAI's clients write for `system`.

use crate::common::{Answer, CHAT, World};
use wasm_bindgen_test::wasm_bindgen_test as story;

const MESSAGES: &str = r#"[{"role":"developer","content":"be\u00a0brief","name":"n"},{"role":"user","content":[{"role":"developer"}]}, {"content":"developer","role" : "developer"}]"#;

/// The messages with another role in place of `developer`.
fn messages(role: &str) -> String {
    let roles = [r#"[{"role":"developer","#, r#""role" : "developer""#];
    roles.iter().fold(MESSAGES.to_owned(), |text, own| text.replace(own, &own.replace("developer", role)))
}

fn sent(model: &str, path: &str, body: &str) -> String {
    let yaml = format!("model_list:\n- {{model_name: g, litellm_params: {{model: {model}, api_key: k}}}}\n");
    World::of(&yaml).post(path, &[], body.as_bytes(), |_| Answer::Ok).sent.unwrap().body
}

#[story(unsupported = test)]
fn a_provider_gets_the_role_that_it_knows() {
    const AT_SERVER: &str = ", api_base: 'http://server.test/v1'";
    let at_azure = ", api_base: 'https://r.openai.azure.com', api_version: 2024-10-21";
    for (model, params, role) in [
        ("openai/gpt-5", "", "developer"),
        ("openai/gpt-4o", ", api_base: 'https://eu.api.openai.com/v1'", "developer"),
        ("openai/o3-mini", AT_SERVER, "developer"),
        ("openai/qwen", AT_SERVER, "system"),
        ("azure/eu-o3-mini", at_azure, "developer"),
        ("azure/gpt-4o", at_azure, "system"),
        ("azure/mine", at_azure, "system"),
        ("hosted_vllm/qwen", AT_SERVER, "system"),
        ("deepseek/deepseek-chat", "", "system"),
        ("mistral/mistral-small-latest", "", "system"),
        ("groq/llama-3.3-70b", "", "system"),
        ("xai/grok-4", "", "system"),
        ("openrouter/openai/o3", "", "system"),
        ("gemini/gemini-2.5-pro", "", "system"),
        ("anthropic/claude-sonnet-4-5", "", "system"),
    ] {
        let body = sent(
            &format!("{model}{params}"),
            CHAT,
            &format!(r#"{{"model":"g","messages":{MESSAGES},"n":1}}"#),
        );
        assert!(body.ends_with(&format!(r#","messages":{},"n":1}}"#, messages(role))), "{model}: {body}");
    }
}

#[story(unsupported = test)]
fn the_role_is_the_only_change_where_the_model_has_its_name_already() {
    let yaml = "model_list:\n- {model_name: m, litellm_params: {model: deepseek/m, api_key: k}}\n";
    let body = |role: &str| format!(r#"{{"model":"m","messages":{}}}"#, messages(role));
    let sent = World::of(yaml).post(CHAT, &[], body("developer").as_bytes(), |_| Answer::Ok).sent.unwrap();
    assert_eq!(sent.body, body("system"));
    let unchanged =
        r#"{ "messages":[{"role":"user","content":"developer","name":"developer"}], "model":"m"}"#;
    let sent = World::of(yaml).post(CHAT, &[], unchanged.as_bytes(), |_| Answer::Ok).sent.unwrap();
    assert_eq!(sent.body, unchanged);
}

#[story(unsupported = test)]
fn messages_in_an_extra_body_and_beside_drop_paths_have_the_role_too() {
    let body = format!(r#"{{"model":"g","extra_body":{{"messages":{MESSAGES}}}}}"#);
    let expected = format!(r#"{{"model":"m","messages":{}}}"#, messages("system"));
    assert_eq!(sent("deepseek/m", CHAT, &body), expected);
    let body = format!(r#"{{"model":"g","messages":{MESSAGES}}}"#);
    let params = "deepseek/m, additional_drop_params: ['messages[*].name']";
    assert_eq!(sent(params, CHAT, &body), expected.replace(r#","name":"n""#, ""));
}

#[story(unsupported = test)]
fn only_messages_of_chats_have_roles() {
    let input = format!(r#"{{"model":"g","input":{MESSAGES},"messages":{MESSAGES}}}"#);
    let expected = input.replace(r#""g""#, r#""m""#);
    assert_eq!(sent("openai/m, api_base: 'http://server.test/v1'", "/v1/responses", &input), expected);
    let body = format!(r#"{{"model":"g","messages":[],"input":{MESSAGES},"Messages":{MESSAGES}}}"#);
    assert_eq!(sent("deepseek/m", CHAT, &body), body.replace(r#""g""#, r#""m""#));
    for other in ["\"developer\"", r#"{"role":"developer"}"#, r#"[["developer"]]"#] {
        let body = format!(r#"{{"model":"g","messages":{other}}}"#);
        assert_eq!(sent("deepseek/m", CHAT, &body), body.replace(r#""g""#, r#""m""#));
    }
}

#[story(unsupported = test)]
fn each_attempt_has_the_role_of_its_own_provider() {
    let yaml = "model_list:
- {model_name: g, litellm_params: {model: deepseek/m, api_key: k}, model_info: {id: deepseek}}
- {model_name: o, litellm_params: {model: openai/m, api_key: k}, model_info: {id: openai}}
router_settings: {num_retries: 0, fallbacks: [{g: [o]}, {o: [g]}]}
";
    for (model, last, role) in [("g", "openai", "developer"), ("o", "deepseek", "system")] {
        let body = format!(r#"{{"model":"{model}","messages":{MESSAGES}}}"#);
        let answer = |id: &str| if id == last { Answer::Ok } else { Answer::Status(500) };
        let response = World::of(yaml).post(CHAT, &[], body.as_bytes(), answer);
        assert_eq!(response.called.len(), 2);
        assert_eq!(response.sent.unwrap().body, format!(r#"{{"model":"m","messages":{}}}"#, messages(role)));
    }
}
