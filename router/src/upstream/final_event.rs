//! The event that ends an answer. Its connection shows the end late, or wrongly: OpenAI's client for
//! Python leaves at `data: [DONE]`, some servers keep the response open behind it or break it off,
//! and others end a stream in good order in the middle of an answer.
//!
//! | route | final event | without it, an answer is complete |
//! |---|---|---|
//! | `/chat/completions`, `/completions` | `data: [DONE]` | with a `finish_reason`, or with a usage |
//! | `/messages` | `message_stop` | with a `stop_reason` |
//! | `/responses` | `response.completed`, `response.incomplete` | with a usage |
//! | others | any of these, `transcript.text.done`, `speech.audio.done` | always |
//!
//! Only the tail of the stream is kept and read, so a chunk costs a look at its last lines. What
//! the tail does not show is not held against an answer.

use std::sync::LazyLock;
use std::time::Duration;

use memchr::memmem::{self, Finder};
use memchr::{memchr, memrchr2};

use super::finish_reason;
use super::response_check::FalseSuccess;
use super::usage::UsageScanner;
use crate::http::route::wire;

/// Bytes of the tail: at least so many, where the stream has them, and at most twice as many.
const TAIL: usize = 1024;

/// Names of members, in quotes.
static FINISH_REASON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finish_reason\""));
static STOP_REASON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"stop_reason\""));

const GIVEN_UP: &str = "an answer that it gave up";

/// The end of a stream for most of OpenAI's clients.
const DONE: &[u8] = b"[DONE]";
/// The types of other final events. A `response.failed` is an error.
const FINAL: [&[u8]; 5] = [
    b"message_stop", b"response.completed", b"response.incomplete", b"transcript.text.done",
    b"speech.audio.done",
];

/// What is known of the final event of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FinalEvent {
    /// Nothing: the response is no stream, or one of another format, or its end is not kept.
    #[default]
    Unknown,
    /// It came at this time, since the Unix epoch.
    At(Duration),
    /// There is output, and nothing that ends it; or a JSON document that is cut off.
    Missing,
}

/// Finds the final event in a stream that arrives in chunks.
#[derive(Debug)]
pub struct FinalEventScan {
    route: &'static str,
    /// Whether `[DONE]` alone ends a stream of this route.
    is_chat: bool,
    tail: Vec<u8>,
    is_found: bool,
}

impl FinalEventScan {
    /// A scan at the start of a response to this route.
    pub fn new(route: &'static str) -> Self {
        let is_chat = matches!(route, "/chat/completions" | "/completions");
        Self { route, is_chat, tail: Vec::new(), is_found: false }
    }

    /// Reads the next chunk, which `usage` has read already. Returns whether the final event ends
    /// with it.
    pub fn feed(&mut self, chunk: &[u8], usage: &UsageScanner) -> bool {
        if self.is_found {
            return false;
        }
        let from = chunk.len().saturating_sub(TAIL);
        if from > 0 || self.tail.len().saturating_add(chunk.len()) > 2 * TAIL {
            let kept = TAIL.saturating_sub(chunk.len());
            self.tail.drain(..self.tail.len().saturating_sub(kept));
        }
        self.tail.extend_from_slice(chunk.get(from..).unwrap_or_default());
        self.is_found = self.ends_in_final_event(usage);
        self.is_found
    }

    /// Whether a stream that has ended has output, and nothing that ends it.
    pub fn is_missing(&self, usage: &UsageScanner) -> bool {
        let has = |word: &[u8]| memmem::find(&self.tail, word).is_some();
        let shows_output = match self.route {
            _ if self.is_chat => {
                has(b"\"choices\"") && !self.has_text(&FINISH_REASON) && usage.usage().is_none()
            }
            // Its first event has a usage.
            "/messages" => (has(b"content_block_") || has(b"message_start")) && !self.has_text(&STOP_REASON),
            "/responses" => has(b"\"response.") && usage.usage().is_none(),
            _ => false,
        };
        // Comments may be behind the final event.
        shows_output && !self.is_found && !has(DONE) && !FINAL.into_iter().any(has)
    }

    /// The failure that a finish reason at the end of a chat names, behind any output: that in the
    /// tail of a stream, or in this chunk of another answer, of which nothing is kept.
    pub fn failure(&self, chunk: &[u8]) -> Option<FalseSuccess> {
        let end = if self.tail.is_empty() { chunk } else { &self.tail };
        let has_failed = self.is_chat
            && texts(end, &FINISH_REASON).any(|text| {
                let end = memchr(b'"', text).unwrap_or(text.len());
                text.get(..end).is_some_and(finish_reason::is_failure)
            });
        has_failed.then(|| FalseSuccess::without_message(wire(self.route), 200, GIVEN_UP))
    }

