//! Removes the event of a stream of chunks that has its usage and no choices, for a client that did
//! not ask for it. Its choices are an empty list, null or missing.
//!
//! All other events pass byte for byte. Where the chunks are cut makes no difference, and every
//! byte is read a fixed number of times.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::http::json::Object;
use crate::http::sse::{self, Piece, Splitter};

/// The longest event in bytes that is held until its end arrives. Longer ones have images, and are
/// not the usage event.
const MAX_EVENT_BYTES: usize = 64 * 1024;

/// Filters an event stream that arrives in chunks.
#[derive(Clone, Debug, Default)]
pub struct UsageEventFilter {
    splitter: Splitter,
    /// The first event has ended, before which a byte order mark may be.
    is_past_first: bool,
    /// The start of an event whose end has not arrived.
    held: Vec<u8>,
    /// The event is longer than [`MAX_EVENT_BYTES`], and its start has passed.
    is_long: bool,
    /// The last event was removed; a late LF of its last line is removed, too.
    is_removed: bool,
}

/// What goes to the client in place of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filtered {
    /// The chunk itself.
    Unchanged,
    /// These bytes, which may be none.
    Replaced(Vec<u8>),
}

impl UsageEventFilter {
    /// A filter at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk; `is_last` where the stream ends with it.
    pub fn feed(&mut self, chunk: &[u8], is_last: bool) -> Filtered {
        let mut out = Output { chunk, replacement: (!self.held.is_empty()).then(Vec::new) };
        // Most chunks have no usage, so that the events within them need not be read.
        let is_plain = !may_have_usage(chunk);
        let (mut start, mut rest) = (0, chunk);
        while let Some((piece, after)) = self.splitter.next(rest) {
            rest = after;
            let at = chunk.len().saturating_sub(after.len());
            let is_between = self.held.is_empty() && !self.is_long;
            match piece {
                Piece::LateLf if is_between => out.end_event(&[], (start, at), self.is_removed),
                Piece::EventEnd => self.end_event(&mut out, (start, at), is_plain),
                _ => continue,
            }
            start = at;
        }
        if is_last {
            // The stream ends within an event, or behind one.
            self.end_event(&mut out, (start, chunk.len()), is_plain);
        } else {
            self.hold(&mut out, start);
        }
        out.replacement.map_or(Filtered::Unchanged, Filtered::Replaced)
    }

    /// An event ends in this chunk, in which its last part has this range.
    fn end_event(&mut self, out: &mut Output<'_>, range: (usize, usize), is_plain: bool) {
        let held = std::mem::take(&mut self.held);
        let part = out.chunk.get(range.0..range.1).unwrap_or_default();
        let is_first = !std::mem::replace(&mut self.is_past_first, true);
        let is_long = std::mem::take(&mut self.is_long);
        self.is_removed = if held.is_empty() {
            !is_long && !is_plain && is_usage_event(part, is_first)
        } else {
            is_usage_event(&[&held, part].concat(), is_first)
        };
        out.end_event(&held, range, self.is_removed);
    }

    /// The event that begins here does not end in this chunk: holds it, unless it is too long.
    fn hold(&mut self, out: &mut Output<'_>, start: usize) {
        let part = out.chunk.get(start..).unwrap_or_default();
        let ends_in_crlf = part.ends_with(b"\r\n") || (part == b"\n" && self.held.ends_with(b"\r"));
        if !self.is_long && is_short(self.held.len().saturating_add(part.len()), ends_in_crlf) {
            out.cut(start);
            self.held.extend_from_slice(part);
        } else {
            self.is_long = true;
            out.end_event(&std::mem::take(&mut self.held), (start, out.chunk.len()), false);
        }
    }
}

/// What passes of a chunk, and of the bytes held before it.
struct Output<'a> {
    chunk: &'a [u8],
    /// Set where it differs from the chunk so far.
    replacement: Option<Vec<u8>>,
}

impl Output<'_> {
    /// Ends what passes here.
    fn cut(&mut self, at: usize) {
        if at < self.chunk.len() && self.replacement.is_none() {
            self.replacement = Some(self.chunk.get(..at).unwrap_or_default().to_vec());
        }
    }

    /// Passes or removes an event: the bytes held of it, and those in this range of the chunk.
    fn end_event(&mut self, held: &[u8], (start, end): (usize, usize), is_removed: bool) {
        if is_removed {
            self.cut(start);
        } else if let Some(replacement) = &mut self.replacement {
            replacement.extend_from_slice(held);
            replacement.extend_from_slice(self.chunk.get(start..end).unwrap_or_default());
        }
    }
}

/// Whether a usage other than null may be in these bytes. It cannot be within a string, where its
/// quotes have backslashes.
fn may_have_usage(bytes: &[u8]) -> bool {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));
    let is_null = |at: usize| {
        let rest = bytes.get(at..).and_then(|rest| rest.strip_prefix(NAME.needle())).unwrap_or_default();
        let value = rest.trim_ascii_start().strip_prefix(b":").unwrap_or_default();
        value.trim_ascii_start().starts_with(b"null")
    };
    !NAME.find_iter(bytes).all(is_null)
}

