//! The usage that is read of a response, and the bytes that pass to the client, do not depend on
//! where its chunks are cut.

use llm_balancer_router::{Filtered, Usage, UsageEventFilter, UsageScanner};
use proptest::prelude::*;
use serde_json::Value;

const MOST: usize = 64 * 1024;
const USAGE: &str = r#"data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
const TEXT: &str = r#"data: {"choices":[{"delta":{"content":"hi"}}],"usage":null}"#;

/// Parts of streams, likely and unlikely.
fn tokens() -> impl Strategy<Value = Vec<u8>> {
    let long = |length: usize| {
        format!(r#"data: {{"choices":[],"x":"{}","usage":{{"prompt_tokens":7}}}}"#, "x".repeat(length))
    };
    let nested = |length: usize| {
        format!(
            r#"data: {{"usage":{{"usage":{{"prompt_tokens":9}},"x":"{}","y":{{"usage":{{"prompt_tokens":8}}}}}}}}"#,
            "x".repeat(length)
        )
    };
    let token = prop_oneof![
        12 => prop::sample::select(vec!["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n", "\n\r", "\r\n\r"]).prop_map(str::to_owned),
        6 => prop::sample::select(vec![USAGE, TEXT]).prop_map(str::to_owned),
        4 => prop::sample::select(vec![
            "data:", "data: ", "data", "d", " ", ":", "event: x", ": {", "\u{feff}", r#"{"choices":["#, "],",
            r#""usage":{"prompt_tokens":3}"#, r#""usage":"#, "{", "}", "[", "]", "\"", "\\", "\\\"", "\"usage\"",
            "{\"a\":{\"usage\":{\"total_tokens\":5}}}",
        ]).prop_map(str::to_owned),
        1 => (0_usize..3).prop_map(move |more| long(MOST - 58 + more)),
        1 => (0_usize..3).prop_map(move |more| nested(8 * 1024 - 73 + more)),
    ];
    prop::collection::vec(token, 0..14).prop_map(|tokens| tokens.concat().into_bytes())
}

/// The stream in pieces of these lengths, again and again.
fn cut<'a>(stream: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    let mut rest = stream;
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*length).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

fn passed(chunks: &[&[u8]]) -> Vec<u8> {
    let mut withholder = UsageEventFilter::new();
    let mut out = Vec::new();
    for (chunk, end) in chunks.iter().map(|chunk| (*chunk, false)).chain([(b"".as_slice(), true)]) {
        match withholder.feed(chunk, end) {
            Filtered::Unchanged => out.extend_from_slice(chunk),
            Filtered::Replaced(bytes) => out.extend(bytes),
        }
    }
    out
}

fn usage(chunks: &[&[u8]]) -> Option<Usage> {
    let mut scanner = UsageScanner::new();
    chunks.iter().for_each(|chunk| scanner.feed(chunk));
    scanner.usage()
}

/// The events of a stream with the line breaks that end them, by the words of the standard, from
/// the stream as a whole.
fn events(stream: &[u8]) -> Vec<&[u8]> {
    let (mut events, mut start, mut at) = (Vec::new(), 0, 0);
    let mut line = usize::from(stream.starts_with(b"\xef\xbb\xbf")) * 3;
    at += line;
    while at < stream.len() {
        let is_break = matches!(stream[at], b'\r' | b'\n');
        let is_empty = at == line;
        at += if stream[at..].starts_with(b"\r\n") { 2 } else { 1 };
        if is_break {
            line = at;
            if is_empty {
                events.push(&stream[start..at]);
                start = at;
            }
        }
    }
    events.push(&stream[start..]);
    events
}

