use super::json_scanner::MAX_USAGE_BYTES;
use super::*;

const CHAT: &str = r#"{"id":"c","choices":[{"message":{"content":"say \"usage\":{\"prompt_tokens\":9} \\"},
    "usage":{"prompt_tokens":8}}], "usage" : {"prompt_tokens":5,"completion_tokens":7,"total_tokens":12,
    "prompt_tokens_details":{"cached_tokens":3,"usage":"}"}},"object":"usage"}"#;

const EVENTS: &str = concat!(
    ": comment with a { and a \"\n\n",
    "event: x\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\r\n\r\n",
    "data: {\"broken\": \"[{\n\n",
    "data: {\"broken\": [1\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\n\n",
    "data: [DONE]\n\n"
);

const RESPONSES: &str = concat!(
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"usage\":null}}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"usage\":",
    "{\"input_tokens\":99}}],\"usage\":{\"input_tokens\":3,\"output_tokens\":4.0}}}\n\n"
);

const fn usage(prompt: u64, completion: u64, total: u64) -> Option<Usage> {
    Some(Usage { prompt, completion, total })
}

fn scan<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Option<Usage> {
    let mut scanner = UsageScanner::new();
    chunks.into_iter().for_each(|chunk| scanner.feed(chunk));
    assert!(!scanner.json.is_capturing());
    scanner.usage()
}

#[test]
fn the_same_is_found_wherever_a_response_is_cut() {
    let with_crlf = EVENTS.replace("\r\n", "\n").replace('\n', "\r\n");
    for (answer, expected) in [
        (CHAT, usage(5, 7, 12)),
        (EVENTS, usage(1, 2, 3)),
        (&with_crlf, usage(1, 2, 3)),
        (RESPONSES, usage(3, 4, 7)),
    ] {
        let bytes = answer.as_bytes();
        assert_eq!(scan([bytes]), expected, "{answer}");
        assert_eq!(scan(bytes.chunks(1)), expected, "byte by byte: {answer}");
        for first in 0..bytes.len() {
            let (one, rest) = bytes.split_at(first);
            for second in 0..rest.len() {
                let (two, three) = rest.split_at(second);
                assert_eq!(scan([one, two, three]), expected, "{first} {second}: {answer}");
            }
        }
    }
}

