#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use super::*;
use serde_json::Value;

/// The check of a response on a route, with these headers and this start of its body.
pub(super) fn checked(path: &str, headers: &[(&str, &str)], bytes: &[u8], complete: bool) -> CheckResult {
    let header =
        |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    check(&HeldResponse {
        route: path,
        status: 200,
        bytes,
        complete,
        pieces: 1,
        held_for: Duration::ZERO,
        header: &header,
        refusal_falls_back: &|| false,
    })
}

pub(super) fn chat(bytes: &str) -> CheckResult {
    checked("/chat/completions", &[], bytes.as_bytes(), true)
}

/// The error in a body of a chat, or in an event of that data.
pub(crate) fn checked_failure(body: &[u8]) -> FalseSuccess {
    let event = [b"event: error\ndata: ", body, b"\n\n"].concat();
    match [body, &event].map(|bytes| checked("/chat/completions", &[], bytes, true)) {
        [CheckResult::Failed(found), _] | [_, CheckResult::Failed(found)] => found,
        _ => panic!("no error: {}", String::from_utf8_lossy(body)),
    }
}

/// The status and the error object of a false success.
pub(super) fn failed(checked: CheckResult, what: &str) -> (u16, Value) {
    let CheckResult::Failed(FalseSuccess { status, body, .. }) = checked else {
        panic!("{what}: {checked:?}")
    };
    let body: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{what}: {error} in {body}"));
    assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}: {body}");
    (status, body["error"].clone())
}

const EVENTS: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\ndata: [DONE]\n\n";
const COMPLETION: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"message":{"content":"hi"}}],"usage":{}}"#;