    /// Whether a member of this name has a text for a value.
    fn has_text(&self, name: &Finder<'_>) -> bool {
        texts(&self.tail, name).next().is_some()
    }

    fn ends_in_final_event(&self, usage: &UsageScanner) -> bool {
        let text = self.tail.trim_ascii_end();
        let may_be_final = match text.last() {
            Some(b']') => text.ends_with(DONE),
            // An event of JSON is complete with its line.
            Some(b'}') => !self.is_chat && matches!(self.tail.last(), Some(b'\n' | b'\r')),
            _ => false,
        };
        if !may_be_final {
            return false;
        }
        let (before, last) = split_last_line(text);
        if before.is_empty() && text.len() > TAIL / 2 && self.route == "/responses" && usage.usage().is_some()
        {
            // The start of a long event is not kept, and no other has a usage.
            return true;
        }
        is_final(last) || is_final(split_last_line(before.trim_ascii_end()).1)
    }
}

/// What follows the opening quote of each text that is the value of a member of this name.
fn texts<'a>(json: &'a [u8], name: &Finder<'_>) -> impl Iterator<Item = &'a [u8]> {
    name.find_iter(json).filter_map(move |at| {
        let value = json.get(at.saturating_add(name.needle().len())..)?.trim_ascii_start();
        value.strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")
    })
}

fn split_last_line(text: &[u8]) -> (&[u8], &[u8]) {
    let start = memrchr2(b'\n', b'\r', text).map_or(0, |line_break| line_break.saturating_add(1));
    text.split_at_checked(start).unwrap_or_default()
}

