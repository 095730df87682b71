//! Streams that end before a client has got anything of an answer.

use super::tests::{checked, failed};
use super::*;

const CHAT: &str = "/chat/completions";
const MESSAGES: &str = "/messages";
const RESPONSES: &str = "/responses";
const STREAM: CheckResult = CheckResult::Genuine(BodyFormat::EventStream);
const DONE: &str = "data: [DONE]\n\n";
const ROLE: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"name\":\"MiniMax AI\"},\"finish_reason\":null}]}\n\n";
const FILTERED: &str = "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":0}}\n\n";
const OUTPUT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";

/// An event with its name, and as servers send it that leave the name out.
fn event(name: &str, members: &str) -> [String; 2] {
    let data = format!("data: {{\"type\":\"{name}\"{members}}}\n\n");
    [format!("event: {name}\n{data}"), data]
}

fn is_answer(route: &str, stream: &str) -> bool {
    checked(route, &[], stream.as_bytes(), true) == STREAM
}

#[test]
fn a_stream_that_ends_before_any_output_and_any_reason_is_none() {
    let created = event("response.created", ",\"response\":{\"output\":[],\"error\":null}");
    let completed =
        event("response.completed", ",\"response\":{\"status\":\"completed\",\"output\":[],\"usage\":null}");
    let start = event(
        "message_start",
        ",\"message\":{\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":3}}",
    );
    let stop = event("message_stop", "");
    let mut streams = vec![
        (CHAT, ROLE.to_owned()),
        (CHAT, [ROLE, DONE].concat()),
        (CHAT, [FILTERED, ROLE, USAGE, DONE].concat()),
        (CHAT, [FILTERED, DONE].concat()),
    ];
    for form in [0, 1] {
        let [created, completed, start, stop] =
            [&created, &completed, &start, &stop].map(|event| event[form].clone());
        streams.extend([
            (RESPONSES, created.clone()),
            (RESPONSES, created.clone() + DONE),
            (RESPONSES, completed.clone()),
            (RESPONSES, created + &completed),
            (MESSAGES, start.clone()),
            (MESSAGES, start + &stop),
        ]);
    }
    for (route, stream) in streams {
        let (status, error) = failed(checked(route, &[], stream.as_bytes(), true), &stream);
        assert_eq!(status, 502, "{stream}");
        assert!(error["message"].as_str().unwrap().contains("without output"), "{stream}: {error}");
        // Before the end nothing is known.
        let mut begun = stream.split_inclusive("\n\n").collect::<Vec<_>>();
        while let Some(_last) = begun.pop() {
            assert_eq!(
                checked(route, &[], begun.concat().as_bytes(), false),
                CheckResult::Undecided,
                "{begun:?}"
            );
        }
    }
}

#[test]
fn an_empty_answer_that_says_why_is_one() {
    let created = &event("response.created", "")[0];
    let start = &event("message_start", "")[0];
    for (route, stream) in [
        (
            CHAT,
            format!(
                "{ROLE}data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n{USAGE}{DONE}"
            ),
        ),
        (
            CHAT,
            format!(
                "{ROLE}data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"content_filter\"}}]}}\n\n{DONE}"
            ),
        ),
        (
            MESSAGES,
            format!("{start}{}", event("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"}")[0]),
        ),
        (RESPONSES, format!("{created}{}", event("response.incomplete", ",\"response\":{\"output\":[]}")[0])),
        (
            RESPONSES,
            format!(
                "{created}{}",
                event("response.completed", ",\"response\":{\"output\":[],\"usage\":{\"input_tokens\":3}}")
                    [0]
            ),
        ),
        (
            RESPONSES,
            format!(
                "{created}{}",
                event("response.completed", ",\"response\":{\"output\":[{}],\"usage\":null}")[1]
            ),
        ),
        // Who sent a response to the background may wait for its output elsewhere.
        (RESPONSES, format!("{created}{}", event("response.queued", "")[1])),
    ] {
        assert!(is_answer(route, &stream), "{stream}");
    }
}

#[test]
fn words_in_the_place_of_an_answer_are_the_error_if_none_follows() {
    for (words, status, message) in [
        ("error: backend gone", 502, "error: backend gone"),
        ("[ERROR] busy", 502, "[ERROR] busy"),
        ("\"busy\"", 502, "busy"),
        ("{\"error_code\":336503,\"error_msg\":\"m\"}", 502, "m"),
        ("{\"errcode\":40001,\"errmsg\":\"m\"}", 502, "m"),
        ("{\"code\":\"PENDING\",\"message\":\"m\"}", 502, "m"),
        ("{\"detail\":\"m\"}", 502, "m"),
        ("{\"status\":\"449\",\"msg\":\"m\",\"body\":null}", 449, "m"),
        (
            "{\"Response\":{\"Error\":{\"Message\":\"m\"}}}",
            502,
            "{\"Response\":{\"Error\":{\"Message\":\"m\"}}}",
        ),
    ] {
        for name in ["", "event: message\n", ": hb\n\n"] {
            let event = format!("{name}data: {words}\n\n");
            for end in ["", DONE, USAGE] {
                let stream = [&event, end].concat();
                let (found, error) = failed(checked(CHAT, &[], stream.as_bytes(), true), &stream);
                assert_eq!((found, error["message"].as_str()), (status, Some(message)), "{stream}");
            }
            assert_eq!(checked(CHAT, &[], event.as_bytes(), false), CheckResult::Undecided, "{event}");
            for stream in [[&event, OUTPUT].concat(), [ROLE, &event, OUTPUT].concat()] {
                assert!(is_answer(CHAT, &stream), "{stream}: a heartbeat, or progress");
            }
        }
    }
}

#[test]
fn the_text_of_a_transcription_is_one_in_a_stream_as_well() {
    let headers = [("content-type", "text/event-stream")];
    for text in ["data: Hello.\n\n", "data: {\"start\":0}\n\n"] {
        assert_eq!(checked("/audio/transcriptions", &headers, text.as_bytes(), false), STREAM, "{text}");
    }
}
