//! Stories of the request that a provider gets.

use crate::common::{Answer, CHAT, Sent, World};
use wasm_bindgen_test::wasm_bindgen_test as story;

fn file(params: &str) -> String {
    format!(
        "model_list:\n- model_name: g\n  litellm_params: {{model: openai/m, api_base: 'http://p.test:8080/v1/', api_key: sk-provider{params}}}\n"
    )
}

fn sent(yaml: &str, headers: &[(&str, &str)], body: &str) -> Sent {
    World::of(yaml).post(CHAT, headers, body.as_bytes(), |_| Answer::Ok).sent.unwrap()
}

fn body_of(params: &str, body: &str) -> serde_json::Value {
    serde_json::from_str(&sent(&file(params), &[], body).body).unwrap()
}

#[story(unsupported = test)]
fn a_provider_is_addressed_as_its_own_client_would() {
    let client = [
        ("authorization", "Bearer sk-client"),
        ("x-api-key", "sk-client"),
        ("cookie", "a=b"),
        ("x-custom", "c"),
        ("x-envoy-max-retries", "9"),
        ("x-litellm-timeout", "5"),
        ("accept", "text/event-stream"),
    ];
    let sent = sent(&file(", extra_headers: {X-Team: blue}"), &client, r#"{"model":"g","messages":[]}"#);
    let expected = [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        (":authority", "p.test:8080"),
        (":scheme", "http"),
        ("authorization", "Bearer sk-provider"),
        ("x-team", "blue"),
        ("content-type", "application/json"),
        ("accept", "text/event-stream"),
        ("x-envoy-upstream-rq-timeout-ms", "5000"),
        ("content-length", "27"),
    ];
    for (name, value) in expected {
        assert_eq!(sent.header(name), value, "{name}");
    }
    let known: Vec<&str> =
        expected.iter().map(|(name, _)| *name).chain(["user-agent", "x-forwarded-proto"]).collect();
    let others: Vec<&str> =
        sent.headers.iter().map(|(name, _)| name).filter(|name| !known.contains(name)).collect();
    assert!(others.is_empty(), "also sent: {others:?}");
}

#[story(unsupported = test)]
fn a_body_that_needs_no_change_is_sent_unchanged() {
    let body = r#"{ "messages": [] , "model":"m", "temperature": 0.50 }"#;
    let yaml = file("").replace("model_name: g", "model_name: m");
    assert_eq!(sent(&yaml, &[], body).body, body);
}

#[story(unsupported = test)]
fn only_the_model_changes_and_everything_else_keeps_its_bytes() {
    let body = r#"{"messages":[{"content":"h\u00e9 é"}],"model":"g","temperature":0.50,"foo":{"b": 1}}"#;
    let expected = r#"{"model":"m","messages":[{"content":"h\u00e9 é"}],"temperature":0.50,"foo":{"b": 1}}"#;
    assert_eq!(sent(&file(""), &[], body).body, expected);
}

#[story(unsupported = test)]
fn of_two_models_the_last_counts_and_one_is_sent() {
    let sent = sent(&file(""), &[], r#"{"model":"nowhere","messages":[],"model":"g"}"#);
    assert_eq!(sent.body, r#"{"model":"m","messages":[]}"#);
}

#[story(unsupported = test)]
fn parameters_of_the_router_are_not_sent() {
    let json = body_of(
        "",
        r#"{"model":"g","messages":[],"metadata":{"tags":["a"]},"tags":["a"],"fallbacks":["x"],"num_retries":1,
            "timeout":3,"max_retries":2,"mock_response":"hi","mock_testing_fallbacks":false,"api_key":"sk",
            "litellm_call_id":"1","weight":1,"model_info":{},"base_model":"b","max_parallel_requests":1,
            "merge_reasoning_content_in_choices":true,"enable_json_schema_validation":true,
            "stream":false,"stream_options":{"include_usage":true},
            "user":"u","store":false,"foo":1}"#,
    );
    let mut keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["foo", "messages", "model", "store", "user"]);
}

#[story(unsupported = test)]
fn metadata_goes_with_a_chat_that_is_stored_but_for_the_routers_tags() {
    for (params, members, expected) in [
        ("", r#""store":true,"metadata":{"a":"1"}"#, r#"{"a":"1"}"#),
        ("", r#""store":true,"metadata":{"tags":["x"],"a":"\u00e9"}"#, r#"{"a":"\u00e9"}"#),
        ("", r#""store":true,"metadata":{"tags":["x"]}"#, "{}"),
        ("", r#""store":true,"metadata":{"tags":"x"}"#, r#"{"tags":"x"}"#),
        ("", r#""store":true,"metadata":null"#, "null"),
        (", store: true", r#""metadata":{"a":"1"}"#, r#"{"a":"1"}"#),
        (", extra_body: {store: true}", r#""store":false,"metadata":{"a":"1"}"#, r#"{"a":"1"}"#),
        (", extra_body: {store: false}", r#""store":true,"metadata":{"a":"1"}"#, ""),
        (", additional_drop_params: [metadata]", r#""store":true,"metadata":{"a":"1"}"#, ""),
        ("", r#""store":"true","metadata":{"a":"1"}"#, ""),
        ("", r#""metadata":{"a":"1"}"#, ""),
    ] {
        let sent = sent(&file(params), &[], &format!(r#"{{"model":"g","messages":[],{members}}}"#)).body;
        let metadata = sent.split_once(r#""metadata":"#).map_or("", |(_, rest)| rest);
        assert!(
            metadata.starts_with(expected) && metadata.is_empty() == expected.is_empty(),
            "{params} {sent}"
        );
    }
}

#[story(unsupported = test)]
fn of_two_members_of_one_name_the_last_is_sent() {
    let yaml = file("").replace("model_name: g", "model_name: m");
    let body = r#"{"model":"m","temperature":1,"messages":[1],"temp\u0065rature":0,"messages":[]}"#;
    assert_eq!(sent(&yaml, &[], body).body, r#"{"model":"m","temp\u0065rature":0,"messages":[]}"#);
}

#[story(unsupported = test)]
fn the_spelling_of_client_libraries_is_kept_byte_by_byte() {
    let yaml = file("").replace("model_name: g", "model_name: m");
    for (body, expected) in [
        // A byte order mark, which a provider might not read.
        ("\u{feff}{\"model\":\"m\",\"n\":1}", r#"{"model":"m","n":1}"#),
        (r#"{"mod\u0065l":"\u006d","n":1}"#, r#"{"mod\u0065l":"\u006d","n":1}"#),
        (r#"{"model":"m","\ud800":"\udc00","n":1e400}"#, r#"{"model":"m","\ud800":"\udc00","n":1e400}"#),
        (
            r#"{"model":"m","\ud83d\ude00":123456789012345678901234567890}"#,
            r#"{"model":"m","\ud83d\ude00":123456789012345678901234567890}"#,
        ),
    ] {
        assert_eq!(sent(&yaml, &[], body).body, expected);
    }
    let renamed = sent(&file(""), &[], r#"{"model":"g","\ud800":1,"a\"b":2}"#);
    assert_eq!(renamed.body, r#"{"model":"m","\ud800":1,"a\"b":2}"#);
}

#[story(unsupported = test)]
fn no_spelling_of_a_name_evades_what_is_set_or_dropped() {
    let params = ", extra_body: {seed: 1, TopK: 2}, additional_drop_params: [user, logitBias]";
    let body = r#"{"model":"g","messages":[],"Model":"evil","MODEL":"evil","mode\u006c ":1,"Stream":true,"STREAM_OPTIONS":{},
        "\u017ftream":true,"Seed":9,"topk":9,"USER":"u","logitbias":{},"Api_Key":"sk","Metadata":{"a":"1"},"Fallbacks":[],
        "extra_body":{"Model":"evil","SEED":9,"Aws_Region":"x","Temperature":1},"Other":2}"#;
    let sent = body_of(params, body);
    let mut keys: Vec<&String> = sent.as_object().unwrap().keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["Other", "Temperature", "TopK", "messages", "model", "mode\u{6c} ", "seed"]);
    assert_eq!((&sent["model"], &sent["seed"], &sent["TopK"]), (&"m".into(), &1.into(), &2.into()));
}

#[story(unsupported = test)]
fn another_spelling_of_model_is_dropped_even_where_nothing_else_changes() {
    let yaml = file("").replace("model_name: g", "model_name: m");
    assert_eq!(sent(&yaml, &[], r#"{"model":"m","MODEL":"evil","n":1}"#).body, r#"{"model":"m","n":1}"#);
    let response = World::of(&yaml).post(CHAT, &[], br#"{"Model":"m","messages":[]}"#, |_| Answer::Ok);
    assert_eq!(response.status, 400, "it is no model's name");
}

#[story(unsupported = test)]
fn a_stream_keeps_its_options() {
    let json =
        body_of("", r#"{"model":"g","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#);
    assert_eq!(json["stream"], true);
    assert_eq!(json["stream_options"]["include_usage"], true);
}

#[story(unsupported = test)]
fn a_deployments_defaults_fill_in_and_its_extra_body_overrides() {
    let params =
        ", temperature: 0.5, max_tokens: 10, extra_body: {top_k: 3, seed: 1}, additional_drop_params: [user]";
    let json = body_of(
        params,
        r#"{"model":"g","messages":[],"max_tokens":99,"temperature":null,"seed":7,"user":"u"}"#,
    );
    assert_eq!(json["temperature"], 0.5);
    assert_eq!(json["max_tokens"], 99);
    assert_eq!(json["top_k"], 3);
    assert_eq!(json["seed"], 1);
    assert!(json.get("user").is_none());
}

/// SDKs write null for what a program did not set, and a bound of the file has to hold then.
#[story(unsupported = test)]
fn a_clients_null_leaves_the_deployments_parameter() {
    for (params, expected) in [(", max_tokens: 100", "100"), ("", "null")] {
        let sent = sent(&file(params), &[], r#"{"model":"g","max_tokens":null}"#).body;
        assert!(sent.ends_with(&format!(r#""max_tokens":{expected}}}"#)), "{params}: {sent}");
    }
}

/// As in LiteLLM, where what OpenAI does not have is merged into extra_body.
#[story(unsupported = test)]
fn a_client_overrides_members_of_extra_body_that_are_not_openais() {
    let params = ", extra_body: {chat_template_kwargs: {enable_thinking: false}, seed: 1}";
    for (members, expected) in [
        ("", r#""chat_template_kwargs":{"enable_thinking":false},"seed":1"#),
        (r#""chat_template_kwargs":{"a":1},"seed":2"#, r#""chat_template_kwargs":{"a":1},"seed":1"#),
        (r#""chat_template_kwargs":null"#, r#""chat_template_kwargs":{"enable_thinking":false},"seed":1"#),
        (r#""extra_body":{"chat_template_kwargs":{"a":1}}"#, r#""seed":1,"chat_template_kwargs":{"a":1}"#),
        (r#""Chat_Template_Kwargs":{"a":1}"#, r#""chat_template_kwargs":{"enable_thinking":false},"seed":1"#),
    ] {
        let members = if members.is_empty() { String::new() } else { format!(",{members}") };
        let body = sent(&file(params), &[], &format!(r#"{{"model":"g","messages":[]{members}}}"#)).body;
        assert_eq!(body, format!(r#"{{"model":"m","messages":[],{expected}}}"#), "{members}");
    }
}

#[story(unsupported = test)]
fn what_a_client_may_not_send_does_not_take_the_place_of_extra_body() {
    for (params, member) in [
        (", extra_body: {ttl: 1}", r#""ttl":5"#),
        (", extra_body: {top_k: 1}, additional_drop_params: [top_k]", r#""top_k":5"#),
    ] {
        let body = sent(&file(params), &[], &format!(r#"{{"model":"g",{member}}}"#)).body;
        assert_eq!(body, format!(r#"{{"model":"m",{}}}"#, member.replace('5', "1")), "{params}");
    }
}

#[story(unsupported = test)]
fn the_files_max_tokens_has_the_name_that_the_model_knows_and_gives_way_to_both() {
    for (model, members, expected) in [
        ("openai/gpt-5-mini", "", [None, Some(5)]),
        ("openai/o3-mini", "", [None, Some(5)]),
        ("openai/gpt-4o", "", [Some(5), None]),
        ("hosted_vllm/gpt-5", "", [Some(5), None]),
        ("openai/gpt-5", r#","max_completion_tokens":7"#, [None, Some(7)]),
        ("openai/gpt-4o", r#","max_completion_tokens":7"#, [None, Some(7)]),
        ("openai/gpt-5", r#","max_tokens":7"#, [None, Some(7)]),
    ] {
        let yaml = file(", max_tokens: 5").replace("openai/m", model);
        let body = sent(&yaml, &[], &format!(r#"{{"model":"g","messages":[]{members}}}"#)).body;
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        let found = ["max_tokens", "max_completion_tokens"].map(|key| json.get(key).and_then(|n| n.as_u64()));
        assert_eq!(found, expected, "{model} {members}");
    }
}

#[story(unsupported = test)]
fn a_file_with_both_names_of_max_tokens_sends_one() {
    for (params, expected) in [
        (", max_tokens: 5, max_completion_tokens: 7", r#""max_completion_tokens":7"#),
        (", max_tokens: 5, extra_body: {max_completion_tokens: 7}", r#""max_completion_tokens":7"#),
        (", max_completion_tokens: 7, extra_body: {max_tokens: 5}", r#""max_tokens":5"#),
    ] {
        let yaml = file(params).replace("openai/m", "openai/gpt-5");
        let body = sent(&yaml, &[], r#"{"model":"g","messages":[]}"#).body;
        assert_eq!(body, format!(r#"{{"model":"gpt-5","messages":[],{expected}}}"#), "{params}");
    }
}

#[story(unsupported = test)]
fn a_deployments_extra_body_does_not_name_a_second_model() {
    for name in ["model", "Model"] {
        let yaml = file(&format!(", extra_body: {{{name}: other, seed: 1}}"));
        assert_eq!(sent(&yaml, &[], r#"{"model":"g"}"#).body, r#"{"model":"m","seed":1}"#, "{name}");
    }
}

#[story(unsupported = test)]
fn a_clients_extra_body_is_merged() {
    let json = body_of("", r#"{"model":"g","messages":[],"top_k":1,"extra_body":{"top_k":5,"guided":"x"}}"#);
    assert_eq!(json["top_k"], 5);
    assert_eq!(json["guided"], "x");
    assert!(json.get("extra_body").is_none());
}

#[story(unsupported = test)]
fn azure_is_addressed_by_its_deployments_path_and_api_key() {
    let yaml = "model_list:\n- model_name: g\n  litellm_params: {model: azure/gpt 35, api_base: 'https://r.openai.azure.com', api_key: az, api_version: 2024-06-01}\n";
    let sent = sent(yaml, &[], r#"{"model":"g","messages":[]}"#);
    assert_eq!(sent.header(":path"), "/openai/deployments/gpt%2035/chat/completions?api-version=2024-06-01");
    assert_eq!(sent.header("api-key"), "az");
    assert_eq!(sent.header("authorization"), "");
    assert_eq!(sent.header(":authority"), "r.openai.azure.com");
    assert_eq!(sent.header(":scheme"), "https");
}

#[story(unsupported = test)]
fn a_form_gets_the_deployments_model_wherever_the_field_is() {
    let form = "--X\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nbytes\r\n\
                --X\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ng\r\n\
                --X\r\ncontent-disposition: form-data; name=\"num_retries\"\r\n\r\n1\r\n--X--\r\n";
    let mut world = World::of(&file(""));
    let kind = ("content-type", "multipart/form-data; boundary=X");
    let response = world.post("/v1/audio/transcriptions", &[kind], form.as_bytes(), |_| Answer::Status(500));
    assert_eq!(response.called.len(), 2, "num_retries in a form counts");
    let sent = response.sent.unwrap();
    assert_eq!(sent.header("content-type"), kind.1);
    assert!(sent.body.contains("name=\"model\"\r\n\r\nm\r\n"), "{}", sent.body);
    assert!(!sent.body.contains("num_retries"), "{}", sent.body);
    assert!(sent.body.contains("\r\n\r\nbytes\r\n"), "{}", sent.body);
}

#[story(unsupported = test)]
fn a_time_limit_is_the_clients_then_the_deployments_then_the_routers() {
    const WHOLE: &str = "x-envoy-upstream-rq-timeout-ms";
    const GAPS: &str = "x-envoy-upstream-rq-per-try-timeout-ms";
    let router = "router_settings: {timeout: 30, stream_timeout: 20}\n";
    let both = "litellm_settings: {request_timeout: 10}\n";
    for (params, settings, members, name, milliseconds) in [
        ("", "", "", WHOLE, "6000000"),
        ("", router, "", WHOLE, "30000"),
        ("", &(router.to_owned() + both), "", WHOLE, "10000"),
        (", timeout: 1", router, "", WHOLE, "1000"),
        (", timeout: 1", router, r#","timeout":2"#, WHOLE, "2000"),
        ("", router, r#","stream":true"#, GAPS, "20000"),
        (", stream_timeout: 0.5", router, r#","stream":true"#, GAPS, "500"),
        (", stream_timeout: 0.5", router, r#","stream":true,"stream_timeout":0.25"#, GAPS, "250"),
        (", timeout: 3", "", r#","stream":true"#, GAPS, "3000"),
        // Envoy takes no limit at all of a number that it cannot hold.
        ("", "", r#","timeout":1e19"#, WHOLE, "2147483647"),
        ("", "", r#","timeout":1e400"#, WHOLE, "2147483647"),
        (", timeout: 1000000000000", "", "", WHOLE, "2147483647"),
        ("", "", r#","stream":true,"stream_timeout":"1e19""#, GAPS, "2147483647"),
        ("", "", r#","timeout":"0.5""#, WHOLE, "500"),
    ] {
        let body = format!(r#"{{"model":"g","messages":[]{members}}}"#);
        let sent = sent(&(file(params) + settings), &[], &body);
        assert_eq!(sent.header(name), milliseconds, "{params} {settings} {members}");
        assert_eq!(
            sent.header(if name == WHOLE { GAPS } else { WHOLE }),
            "",
            "{params} {settings} {members}"
        );
    }
}

#[story(unsupported = test)]
fn an_extra_body_does_not_evade_what_is_dropped() {
    let body = r#"{"model":"g","messages":[],"extra_body":{"api_base":"http://evil","mock_response":"x","stream":true,"model":"x","top_k":1}}"#;
    let json = body_of("", body);
    let mut keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["messages", "model", "top_k"]);
    assert_eq!(json["model"], "m");
}

#[story(unsupported = test)]
fn an_operators_own_header_replaces_ours() {
    let sent = sent(
        &file(", extra_headers: {User-Agent: mine, Authorization: Token t}"),
        &[],
        r#"{"model":"g","messages":[]}"#,
    );
    for (name, value) in [("user-agent", "mine"), ("authorization", "Token t")] {
        let values: Vec<&str> =
            sent.headers.iter().filter(|(key, _)| *key == name).map(|(_, value)| value).collect();
        assert_eq!(values, [value], "{name}");
    }
}

#[story(unsupported = test)]
fn a_request_without_a_body_is_answered_at_once() {
    let world = World::of(&file(""));
    for path in ["/v1/responses?model=g", "/engines/g/chat/completions", "/v1/audio/transcriptions"] {
        let headers = [(":method", "POST"), (":path", path), ("content-length", "0")].into_iter().collect();
        match world.router.on_request_headers(&headers, true) {
            llm_balancer_router::Arrival::Reply(reply, _) => assert_eq!(reply.status, 400, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[story(unsupported = test)]
fn members_are_dropped_by_path_wherever_the_client_puts_them() {
    let params = ", additional_drop_params: ['reasoning.summary', 'tools[*].strict', 'messages[0].name']";
    let json = body_of(
        params,
        r#"{"model":"g","messages":[{"role":"user","name":"n"},{"role":"user","name":"m"}],
            "reasoning":{"summary":"auto","effort":"low"},"tools":[{"strict":true,"type":"function"},{"x":1.50}],
            "extra_body":{"reasoning":{"summary":"auto"}}}"#,
    );
    assert_eq!(json["messages"].to_string(), r#"[{"role":"user"},{"role":"user","name":"m"}]"#);
    assert_eq!(json["tools"].to_string(), r#"[{"type":"function"},{"x":1.5}]"#);
    assert_eq!(json["reasoning"].to_string(), "{}", "what an SDK merges counts, too");
    let untouched = body_of(params, r#"{"model":"g","messages":[],"reasoning":{"effort":"low"}}"#);
    assert_eq!(untouched["reasoning"].to_string(), r#"{"effort":"low"}"#);
}

#[story(unsupported = test)]
fn compacting_and_counting_get_the_parameters_of_the_file_that_they_have() {
    let parameters = ", temperature: 0.5, reasoning_effort: low, max_tokens: 9, service_tier: flex, extra_body: {truncation: auto, top_k: 3}";
    let mut world = World::of(&file(parameters));
    let mut sent = |route: &str| {
        let path = format!("/v1/responses{route}");
        world.post(&path, &[], br#"{"model":"g","input":"hi"}"#, |_| Answer::Ok).sent.unwrap().body
    };
    assert_eq!(
        sent("/input_tokens"),
        r#"{"model":"m","input":"hi","truncation":"auto","reasoning":{"effort":"low"}}"#
    );
    assert_eq!(sent("/compact"), r#"{"model":"m","input":"hi","service_tier":"flex"}"#);
}
