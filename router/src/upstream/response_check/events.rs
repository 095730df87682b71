//! The first event of a stream (WHATWG HTML, 9.2.5).

use std::borrow::Cow;

use memchr::memmem;

use super::bare_error::is_bare_error;
use super::missing_answer::missing_answer;
use super::top_level::{self, ObjectScan};
use super::{
    BodyFormat, CheckResult, ExpectedBody, FalseSuccess, HeldResponse, MAX_HELD_BYTES, MAX_PREAMBLE_BYTES,
};
use crate::failure::ErrorBody;
use crate::http::json::{self, Object};
use crate::http::route::MESSAGES;
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

/// The last event of a response.
const COMPLETED: &[u8] = b"response.completed";

/// Choices of a chunk that are looked at.
pub(super) const MAX_CHOICES: usize = 128;

const NO_OUTPUT: &str = "a stream without output";

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

/// What a complete event shows.
enum Seen<'a> {
    /// Nothing: it keeps the connection alive.
    Nothing,
    /// What comes before all output.
    Preamble,
    /// Words that are neither output nor an event of any API: the error, if the stream ends without
    /// output, else a heartbeat or progress.
    Words(Cow<'a, [u8]>),
    /// The end of the stream.
    End,
    Error(FalseSuccess),
    Output,
}

/// The events before any output.
#[derive(Default)]
struct Start<'a> {
    has_preamble: bool,
    words: Option<Cow<'a, [u8]>>,
}

impl<'a> Start<'a> {
    /// Adds a complete event. Returns the result that follows from it.
    fn add(&mut self, event: SseEvent<'a>, response: &HeldResponse<'_>) -> Option<CheckResult> {
        match event.read(response) {
            Seen::Nothing => {}
            Seen::Preamble => self.has_preamble = true,
            Seen::Words(words) => drop(self.words.get_or_insert(words)),
            Seen::End => return Some(self.end(response)),
            Seen::Error(error) => return Some(CheckResult::Failed(error)),
            Seen::Output => return Some(GENUINE),
        }
        None
    }

    /// A stream that ends with these events.
    fn end(&self, response: &HeldResponse<'_>) -> CheckResult {
        match &self.words {
            Some(words) => CheckResult::Failed(FalseSuccess::from_json(response.wire(), words)),
            None => response.not_an_answer(NO_OUTPUT),
        }
    }
}

