//! Whether a response with a success status is an answer. Providers, and proxies in front of them,
//! send errors under status 200: as the first event of a stream whose headers had gone out, as a
//! JSON body, as a page of HTML, or as an empty body.
//!
//! | routes | expected body | not an answer |
//! |---|---|---|
//! | all but the following | JSON or events | an empty body; `null`; a page; text; JSON that is cut off; JSON or a first event that is an error; an object without `choices`, `data`, `content` or `output`, whichever the route's answers have; a stream that ends without output and without a reason |
//! | `/audio/transcriptions`, `/audio/translations` | text or JSON | a page; JSON that is an error; an empty body under a JSON content-type |
//! | `/audio/speech` | audio | an empty body; a page; JSON that is an error |
//! | `/responses/{id}` and below | anything, also a response that has failed | a page |
//!
//! A refusal of Anthropic's safeguards is none either, if a fallback may answer.
//!
//! Where text or audio is expected, only a body with an event-stream content-type is read as
//! events. Bodies whose content-type announces pictures, sound or bytes pass on every route.
//!
//! The filter holds the response headers until the first bytes of the body are there, so that
//! another deployment can still be tried. A few dozen bytes decide about most responses. Of a stream,
//! the first event with output decides, so the filter holds nothing that a client could use already.
//! Where the time for that ends before any output, a [`LateCheck`] goes on. A compressed body, which
//! the router never asks for, cannot be read and passes.

mod bare_error;
mod error;
mod events;
mod late_check;
mod missing_answer;
mod refusal;
mod stream_error;
mod top_level;

use std::time::Duration;

use llm_balancer_config::Wire;

use crate::http::json;
use crate::http::route::wire;
use crate::http::sse::BOM;
use crate::upstream::usage::UsageScanner;
pub use error::FalseSuccess;
pub use late_check::LateCheck;
pub use stream_error::error_event;
use top_level::ObjectScan;

/// The start of a response, which the filter holds back.
#[derive(Clone, Copy)]
pub struct HeldResponse<'a> {
    /// The request's route, as providers spell it: `/chat/completions`.
    pub route: &'a str,
    /// The provider's status, below 300.
    pub status: u16,
    /// The body so far.
    pub bytes: &'a [u8],
    /// Whether the body ends with them.
    pub complete: bool,
    /// The number of pieces in which they arrived.
    pub pieces: u32,
    /// The time since the first piece.
    pub held_for: Duration,
    /// Looks a response header up; called only where the bytes alone do not decide.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a fallback may answer a prompt that is refused; called only for a refusal, which passes
    /// otherwise.
    pub refusal_falls_back: &'a dyn Fn() -> bool,
}

/// What a held response is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// Not known before more of the body arrives.
    Undecided,
    /// An answer, or at least not known to be an error.
    Genuine(BodyFormat),
    /// An error.
    Failed(FalseSuccess),
}

/// How a body has to be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// Server-sent events.
    EventStream,
    /// Nothing but blanks has come, or events before any output. [`LateCheck`] goes on.
    Unknown,
    /// Anything else.
    Other,
}

/// What the filter holds at most without seeing an error. Comments that keep a connection alive, and
/// events before any output, then pass, in time for clients and proxies that count the seconds of silence.
const MAX_HELD_BYTES: usize = 16 * 1024;
const MAX_HELD_PIECES: u32 = 64;
/// The longest time since the first held piece: of a stream also if no other one arrives, where the host
/// lets the filter resume it.
pub const MAX_HELD_TIME: Duration = Duration::from_secs(5);
/// The first events of a response repeat its instructions and its tools, twice.
const MAX_PREAMBLE_BYTES: usize = 256 * 1024;
/// The longest error that is read to its end.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Parts of content-types that no error has: pictures, sound, and vLLM's embeddings as bytes.
const BINARY_TYPES: [&str; 4] = ["image/", "audio/", "video/", "octet-stream"];

/// The body that a route's answer has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ExpectedBody {
    JsonOrEvents,
    TextOrJson,
    Audio,
    /// A stored response may be one that has failed, and a deleted one leaves nothing.
    StoredResponse,
}