/// Whether a line has the name of a final event, or its data, of which the type is the first member.
fn is_final(line: &[u8]) -> bool {
    if let Some(name) = line.strip_prefix(b"event:") {
        return FINAL.contains(&name.trim_ascii());
    }
    let data = line.strip_prefix(b"data:").unwrap_or_default().trim_ascii();
    let parts: [&[u8]; 3] = [b"{", b"\"type\"", b":"];
    let kind = parts.iter().try_fold(data, |rest, part| Some(rest.strip_prefix(*part)?.trim_ascii_start()));
    let kind = kind.and_then(|kind| kind.strip_prefix(b"\""));
    let is_kind = |name: &&[u8]| kind.and_then(|kind| kind.strip_prefix(*name)?.first()) == Some(&b'"');
    data == DONE || FINAL.iter().any(is_kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = "/chat/completions";
    const OUTPUT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n";
    const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\" : \"stop\"}]}\n\n";
    const BLOCK: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"stop_reason\":null,\"usage\":{\"input_tokens\":3}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"hi\"}}\n\n";
    const MESSAGE_DELTA: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n";
    const TEXT_DELTA: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n";

    /// In how many chunks the final event was found, and whether it is missing at the end.
    fn scanned<'a>(route: &'static str, chunks: impl IntoIterator<Item = &'a [u8]>) -> (usize, bool) {
        let (mut scan, mut usage) = (FinalEventScan::new(route), UsageScanner::new());
        let found = chunks.into_iter().filter(|chunk| {
            usage.feed(chunk);
            scan.feed(chunk, &usage)
        });
        (found.count(), scan.is_missing(&usage))
    }

    fn long_response(usage: &str) -> String {
        let output = "x".repeat(5 * TAIL);
        format!(
            "event: response.completed\ndata: {{\"response\":{{\"output\":\"{output}\",\"usage\":{usage}}},\"type\":\"response.completed\"}}\n\n"
        )
    }

    #[test]
    fn the_final_event_is_found_wherever_the_stream_is_cut() {
        let long = long_response("{\"input_tokens\":1}");
        for (route, before, last) in [
            (CHAT, OUTPUT, "data: [DONE]\n\n"),
            (CHAT, STOP, "data:[DONE]"),
            (CHAT, OUTPUT, "data: [DONE] \r\n\r\n"),
            ("/completions", OUTPUT, "data: [DONE]\r\r"),
            ("/messages", BLOCK, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
            ("/messages", BLOCK, "event: message_stop\r\ndata: {\"x\":1, \"type\":\"message_stop\"}\r\n\r\n"),
            ("/messages", BLOCK, "data: { \"type\" : \"message_stop\" }\n\n"),
            ("/messages", BLOCK, "event: message_stop\ndata: {}\n\n"),
            (
                "/responses",
                TEXT_DELTA,
                "event: response.completed\ndata: {\"type\":\"response.completed\"}\n\n",
            ),
            ("/responses", TEXT_DELTA, "event:response.incomplete\ndata:{\"response\":{}}\n\n"),
            ("/responses", TEXT_DELTA, &long),
            ("/audio/transcriptions", "", "data: {\"type\":\"transcript.text.done\",\"text\":\"hi\"}\n\n"),
        ] {
            let stream = [before, last].concat();
            let bytes = stream.as_bytes();
            assert_eq!(scanned(route, [bytes]), (1, false), "{stream}");
            assert_eq!(scanned(route, bytes.chunks(1)), (1, false), "byte by byte: {stream}");
            for cut in (0..bytes.len()).step_by(bytes.len() / 200 + 1) {
                let (one, two) = bytes.split_at(cut);
                assert_eq!(scanned(route, [one, two]), (1, false), "{cut}: {stream}");
            }
            assert_eq!(scanned(route, [bytes, b": bye\n\n"]), (1, false), "{stream}");
            assert!(!scanned(route, [[&stream, ": bye\n\n"].concat().as_bytes()]).1, "{stream}");
        }
    }

    #[test]
    fn what_is_not_the_final_event_is_none() {
        for (route, stream) in [
            (CHAT, [OUTPUT, STOP].concat()),
            (CHAT, "data: {\"choices\":[{\"delta\":{\"content\":\"data: [DONE]".to_owned()),
            (CHAT, "data: {\"choices\":[]}\n\n: [DONE]\n\n".to_owned()),
            ("/messages", [BLOCK, MESSAGE_DELTA].concat()),
            ("/messages", [BLOCK, "event: message_stop\n"].concat()),
            (
                "/messages",
                [BLOCK, "data: {\"type\":\"content_block_delta\",\"text\":\"message_stop\"}\n\n"].concat(),
            ),
            (
                "/responses",
                [TEXT_DELTA, "event: response.completed\ndata: {\"type\":\"response.completed\","].concat(),
            ),
            ("/responses", "data: {\"type\":\"response.completed_x\"}\n\n".to_owned()),
        ] {
            assert_eq!(scanned(route, [stream.as_bytes()]).0, 0, "{stream}");
            assert_eq!(scanned(route, stream.as_bytes().chunks(1)).0, 0, "{stream}");
        }
    }

    #[test]
    fn a_stream_that_ends_in_mid_answer_lacks_its_final_event() {
        for (route, stream) in [
            (CHAT, OUTPUT.repeat(20)),
            (CHAT, [OUTPUT, "data: {\"choices\":[{\"del"].concat()),
            (CHAT, [OUTPUT, "data: {\"choices\":[{\"finish_reason\":"].concat()),
            (
                CHAT,
                "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"finish_reason\\\":\\\"stop\\\"\"}}]}\n\n"
                    .to_owned(),
            ),
            ("/completions", "data: {\"choices\":[{\"text\":\"hi\"}],\"usage\":null}\n\n".to_owned()),
            ("/messages", BLOCK.to_owned()),
            ("/messages", BLOCK.split_inclusive("\n\n").next().unwrap().to_owned()),
            ("/responses", TEXT_DELTA.repeat(20)),
        ] {
            for size in [1, 100, stream.len()] {
                assert_eq!(scanned(route, stream.as_bytes().chunks(size)), (0, true), "{size} {stream}");
            }
        }
    }

    #[test]
    fn a_reason_a_usage_and_a_stream_of_another_format_are_an_end() {
        let usage = "data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n";
        for (route, stream) in [
            (CHAT, [OUTPUT, STOP].concat()),
            (CHAT, [OUTPUT, STOP, ": bye\n\n"].concat()),
            (CHAT, [OUTPUT, usage].concat()),
            (CHAT, "data: {\"another\":\"format\"}\n\n".to_owned()),
            // What is in front of this text is not kept.
            (
                CHAT,
                format!(
                    "data: {{\"choices\":[{{\"finish_reason\":\"stop\",\"text\":\"{}\"}}]}}\n\n",
                    "x".repeat(9000)
                ),
            ),
            ("/messages", [BLOCK, MESSAGE_DELTA].concat()),
            ("/responses", long_response("null")),
            ("/images/generations", TEXT_DELTA.to_owned()),
        ] {
            for size in [1, 100, stream.len()] {
                assert!(!scanned(route, stream.as_bytes().chunks(size)).1, "{size} {stream}");
            }
        }
    }

    #[test]
    fn a_stream_of_any_length_is_kept_by_its_tail_alone() {
        let (mut scan, usage) = (FinalEventScan::new(CHAT), UsageScanner::new());
        for size in [1, 7, 300, TAIL, 100 * TAIL] {
            for _ in 0..300 {
                scan.feed(&vec![b'x'; size], &usage);
                assert!(scan.tail.len() <= 2 * TAIL);
            }
        }
    }
}