/// What follows the name of choices that are an empty list or null.
const MARKS: [&[u8]; 3] = [b":", b"[n", b"]u"];

/// Whether the choices of an event may be an empty list, null or missing.
fn may_lack_choices(event: &[u8]) -> bool {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"choices\""));
    let mut places = NAME.find_iter(event).peekable();
    places.peek().is_none()
        || places.any(|at| {
            let rest = event.get(at..).and_then(|rest| rest.strip_prefix(NAME.needle())).unwrap_or_default();
            let mut marks = rest.iter().filter(|byte| !matches!(byte, b' ' | b'\t'));
            for expected in MARKS {
                match marks.next() {
                    // The data continues in another line.
                    Some(b'\r' | b'\n') => return true,
                    Some(mark) if expected.contains(mark) => {}
                    _ => return false,
                }
            }
            true
        })
}

/// Whether an event of this length may be held. The LF of a last CRLF may be in a later chunk, so
/// it does not count.
fn is_short(length: usize, ends_in_crlf: bool) -> bool {
    length.saturating_sub(usize::from(ends_in_crlf)) <= MAX_EVENT_BYTES
}

fn is_usage_event(event: &[u8], is_first: bool) -> bool {
    is_short(event.len(), event.ends_with(b"\r\n"))
        && may_lack_choices(event)
        && may_have_usage(event)
        && Object::parse(&sse::data(event, is_first)).is_ok_and(|object| has_usage_alone(&object))
}

/// Whether a chunk has its usage and no choices. Without any list of choices it has to be a chunk by
/// its own words, or nothing but the usage: events of other APIs have a usage as well.
fn has_usage_alone(object: &Object<'_>) -> bool {
    let Some(usage) = object.present("usage").filter(|_| object.present("error").is_none()) else {
        return false;
    };
    let is_filled = usage.starts_with('{') && !is_empty(usage, ['{', '}']);
    let is_chunk = || {
        object.members().len() == 1 || object.get("object").is_some_and(|name| name.contains("completion"))
    };
    match object.get("choices") {
        Some("null") => is_filled,
        Some(choices) => is_empty(choices, ['[', ']']),
        None => is_filled && is_chunk(),
    }
}