impl ExpectedBody {
    fn of(route: &str) -> Self {
        match route {
            "/audio/speech" => Self::Audio,
            "/audio/transcriptions" | "/audio/translations" => Self::TextOrJson,
            _ if route.starts_with("/responses/{id}") => Self::StoredResponse,
            _ => Self::JsonOrEvents,
        }
    }
}

/// What passes without being read as events.
const PASSES: CheckResult = CheckResult::Genuine(BodyFormat::Other);

/// Checks the start of a response. Call it again with the whole start when more of the body has
/// arrived.
pub fn check(response: &HeldResponse<'_>) -> CheckResult {
    let expected = ExpectedBody::of(response.route);
    let is_model_output = expected == ExpectedBody::JsonOrEvents;
    let bytes = response.bytes.strip_prefix(BOM).unwrap_or(response.bytes);
    let text = bytes.trim_ascii_start();
    match text.first() {
        _ if is_compressed(bytes) => PASSES,
        Some(b'<') if expected == ExpectedBody::StoredResponse => {
            response.not_an_answer("an HTML or XML page")
        }
        _ if expected == ExpectedBody::StoredResponse => PASSES,
        _ if !response.complete && BOM.starts_with(bytes) => {
            response.wait(BodyFormat::Unknown, MAX_HELD_BYTES)
        }
        None if response.complete => response.check_empty(expected),
        None => response.wait(BodyFormat::Unknown, MAX_HELD_BYTES),
        Some(b'{') => response.check_object(text, expected),
        Some(_) if may_be_events(text, expected, response) => events::check(text, response),
        Some(b'<') if !is_model_output && !response.has_content_type(&["html"]) => PASSES,
        Some(b'<') => response.not_an_answer("an HTML or XML page"),
        Some(_) if !is_model_output => PASSES,
        Some(b'[') => response.check_list(text),
        Some(_) => response.not_an_answer(NEITHER),
    }
}

const NEITHER: &str = "a body that is neither JSON nor a stream of events";

const TRUNCATED: &str = "truncated JSON";

fn is_unfinished(text: &[u8]) -> bool {
    let mut scanner = UsageScanner::new();
    scanner.feed(text);
    scanner.is_unfinished_document()
}

fn is_list(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(json::is_list)
}

/// gzip or zstd, by their first bytes.
fn is_compressed(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x1f\x8b") || bytes.starts_with(b"\x28\xb5\x2f\xfd")
}

/// Text and audio may begin like events by chance, so on their routes the content-type decides.
fn may_be_events(text: &[u8], expected: ExpectedBody, response: &HeldResponse<'_>) -> bool {
    events::may_begin(text, response.complete)
        && (expected == ExpectedBody::JsonOrEvents || response.has_content_type(&["event-stream"]))
}

