//! The first event of a stream (WHATWG HTML, 9.2.5).

use std::borrow::Cow;

use super::top_level::{self, Snapshot};
use super::{Beginning, Checked, FalseSuccess, Form};

/// What a line of a stream can begin with, comments and empty lines aside.
const FIELDS: [&[u8]; 4] = [b"data", b"event", b"id", b"retry"];
/// Names of events that only keep the connection alive.
const KEEP_ALIVE: [&[u8]; 4] = [b"ping", b"keepalive", b"keep-alive", b"heartbeat"];
/// Names of events that are errors.
const ERROR: [&[u8]; 3] = [b"error", b"response.failed", b"response.error"];

const NO_EVENT: &str = "a stream that ends before its first event";

/// An event as far as it is there.
#[derive(Debug, Default)]
struct Event<'a> {
    name: &'a [u8],
    data: Option<Cow<'a, [u8]>>,
}

/// Whether text looks like the start of a stream, or may still do so when more of it is there.
pub(super) fn may_begin(text: &[u8], complete: bool) -> bool {
    let is_field = |field: &&[u8]| match text.strip_prefix(*field) {
        Some(rest) => rest.first().map_or(!complete, |next| matches!(next, b':' | b'\n' | b'\r')),
        None => !complete && field.starts_with(text),
    };
    text.starts_with(b":") || FIELDS.iter().any(is_field)
}

/// Judges a stream by its first event that is more than a sign of life.
pub(super) fn check(text: &[u8], beginning: &Beginning<'_>) -> Checked {
    let mut event = Event::default();
    let mut rest = text;
    while let Some((line, after)) = line(rest, beginning.complete) {
        rest = after;
        if line.is_empty() {
            if let Some(seen) = std::mem::take(&mut event).judged(beginning) {
                return seen;
            }
        } else {
            event.take(line);
        }
    }
    if beginning.complete {
        // A last event without its empty line is read all the same: clients do.
        let last = event.judged(beginning);
        return last.unwrap_or_else(|| beginning.is_no_answer(NO_EVENT));
    }
    // Most of an event shows that it is none of an error before it is all there.
    let is_content = event.data(rest).is_some_and(|data| top_level::scan(&data) == Snapshot::Content);
    if is_content && !ERROR.contains(&event.name) {
        return Checked::Genuine(Form::Events);
    }
    beginning.wait(Form::Events)
}

impl<'a> Event<'a> {
    fn take(&mut self, line: &'a [u8]) {
        if let Some(value) = field(line, b"event") {
            self.name = value;
        } else if let Some(value) = field(line, b"data") {
            match &mut self.data {
                None => self.data = Some(Cow::Borrowed(value)),
                Some(data) => {
                    data.to_mut().push(b'\n');
                    data.to_mut().extend_from_slice(value);
                }
            }
        }
    }

    /// The data with what there is of an unfinished line.
    fn data(&self, unfinished: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match &self.data {
            Some(data) => Some(data.clone()),
            None => field(unfinished, b"data").map(Cow::Borrowed),
        }
    }

    /// What the event shows; `None` for one that shows nothing.
    fn judged(self, beginning: &Beginning<'_>) -> Option<Checked> {
        let data = self.data.unwrap_or_default();
        let data = data.trim_ascii();
        let is_error = ERROR.contains(&self.name);
        if !is_error && (data.is_empty() || KEEP_ALIVE.contains(&self.name)) {
            return None;
        }
        if data == b"[DONE]" || data == b"null" {
            return Some(beginning.is_no_answer(NO_EVENT));
        }
        let is_error = is_error || top_level::scan_whole(data) == Snapshot::Error;
        Some(match is_error {
            true => Checked::Failed(FalseSuccess::of_json(data)),
            false => Checked::Genuine(Form::Events),
        })
    }
}

/// The value of a field, if the line is one.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// The next line without its end, and what follows. At the end of a stream the last line needs no end.
fn line(bytes: &[u8], complete: bool) -> Option<(&[u8], &[u8])> {
    let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
        return (complete && !bytes.is_empty()).then_some((bytes, &[]));
    };
    let (line, rest) = bytes.split_at_checked(end)?;
    let rest = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..))?;
    Some((line, rest))
}
