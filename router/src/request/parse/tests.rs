use std::time::Duration;

use super::*;
use crate::http::route::Route;

fn request(path: &str, headers: &[(&str, &str)]) -> Result<Request, Refusal> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let Route::Model(route, model) = Route::parse(path) else { panic!("{path} is no model route") };
    let allowed = AllowedParams { tags: true, ..AllowedParams::default() };
    Request::new(route, model.as_deref(), query, &headers.iter().copied().collect(), allowed)
}

fn chat() -> Request {
    request("/v1/chat/completions", &[("x-litellm-num-retries", "1"), ("x-litellm-timeout", "0.5")]).unwrap()
}

#[test]
fn a_proxy_in_front_limits_what_a_body_may_set() {
    let chat = chat();
    let body =
        br#"{"model":"g","messages":[],"num_retries":5.0,"timeout":60,"stream_timeout":7,"stream":true}"#;
    let parsed = chat.parsed(body).unwrap();
    assert_eq!(parsed.model, "g");
    assert_eq!(parsed.overrides.num_retries, Some(1));
    assert_eq!(parsed.overrides.timeout, Some(Duration::from_millis(500)));
    assert_eq!(parsed.overrides.stream_timeout, Some(Duration::from_secs(7)), "no header sets it");
    assert!(parsed.stream);
    let other_name = br#"{"model":"g","messages":[],"request_timeout":60}"#;
    assert_eq!(chat.parsed(other_name).unwrap().overrides.timeout, Some(Duration::from_millis(500)));
    let stream = request("/v1/embeddings", &[("x-litellm-stream-timeout", "2")]).unwrap();
    let parsed = stream.parsed(br#"{"model":"g","stream_timeout":7,"timeout":3,"num_retries":4}"#).unwrap();
    assert_eq!(parsed.overrides.stream_timeout, Some(Duration::from_secs(2)));
    let (retries, timeout) = (parsed.overrides.num_retries, parsed.overrides.timeout);
    assert_eq!((retries, timeout), (Some(4), Some(Duration::from_secs(3))));
}

#[test]
fn path_and_query_go_before_the_body() {
    for path in ["/engines/a/chat/completions", "/chat/completions?x=1&model=a"] {
        let request = request(path, &[]).unwrap();
        assert_eq!(request.parsed(br#"{"model":"b","messages":[]}"#).unwrap().model, "a", "{path}");
    }
}

#[test]
fn what_is_wrong_with_a_body_is_said() {
    let unnamed = |model: Option<&str>| {
        let model = model.map(str::to_owned);
        Refusal::Unresolved(model, Unresolved::Unknown, "/chat/completions")
    };
    for (body, expected) in [
        ("", Refusal::Malformed("the body is empty, or not in the encoding of its content-encoding".into())),
        ("[]", Refusal::NotAnObject),
        ("{}", unnamed(None)),
        (r#"{"messages":[]}"#, unnamed(None)),
        (r#"{"messages":[],"model":null}"#, unnamed(None)),
        (r#"{"messages":[],"model":""}"#, unnamed(Some(""))),
        (r#"{"messages":[],"model":4}"#, Refusal::ModelNotAString),
        (
            r#"{"messages":[],"model":"g\r\nx-llm-retry: 1"}"#,
            Refusal::Parameter("model".into(), model_name::MUST_BE),
        ),
        (
            r#"{"messages":[],"model":"g","num_retries":"many"}"#,
            Refusal::Parameter("num_retries".into(), "a whole number"),
        ),
        (
            r#"{"messages":[],"model":"g","stream":"true"}"#,
            Refusal::Parameter("stream".into(), "true or false"),
        ),
        (
            r#"{"messages":[],"model":"g","timeout":-1}"#,
            Refusal::Parameter("timeout".into(), "a number of seconds"),
        ),
    ] {
        assert_eq!(chat().parsed(body.as_bytes()).unwrap_err(), expected, "{body}");
    }
    assert!(matches!(chat().parsed(b"{\"a\":").unwrap_err(), Refusal::Malformed(_)));
    let forms = request("/audio/transcriptions", &[("content-type", "text/plain")]).unwrap();
    assert!(matches!(forms.parsed(b"{}").unwrap_err(), Refusal::NotAForm(_)));
}

#[test]
fn nothing_but_the_model_has_to_be_there() {
    for path in ["/chat/completions", "/completions", "/embeddings", "/audio/speech", "/rerank"] {
        let request = request(path, &[]).unwrap();
        assert_eq!(request.parsed(br#"{"model":"g"}"#).unwrap().model, "g", "{path}");
    }
    let addressed = request("/engines/g/embeddings", &[]).unwrap();
    assert_eq!(addressed.parsed(b"{}").unwrap().model, "g");
}

#[test]
fn a_route_of_forms_takes_json_that_says_so() {
    for kind in ["application/json", "Application/JSON; charset=utf-8"] {
        let edit = request("/images/edits", &[("content-type", kind)]).unwrap();
        assert_eq!(edit.parsed(br#"{"model":"g","images":[]}"#).unwrap().model, "g", "{kind}");
    }
}

#[test]
fn headers_that_are_not_utf8_are_latin1() {
    let headers = Headers::new(b"x-litellm-tags!eu, m\xfcnchen".to_vec(), vec![(0..14, 14..26)]);
    let Route::Model(route, model) = Route::parse("/embeddings") else { panic!("no model route") };
    let allowed = AllowedParams { tags: true, ..AllowedParams::default() };
    let request = Request::new(route, model.as_deref(), "", &headers, allowed).unwrap();
    assert_eq!(request.tags, ["!eu", "münchen"]);
}

#[test]
fn routing_parameters_are_read_from_headers_json_and_forms() {
    let json = request("/embeddings", &[("x-litellm-tags", "a, b")]).unwrap();
    let parsed = json.parsed(br#"{"model":"g","input":"","tags":["c"],"disable_fallbacks":true}"#).unwrap();
    assert_eq!(parsed.routing.tags, ["a", "b", "c"]);
    assert!(parsed.routing.disable_fallbacks);

    let content_type = [("content-type", "multipart/form-data; boundary=b")];
    let form = request("/audio/transcriptions", &content_type).unwrap();
    let field =
        |name, value| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let body = format!("{}{}--b--\r\n", field("model", "g"), field("fallbacks", r#"["other"]"#));
    let parsed = form.parsed(body.as_bytes()).unwrap();
    assert_eq!(&*parsed.routing.fallbacks.unwrap()[0].targets[0].model, "other");
}

#[test]
fn an_address_is_refused_in_json_and_in_forms() {
    let content_type = [("content-type", "multipart/form-data; boundary=b")];
    let form = request("/audio/transcriptions", &content_type).unwrap();
    for name in ["api_base", "base_url"] {
        let field = |name, value| {
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let body = format!("{}{}--b--\r\n", field("model", "g"), field(name, "https://evil.test"));
        let json = format!(r#"{{"model":"g","{name}":"https://evil.test"}}"#);
        for refused in [form.parsed(body.as_bytes()), chat().parsed(json.as_bytes())] {
            assert!(matches!(refused, Err(Refusal::Parameter(key, _)) if key == name), "{name}");
        }
    }
}

#[test]
fn a_form_asks_for_a_stream_in_any_case() {
    let content_type = [("content-type", "multipart/form-data; boundary=b")];
    let form = request("/audio/transcriptions", &content_type).unwrap();
    for (value, streams) in [("true", true), ("True", true), ("1", true), ("false", false), ("", false)] {
        let field = |name, value| {
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let body = format!("{}{}--b--\r\n", field("model", "g"), field("stream", value));
        assert_eq!(form.parsed(body.as_bytes()).unwrap().stream, streams, "{value:?}");
    }
}

#[test]
fn a_header_that_cannot_be_read_is_an_error_of_the_client() {
    for (name, value) in [("x-litellm-timeout", "soon"), ("x-litellm-num-retries", "-1")] {
        assert!(matches!(request("/embeddings", &[(name, value)]), Err(Refusal::Parameter(..))), "{name}");
    }
    let gzip = request("/embeddings", &[("content-encoding", "gzip")]);
    assert_eq!(gzip.unwrap_err(), Refusal::Encoded("gzip".into()));
}

#[test]
fn a_body_in_zstd_is_refused_with_the_setting_of_codex() {
    let reply = |encoding: &str| Refusal::Encoded(encoding.into()).reply(Wire::OpenAi);
    assert_eq!(reply("zstd").status, 415);
    assert!(reply("zstd").body.contains("(Codex: -c features.enable_request_compression=false)."));
    assert!(reply("br").body.contains("Content-Encoding br is not supported: send the body as it is."));
}