#[test]
fn the_status_of_an_error_is_what_its_code_or_its_type_says() {
    for (error, status) in [
        (r#"{"error":{"message":"m","code":429}}"#, 429),
        (r#"{"error":{"message":"m","code":"503"}}"#, 503),
        (r#"{"error":{"message":"m","status":401}}"#, 401),
        (r#"{"error":{"message":"m","type":"rate_limit_error"}}"#, 429),
        (r#"{"error":{"message":"m","type":"RateLimitError"}}"#, 429),
        (r#"{"error":{"message":"m","code":"insufficient_quota"}}"#, 429),
        (r#"{"error":{"message":"m","status":"RESOURCE_EXHAUSTED"}}"#, 429),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#, 529),
        (r#"{"type":"error","error":{"type":"authentication_error","message":"m"}}"#, 401),
        (r#"{"type":"error","error":{"type":"api_error","message":"m"}}"#, 500),
        (r#"{"error":{"message":"m","type":"invalid_request_error","code":"invalid_api_key"}}"#, 401),
        (r#"{"error":{"message":"m","type":"invalid_request_error","param":"n"}}"#, 400),
        (r#"{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}"#, 400),
        (r#"{"type":"error","code":"server_error","message":"m","param":null}"#, 500),
        (
            r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"rate_limit_exceeded","message":"m"}}}"#,
            429,
        ),
        (r#"{"error":{"message":"m","code":200}}"#, 502),
        (r#"{"error":{"message":"m"}}"#, 502),
        (r#"{"error":"m"}"#, 502),
        (r#"{"error":{}, "errors":[{"message":"m","code":7003}],"success":false,"result":null}"#, 502),
        (
            r#"{"id":"r","object":"response","status":"failed","error":{"code":"server_error","message":"m"},"output":[]}"#,
            500,
        ),
        (r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#, 400),
        (r#"{"id":"c","choices":[],"x_groq":{"id":"r","error":"m"}}"#, 502),
        (r#"{"choices":null,"base_resp":{"status_code":1002,"status_msg":"m"}}"#, 502),
        (
            r#"{"choices":[{"delta":{"content":""},"finish_reason":"error"}],"error":{"code":429,"message":"m"}}"#,
            429,
        ),
    ] {
        let end_unseen = checked("/chat/completions", &[], error.as_bytes(), false);
        assert_eq!(end_unseen, CheckResult::Undecided, "{error}");
        for text in [
            error.to_owned(),
            format!("\u{feff} \r\n{error}\n"),
            format!("data: {error}\n\n"),
            format!("data:{error}"),
        ] {
            let (found, body) = failed(chat(&text), &text);
            assert_eq!((found, body["message"].as_str()), (status, Some("m")), "{text}");
        }
    }
}

#[test]
fn a_body_of_a_code_and_words_is_an_error_and_an_event_of_these_is_one_at_once_if_its_code_is_an_errors() {
    for (body, status, is_event_one) in [
        (r#"{"code":500,"msg":"m","success":false}"#, 500, true),
        (r#"{"code":"Throttling.RateQuota","message":"m","request_id":"r"}"#, 429, true),
        (r#"{"errcode":40001,"errmsg":"m"}"#, 502, false),
        (r#"{"code":"PENDING","message":"m"}"#, 502, false),
    ] {
        let (found, error) = failed(chat(body), body);
        assert_eq!((found, error["message"].as_str()), (status, Some("m")), "{body}");
        let event = format!("data: {body}\n\n");
        let begun = checked("/chat/completions", &[], format!("{event}{EVENTS}").as_bytes(), false);
        assert_eq!(!matches!(begun, CheckResult::Genuine(_)), is_event_one, "{body} may be progress");
        assert_eq!(failed(chat(&event), &event).0, status, "nothing follows {body}");
    }
}

#[test]
fn an_error_event_is_found_whatever_stands_before_it_and_however_its_lines_end() {
    for stream in [
        "data: {\"error\":{\"message\":\"m\",\"code\":429}}\n\ndata: [DONE]\n\n",
        ": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\ndata: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n",
        "event: error\ndata: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n",
        "event: error\ndata: {\"message\":\"m\",\"code\":429}\n\n",
        "id: 1\nretry: 100\ndata:\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\"}}\n\n",
        "event: response.failed\ndata: {\"type\":\"response.failed\",\ndata: \"response\":{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"m\"}}}\n\n",
        "\u{feff}data: {\"object\":\"error\",\"message\":\"m\",\"code\":429}\n\n",
        "error: {\"code\":429,\"message\":\"m\"}\n\ndata: [DONE]\n\n",
    ] {
        for line_break in ["\n", "\r\n", "\r"] {
            let stream = stream.replace('\n', line_break);
            let (status, error) = failed(chat(&stream), &stream);
            assert_eq!((status, error["message"].as_str()), (429, Some("m")), "{stream:?}");
            // Cut anywhere, it is never taken for an answer; cut at its start, nothing is known.
            for end in 0..stream.len() {
                let cut = checked("/chat/completions", &[], &stream.as_bytes()[..end], false);
                let is_error = end > 3 && matches!(cut, CheckResult::Failed(_));
                assert!(cut == CheckResult::Undecided || is_error, "{end} of {stream:?}: {cut:?}");
            }
        }
    }
    let (status, error) = failed(chat("event: error\ndata: out of memory\n\n"), "plain text");
    assert_eq!((status, error["message"].as_str()), (502, Some("out of memory")));
}

#[test]
fn what_is_no_answer_at_all_is_a_bad_gateway() {
    for text in [
        "",
        " \r\n\n",
        "null",
        "true",
        "\"Internal Server Error\"",
        "Internal Server Error",
        "upstream connect error or disconnect/reset before headers",
        "<!DOCTYPE html><html><body>502</body></html>",
        "{hello}",
        "{\"id\":\"c\",\"object\":\"chat.comp",
        "data: [DONE]\n\n",
        "data: null\n\n",
        ": comment\n\n",
        "event: ping\ndata: {}\n\n",
        "data",
        "id: 1",
    ] {
        let (status, _) = failed(chat(text), text);
        assert_eq!(status, 502, "{text:?}");
    }
}

#[test]
fn an_answer_that_is_cut_off_is_none_where_that_is_known_in_time() {
    for end in 1..COMPLETION.len() {
        let start = COMPLETION.get(..end).unwrap();
        let (status, _) = failed(chat(start), start);
        assert_eq!(status, 502, "{end}");
        let begun = checked("/chat/completions", &[], start.as_bytes(), false);
        assert!(!matches!(begun, CheckResult::Failed(_)), "{end}: {begun:?}");
    }
}

#[test]
fn an_answer_is_one_as_soon_as_it_shows() {
    for (text, form) in [
        (COMPLETION, BodyFormat::Other),
        (EVENTS, BodyFormat::EventStream),
        (r#"{"id":"c","choices":[{"m"#, BodyFormat::Other),
        (r#"{"object":"list","data":[{"embedding":[0.1,"#, BodyFormat::Other),
        (
            r#"{"id":"r","object":"response","status":"completed","error":null,"incomplete_details":null,"output":[{"#,
            BodyFormat::Other,
        ),
        ("data: {\"id\":\"c\",\"choices\":[{\"delta\":", BodyFormat::EventStream),
        (": hi\n\ndata: {\"choices\":[{\"delta\":{}}]}\n", BodyFormat::EventStream),
        ("\x1f\u{fffd}", BodyFormat::Other),
    ] {
        let text = if text.starts_with('\x1f') { b"\x1f\x8b\x08\0".as_slice() } else { text.as_bytes() };
        for complete in [false, true] {
            if complete && text != COMPLETION.as_bytes() && text != EVENTS.as_bytes() {
                continue;
            }
            assert_eq!(
                checked("/chat/completions", &[], text, complete),
                CheckResult::Genuine(form),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }
    // `error` as a word, and as a member of something else.
    for text in [
        r#"{"choices":[{"message":{"content":"{\"error\":{}}","error":{"code":1}}}]}"#,
        r#"{"choices":[],"a":{"error":{"code":500}},"b":"\"error\":{","error":null,"errors":[],"object":"errors"}"#,
        "data: {\"delta\":{\"content\":\"\\\"error\\\":{\"},\"error\":null}\n\n",
        // Errors that say that there is none.
        r#"{"error":{"code":0,"message":""},"choices":[{}]}"#,
        r#"{"error":{"code":null,"details":{"a":[]}},"choices":[{}]}"#,
        r#"{"choices":[{}],"base_resp":{"status_code":0,"status_msg":"success"}}"#,
        "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"x_groq\":{\"id\":\"r\",\"usage\":{}}}\n\n",
        "data: {\"choices\":[{\"text\":\"hi\"}],\"x_groq\":{\"error\":null}}\n\n",
        "data: [{\"candidates\":[{}]}]\n\n",
    ] {
        assert!(matches!(chat(text), CheckResult::Genuine(_)), "{text}");
    }
}

#[test]
fn comments_and_silence_are_held_for_a_limited_time() {
    let route = "/chat/completions";
    let comment = b": OPENROUTER PROCESSING\n\n".as_slice();
    let long = b": x\n\n".repeat(5000);
    for (bytes, pieces, seconds, expected) in [
        (comment, 1, 0, CheckResult::Undecided),
        (b"\n\n\n".as_slice(), 3, 4, CheckResult::Undecided),
        (comment, 64, 5, CheckResult::Undecided),
        (comment, 65, 1, CheckResult::Genuine(BodyFormat::Unknown)),
        (comment, 2, 6, CheckResult::Genuine(BodyFormat::Unknown)),
        (b"\n\n\n".as_slice(), 3, 6, CheckResult::Genuine(BodyFormat::Unknown)),
        (&long, 2, 0, CheckResult::Genuine(BodyFormat::Unknown)),
    ] {
        let response = HeldResponse {
            route,
            status: 200,
            bytes,
            complete: false,
            pieces,
            held_for: Duration::from_secs(seconds),
            header: &|_| None,
            refusal_falls_back: &|| false,
        };
        let response = HeldResponse {
            held_for: response.held_for + Duration::from_millis(u64::from(seconds > 5)),
            ..response
        };
        assert_eq!(check(&response), expected, "{pieces} pieces, {seconds} s");
    }
    // An error is awaited for longer, but not for ever either.
    let error = format!("{{\"error\":{{\"message\":\"{}", "x".repeat(70_000));
    let at = |end: usize| checked("/chat/completions", &[], &error.as_bytes()[..end], false);
    assert_eq!(at(60_000), CheckResult::Undecided);
    failed(at(70_000), "an endless error");
}

#[test]
fn each_route_has_promises_of_its_own() {
    let html = [("content-type", "text/html; charset=utf-8")];
    let text = [("content-type", "text/plain")];
    let json = [("content-type", "application/json")];
    let wav = [("content-type", "audio/wav")];
    let png = [("content-type", "image/PNG")];
    let bytes = [("content-type", "application/octet-stream")];
    let events = [("content-type", "text/event-stream")];
    for (path, headers, body, is_answer) in [
        ("/audio/transcriptions", &text, "Hello.", true),
        ("/audio/transcriptions", &text, "", true),
        ("/audio/transcriptions", &text, "WEBVTT\n\n", true),
        ("/audio/transcriptions", &text, "<b>Hello</b>", true),
        ("/audio/transcriptions", &json, r#"{"text":"Hello."}"#, true),
        ("/audio/transcriptions", &json, r#"{"text":""}"#, true),
        ("/audio/transcriptions", &json, "", false),
        ("/audio/transcriptions", &json, r#"{"error":{"message":"m"}}"#, false),
        // Words that begin as a stream would.
        ("/audio/transcriptions", &text, ": he said\n", true),
        ("/audio/transcriptions", &text, "id\n", true),
        ("/audio/transcriptions", &text, "event: error\n", true),
        ("/audio/transcriptions", &events, "data: {\"delta\":\"Hello\"}\n\n", true),
        ("/audio/transcriptions", &events, "data: {\"error\":{\"message\":\"m\"}}\n\n", false),
        ("/audio/translations", &html, "<html>", false),
        ("/audio/speech", &wav, ":\u{0}\u{1}", true),
        ("/audio/speech", &events, "data: {\"error\":{\"message\":\"m\"}}\n\n", false),
        ("/embeddings", &bytes, ":\u{0}\u{1}", true),
        ("/embeddings", &bytes, "{\u{0}\u{1}", true),
        ("/embeddings", &bytes, "", false),
        ("/images/generations", &png, "\u{89}PNG", true),
        ("/audio/speech", &wav, "RIFF....WAVE", true),
        ("/audio/speech", &wav, "{pcm", true),
        ("/audio/speech", &wav, "", false),
        ("/audio/speech", &json, r#"{"error":{"message":"m"}}"#, false),
        ("/audio/speech", &html, "<html>", false),
        ("/embeddings", &json, r#"{"object":"list","data":[{}]}"#, true),
        ("/images/generations", &json, r#"{"created":1,"data":[{}]}"#, true),
        ("/moderations", &json, r#"{"id":"m","results":[{}]}"#, true),
        ("/responses", &json, r#"{"id":"r","error":null}"#, true),
        ("/responses", &html, "<html>", false),
        ("/completions", &text, "Not Found", false),
    ] {
        let checked = checked(path, headers, body.as_bytes(), true);
        assert_eq!(matches!(checked, CheckResult::Genuine(_)), is_answer, "{path} {body:?}: {checked:?}");
    }
}

#[test]
fn what_is_compressed_cannot_be_read_and_passes() {
    let brotli = [("content-encoding", "br")];
    let identity = [("content-encoding", "identity")];
    let bytes = b"\x8b\x02\x80hello\x03";
    assert_eq!(checked("/chat/completions", &brotli, bytes, true), CheckResult::Genuine(BodyFormat::Other));
    failed(checked("/chat/completions", &identity, bytes, true), "not compressed");
    failed(checked("/chat/completions", &brotli, b"", true), "nothing is nothing");
}

#[test]
fn no_bytes_make_it_panic() {
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let words = [
        "{", "}", "[", "]", "\"", "\\", ":", ",", "data:", "event: error", "\n", "\r", "\"error\"", "null",
        " ", "x", "\u{feff}", "1",
    ];
    for _ in 0..20_000 {
        let text: String = (0..random() % 12).map(|_| words[random() % words.len()]).collect();
        for path in ["/chat/completions", "/audio/speech"] {
            let whole = checked(path, &[], text.as_bytes(), true);
            assert_ne!(whole, CheckResult::Undecided, "{text:?}");
            checked(path, &[], text.as_bytes(), false);
        }
        error_event("/chat/completions", text.as_bytes());
    }
}

const MESSAGE_START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n";
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const OVERLOADED: &str =
    r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#;

#[test]
fn a_stream_of_messages_is_an_answer_with_its_first_output() {
    let messages = |bytes: &str| checked("/messages", &[], bytes.as_bytes(), false);
    let stream = CheckResult::Genuine(BodyFormat::EventStream);
    let block = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    assert_eq!(messages(&format!("{MESSAGE_START}{PING}{block}")), stream);
    assert_eq!(messages(&format!("{PING}{MESSAGE_START}")), CheckResult::Undecided);
    assert_eq!(messages(PING), CheckResult::Undecided);
    assert_eq!(messages(MESSAGE_START.trim_end()), CheckResult::Undecided, "its first event is incomplete");
    let overloaded = format!("{PING}event: error\ndata: {OVERLOADED}\n\n");
    let expected =
        CheckResult::Failed(FalseSuccess { status: 529, body: OVERLOADED.to_owned(), original: None });
    assert_eq!(messages(&overloaded), expected, "the client gets the provider's words");
    assert_eq!(messages(&format!("{MESSAGE_START}{overloaded}")), expected);
    assert_eq!(error_event("/messages", MESSAGE_START.as_bytes()), None);
}

#[test]
fn a_message_is_an_answer_as_soon_as_its_content_begins() {
    let messages = |bytes: &str, complete| checked("/messages", &[], bytes.as_bytes(), complete);
    let start = r#"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","#;
    let passes = CheckResult::Genuine(BodyFormat::Other);
    assert_eq!(messages(start, false), passes);
    let refused =
        r#"{"id":"msg_1","type":"message","role":"assistant","content":[],"stop_reason":"refusal"}"#;
    assert_eq!(messages(refused, true), passes);
    assert_eq!(checked("/messages/count_tokens", &[], br#"{"input_tokens":14}"#, true), passes);
}

#[test]
fn an_error_of_messages_has_anthropics_shape() {
    for body in [r#"{"detail":"m","error":"no"}"#, "", "<html>", r#"{"code":500,"message":"m"}"#] {
        let CheckResult::Failed(found) = checked("/messages", &[], body.as_bytes(), true) else {
            panic!("{body}")
        };
        let error: Value = serde_json::from_str(&found.body).unwrap();
        assert_eq!((&error["type"], error["error"]["type"].is_string()), (&"error".into(), true), "{error}");
    }
}