#[test]
fn counts_are_read_as_providers_write_them() {
    for (object, expected) in [
        (r#"{"prompt_tokens":5,"total_tokens":5}"#, usage(5, 0, 5)),
        (r#"{"total_tokens":6}"#, usage(6, 0, 6)),
        (r#"{"completion_tokens":2,"total_tokens":6}"#, usage(0, 2, 6)),
        (r#"{"prompt_tokens":1e3,"completion_tokens":null}"#, usage(1000, 0, 1000)),
        (r#"{"prompt_tokens":0,"completion_tokens":-1,"total_tokens":null}"#, usage(0, 0, 0)),
        (r#"{"prompt_tokens":4294967295,"completion_tokens":1}"#, usage(4_294_967_295, 1, 4_294_967_296)),
        (r#"{"type":"duration","seconds":3}"#, None),
        (r#"{"prompt_tokens":"5"}"#, None),
        ("{}", None),
        ("[{\"prompt_tokens\":5}]", None),
        ("null", None),
    ] {
        assert_eq!(scan([format!(r#"{{"usage":{object}}}"#).as_bytes()]), expected, "{object}");
    }
}

#[test]
fn a_count_that_no_model_reaches_is_none() {
    for (object, expected) in [
        (r#"{"prompt_tokens":"10","completion_tokens":-5,"total_tokens":1e30}"#, None),
        (r#"{"total_tokens":18446744073709551615}"#, None),
        (r#"{"prompt_tokens":3,"completion_tokens":18446744073709551615}"#, usage(3, 0, 3)),
        (r#"{"prompt_tokens":1e300,"completion_tokens":1}"#, usage(0, 1, 1)),
        (r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":4294967296}"#, usage(3, 4, 7)),
        (r#"{"input_tokens":3,"cache_read_input_tokens":1e30,"output_tokens":4}"#, usage(3, 4, 7)),
    ] {
        assert_eq!(scan([format!(r#"{{"usage":{object}}}"#).as_bytes()]), expected, "{object}");
    }
}

#[test]
fn reasoning_that_is_in_the_total_alone_belongs_to_the_answer() {
    for (object, expected) in [
        // xAI
        (
            r#"{"prompt_tokens":32,"completion_tokens":9,"total_tokens":541,"completion_tokens_details":{"reasoning_tokens":500}}"#,
            usage(32, 509, 541),
        ),
        // Gemini, where all of the answer was reasoning
        (r#"{"completion_tokens":0,"prompt_tokens":10,"total_tokens":1009}"#, usage(10, 999, 1009)),
        // OpenAI
        (
            r#"{"prompt_tokens":32,"completion_tokens":509,"total_tokens":541,"completion_tokens_details":{"reasoning_tokens":500}}"#,
            usage(32, 509, 541),
        ),
        // A total without the prompt
        (r#"{"prompt_tokens":32,"completion_tokens":9,"total_tokens":9}"#, usage(32, 9, 9)),
        // Embeddings
        (r#"{"prompt_tokens":5,"total_tokens":7}"#, usage(5, 0, 7)),
    ] {
        let text = format!(r#"{{"usage":{object}}}"#);
        assert_eq!(scan([text.as_bytes()]), expected, "{object}");
        assert_eq!(scan([format!("data: {text}\n\n").as_bytes()]), expected, "{object}");
    }
}

#[test]
fn of_several_the_last_counts_and_one_without_tokens_does_not() {
    let one = r#"data: {"choices":[],"usage":{"prompt_tokens":1}}"#;
    let two = r#"data: {"x_groq":{"usage":{"prompt_tokens":2}}}"#;
    let none = r#"data: {"usage":{"seconds":1}}"#;
    assert_eq!(scan([format!("{one}\n\n{two}\n\n{none}\n\n").as_bytes()]), usage(2, 0, 2));
}

/// A stream of Anthropic's, with these `usage` objects at its start and at its end.
fn messages(start: &str, end: &str) -> String {
    format!(
        "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_1\",\"usage\":{start}}}}}\n\n\
         event: ping\ndata: {{\"type\":\"ping\"}}\n\n\
         event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},\"usage\":{end}}}\n\n\
         event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
    )
}

#[test]
fn the_usage_of_messages_begins_with_the_prompt_and_ends_with_the_answer() {
    for (start, end, expected) in [
        (r#"{"input_tokens":25,"output_tokens":1}"#, r#"{"output_tokens":15}"#, usage(25, 15, 40)),
        (
            r#"{"input_tokens":25,"output_tokens":1}"#,
            r#"{"input_tokens":30,"cache_creation_input_tokens":0,"output_tokens":15}"#,
            usage(30, 15, 45),
        ),
        (
            r#"{"input_tokens":3,"cache_creation_input_tokens":100,"cache_read_input_tokens":5000,"output_tokens":1}"#,
            r#"{"output_tokens":15}"#,
            usage(5103, 15, 118),
        ),
        (r#"{"input_tokens":0,"output_tokens":0}"#, r#"{"output_tokens":null}"#, usage(0, 0, 0)),
    ] {
        let stream = messages(start, end);
        assert_eq!(scan([stream.as_bytes()]), expected, "{start} {end}");
        assert_eq!(scan(stream.as_bytes().chunks(7)), expected, "{start} {end}");
    }
}

#[test]
fn a_later_0_replaces_no_count() {
    let chunk = |usage: &str| format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n");
    let real = r#"{"prompt_tokens":100,"completion_tokens":7,"total_tokens":107}"#;
    for (end, expected) in [
        (r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#, usage(100, 7, 107)),
        (r#"{"prompt_tokens":0,"completion_tokens":9,"total_tokens":9}"#, usage(100, 9, 109)),
        (r#"{"prompt_tokens":0,"completion_tokens":9,"total_tokens":0}"#, usage(100, 9, 109)),
        (r#"{"prompt_tokens":120,"completion_tokens":9,"total_tokens":129}"#, usage(120, 9, 129)),
        (r#"{"completion_tokens":9}"#, usage(100, 9, 109)),
    ] {
        assert_eq!(scan([(chunk(real) + &chunk(end)).as_bytes()]), expected, "{end}");
    }
    // Gateways in front of Anthropic's API.
    let start = r#"{"input_tokens":4522,"cache_creation_input_tokens":10,"cache_read_input_tokens":100,"output_tokens":1}"#;
    let end =
        r#"{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":5}"#;
    assert_eq!(scan([messages(start, end).as_bytes()]), usage(4632, 5, 4537));
}

/// Moonshot has no other.
#[test]
fn the_usage_of_a_choice_is_found() {
    let chunk = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":4000,"completion_tokens":7,"total_tokens":4007}}]}"#;
    assert_eq!(scan([format!("data: {chunk}\n\ndata: [DONE]\n\n").as_bytes()]), usage(4000, 7, 4007));
}

#[test]
fn events_are_counted_wherever_a_stream_is_cut() {
    let stream = "data: {\"choices\":[{}]}\n\ndata: {\"usage\":{}}\n\n: comment\n\ndata: [DONE]\n\n";
    for stream in [stream.to_owned(), stream.replace('\n', "\r\n")] {
        for size in 1..=stream.len() {
            let mut scanner = UsageScanner::new();
            stream.as_bytes().chunks(size).for_each(|chunk| scanner.feed(chunk));
            assert_eq!(scanner.events(), 4, "{size}");
        }
    }
    let mut scanner = UsageScanner::new();
    scanner.feed(br#"{"choices":[]}"#);
    assert_eq!(scanner.events(), 0, "a document has none");
}

#[test]
fn what_a_cache_had_takes_no_tokens_of_a_limit_and_what_it_was_given_does() {
    let answer = |usage: &str| format!(r#"{{"type":"message","content":[],"usage":{usage}}}"#);
    let cached = r#"{"input_tokens":3,"cache_creation_input_tokens":100,"cache_read_input_tokens":5000,"output_tokens":15,"cache_creation":{"ephemeral_5m_input_tokens":100}}"#;
    assert_eq!(scan([answer(cached).as_bytes()]), usage(5103, 15, 118));
    for openais in [
        r#"{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10,"cache_read_input_tokens":8}"#,
        r#"{"prompt_tokens":9,"completion_tokens":1,"cache_creation_input_tokens":8}"#,
        r#"{"input_tokens":9,"output_tokens":1,"total_tokens":10,"cache_read_input_tokens":8}"#,
    ] {
        assert_eq!(scan([answer(openais).as_bytes()]), usage(9, 1, 10), "{openais}");
    }
}

#[test]
fn usage_elsewhere_is_not_counted() {
    for answer in [
        r#"{"choices":[{"message":{"usage":{"prompt_tokens":1}}}]}"#,
        r#"{"a":{"b":{"c":{"usage":{"prompt_tokens":1}}}}}"#,
        r#"{"content":"\"usage\":{\"prompt_tokens\":1}"}"#,
        r#"{"Usage":{"prompt_tokens":1},"usages":{"prompt_tokens":1},"usag":{"prompt_tokens":1}}"#,
        r#"{"\"usage":{"prompt_tokens":1},"usage\\":{"prompt_tokens":1}}"#,
        r#"["usage",{"prompt_tokens":1}]"#,
        r#"data: "usage":{"prompt_tokens":1}"#,
        r#"}}]{"a":"usage"}:{"prompt_tokens":1}"#,
    ] {
        assert_eq!(scan([answer.as_bytes()]), None, "{answer}");
    }
}

#[test]
fn a_line_that_begins_with_a_part_of_a_byte_order_mark_is_no_data() {
    let event = br#"data: {"usage":{"prompt_tokens":1}}"#;
    for mark in [&b"\xef"[..], b"\xef\xbb", b"\xef\xef", b"\xbf"] {
        let stream = [mark, event].concat();
        assert_eq!(scan([stream.as_slice()]), None, "{mark:x?}");
        assert_eq!(scan(stream.chunks(1)), None, "{mark:x?} byte by byte");
    }
}

#[test]
fn a_usage_without_end_is_not_kept() {
    let endless = format!(r#"{{"usage":{{"prompt_tokens":1,"x":"{}"}}}}"#, "x".repeat(MAX_USAGE_BYTES));
    assert_eq!(scan([endless.as_bytes()]), None);
    assert_eq!(scan(endless.as_bytes().chunks(100)), None);
    let after = format!("{endless}\n{{\"usage\":{{\"prompt_tokens\":2}}}}");
    assert_eq!(scan(after.as_bytes().chunks(100)), usage(2, 0, 2));
}

#[test]
fn nothing_is_kept_of_a_response_that_was_read() {
    let mut scanner = UsageScanner::new();
    EVENTS.as_bytes().chunks(3).for_each(|chunk| scanner.feed(chunk));
    assert!(!scanner.json.is_capturing());
}

/// Native, opt-level 3, on a busy x86-64 machine: prose 5,600 MB/s, floats 1,200, events 700
/// (0.3 us each), code with an escape every eight bytes 360.
#[test]
#[ignore = "prints its own speed; run it with --release --nocapture"]
#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
fn a_megabyte_costs_little() {
    let event = r#"data: {"id":"chatcmpl-9","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}"#;
    for (what, answer) in [
        ("prose", format!(r#"{{"choices":[{{"text":"{}"}}],"usage":null}}"#, "word ".repeat(200_000))),
        ("code", format!(r#"{{"choices":[{{"text":"{}"}}]}}"#, r#"let a = \"b\";\n"#.repeat(60_000))),
        ("floats", format!(r#"{{"data":[{{"embedding":[{}0]}}]}}"#, "-0.012345678,".repeat(80_000))),
        ("events", format!("{event}\n\n").repeat(5_000)),
    ] {
        let start = std::time::Instant::now();
        for _ in 0..100 {
            assert_eq!(scan(std::hint::black_box(answer.as_bytes()).chunks(16 * 1024)), None);
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{what}: {:.0} MB/s", answer.len() as f64 * 100.0 / 1e6 / seconds);
    }
}

#[test]
fn a_document_is_unfinished_until_its_last_bracket() {
    let is_unfinished = |text: &[u8]| {
        let mut scanner = UsageScanner::new();
        text.chunks(3).for_each(|chunk| scanner.feed(chunk));
        scanner.is_unfinished_document()
    };
    for end in 1..CHAT.len() {
        assert!(is_unfinished(&CHAT.as_bytes()[..end]), "{end}");
    }
    for text in [
        CHAT,
        EVENTS,
        "data: {\"choices\":[{",
        "",
        "  ",
        "[1, 2] ",
        "{\"a\":1}\n{\"a\":2}\n",
        "plain text [",
        // Not JSON, as from servers that do not escape line breaks.
        "{\"text\":\"one\ntwo [ three\"}",
    ] {
        assert!(!is_unfinished(text.as_bytes()), "{text}");
    }
}