/// Checks a stream by its first event other than a keep-alive or a preamble, behind which OpenAI,
/// Azure and Anthropic still send errors.
pub(super) fn check(text: &[u8], response: &HeldResponse<'_>) -> CheckResult {
    let mut splitter = Splitter::default();
    let mut event = SseEvent::default();
    let mut line: &[u8] = &[];
    let mut start = Start::default();
    let mut rest = text;
    while let Some((piece, after)) = splitter.next(rest) {
        rest = after;
        match piece {
            // A part of a byte order mark is a text of its own, and the line is no field.
            Piece::Text(text) if line.is_empty() => line = text,
            Piece::LineEnd => event.add(std::mem::take(&mut line)),
            Piece::EventEnd => {
                if let Some(result) = start.add(std::mem::take(&mut event), response) {
                    return result;
                }
            }
            Piece::Text(_) | Piece::Bom | Piece::LateLf => {}
        }
    }
    if response.complete {
        // Clients read a last event without its empty line, too.
        event.add(line);
        return start.add(event, response).unwrap_or_else(|| start.end(response));
    }
    // Model output shows before an event is complete.
    let is_content = event.data(line).is_some_and(|data| top_level::scan(&data) == ObjectScan::Content);
    // A refusal shows at its end.
    let may_refuse = event.name == MESSAGE_DELTA || (event.name.is_empty() && response.route == MESSAGES);
    if is_content && !ERROR.contains(&event.name) && !may_refuse {
        return GENUINE;
    }
    let is_preamble = start.has_preamble || PREAMBLE.contains(&event.name);
    response.wait(BodyFormat::Unknown, if is_preamble { MAX_PREAMBLE_BYTES } else { MAX_HELD_BYTES })
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

    /// Reads a complete event.
    fn read(self, response: &HeldResponse<'_>) -> Seen<'a> {
        let data = self.data.as_deref().unwrap_or_default().trim_ascii();
        let has_name = !matches!(self.name, b"" | b"message");
        let is_read = !has_name || self.name == COMPLETED;
        let object = if is_read { Object::parse(data).ok() } else { None };
        // Some servers leave names out, as the data have them.
        let own_type = || json::string(object.as_ref()?.present("type")?);
        let own_type = if has_name { None } else { own_type() };
        let name = own_type.as_ref().map_or(self.name, |own_type| own_type.as_bytes());
        if PREAMBLE.contains(&name) {
            return Seen::Preamble;
        }
        let is_error = ERROR.contains(&name);
        if !is_error && (data.is_empty() || KEEP_ALIVE.contains(&name)) {
            return Seen::Nothing;
        }
        let scan = top_level::scan_whole(data);
        if is_error || scan == ObjectScan::Error || (scan == ObjectScan::Neither && names_a_status(data)) {
            return Seen::Error(FalseSuccess::from_json(response.wire(), data));
        }
        if is_end(name, data, object.as_ref()) {
            return Seen::End;
        }
        if let Some(refusal) = response.refusal(data) {
            return Seen::Error(refusal);
        }
        let has_name = has_name || own_type.is_some();
        match object {
            Some(chunk) if !has_name && is_without_output(&chunk) && !has_completion(&chunk) => {
                Seen::Preamble
            }
            _ if scan == ObjectScan::Content || has_name => Seen::Output,
            Some(other) if !other.members().is_empty() && !says_anything(data) => Seen::Output,
            Some(_) if missing_answer(response.route, data).is_none() => Seen::Output,
            _ if ExpectedBody::of(response.route) != ExpectedBody::JsonOrEvents => Seen::Output,
            _ => Seen::Words(self.data.unwrap_or_default()),
        }
    }
}

/// Whether an event ends a stream, and is no answer without others: `response.completed` has all
/// output once more, and a usage.
fn is_end(name: &[u8], data: &[u8], object: Option<&Object<'_>>) -> bool {
    let is_empty_response = || {
        let response = Object::parse(object?.present("response")?.as_bytes()).ok()?;
        let has_output = response.get("output").is_some_and(|output| !is_empty(output));
        Some(!has_output && response.present("usage").is_none())
    };
    match name {
        b"message_stop" => true,
        COMPLETED => is_empty_response() == Some(true),
        _ => matches!(data, b"[DONE]" | b"null"),
    }
}

fn is_empty(value: &str) -> bool {
    matches!(value, "null" | "\"\"" | "[]" | "{}")
}

/// Whether a chunk counts tokens of an answer, if only of hidden reasoning.
fn has_completion(chunk: &Object<'_>) -> bool {
    let usage = chunk.present("usage").and_then(|usage| Object::parse(usage.as_bytes()).ok());
    usage.is_some_and(|usage| usage.present("completion_tokens").and_then(json::uint) > Some(0))
}

/// Whether an object is a chunk of a chat with a role alone, or with Azure's verdict about the prompt.
fn is_without_output(object: &Object<'_>) -> bool {
    let all = |value: &str, is_silent: &dyn Fn(&json::Member<'_>) -> bool| {
        let mut are_silent = true;
        let read = json::for_each_member(value, |member| are_silent &= is_silent(&member));
        read.is_some() && are_silent
    };
    let is_silent = |choice: &&str| {
        all(choice, &|member| match &*member.key {
            "index" | "content_filter_results" => true,
            "delta" => all(member.value, &|part| {
                top_level::LABELS.contains(&part.key.as_bytes()) || is_empty(part.value)
            }),
            _ => is_empty(member.value),
        })
    };
    let choices = object.get("choices").and_then(|choices| json::list(choices, MAX_CHOICES));
    choices.is_some_and(|choices| choices.iter().all(is_silent))
}

/// Whether data have a code or a message, as errors and progress do, or Tencent's `Error` within
/// another object. Others are of an unknown format.
fn says_anything(data: &[u8]) -> bool {
    let body = ErrorBody::read(data);
    !body.codes.is_empty() || !body.messages.is_empty() || memmem::find(data, b"\"Error\"").is_some()
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
    fn an_error_behind_a_preamble_is_an_error_and_a_preamble_alone_is_no_answer() {
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
            let done = format!("{preamble}data: [DONE]\n\n");
            assert_eq!([checked(&done, false), checked(preamble, true)].map(status), [Some(502); 2]);
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
            "data: {\"type\":\"another.format\"}\n\n",
            "data: {\"response\":\"hi\"}\n\n",
            "data: {\"n\":0}\n\n",
            "data: {\"choices\":[],\"usage\":{\"completion_tokens\":57}}\n\n",
            "data: {\"message\":{\"content\":\"hi\"},\"done\":false}\n\n",
        ] {
            assert_eq!(checked(first, false), stream, "{first}");
        }
    }
}
