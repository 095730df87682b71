//! The first event of a stream (WHATWG HTML, 9.2.5).

use std::borrow::Cow;

use super::bare_error::is_bare_error;
use super::top_level::{self, ObjectScan};
use super::{BodyFormat, CheckResult, FalseSuccess, HeldResponse, MAX_HELD_BYTES, MAX_PREAMBLE_BYTES};
use crate::failure::ErrorBody;
use crate::http::json::{self, Object};
use crate::http::sse::{Piece, Splitter};

/// The fields of an event. `error` is llama.cpp's until September 2025: an event of that name, with
/// its data.
const FIELDS: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b"error"];
/// Event names that only keep the connection alive.
const KEEP_ALIVE: [&[u8]; 4] = [b"ping", b"keepalive", b"keep-alive", b"heartbeat"];
/// Event names of errors.
const ERROR: [&[u8]; 3] = [b"error", b"response.failed", b"response.error"];

/// Anthropic's last event but one, which may be a refusal.
const MESSAGE_DELTA: &[u8] = b"message_delta";

/// Event names before any output: of Anthropic's Messages, and of responses. `response.queued` is none:
/// who sent a response to the background needs its id, and may wait for the output elsewhere.
const PREAMBLE: [&[u8]; 3] = [b"message_start", b"response.created", b"response.in_progress"];

/// Choices of a chunk that are looked at.
pub(super) const MAX_CHOICES: usize = 128;

const NO_EVENT: &str = "a stream that ends before its first event";

const GENUINE: CheckResult = CheckResult::Genuine(BodyFormat::EventStream);

/// The part of an event that has arrived.
#[derive(Debug, Default)]
struct SseEvent<'a> {
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

/// Checks a stream by its first event other than a keep-alive or a preamble, behind which OpenAI,
/// Azure and Anthropic still send errors.
pub(super) fn check(text: &[u8], response: &HeldResponse<'_>) -> CheckResult {
    let mut splitter = Splitter::default();
    let mut event = SseEvent::default();
    let mut line: &[u8] = &[];
    let mut has_preamble = false;
    let mut rest = text;
    while let Some((piece, after)) = splitter.next(rest) {
        rest = after;
        match piece {
            // A part of a byte order mark is a text of its own, and the line is no field.
            Piece::Text(text) if line.is_empty() => line = text,
            Piece::LineEnd => event.add(std::mem::take(&mut line)),
            Piece::EventEnd => {
                let event = std::mem::take(&mut event);
                if event.is_preamble() {
                    has_preamble = true;
                } else if let Some(result) = event.check(response, has_preamble) {
                    return result;
                }
            }
            Piece::Text(_) | Piece::Bom | Piece::LateLf => {}
        }
    }
    if response.complete {
        // Clients read a last event without its empty line, too.
        event.add(line);
        return event.check(response, has_preamble).unwrap_or_else(|| response.without_event(has_preamble));
    }
    // Model output shows before an event is complete.
    let is_content = event.data(line).is_some_and(|data| top_level::scan(&data) == ObjectScan::Content);
    if is_content && !ERROR.contains(&event.name) && event.name != MESSAGE_DELTA {
        return GENUINE;
    }
    let is_preamble = has_preamble || PREAMBLE.contains(&event.name);
    response.wait(BodyFormat::EventStream, if is_preamble { MAX_PREAMBLE_BYTES } else { MAX_HELD_BYTES })
}