fn data(event: &[u8], is_first: bool) -> String {
    let text = String::from_utf8_lossy(event);
    let text = if is_first { text.trim_start_matches('\u{feff}') } else { &text };
    let lines = text.split(['\r', '\n']).filter_map(|line| line.strip_prefix("data:"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Everything but the events that hold no more than the usage.
fn without_usage(stream: &[u8]) -> Vec<u8> {
    let is_usage = |event: &[u8], is_first: bool| {
        let length = event.len() - usize::from(event.ends_with(b"\r\n"));
        let value: Value = serde_json::from_str(&data(event, is_first)).unwrap_or_default();
        let has_no_choices = value["choices"].as_array().is_some_and(Vec::is_empty);
        length <= MOST && has_no_choices && value["usage"].is_object()
    };
    let events = events(stream).into_iter().enumerate();
    events.filter(|(nth, event)| !is_usage(event, *nth == 0)).flat_map(|(_, event)| event.to_vec()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_passes_is_the_stream_without_its_usage(
        stream in tokens(),
        lengths in prop::collection::vec(1_usize..40, 1..5),
    ) {
        let expected = without_usage(&stream);
        for chunks in [vec![stream.as_slice()], cut(&stream, &lengths), cut(&stream, &[1]), cut(&stream, &[60_000, 1])] {
            let passed = passed(&chunks);
            prop_assert!(passed == expected, "{:?}", String::from_utf8_lossy(&passed));
        }
    }

    #[test]
    fn the_usage_is_the_same_wherever_the_answer_is_cut(
        stream in tokens(),
        lengths in prop::collection::vec(1_usize..40, 1..5),
        document in any::<bool>(),
    ) {
        let stream = if document { [b"{\"a\":".as_slice(), &stream].concat() } else { stream };
        let expected = usage(&[&stream]);
        for chunks in [cut(&stream, &lengths), cut(&stream, &[1]), cut(&stream, &[8_000, 1])] {
            prop_assert_eq!(usage(&chunks), expected);
        }
    }
}

#[test]
fn every_place_to_cut_gives_the_same() {
    let large = format!(
        r#"{{"usage":{{"a":{{"usage":{{"prompt_tokens":9}}}},"x":"{}","usage":{{"prompt_tokens":8}}}}}}"#,
        "x".repeat(8 * 1024)
    );
    let mixed = format!(
        "\u{feff}: hi\r\n\r{TEXT}\n\r{USAGE}\r\n\r\n{TEXT}\r\r{USAGE}\r\n\r{USAGE}\r\n\n{TEXT}\n\n{USAGE}\n\r\n"
    );
    for stream in [large, mixed] {
        let bytes = stream.as_bytes();
        let (expected, found) = (passed(&[bytes]), usage(&[bytes]));
        for at in 0..bytes.len() {
            let (one, two) = bytes.split_at(at);
            assert_eq!(passed(&[one, two]), expected, "cut at {at}");
            assert_eq!(usage(&[one, two]), found, "cut at {at}");
        }
    }
}

#[test]
fn a_usage_in_several_lines_or_behind_mixed_line_breaks_is_found_and_withheld() {
    for (stream, rest) in [
        (format!("{USAGE}\n\r{TEXT}\n\n"), format!("{TEXT}\n\n")),
        (format!("{TEXT}\r\n\r{USAGE}\r\n\r"), format!("{TEXT}\r\n\r")),
        (format!("\u{feff}{USAGE}\r\r{TEXT}"), TEXT.to_owned()),
        ("data: {\"choices\":[\rdata: ],\r\ndata: \"usage\"\ndata: :{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n".to_owned(), String::new()),
        (format!("{USAGE}\n: comment\nid: 1\n\n"), String::new()),
    ] {
        assert_eq!(String::from_utf8(passed(&[stream.as_bytes()])).unwrap(), rest, "{stream:?}");
        assert_eq!(usage(&[stream.as_bytes()]).unwrap().total, 3, "{stream:?}");
    }
}

/// Reading an unfinished event anew for each chunk took 22 s for 64 KB; a quarter of a megabyte
/// would take minutes.
#[test]
fn an_event_without_end_in_the_smallest_chunks_is_read_in_one_go() {
    for line in ["data: a\n", "a", "\"choices\" "] {
        let stream = line.repeat((1 << 18) / line.len());
        assert_eq!(passed(&cut(stream.as_bytes(), &[1])).len(), stream.len());
        assert_eq!(usage(&cut(stream.as_bytes(), &[1])), None);
    }
}
