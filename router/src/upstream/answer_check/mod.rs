//! Whether an answer with a success status is one. Providers and the proxies in front of them send errors with status 200:
//! as the first event of a stream whose headers had gone out, as a JSON body, as a page of HTML, or as nothing.
//!
//! | what a route promises | what is no answer |
//! |---|---|
//! | JSON or events (all routes but the following) | nothing; `null`; a page or text; JSON or a first event that is an error; a stream that ends before an event |
//! | text or JSON (`/audio/transcriptions`, `/audio/translations`) | a page; JSON that is an error; nothing where JSON was announced |
//! | sound (`/audio/speech`) | nothing; a page; JSON that is an error |
//!
//! Where text or sound is promised, only what is announced as a stream of events is read as one. Pictures, sound and bytes that are
//! announced as such pass on every route.
//!
//! The filter holds an answer's headers until its first bytes are there, so an answer that is none can still be sought at
//! another deployment. Most answers are decided by a few dozen of them: nothing is held that a client could use already. A
//! compressed answer (nobody asks for one) cannot be read and passes.

mod error;
mod events;
mod refusal;
mod stream_error;
mod top_level;

use std::time::Duration;

pub use error::FalseSuccess;
pub use stream_error::tells_of_an_error;
use top_level::Snapshot;

/// The beginning of an answer that is being held.
#[derive(Clone, Copy)]
pub struct Beginning<'a> {
    /// Of the request, as providers spell it: `/chat/completions`.
    pub route: &'a str,
    /// The provider's, below 300.
    pub status: u16,
    /// All that is there of the body.
    pub bytes: &'a [u8],
    /// Whether the body ends with them.
    pub complete: bool,
    /// In how many pieces they came.
    pub pieces: u32,
    /// Since the first of them came.
    pub held: Duration,
    /// The provider's headers by name, read where the bytes alone do not tell.
    pub header: &'a dyn Fn(&str) -> Option<String>,
}

/// What the beginning shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// More of it is needed.
    Undecided,
    /// An answer, or at least nothing that is known to be none.
    Genuine(Form),
    /// No answer.
    Failed(FalseSuccess),
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Events, one after the other.
    Events,
    /// Anything else.
    Whole,
}

/// Limits of what is held without being known to be an error: comments that keep a connection alive are passed on in time
/// for clients and proxies that count the seconds of silence.
const HELD_BYTES: usize = 16 * 1024;
const HELD_PIECES: u32 = 64;
const HELD_TIME: Duration = Duration::from_secs(5);
/// An error is read up to here.
const ERROR_BYTES: usize = 64 * 1024;

/// Kinds of content that only whoever means it announces: pictures, sound, and vLLM's embeddings as bytes.
const BYTES: [&str; 4] = ["image/", "audio/", "video/", "octet-stream"];

/// What a route's answer is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promise {
    JsonOrEvents,
    TextOrJson,
    Sound,
}

impl Promise {
    fn of(route: &str) -> Self {
        match route {
            "/audio/speech" => Self::Sound,
            "/audio/transcriptions" | "/audio/translations" => Self::TextOrJson,
            _ => Self::JsonOrEvents,
        }
    }
}

/// Judges the beginning of an answer; to be called again with all of it when more has come.
pub fn check(beginning: &Beginning<'_>) -> Checked {
    let promise = Promise::of(beginning.route);
    let bytes = beginning.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning.bytes);
    let text = bytes.trim_ascii_start();
    match text.first() {
        _ if is_compressed(bytes) => Checked::Genuine(Form::Whole),
        None if beginning.complete => empty(promise, beginning),
        None => beginning.wait(Form::Whole),
        Some(b'{') => object(text, promise, beginning),
        Some(_) if may_be_events(text, promise, beginning) => events::check(text, beginning),
        Some(b'<') if promise != Promise::JsonOrEvents && !beginning.is_announced(&["html"]) => {
            Checked::Genuine(Form::Whole)
        }
        Some(b'<') => beginning.is_no_answer("an HTML or XML page"),
        Some(_) if promise != Promise::JsonOrEvents => Checked::Genuine(Form::Whole),
        Some(b'[') => list(text, beginning),
        Some(_) => beginning.is_no_answer("a body that is neither JSON nor a stream of events"),
    }
}