impl<'a> SseEvent<'a> {
    /// Adds a line.
    fn add(&mut self, line: &'a [u8]) {
        let error = error_line(line);
        if let Some(name) = field(line, b"event").or(error.map(|_| &b"error"[..])) {
            self.name = name;
        }
        if let Some(value) = field(line, b"data").or(error) {
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

    /// Whether a complete event comes before all output.
    fn is_preamble(&self) -> bool {
        let is_chunk = || {
            let data = self.data.as_ref().filter(|_| self.name.is_empty());
            data.is_some_and(|data| is_without_output(data))
        };
        PREAMBLE.contains(&self.name) || is_chunk()
    }

    /// Checks a complete event; `None` where it decides nothing.
    fn check(self, response: &HeldResponse<'_>, has_preamble: bool) -> Option<CheckResult> {
        let data = self.data.unwrap_or_default();
        let data = data.trim_ascii();
        let is_error = ERROR.contains(&self.name);
        if !is_error && (data.is_empty() || KEEP_ALIVE.contains(&self.name)) {
            return None;
        }
        if data == b"[DONE]" || data == b"null" {
            return Some(response.without_event(has_preamble));
        }
        let is_failed = is_error
            || match top_level::scan_whole(data) {
                ObjectScan::Error => true,
                ObjectScan::Neither => names_a_status(data),
                _ => false,
            };
        let found = if is_failed {
            Some(FalseSuccess::from_json(response.wire(), data))
        } else {
            response.refusal(data)
        };
        Some(found.map_or(GENUINE, CheckResult::Failed))
    }
}

impl HeldResponse<'_> {
    /// A stream that ends without an event that decides.
    fn without_event(&self, has_preamble: bool) -> CheckResult {
        if has_preamble { GENUINE } else { self.not_an_answer(NO_EVENT) }
    }
}

/// A chunk of a chat with a role alone, or with Azure's verdict about the prompt.
fn is_without_output(data: &[u8]) -> bool {
    let is_empty = |value: &str| matches!(value, "null" | "\"\"" | "[]" | "{}");
    let all = |value: &str, is_silent: &dyn Fn(&json::Member<'_>) -> bool| {
        let mut are_silent = true;
        let read = json::for_each_member(value, |member| are_silent &= is_silent(&member));
        read.is_some() && are_silent
    };
    let is_silent = |choice: &&str| {
        all(choice, &|member| match &*member.key {
            "index" | "content_filter_results" => true,
            "delta" => all(member.value, &|part| part.key == "role" || is_empty(part.value)),
            _ => is_empty(member.value),
        })
    };
    let Ok(object) = Object::parse(data) else { return false };
    let choices = object.get("choices").and_then(|choices| json::list(choices, MAX_CHOICES));
    choices.is_some_and(|choices| choices.iter().all(is_silent))
        && top_level::scan_whole(data) != ObjectScan::Error
}

/// Whether data are a code, which an error has, and a message. Other codes may be progress.
fn names_a_status(data: &[u8]) -> bool {
    is_bare_error(data) && ErrorBody::read(data).fitting_status().is_some()
}

/// The error of a line that is none of an event: llama.cpp's `error: {..}`, or a bare object.
fn error_line(line: &[u8]) -> Option<&[u8]> {
    field(line, b"error").or_else(|| {
        let is_error = line.starts_with(b"{") && top_level::scan_whole(line) == ObjectScan::Error;
        Some(line).filter(|_| is_error)
    })
}

/// The value of a field, if the line sets it.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What OpenAI, Azure and Anthropic send at once, before a model has made anything.
    #[test]
    fn an_error_behind_a_preamble_is_an_error_and_a_preamble_alone_is_an_answer() {
        let created = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"error\":null}}\n\nevent: response.in_progress\ndata: {\"type\":\"response.in_progress\"}\n\n";
        let filtered = "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n";
        let role = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
        let error = "data: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n";
        let output = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
        let stream = CheckResult::Genuine(BodyFormat::EventStream);
        let checked = |text: &str, complete| {
            super::super::check(&HeldResponse {
                route: "/chat/completions",
                status: 200,
                bytes: text.as_bytes(),
                complete,
                pieces: 1,
                held_for: Duration::ZERO,
                header: &|_| None,
                refusal_falls_back: &|| false,
            })
        };
        let status = |checked| match checked {
            CheckResult::Failed(FalseSuccess { status, .. }) => Some(status),
            _ => None,
        };
        let repeats =
            created.replace("null}", &format!("null,\"instructions\":\"{}\"}}", "i".repeat(60_000)));
        for preamble in [created, filtered, role, &format!("{filtered}{role}"), &repeats] {
            assert_eq!(checked(preamble, false), CheckResult::Undecided, "{preamble}");
            assert_eq!(status(checked(&format!("{preamble}{error}"), false)), Some(429));
            assert_eq!(checked(&format!("{preamble}{output}"), false), stream, "{preamble}");
            assert_eq!(checked(&format!("{preamble}data: [DONE]\n\n"), false), stream, "{preamble}");
            assert_eq!(checked(preamble, true), stream, "{preamble}");
        }
        let (first_half, _) = repeats.split_at(40_000);
        assert_eq!(checked(first_half, false), CheckResult::Undecided);
        for first in [
            // The client needs the id, and may wait for the output elsewhere.
            "event: response.created\ndata: {}\n\nevent: response.queued\ndata: {}\n\n",
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"hi\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "data: {\"choices\":[{\"text\":\"hi\"}]}\n\n",
            "data: {\"another\":\"format\"}\n\n",
        ] {
            assert_eq!(checked(first, false), stream, "{first}");
        }
    }
}
