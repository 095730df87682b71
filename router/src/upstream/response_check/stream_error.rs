//! Errors in the middle of a stream. The request cannot be retried by then, but the attempt is a
//! failure, of the class that the same error has before the first output.

use std::sync::LazyLock;
use std::time::Duration;

use memchr::memmem::{self, Finder};
use memchr::{memchr2, memrchr2};

use super::top_level::{self, ObjectScan};
use super::{CheckResult, FalseSuccess, HeldResponse, events};
use crate::http::json::Object;

/// The data of an error event contains one of these.
const DATA_MARKERS: [&[u8]; 2] = [b"\"error\"", b"\"response.failed\""];
/// Lines that name an error event, and the start of llama.cpp's.
const EVENT_LINES: [&[u8]; 3] = [b"event: error", b"event:error", ERROR_FIELD];
const ERROR_FIELD: &[u8] = b"error:";

/// What every marker and every such line contains. Made once: most pieces have neither.
static PARTS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new("error"), Finder::new("\"response.failed\"")]);

/// The error event in a piece of an event stream of this route. An event that is cut in two is read
/// by its first part, or not found, so that its failure goes uncounted; providers send an error in one
/// piece.
pub fn error_event(route: &str, piece: &[u8]) -> Option<FalseSuccess> {
    if !PARTS.iter().any(|part| part.find(piece).is_some()) {
        return None;
    }
    let first = |words: &[&[u8]], is_error: fn(&[u8], &[u8]) -> bool| {
        words.iter().find_map(|word| lines_with(piece, word).find(|(line, _)| is_error(line, word)))
    };
    let (_, start) = first(&DATA_MARKERS, is_error_data).or_else(|| first(&EVENT_LINES, is_event_line))?;
    let response = HeldResponse {
        route,
        status: 200,
        bytes: piece,
        complete: true,
        pieces: 1,
        held_for: Duration::ZERO,
        header: &|_| None,
        refusal_falls_back: &|| false,
    };
    match events::check(piece.get(start..)?, &response) {
        CheckResult::Failed(found) => Some(found),
        _ => None,
    }
}

fn is_event_line(line: &[u8], event: &[u8]) -> bool {
    match line.strip_prefix(event) {
        Some(error) if event == ERROR_FIELD => is_whole(error),
        rest => rest.is_some_and(|rest| rest.trim_ascii().is_empty()),
    }
}

/// A line without a field may be the rest of one that began in an earlier piece, unless it is an
/// object.
fn is_whole(line: &[u8]) -> bool {
    Object::parse(line).is_ok()
}

/// Every successful response has `"error":null`, which is skipped before anything is parsed.
fn is_error_data(line: &[u8], marker: &[u8]) -> bool {
    let is_bare = line.starts_with(b"{");
    let data =
        if is_bare { line } else { line.strip_prefix(b"data:").unwrap_or_default() }.trim_ascii_start();
    memmem::find_iter(data, marker).any(|at| !is_null(data.get(at..), marker.len()))
        && top_level::scan_whole(data) == ObjectScan::Error
        && (!is_bare || is_whole(data))
}

fn is_null(rest: Option<&[u8]>, marker: usize) -> bool {
    let after = rest.and_then(|rest| rest.get(marker..)).unwrap_or_default().trim_ascii_start();
    after.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"null"))
}

/// The lines that contain a word, each once, with the place where it begins.
fn lines_with<'a>(piece: &'a [u8], word: &[u8]) -> impl Iterator<Item = (&'a [u8], usize)> {
    let mut from = 0_usize;
    std::iter::from_fn(move || {
        let at = memmem::find(piece.get(from..)?, word)?.saturating_add(from);
        let (before, after) = piece.split_at_checked(at)?;
        let start = memrchr2(b'\n', b'\r', before).map_or(0, |end| end.saturating_add(1));
        let end = at.saturating_add(memchr2(b'\n', b'\r', after).unwrap_or(after.len()));
        from = end;
        Some((piece.get(start..end)?, start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    /// llama.cpp until its pull request 16109.
    const LLAMA_CPP: &str = "error: {\"code\":400,\"message\":\"the request exceeds the available context size. try increasing the context size or enable context shift\",\"type\":\"invalid_request_error\"}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    fn found(piece: &str) -> Option<FalseSuccess> {
        error_event("/chat/completions", piece.as_bytes())
    }

    #[test]
    fn an_error_in_the_middle_of_a_stream_is_read_like_one_before_the_first_output() {
        for event in [
            "data: {\"error\":{\"message\":\"m\"}}\n\n",
            "data: { \"error\" : {\"message\":\"m\",\"code\":429}}\n\n",
            "data: {\"error\":{\"message\":\"m\",\"type\":\"BadRequestError\",\"code\":400}}\r\n\r\n",
            "data: {\"error\":\"Model is overloaded\",\"error_type\":\"overloaded\"}\n\n",
            "event: error\r\ndata: {}\r\n\r\n",
            "event: error\nid: 7\ndata: {\"code\":429,\ndata: \"message\":\"m\"}\n\n",
            "event: error\n\n",
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n",
            "data: {\"type\":\"error\",\"code\":\"x\",\"message\":\"m\"}\n\n",
            "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{}}\n\n",
            "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"invalid_prompt\",\"message\":\"m\"}}}\n\n",
            "event:error\ndata:{}\n\n",
            LLAMA_CPP,
            "error:{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}\r\n\r\n",
            "{\"error\":{\"message\":\"m\",\"code\":429}}\n\n",
            "data: [{\"error\":{\"code\":503}}]\n\n",
            "data: {\"choices\":[{}],\"error\":{\"code\":502}}\n\n",
            "data: {\"choices\":[],\"x_groq\":{\"error\":\"over capacity\"}}\n\n",
        ] {
            let response = HeldResponse {
                route: "/chat/completions",
                status: 200,
                bytes: event.as_bytes(),
                complete: true,
                pieces: 1,
                held_for: Duration::ZERO,
                header: &|_| None,
                refusal_falls_back: &|| false,
            };
            let CheckResult::Failed(expected) = super::super::check(&response) else { panic!("{event}") };
            for piece in [event, &[OUTPUT, event].concat(), &[OUTPUT, event, OUTPUT, DONE].concat()] {
                assert_eq!(found(piece).as_ref(), Some(&expected), "{piece}");
            }
        }
    }

    #[test]
    fn words_about_errors_are_no_error() {
        for piece in [
            "data: {\"error\":null,\"choices\":[{}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\":{}\"}}]}\n\n",
            "data: {\"type\":\"response.completed\",\"response\":{\"error\":null,\"output\":[{\"error\":{\"code\":1}}]}}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"event: error\"}}]}\n\n",
            // Ends of lines that began in an earlier piece.
            "error: {\\\"code\\\":400}\"}}]}\n\n",
            "error: not found\"}}]}\n\n",
            "{\"error\":{\"message\":\"m\"}}]}}\n\n",
            "",
        ] {
            assert_eq!(found(piece), None, "{piece}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a stopwatch")]
    fn a_line_is_read_once_however_often_it_says_error() {
        let line = format!("data: {{\"choices\":[{{}}{}]}}\n\n", ",{\"error\":1}".repeat(100_000));
        let begun = std::time::Instant::now();
        assert_eq!(found(&line), None);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
