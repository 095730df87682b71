//! The event that tells the usage of a stream and nothing else, kept from a client that did not ask for it.
//!
//! Events end with an empty line, whichever line breaks they use (WHATWG HTML, 9.2.5). All others pass byte for byte.

use std::borrow::Cow;

use memchr::{memchr2_iter, memmem};

use crate::json::Object;

/// Bytes of an event that are held until the rest of it arrives. A longer one holds an image, and is not the one.
const MOST: usize = 64 * 1024;

/// Reads a stream of events that comes in chunks.
#[derive(Clone, Debug, Default)]
pub struct Withholder {
    /// The start of an event whose end is still to come.
    held: Vec<u8>,
}

/// What goes to the client in place of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// The chunk.
    AsItIs,
    /// These bytes, or none.
    Instead(Vec<u8>),
}

impl Withholder {
    /// A withholder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk; `end` where it is the last.
    pub fn feed(&mut self, chunk: &[u8], end: bool) -> Passed {
        if !self.held.is_empty() {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(chunk);
            return Passed::Instead(self.joined(joined, end));
        }
        let (whole, tail) = split(chunk, end);
        match (without_usage(whole), tail.is_empty()) {
            (None, true) => Passed::AsItIs,
            (rest, _) => {
                self.held = tail.to_vec();
                Passed::Instead(rest.unwrap_or_else(|| whole.to_vec()))
            }
        }
    }

    /// What passes of the bytes that were held and the chunk behind them.
    fn joined(&mut self, mut joined: Vec<u8>, end: bool) -> Vec<u8> {
        let (whole, tail) = split(&joined, end);
        if whole.is_empty() {
            self.held = joined;
            return Vec::new();
        }
        self.held = tail.to_vec();
        match without_usage(whole) {
            Some(rest) => rest,
            None => {
                joined.truncate(whole.len());
                joined
            }
        }
    }
}

/// Bytes up to the end of their last whole event, and what follows. All of them if nothing may be held.
fn split(bytes: &[u8], end: bool) -> (&[u8], &[u8]) {
    let last = memchr2_iter(b'\n', b'\r', bytes).rev().find_map(|at| event_end(bytes, at)).unwrap_or(0);
    match bytes.split_at_checked(last) {
        Some((whole, tail)) if !end && tail.len() <= MOST => (whole, tail),
        _ => (bytes, &[]),
    }
}

/// The place behind a line break, if that ends an empty line.
fn event_end(bytes: &[u8], at: usize) -> Option<usize> {
    let end = at.checked_add(1)?;
    let before = bytes.get(..end)?;
    [b"\n\n".as_slice(), b"\n\r\n", b"\r\r"].iter().any(|border| before.ends_with(border)).then_some(end)
}

/// The same events without those that tell nothing but the usage, or `None` if there are none such.
fn without_usage(events: &[u8]) -> Option<Vec<u8>> {
    // Most chunks hold no empty list of choices; then it does not matter where their events end.
    if !has_empty_choices(events) {
        return None;
    }
    let mut kept = Vec::new();
    let mut is_whole = true;
    let ends = memchr2_iter(b'\n', b'\r', events).filter_map(|at| event_end(events, at));
    let mut start = 0;
    for end in ends.chain([events.len()]) {
        let event = events.get(start..end).unwrap_or_default();
        start = end;
        if tells_usage_alone(event) {
            is_whole = false;
            // Line breaks in front still belong to what came before.
            let breaks = event.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).copied();
            kept.extend(breaks);
        } else {
            kept.extend_from_slice(event);
        }
    }
    (!is_whole).then_some(kept)
}

/// Whether `"choices":[]` stands anywhere. In a string it cannot: there its quotes have backslashes.
fn has_empty_choices(bytes: &[u8]) -> bool {
    const NAME: &[u8] = b"\"choices\"";
    memmem::find_iter(bytes, NAME).any(|at| {
        let rest = bytes.get(at..).and_then(|rest| rest.strip_prefix(NAME)).unwrap_or_default();
        // Within a line, as everything in an event's JSON.
        let mut marks = rest.iter().filter(|byte| !byte.is_ascii_whitespace());
        [b':', b'[', b']'].iter().all(|mark| marks.next() == Some(mark))
    })
}

fn tells_usage_alone(event: &[u8]) -> bool {
    has_empty_choices(event)
        && memmem::find(event, b"\"usage\"").is_some()
        && Object::parse(&data(event)).is_ok_and(|object| {
            object.present("usage").is_some() && object.get("choices").is_some_and(is_empty_list)
        })
}

