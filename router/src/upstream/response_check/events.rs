//! The first event of a stream (WHATWG HTML, 9.2.5).

use std::borrow::Cow;

use super::top_level::{self, ObjectScan};
use super::{BodyFormat, CheckResult, FalseSuccess, HeldResponse};
use crate::http::sse::{Piece, Splitter};

/// The fields of an event.
const FIELDS: [&[u8]; 4] = [b"data", b"event", b"id", b"retry"];
/// Event names that only keep the connection alive.
const KEEP_ALIVE: [&[u8]; 4] = [b"ping", b"keepalive", b"keep-alive", b"heartbeat"];
/// Event names of errors.
const ERROR: [&[u8]; 3] = [b"error", b"response.failed", b"response.error"];

const NO_EVENT: &str = "a stream that ends before its first event";

/// The part of an event that has arrived.
#[derive(Debug, Default)]
struct Event<'a> {
    name: &'a [u8],
    data: Option<Cow<'a, [u8]>>,
}

/// Whether text is the start of a stream, or may be with more of it.
pub(super) fn may_begin(text: &[u8], complete: bool) -> bool {
    let is_field = |field: &&[u8]| match text.strip_prefix(*field) {
        Some(rest) => rest.first().map_or(!complete, |next| matches!(next, b':' | b'\n' | b'\r')),
        None => !complete && field.starts_with(text),
    };
    text.starts_with(b":") || FIELDS.iter().any(is_field)
}

/// Checks a stream by its first event other than a keep-alive.
pub(super) fn check(text: &[u8], response: &HeldResponse<'_>) -> CheckResult {
    let mut splitter = Splitter::default();
    let mut event = Event::default();
    let mut line: &[u8] = &[];
    let mut rest = text;
    while let Some((piece, after)) = splitter.next(rest) {
        rest = after;
        match piece {
            // A part of a byte order mark is a text of its own, and the line is no field.
            Piece::Text(text) if line.is_empty() => line = text,
            Piece::LineEnd => event.add(std::mem::take(&mut line)),
            Piece::EventEnd => {
                if let Some(result) = std::mem::take(&mut event).check(response) {
                    return result;
                }
            }
            Piece::Text(_) | Piece::Bom | Piece::LateLf => {}
        }
    }
    if response.complete {
        // Clients read a last event without its empty line, too.
        event.add(line);
        return event.check(response).unwrap_or_else(|| response.not_an_answer(NO_EVENT));
    }
    // Model output shows before an event is complete.
    let is_content = event.data(line).is_some_and(|data| top_level::scan(&data) == ObjectScan::Content);
    if is_content && !ERROR.contains(&event.name) {
        return CheckResult::Genuine(BodyFormat::EventStream);
    }
    response.wait(BodyFormat::EventStream)
}

impl<'a> Event<'a> {
    /// Adds a line.
    fn add(&mut self, line: &'a [u8]) {
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

    /// The data, or else that of an unfinished line.
    fn data(&self, unfinished: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match &self.data {
            Some(data) => Some(data.clone()),
            None => field(unfinished, b"data").map(Cow::Borrowed),
        }
    }

    /// Checks a complete event; `None` where it decides nothing.
    fn check(self, response: &HeldResponse<'_>) -> Option<CheckResult> {
        let data = self.data.unwrap_or_default();
        let data = data.trim_ascii();
        let is_error = ERROR.contains(&self.name);
        if !is_error && (data.is_empty() || KEEP_ALIVE.contains(&self.name)) {
            return None;
        }
        if data == b"[DONE]" || data == b"null" {
            return Some(response.not_an_answer(NO_EVENT));
        }
        if is_error || top_level::scan_whole(data) == ObjectScan::Error {
            return Some(CheckResult::Failed(FalseSuccess::from_json(response.wire(), data)));
        }
        Some(CheckResult::Genuine(BodyFormat::EventStream))
    }
}

/// The value of a field, if the line sets it.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}
