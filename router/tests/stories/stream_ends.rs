//! Stories of streams whose final event says something else about the answer than their connections:
//! clients that leave at it, providers that do not end behind it, and such that end without it.

use llm_balancer_router::{Change, StreamEnd};
use serde_json::json;

use crate::common::{Answer, ClientResponse, World, group};
use wasm_bindgen_test::wasm_bindgen_test as story;

/// A route with the litellm_params that it needs, and an answer of 11 and 7 tokens in chunks.
struct Case {
    path: &'static str,
    params: &'static str,
    answer: &'static [&'static str],
}

const CHAT: Case = Case {
    path: "/v1/chat/completions",
    params: "",
    answer: &[
        "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18}}\n\ndata: [D",
        "ONE]\n\n",
    ],
};

const COMPLETION: Case = Case {
    path: "/v1/completions",
    params: "",
    answer: &[
        "data: {\"choices\":[{\"text\":\"hi\",\"finish_reason\":\"length\"}]}\r\n\r\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}}\r\n\r\ndata: [DONE]\r\n\r\n",
    ],
};

const MESSAGES: Case = Case {
    path: "/v1/messages",
    params: ", llm_balancer: {wire: anthropic}",
    answer: &[
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"stop_reason\":null,\"usage\":{\"input_tokens\":11,\"output_tokens\":1}}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ],
};

const RESPONSE: Case = Case {
    path: "/v1/responses",
    params: "",
    answer: &[
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":11,\"output_tokens\":7}}}\n\n",
    ],
};

const INCOMPLETE_RESPONSE: Case = Case {
    answer: &[
        RESPONSE.answer[0],
        "event: response.incomplete\ndata: {\"response\":{\"usage\":{\"input_tokens\":11,",
        "\"output_tokens\":7}},\"type\":\"response.incomplete\"}\n\n",
    ],
    ..RESPONSE
};

const CASES: [Case; 5] = [CHAT, COMPLETION, MESSAGES, RESPONSE, INCOMPLETE_RESPONSE];

const USAGE_ALONE: &[&str] = &["data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n", CHAT.answer[2]];

/// A client that leaves, a provider that breaks off, and one that keeps the connection open.
const ENDS: [StreamEnd; 3] =
    [StreamEnd::ClientDisconnected, StreamEnd::Interrupted, StreamEnd::TimedOut { passed: 500 }];

fn world(case: &Case, params: &str) -> World {
    let params = [case.params, params].concat();
    World::of(&(group(&["paris", "oslo"], &params) + "router_settings: {num_retries: 0}\n"))
}

fn send(world: &mut World, case: &Case, answer: Answer) -> ClientResponse {
    let body = br#"{"model":"g","stream":true,"max_tokens":99,"messages":[],"prompt":"hi","input":"hi"}"#;
    world.post(case.path, &[], body, |_| answer)
}

#[story(unsupported = test)]
fn an_answer_is_complete_at_its_final_event_whatever_becomes_of_its_connections() {
    for case in CASES {
        for end in ENDS {
            let mut world = world(&case, ", tpm: 100000");
            let called = send(&mut world, &case, Answer::Stream(case.answer, end)).called.join("");
            let line = &world.lines[0];
            let attempt = &line["attempts"][0];
            assert_eq!(
                (&line["outcome"], &attempt["outcome"]),
                (&"success".into(), &"success".into()),
                "{line}"
            );
            assert_eq!(line["tokens"], json!({"prompt": 11, "completion": 7}), "{line}");
            assert!(attempt["class"].is_null() && attempt["detail"].is_null(), "{line}");
            let milliseconds = 10 * case.answer.len() as u64;
            assert_eq!(line["duration_ms"], milliseconds, "until the final event, {end:?}: {line}");
            assert_eq!(attempt["ms"], milliseconds, "{line}");
            let counted = world.counted();
            let duration = counted.get(&format!("duration_milliseconds;group=g;deployment={called}"));
            assert_eq!(duration, Some(&vec![Change::Observe(milliseconds)]), "{counted:?}");
            assert!(counted.contains_key("requests_total;group=g;outcome=success;status=200"), "{counted:?}");
            assert_eq!(counted.keys().find(|name| name.starts_with("failures_total")), None);
        }
    }
}

#[story(unsupported = test)]
fn an_answer_whose_client_leaves_at_its_final_event_costs_its_own_tokens() {
    for case in CASES {
        for end in ENDS {
            let mut world = world(&case, ", tpm: 2000");
            for number in 1..=100 {
                let status = send(&mut world, &case, Answer::Stream(case.answer, end)).status;
                assert_eq!(status, 200, "request {number}, {end:?}, {}", case.path);
            }
        }
    }
}

#[story(unsupported = test)]
fn answers_that_are_complete_are_successes_of_their_deployment() {
    for case in CASES {
        for end in ENDS {
            let mut world = world(&case, "");
            (0..60).for_each(|_| drop(send(&mut world, &case, Answer::Stream(case.answer, end))));
            (0..10).for_each(|_| drop(send(&mut world, &case, Answer::Status(500))));
            let response = send(&mut world, &case, Answer::Stream(case.answer, end));
            assert_eq!(response.status, 200, "{end:?}, {}: the failures are few", case.path);
        }
    }
}

#[story(unsupported = test)]
fn a_provider_that_does_not_end_behind_its_final_event_is_not_slower() {
    let mut means = Vec::new();
    for end in [StreamEnd::Complete, StreamEnd::TimedOut { passed: 500 }] {
        let settings = "router_settings: {routing_strategy: latency-based-routing}\n";
        let mut world = World::of(&(group(&["paris"], "") + settings));
        send(&mut world, &CHAT, Answer::Stream(CHAT.answer, end));
        means.push(format!("{:?}", world.record("paris").latency));
    }
    assert_eq!(means[0], means[1]);
}

#[story(unsupported = test)]
fn an_answer_that_breaks_off_before_its_final_event_is_not_complete() {
    for case in CASES {
        let (_, start) = case.answer.split_last().unwrap();
        for (end, outcome) in ENDS.into_iter().zip(["client_disconnected", "stream_interrupted", "timeout"]) {
            let mut world = world(&case, "");
            send(&mut world, &case, Answer::Stream(start, end));
            assert_eq!(world.lines[0]["outcome"], outcome, "{}", case.path);
        }
    }
}

#[story(unsupported = test)]
fn a_stream_that_ends_in_good_order_in_mid_answer_is_a_failure_of_its_deployment() {
    for (case, chunks) in [(CHAT, 1), (MESSAGES, 2), (RESPONSE, 1)] {
        let start = &case.answer[..chunks];
        let mut world = world(&case, "");
        send(&mut world, &case, Answer::Stream(start, StreamEnd::Complete));
        let line = &world.lines[0];
        let attempt = &line["attempts"][0];
        assert_eq!((&line["outcome"], &attempt["class"]), (&"stream_interrupted".into(), &"server".into()));
        assert_eq!(attempt["detail"], "the response ends in the middle of the answer", "{line}");
        (0..40).for_each(|_| drop(send(&mut world, &case, Answer::Stream(start, StreamEnd::Complete))));
        assert_eq!(send(&mut world, &case, Answer::Ok).status, 429, "{}: both cool down", case.path);
    }
}

/// MiniMax's, z.ai's and DeepSeek's words for an answer that they have given up.
#[story(unsupported = test)]
fn an_answer_that_its_provider_gives_up_is_a_failure_of_its_deployment_also_if_its_client_leaves() {
    for reason in ["error", "abort", "network_error", "insufficient_system_resource"] {
        for delta in ["{}", "{\"content\":\"the last words\"}"] {
            let end =
                format!("data: {{\"choices\":[{{\"delta\":{delta},\"finish_reason\" : \"{reason}\"}}]}}\n\n");
            let end: &'static str = String::leak(end);
            let document = format!("\"end\":[{{\"finish_reason\":\"{reason}\"}}]}}");
            let document: &'static str = String::leak(document);
            for (chunks, end) in [
                (vec![CHAT.answer[0], end, CHAT.answer[2], CHAT.answer[3]], StreamEnd::Complete),
                (vec![CHAT.answer[0], end, CHAT.answer[2], CHAT.answer[3]], StreamEnd::ClientDisconnected),
                (vec![CHAT.answer[0], end], StreamEnd::Complete),
                (vec![DOCUMENT[0], document], StreamEnd::Complete),
            ] {
                let mut world = world(&CHAT, "");
                send(&mut world, &CHAT, Answer::Stream(Vec::leak(chunks), end));
                let line = &world.lines[0];
                let class = &line["attempts"][0]["class"];
                assert_eq!(
                    (&line["outcome"], class),
                    (&"stream_interrupted".into(), &"server".into()),
                    "{reason}, {end:?}: {line}"
                );
            }
        }
    }
}

#[story(unsupported = test)]
fn a_reason_or_a_usage_ends_an_answer_as_well() {
    for (case, chunks) in [
        (CHAT, &CHAT.answer[..2]),
        (CHAT, &CHAT.answer[..3]),
        (CHAT, USAGE_ALONE),
        (COMPLETION, &COMPLETION.answer[..1]),
        (MESSAGES, &MESSAGES.answer[..3]),
        (
            RESPONSE,
            &["data: {\"type\":\"response.done\",\"response\":{\"usage\":{\"output_tokens\":1}}}\n\n"],
        ),
    ] {
        let mut world = world(&case, "");
        send(&mut world, &case, Answer::Stream(chunks, StreamEnd::Complete));
        assert_eq!(world.lines[0]["outcome"], "success", "{chunks:?}");
    }
}

const DOCUMENT: &[&str] = &[
    "{\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}],",
    "\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}",
];

#[story(unsupported = test)]
fn a_plain_answer_that_is_cut_off_is_a_failure_of_its_deployment() {
    let mut world = world(&CHAT, ", tpm: 100000");
    send(&mut world, &CHAT, Answer::Stream(DOCUMENT, StreamEnd::Complete));
    let line = &world.lines[0];
    let attempt = &line["attempts"][0];
    assert_eq!((&line["outcome"], &attempt["class"]), (&"stream_interrupted".into(), &"server".into()));
    assert_eq!(attempt["detail"], "the response ends in the middle of the answer", "{line}");
    (0..40).for_each(|_| drop(send(&mut world, &CHAT, Answer::Stream(DOCUMENT, StreamEnd::Complete))));
    assert_eq!(send(&mut world, &CHAT, Answer::Ok).status, 429, "both cool down");
}

#[story(unsupported = test)]
fn a_plain_answer_is_a_success_at_its_last_byte() {
    let whole = [DOCUMENT[0], DOCUMENT[1], "}\n"];
    for (chunks, end, outcome) in [
        (&whole[..], StreamEnd::Complete, "success"),
        (&whole[..2], StreamEnd::ClientDisconnected, "client_disconnected"),
        (&whole[..2], StreamEnd::TimedOut { passed: 500 }, "timeout"),
    ] {
        let mut world = world(&CHAT, "");
        let chunks: &'static [&'static str] = Vec::leak(chunks.to_vec());
        send(&mut world, &CHAT, Answer::Stream(chunks, end));
        assert_eq!(world.lines[0]["outcome"], outcome, "{end:?}");
    }
}