/// The list itself, and not only the first that was met in the text.
fn is_empty_list(value: &str) -> bool {
    let inner = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}

/// An event's data; several lines of it are one text.
fn data(event: &[u8]) -> Cow<'_, [u8]> {
    let lines = event.split(|byte| matches!(byte, b'\n' | b'\r'));
    let mut values = lines.filter_map(|line| line.strip_prefix(b"data:"));
    let first = values.next().unwrap_or_default();
    values.fold(Cow::Borrowed(first), |mut data, line| {
        data.to_mut().push(b'\n');
        data.to_mut().extend_from_slice(line);
        data
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n";
    const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    /// What a client gets of a stream in these chunks.
    fn passed<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut withholder = Withholder::new();
        let mut out = Vec::new();
        let mut pass = |chunk: &[u8], end| match withholder.feed(chunk, end) {
            Passed::AsItIs => out.extend_from_slice(chunk),
            Passed::Instead(bytes) => out.extend(bytes),
        };
        chunks.into_iter().for_each(|chunk| pass(chunk, false));
        pass(b"", true);
        assert!(withholder.held.is_empty());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn whole_events_without_usage_pass_as_they_are() {
        let mut withholder = Withholder::new();
        for chunk in [CONTENT, DONE, ": comment\n\n", "", "\r\n\r\n", &[CONTENT, DONE].concat()] {
            assert_eq!(withholder.feed(chunk.as_bytes(), false), Passed::AsItIs, "{chunk}");
        }
        assert_eq!(withholder.feed(CONTENT.trim_end().as_bytes(), true), Passed::AsItIs);
    }

    #[test]
    fn the_usage_is_withheld_wherever_the_stream_is_cut_and_however_its_lines_end() {
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
    fn only_usage_without_choices_is_withheld() {
        for (data, passes) in [
            (r#"{"choices":[],"usage":{"total_tokens":1}}"#, false),
            (r#"{ "usage" : {"total_tokens":1} , "choices" : [ ] }"#, false),
            (r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#, true),
            (r#"{"choices":[],"prompt_filter_results":[],"usage":null}"#, true),
            (r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"total_tokens":1}}"#, true),
            (r#"{"choices":[{"choices":[]}],"usage":{"total_tokens":1}}"#, true),
            (r#"{"choices":[{"text":"\"choices\":[],\"usage\":{}"}]}"#, true),
            (r#"{"type":"response.completed","response":{"choices":[],"usage":{}}}"#, true),
            (r#"{"usage":{"total_tokens":1}}"#, true),
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
        let mut withholder = Withholder::new();
        let (start, rest) = USAGE.split_at(20);
        let chunk = [CONTENT, start].concat();
        assert_eq!(withholder.feed(chunk.as_bytes(), false), Passed::Instead(CONTENT.into()));
        let chunk = [rest, DONE].concat();
        assert_eq!(withholder.feed(chunk.as_bytes(), false), Passed::Instead(DONE.into()));
        assert_eq!(withholder.feed(CONTENT.as_bytes(), false), Passed::AsItIs, "nothing is held any more");
    }

    #[test]
    fn a_stream_that_ends_within_an_event_ends_there_for_the_client() {
        assert_eq!(passed(["data: {\"cho".as_bytes()]), "data: {\"cho");
        assert_eq!(passed([USAGE.trim_end().as_bytes()]), "", "the usage is withheld even so");
        let mut withholder = Withholder::new();
        assert_eq!(withholder.feed(USAGE.trim_end().as_bytes(), true), Passed::Instead(Vec::new()));
    }

    #[test]
    fn an_event_of_any_length_passes_and_the_next_one_is_looked_at() {
        let image = format!("data: {{\"choices\":[{{\"image\":\"{}\"}}]}}\n\n", "x".repeat(5 * MOST));
        let stream = [&image, USAGE, DONE].concat();
        for size in [1000, 4096, MOST, 2 * MOST] {
            let mut withholder = Withholder::new();
            for chunk in stream.as_bytes().chunks(size) {
                withholder.feed(chunk, false);
                assert!(withholder.held.len() <= MOST, "{size}");
            }
            assert_eq!(passed(stream.as_bytes().chunks(size)), [&image, DONE].concat(), "{size}");
        }
        // A line break apart: what ends the long event is not taken for a part of the next.
        let (start, rest) = stream.split_at(image.len() - 1);
        assert_eq!(passed([start.as_bytes(), rest.as_bytes()]), [&image, DONE].concat());
    }
}
