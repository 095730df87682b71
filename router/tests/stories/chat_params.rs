//! Stories of chat parameters that have another name at a provider, or that it refuses.

use crate::common::{Answer, CHAT, World};
use wasm_bindgen_test::wasm_bindgen_test as story;

/// The body that a deployment of that model gets, without `model` and `messages`.
fn sent_to(route: &str, model: &str, params: &str, settings: &str, members: &str) -> String {
    let yaml = format!(
        "model_list:\n- model_name: g\n  litellm_params: {{model: {model}, api_base: 'http://p.test:8080/v1', api_key: k{params}}}\nlitellm_settings: {{{settings}}}\n"
    );
    let body = format!(r#"{{"model":"g","messages":[],{members}}}"#);
    let sent = World::of(&yaml).post(route, &[], body.as_bytes(), |_| Answer::Ok).sent.unwrap();
    let (_, rest) = sent.body.split_once(r#""messages":[]"#).expect("messages");
    let rest = rest.strip_suffix('}').expect("an object");
    rest.trim_start_matches(',').to_owned()
}

fn sent(model: &str, params: &str, members: &str) -> String {
    sent_to(CHAT, model, params, "", members)
}

fn sent_with_drop_params(model: &str, params: &str, members: &str) -> String {
    sent_to(CHAT, model, params, "drop_params: true", members)
}

#[story(unsupported = test)]
fn the_limit_of_an_answer_has_the_name_that_its_model_knows() {
    let (older, newer) = (r#""max_tokens":7"#, r#""max_completion_tokens":7"#);
    for (model, client, expected) in [
        ("openai/gpt-4o", older, older),
        ("openai/gpt-4o", newer, newer),
        ("openai/gpt-5-mini", older, newer),
        ("openai/gpt-5-mini", newer, newer),
        ("openai/gpt-5-chat-latest", older, older),
        ("openai/gpt-6-sol", older, newer),
        ("azure/gpt-5-chat", older, newer),
        ("azure/eu-o3-mini", older, newer),
        ("openai/o3", older, newer),
        ("openai/mine", newer, newer),
        ("azure/my-gpt-5", older, newer),
        ("azure/gpt5_series/mine", older, newer),
        ("azure/o_series/mine", older, newer),
        ("azure/mine", older, older),
        ("mistral/mistral-small-latest", newer, older),
        ("mistral/mistral-small-latest", older, older),
        ("deepseek/deepseek-chat", newer, older),
        ("groq/llama-3.3-70b", newer, older),
        ("ollama/llama3", newer, older),
        ("together_ai/meta-llama/Llama-3.3-70B", newer, older),
        ("poe/gpt-5", newer, newer),
        ("hosted_vllm/qwen", newer, newer),
        ("openrouter/openai/gpt-5", older, older),
        ("anthropic/claude-sonnet-4-5", newer, newer),
    ] {
        assert_eq!(sent(model, "", client), expected, "{model} {client}");
    }
}

#[story(unsupported = test)]
fn a_limit_under_both_names_is_sent_under_one() {
    let both = r#""max_tokens":7,"max_completion_tokens":9"#;
    assert_eq!(sent("openai/o3", "", both), r#""max_completion_tokens":9"#);
    assert_eq!(sent("mistral/m", "", both), r#""max_tokens":7"#);
    assert_eq!(sent("openai/gpt-4o", "", both), both);
    let one_is_null = r#""max_tokens":null,"max_completion_tokens":9"#;
    assert_eq!(sent("mistral/m", "", one_is_null), r#""max_tokens":9"#);
    assert_eq!(sent("openai/o3", "", one_is_null), r#""max_completion_tokens":9"#);
    let other_case = r#""Max_Tokens":1,"max_completion_tokens":9"#;
    assert_eq!(sent("mistral/m", "", other_case), r#""max_tokens":9"#);
}

#[story(unsupported = test)]
fn a_limit_of_the_file_and_one_of_the_client_are_sent_under_one_name() {
    let client = r#""max_completion_tokens":9"#;
    assert_eq!(sent("mistral/m", ", max_tokens: 5", client), r#""max_tokens":9"#);
    assert_eq!(sent("mistral/m", ", max_completion_tokens: 5", r#""n":1"#), r#""n":1,"max_tokens":5"#);
    assert_eq!(
        sent("mistral/m", ", max_completion_tokens: 5, max_tokens: 4", r#""n":1"#),
        r#""n":1,"max_tokens":5"#
    );
    assert_eq!(sent("openai/o3", ", max_tokens: 5", r#""n":1"#), r#""n":1,"max_completion_tokens":5"#);
    assert_eq!(sent("openai/o3", ", max_tokens: 5", r#""max_tokens":9"#), r#""max_completion_tokens":9"#);
    assert_eq!(sent("mistral/m", ", extra_body: {max_tokens: 5}", client), r#""max_tokens":5"#);
    assert_eq!(sent("mistral/m", "", r#""extra_body":{"max_completion_tokens":9}"#), r#""max_tokens":9"#);
}

#[story(unsupported = test)]
fn mistral_gets_a_seed_under_its_own_name_and_no_user() {
    let client = r#""seed":3,"user":"u","safe_prompt":true"#;
    assert_eq!(sent("mistral/m", "", client), r#""random_seed":3,"safe_prompt":true"#);
    assert_eq!(sent("mistral/m", "", r#""seed":null,"random_seed":4"#), r#""random_seed":4"#);
    assert_eq!(sent("mistral/m", ", seed: 5", r#""n":1"#), r#""n":1,"random_seed":5"#);
    assert_eq!(sent("mistral/m", ", seed: 5", r#""random_seed":4"#), r#""random_seed":4"#);
    assert_eq!(sent("openai/gpt-4o", "", client), client);
}

#[story(unsupported = test)]
fn moonshots_models_that_reason_get_no_temperature() {
    let client = r#""temperature":0.7,"n":1"#;
    assert_eq!(sent("moonshot/kimi-k2.6", "", client), r#""n":1"#);
    assert_eq!(sent("moonshot/kimi-k2.6", ", temperature: 0.5", r#""n":1"#), r#""n":1"#);
    assert_eq!(sent("moonshot/kimi-k2-0905-preview", "", client), client);
    let allowed = ", allowed_openai_params: [temperature]";
    assert_eq!(sent("moonshot/kimi-k2.6", allowed, client), client);
}

#[story(unsupported = test)]
fn drop_params_removes_what_a_model_refuses_and_nothing_else() {
    for (model, client, expected) in [
        ("openai/gpt-5", r#""temperature":0.7,"top_p":1,"stop":["a"],"n":2"#, r#""n":2"#),
        ("openai/gpt-5.2", r#""temperature":0.7,"stop":["a"]"#, r#""temperature":0.7"#),
        ("openai/gpt-5.5", r#""temperature":0.7,"n":2"#, r#""n":2"#),
        ("openai/gpt-6-sol", r#""temperature":0.7,"n":2"#, r#""n":2"#),
        ("openai/gpt-5.2", r#""temperature":0.7,"reasoning_effort":"high""#, r#""reasoning_effort":"high""#),
        (
            "openai/gpt-5.2",
            r#""temperature":0.7,"reasoning_effort":"none""#,
            r#""temperature":0.7,"reasoning_effort":"none""#,
        ),
        ("openai/o3-mini", r#""temperature":0.7,"logprobs":true,"stop":["a"]"#, r#""stop":["a"]"#),
        ("openai/gpt-4o", r#""temperature":0.7,"reasoning_effort":"low""#, r#""temperature":0.7"#),
        ("azure/gpt5_series/mine", r#""top_p":0.9,"n":2"#, r#""n":2"#),
        ("openai/mine", r#""temperature":0.7,"user":"u""#, r#""temperature":0.7,"user":"u""#),
        ("mistral/m", r#""logprobs":true,"store":false,"n":2"#, r#""n":2"#),
        ("groq/llama-3.3-70b", r#""verbosity":"low","logprobs":true"#, r#""logprobs":true"#),
        ("groq/llama-3.3-70b", r#""reasoning_effort":"low","n":2"#, r#""n":2"#),
        ("groq/openai/gpt-oss-120b", r#""reasoning_effort":"low""#, r#""reasoning_effort":"low""#),
        ("xai/grok-4.3", r#""stop":["a"],"presence_penalty":1"#, r#""presence_penalty":1"#),
        ("hosted_vllm/qwen", r#""user":"u","logprobs":true"#, r#""user":"u","logprobs":true"#),
        ("cerebras/llama", r#""tools":[],"response_format":{},"n":2"#, r#""tools":[],"response_format":{}"#),
    ] {
        assert_eq!(sent_with_drop_params(model, "", client), expected, "{model} {client}");
        let as_sent = sent(model, "", client);
        assert_eq!(as_sent, client, "without drop_params");
    }
}

#[story(unsupported = test)]
fn drop_params_counts_for_a_deployment_and_for_what_the_file_sends() {
    let client = r#""temperature":0.7,"n":2"#;
    assert_eq!(sent("openai/gpt-5", ", drop_params: true", client), r#""n":2"#);
    assert_eq!(sent_with_drop_params("openai/gpt-5", ", top_p: 0.5", client), r#""n":2"#);
    assert_eq!(
        sent_with_drop_params("openai/gpt-5", ", reasoning_effort: low", client),
        r#""n":2,"reasoning_effort":"low""#
    );
    let allowed = ", allowed_openai_params: [temperature]";
    assert_eq!(sent_with_drop_params("openai/gpt-5", allowed, client), client);
    let in_extra_body = r#""extra_body":{"temperature":0.7,"top_k":1}"#;
    assert_eq!(sent_with_drop_params("openai/gpt-5", "", in_extra_body), r#""top_k":1"#);
}

#[story(unsupported = test)]
fn only_chats_have_their_parameters_renamed_and_dropped() {
    for route in ["/v1/completions", "/v1/responses", "/v1/embeddings"] {
        let client = r#""input":"a","prompt":"b","max_tokens":7,"temperature":0.7"#;
        assert_eq!(sent_to(route, "openai/gpt-5", "", "drop_params: true", client), client, "{route}");
    }
}

#[story(unsupported = test)]
fn a_wildcard_has_the_names_of_the_requested_model() {
    let yaml = "model_list:\n- model_name: '*'\n  litellm_params: {model: 'openai/*', api_base: 'http://p.test:8080/v1', api_key: k, drop_params: true}\n";
    for (model, expected) in
        [("o3", r#""max_completion_tokens":7"#), ("gpt-4o", r#""max_tokens":7,"top_p":1"#)]
    {
        let body = format!(r#"{{"model":"{model}","messages":[],"max_tokens":7,"top_p":1}}"#);
        let sent = World::of(yaml).post(CHAT, &[], body.as_bytes(), |_| Answer::Ok).sent.unwrap();
        assert_eq!(sent.body, format!(r#"{{"model":"{model}","messages":[],{expected}}}"#));
    }
}

/// Null, a value or nothing under each of both names, from the client and from the file.
#[story(unsupported = test)]
fn a_parameter_with_two_names_is_sent_once_whoever_sets_it() {
    let lengths = ["max_tokens", "max_completion_tokens"];
    let seeds = ["seed", "random_seed"];
    for (model, names, sent_name) in [
        ("mistral/m", lengths, "max_tokens"),
        ("mistral/m", seeds, "random_seed"),
        ("openai/o3", lengths, "max_completion_tokens"),
    ] {
        let [old, new] = names;
        // extra_body is sent as it is written.
        let extra = format!(", extra_body: {{{sent_name}: 4}}");
        for file in
            ["", &format!(", {old}: 4"), &format!(", {new}: 4"), &format!(", {old}: 4, {new}: 5"), &extra]
        {
            for choice in 0..9 {
                let member = |name: &str, choice| match choice {
                    0 => String::new(),
                    1 => format!(r#""{name}":null,"#),
                    _ => format!(r#""{name}":9,"#),
                };
                let client = member(old, choice % 3) + &member(new, choice / 3) + r#""n":1"#;
                let sent = sent(model, file, &client);
                let count = |name: &str| sent.matches(&format!("\"{name}\":")).count();
                let is_set = !file.is_empty() || client.contains(":9");
                assert_eq!(count(old) + count(new), count(sent_name), "{model}{file} {client}: {sent}");
                assert!(count(sent_name) <= 1, "{model}{file} {client}: {sent}");
                assert_eq!(
                    is_set,
                    sent.contains(&format!("\"{sent_name}\":")) && !sent.contains("null"),
                    "{model}{file} {client}: {sent}"
                );
            }
        }
    }
}