/// Whether a value is a list or an object with these brackets, and empty.
fn is_empty(value: &str, [open, close]: [char; 2]) -> bool {
    let inner = value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n";
    const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    /// What passes of a stream in these chunks.
    fn passed<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut filter = UsageEventFilter::new();
        let mut out = Vec::new();
        let mut pass = |chunk: &[u8], end| match filter.feed(chunk, end) {
            Filtered::Unchanged => out.extend_from_slice(chunk),
            Filtered::Replaced(bytes) => out.extend(bytes),
        };
        chunks.into_iter().for_each(|chunk| pass(chunk, false));
        pass(b"", true);
        assert!(filter.held.is_empty());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_longest_usage_event_is_removed_wherever_its_chunks_are_cut() {
        let rest = "data: {\"choices\":[],\"usage\":{},\"x\":\"\"}".len();
        for (more, is_removed) in [(0, true), (1, true), (2, false)] {
            let text = "x".repeat(MAX_EVENT_BYTES - rest - 2 + more);
            let event = format!("data: {{\"choices\":[],\"usage\":{{}},\"x\":\"{text}\"}}\r\n");
            let expected = if is_removed { "" } else { &event };
            assert_eq!(passed([event.as_bytes()]), expected, "{more} as a whole");
            assert_eq!(passed(event.as_bytes().chunks(1)), expected, "{more} byte by byte");
        }
    }

    #[test]
    fn whole_events_without_usage_pass_as_they_are() {
        let mut filter = UsageEventFilter::new();
        for chunk in [CONTENT, DONE, ": comment\n\n", "", "\r\n\r\n", &[CONTENT, DONE].concat()] {
            assert_eq!(filter.feed(chunk.as_bytes(), false), Filtered::Unchanged, "{chunk}");
        }
        assert_eq!(filter.feed(CONTENT.trim_end().as_bytes(), true), Filtered::Unchanged);
    }

    #[test]
    fn the_usage_event_is_removed_wherever_the_stream_is_cut_and_however_its_lines_end() {
        for line_break in ["\n", "\r\n", "\r"] {
            let stream = [": a comment\n\n", CONTENT, USAGE, "event: x\n", CONTENT, DONE].concat();
            let expected = stream.replace(USAGE, "").replace('\n', line_break);
            let stream = stream.replace('\n', line_break);
            let bytes = stream.as_bytes();
            assert_eq!(passed(bytes.chunks(1)), expected);
            for first in 0..bytes.len() {
                let (one, rest) = bytes.split_at(first);
                assert_eq!(passed([one, rest]), expected, "{first} {line_break:?}");
                for second in (0..rest.len()).step_by(7) {
                    let (two, three) = rest.split_at(second);
                    assert_eq!(passed([one, two, three]), expected, "{first} {second} {line_break:?}");
                }
            }
        }
    }

    #[test]
    fn only_usage_without_choices_is_removed() {
        for (data, passes) in [
            (r#"{"choices":[],"usage":{"total_tokens":1}}"#, false),
            (r#"{ "usage" : {"total_tokens":1} , "choices" : [ ] }"#, false),
            (r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#, true),
            (r#"{"choices":[],"prompt_filter_results":[],"usage":null}"#, true),
            (r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"total_tokens":1}}"#, true),
            (r#"{"choices":[{"choices":[]}],"usage":{"total_tokens":1}}"#, true),
            (r#"{"choices":[{"text":"\"choices\":[],\"usage\":{}"}]}"#, true),
            (r#"{"type":"response.completed","response":{"choices":[],"usage":{}}}"#, true),
            (r#"{"choices":[],"usage":{"total_tokens":1},"error":{"code":503,"message":"m"}}"#, true),
            (r#"{"choices":[],"usage":{"total_tokens":1},"error":null}"#, false),
            (r#"{"usage":{"total_tokens":1}}"#, false),
            (r#"{"choices":null,"usage":{"total_tokens":1}}"#, false),
            (r#"{"usage" : {"total_tokens":1}, "choices" : null}"#, false),
            (r#"{"choices":null,"usage":{}}"#, true),
            (r#"{"choices":null,"usage":null}"#, true),
            (r#"{"choices":null,"usage":{"total_tokens":1},"error":{"message":"m"}}"#, true),
            (r#"{"id":"c","object":"chat.completion.chunk","usage":{"total_tokens":1}}"#, false),
            (r#"{"id":"c","object":"text_completion","usage":{"total_tokens":1}}"#, false),
            (r#"{"id":"c","object":"chat.completion.chunk","usage":null}"#, true),
            (r#"{"response":"hi","usage":{"total_tokens":1}}"#, true),
            (r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":1}}"#, true),
            (r#"{"type":"message_start","message":{"usage":{"input_tokens":1}}}"#, true),
            (
                r#"{"type":"response.completed","response":{"object":"response","usage":{"input_tokens":1}}}"#,
                true,
            ),
            (r#"{"choices":[],"usage":{"#, true),
            (r#"{"choices":[],"usage":{}} {}"#, true),
        ] {
            for event in [format!("data: {data}\n\n"), format!("data:{data}\r\n\r\n")] {
                assert_eq!(passed([event.as_bytes()]), if passes { event.as_str() } else { "" }, "{data}");
            }
        }
    }

    #[test]
    fn an_event_of_several_fields_and_lines_is_one_event() {
        let event = "id: 7\nevent: x\ndata: {\"choices\":[],\ndata:\"usage\":{\"a\":1}}\n\n";
        assert_eq!(passed([[CONTENT, event, DONE].concat().as_bytes()]), [CONTENT, DONE].concat());
    }

    #[test]
    fn the_start_of_an_event_is_held_until_its_end_is_known() {
        let mut filter = UsageEventFilter::new();
        let (start, rest) = USAGE.split_at(20);
        let chunk = [CONTENT, start].concat();
        assert_eq!(filter.feed(chunk.as_bytes(), false), Filtered::Replaced(CONTENT.into()));
        let chunk = [rest, DONE].concat();
        assert_eq!(filter.feed(chunk.as_bytes(), false), Filtered::Replaced(DONE.into()));
        assert_eq!(filter.feed(CONTENT.as_bytes(), false), Filtered::Unchanged, "nothing is held any more");
    }

    #[test]
    fn a_stream_that_ends_within_an_event_ends_there_for_the_client() {
        assert_eq!(passed(["data: {\"cho".as_bytes()]), "data: {\"cho");
        assert_eq!(passed([USAGE.trim_end().as_bytes()]), "", "the usage event is removed even so");
        let mut filter = UsageEventFilter::new();
        assert_eq!(filter.feed(USAGE.trim_end().as_bytes(), true), Filtered::Replaced(Vec::new()));
    }

    #[test]
    fn an_event_of_any_length_passes_and_the_next_one_is_read() {
        let image =
            format!("data: {{\"choices\":[{{\"image\":\"{}\"}}]}}\n\n", "x".repeat(5 * MAX_EVENT_BYTES));
        let stream = [&image, USAGE, DONE].concat();
        for size in [1000, 4096, MAX_EVENT_BYTES, 2 * MAX_EVENT_BYTES] {
            let mut filter = UsageEventFilter::new();
            for chunk in stream.as_bytes().chunks(size) {
                filter.feed(chunk, false);
                assert!(filter.held.len() <= MAX_EVENT_BYTES, "{size}");
            }
            assert_eq!(passed(stream.as_bytes().chunks(size)), [&image, DONE].concat(), "{size}");
        }
        // Where a line break is apart, the end of the long event is not read as a part of the next.
        let (start, rest) = stream.split_at(image.len() - 1);
        assert_eq!(passed([start.as_bytes(), rest.as_bytes()]), [&image, DONE].concat());
    }
}