impl Beginning<'_> {
    /// Holds what is there for a while longer.
    fn wait(&self, form: Form) -> Checked {
        let is_long = self.bytes.len() > HELD_BYTES || self.pieces > HELD_PIECES || self.held > HELD_TIME;
        if is_long { Checked::Genuine(form) } else { Checked::Undecided }
    }

    /// Holds an error until it is all there, unless it is longer than any error.
    fn await_error(&self, error: impl FnOnce() -> FalseSuccess) -> Checked {
        let is_all = self.complete || self.bytes.len() > ERROR_BYTES || self.pieces > 2 * HELD_PIECES;
        if is_all { Checked::Failed(error()) } else { Checked::Undecided }
    }

    fn is_no_answer(&self, body: &'static str) -> Checked {
        // What is compressed in another way than by gzip or zstd has nothing that it could be recognised by.
        let encoding =
            (self.header)("content-encoding").filter(|encoding| !encoding.eq_ignore_ascii_case("identity"));
        match encoding.is_some() || self.is_announced(&BYTES) {
            true => Checked::Genuine(Form::Whole),
            false => Checked::Failed(FalseSuccess::without_words(self.status, body)),
        }
    }

    /// Whether the content-type holds one of these words.
    fn is_announced(&self, kinds: &[&str]) -> bool {
        let kind = (self.header)("content-type").map(|kind| kind.to_ascii_lowercase());
        kind.is_some_and(|kind| kinds.iter().any(|known| kind.contains(known)))
    }
}

fn empty(promise: Promise, beginning: &Beginning<'_>) -> Checked {
    // Silence is transcribed as nothing.
    match promise == Promise::TextOrJson && !beginning.is_announced(&["json"]) {
        true => Checked::Genuine(Form::Whole),
        false => Checked::Failed(FalseSuccess::without_words(beginning.status, "an empty body")),
    }
}

/// Text and sound may begin like a stream by chance; a stream on their routes says what it is.
fn may_be_events(text: &[u8], promise: Promise, beginning: &Beginning<'_>) -> bool {
    events::may_begin(text, beginning.complete)
        && (promise == Promise::JsonOrEvents || beginning.is_announced(&["event-stream"]))
}

fn object(text: &[u8], promise: Promise, beginning: &Beginning<'_>) -> Checked {
    match scan(text) {
        Snapshot::StreamEnd if promise == Promise::JsonOrEvents && refusal::is_refusal(text) => {
            beginning.await_error(|| FalseSuccess::of_json(text))
        }
        Snapshot::Content | Snapshot::StreamEnd => Checked::Genuine(Form::Whole),
        Snapshot::Error => beginning.await_error(|| FalseSuccess::of_json(text)),
        Snapshot::NoJson | Snapshot::Unfinished if promise != Promise::JsonOrEvents => {
            Checked::Genuine(Form::Whole)
        }
        Snapshot::NoJson => beginning.is_no_answer("a body that is not JSON"),
        Snapshot::Unfinished if beginning.complete => beginning.is_no_answer("truncated JSON"),
        Snapshot::Unfinished => beginning.wait(Form::Whole),
    }
}

/// All that is there is read, unless it is longer than an error would be.
fn scan(text: &[u8]) -> Snapshot {
    match text.len() <= HELD_BYTES {
        true => top_level::scan_whole(text),
        false => top_level::scan(text),
    }
}

/// Google's errors are lists of one.
fn list(text: &[u8], beginning: &Beginning<'_>) -> Checked {
    let first = text.get(1..).unwrap_or_default().trim_ascii_start();
    match top_level::scan(first) {
        Snapshot::Error => beginning.await_error(|| FalseSuccess::of_json(text)),
        Snapshot::Unfinished if !beginning.complete => beginning.wait(Form::Whole),
        _ => Checked::Genuine(Form::Whole),
    }
}

/// gzip or zstd, by their first bytes.
fn is_compressed(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x1f\x8b") || bytes.starts_with(b"\x28\xb5\x2f\xfd")
}

#[cfg(test)]
mod tests;