impl HeldResponse<'_> {
    fn wire(&self) -> Wire {
        wire(self.route)
    }

    fn check_empty(&self, expected: ExpectedBody) -> CheckResult {
        // The transcription of silence is an empty text.
        if expected == ExpectedBody::TextOrJson && !self.has_content_type(&["json"]) {
            return PASSES;
        }
        CheckResult::Failed(FalseSuccess::without_message(self.wire(), self.status, "an empty body"))
    }

    fn check_object(&self, text: &[u8], expected: ExpectedBody) -> CheckResult {
        let is_model_output = expected == ExpectedBody::JsonOrEvents;
        let scan =
            if text.len() <= MAX_HELD_BYTES { top_level::scan_whole(text) } else { top_level::scan(text) };
        match scan {
            ObjectScan::Neither if is_model_output && bare_error::is_bare_error(text) => {
                self.await_error(|| FalseSuccess::from_json(self.wire(), text))
            }
            ObjectScan::Content | ObjectScan::Neither
                if is_model_output && self.complete && is_unfinished(text) =>
            {
                self.not_an_answer(TRUNCATED)
            }
            ObjectScan::Neither if is_model_output => self.check_members(text),
            ObjectScan::Content | ObjectScan::Neither => PASSES,
            ObjectScan::Error => self.await_error(|| FalseSuccess::from_json(self.wire(), text)),
            ObjectScan::NotJson | ObjectScan::Unfinished if !is_model_output => PASSES,
            ObjectScan::NotJson => self.not_an_answer("a body that is not JSON"),
            ObjectScan::Unfinished if self.complete => self.not_an_answer(TRUNCATED),
            ObjectScan::Unfinished => self.wait(BodyFormat::Other, MAX_HELD_BYTES),
        }
    }

    /// A complete object that shows neither output nor an error.
    fn check_members(&self, text: &[u8]) -> CheckResult {
        if let Some(found) = self.refusal(text) {
            return CheckResult::Failed(found);
        }
        let Some(name) = missing_answer::missing_answer(self.route, text) else { return PASSES };
        match self.not_an_answer(name) {
            CheckResult::Failed(_) if error::names_a_message(text) => {
                CheckResult::Failed(FalseSuccess::from_json(self.wire(), text))
            }
            checked => checked,
        }
    }

    /// The error that a refusal becomes, where a fallback may answer.
    fn refusal(&self, data: &[u8]) -> Option<FalseSuccess> {
        refusal::refusal(self.route, data).filter(|_| (self.refusal_falls_back)())
    }

    /// Google sends an error as a list of one.
    fn check_list(&self, text: &[u8]) -> CheckResult {
        let first = text.get(1..).unwrap_or_default().trim_ascii_start();
        match top_level::scan(first) {
            ObjectScan::Error => self.await_error(|| FalseSuccess::from_json(self.wire(), text)),
            // Text may begin with a bracket: `[503] ..`.
            _ if self.complete && !is_list(text) => self.not_an_answer(NEITHER),
            ObjectScan::Unfinished | ObjectScan::NotJson if !self.complete => {
                self.wait(BodyFormat::Other, MAX_HELD_BYTES)
            }
            _ => PASSES,
        }
    }

    /// Waits for more, within the limits of what is held.
    fn wait(&self, format: BodyFormat, max_bytes: usize) -> CheckResult {
        let is_over =
            self.bytes.len() > max_bytes || self.pieces > MAX_HELD_PIECES || self.held_for > MAX_HELD_TIME;
        if is_over { CheckResult::Genuine(format) } else { CheckResult::Undecided }
    }

    /// Waits for the end of an error, unless it is longer than any error.
    fn await_error(&self, error: impl FnOnce() -> FalseSuccess) -> CheckResult {
        let is_over =
            self.complete || self.bytes.len() > MAX_ERROR_BYTES || self.pieces > 2 * MAX_HELD_PIECES;
        if is_over { CheckResult::Failed(error()) } else { CheckResult::Undecided }
    }

    fn not_an_answer(&self, body: &'static str) -> CheckResult {
        if is_encoded(self.header) || self.has_content_type(&BINARY_TYPES) {
            return PASSES;
        }
        CheckResult::Failed(FalseSuccess::without_message(self.wire(), self.status, body))
    }

    /// Whether the content-type contains one of these.
    fn has_content_type(&self, parts: &[&str]) -> bool {
        (self.header)("content-type").is_some_and(|content_type| has_part(&content_type, parts))
    }
}

/// Whether the headers of a response say that its body is JSON, and readable.
pub fn is_json(header: &dyn Fn(&str) -> Option<String>) -> bool {
    header("content-type").is_some_and(|content_type| has_part(&content_type, &["json"]))
        && !is_encoded(header)
}

/// Compressions other than gzip and zstd cannot be recognised by their first bytes.
fn is_encoded(header: &dyn Fn(&str) -> Option<String>) -> bool {
    header("content-encoding").is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity"))
}

/// Whether a content-type contains one of these, which are in lower case.
fn has_part(content_type: &str, parts: &[&str]) -> bool {
    let content_type = content_type.to_ascii_lowercase();
    parts.iter().any(|part| content_type.contains(part))
}

#[cfg(test)]
mod choice_tests;
#[cfg(test)]
mod code_tests;
#[cfg(test)]
mod list_tests;
#[cfg(test)]
mod silent_tests;
#[cfg(test)]
pub(crate) mod tests;
