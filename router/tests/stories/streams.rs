//! The usage that is read of a response, and the bytes that pass to the client, do not depend on
//! where its chunks are cut.

use proptest::prelude::*;

use crate::plain::stream::{MOST, cut, passed, usage, usage_of, without_usage};

const USAGE: &str = r#"data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
const NULL: &str = r#"data: {"choices":null,"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
const MISSING: &str =
    r#"data: {"object":"chat.completion.chunk","usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
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
        6 => prop::sample::select(vec![USAGE, NULL, MISSING, TEXT]).prop_map(str::to_owned),
        4 => prop::sample::select(vec![
            "data:", "data: ", "data", "d", " ", ":", "event: x", ": {", "\u{feff}", r#"{"choices":["#, "],",
            r#""usage":{"prompt_tokens":3}"#, r#""usage":"#, "{", "}", "[", "]", "\"", "\\", "\\\"", "\"usage\"",
            "{\"a\":{\"usage\":{\"total_tokens\":5}}}",
            r#"data: {"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":9}}"#,
        ]).prop_map(str::to_owned),
        1 => (0_usize..3).prop_map(move |more| long(MOST - 58 + more)),
        1 => (0_usize..3).prop_map(move |more| nested(8 * 1024 - 73 + more)),
    ];
    prop::collection::vec(token, 0..14).prop_map(|tokens| tokens.concat().into_bytes())
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
        if let Ok(plain) = usage_of(&stream) {
            prop_assert_eq!(expected, plain);
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
        "\u{feff}: hi\r\n\r{TEXT}\n\r{USAGE}\r\n\r\n{TEXT}\r\r{NULL}\r\n\r{MISSING}\r\n\n{TEXT}\n\n{USAGE}\n\r\n"
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
        (format!("{TEXT}\n\n{NULL}\n\n"), format!("{TEXT}\n\n")),
        (format!("{TEXT}\n\n{MISSING}\n\n"), format!("{TEXT}\n\n")),
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
