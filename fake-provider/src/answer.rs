//! What the fake provider does with a request: from an ordinary success to a connection
//! broken half-way.

use std::time::Duration;

/// One answer. Starts as [`Answer::ok`], [`Answer::status`], [`Answer::bytes`] or [`Answer::raw`]
/// and is refined from there.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
    pub(crate) before_headers: Duration,
    pub(crate) between_pieces: Duration,
    pub(crate) before_end: Duration,
    pub(crate) end: End,
    pub(crate) usage: Usage,
    /// If this deployment's connection has carried a request before, it breaks in this way instead.
    pub(crate) on_kept_connections: Option<Break>,
}

/// The tokens that an answer says it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
}

/// The body.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// What OpenAI answers on the route; with `"stream": true` as many events as this, and two that
    /// close.
    OfTheRoute { events: usize },
    /// OpenAI's error object, naming the deployment.
    Error,
    /// These bytes, with a content-length.
    Bytes(Vec<u8>),
    /// These pieces, chunked.
    Pieces(Vec<Vec<u8>>),
    /// These bytes in place of a whole HTTP answer.
    Raw(Vec<u8>),
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Complete; the connection stays open.
    Whole,
    /// Before the first byte of the headers.
    BeforeHeaders(Break),
    /// After this many pieces: events of a stream, halves of anything else.
    AfterPieces(usize, Break),
}

/// How a connection is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// Open, and silent until the other side goes.
    Hang,
    /// TCP reset.
    Reset,
    /// Closed in good order, in the middle of the message.
    Close,
}

impl Answer {
    /// 200 and what OpenAI answers on the route, naming the deployment; three events where the
    /// request asks for a stream.
    pub fn ok() -> Self {
        Self::of(200, Body::OfTheRoute { events: 3 })
    }

    /// This status and an error body in OpenAI's shape: `"<deployment> says <status>"`.
    pub fn status(status: u16) -> Self {
        Self::of(status, Body::Error)
    }

    /// 200 and these bytes.
    pub fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Self::of(200, Body::Bytes(body.into()))
    }

    /// 200 and these pieces, chunked, as an event stream.
    pub fn pieces<P: Into<Vec<u8>>>(pieces: impl IntoIterator<Item = P>) -> Self {
        Self::of(200, Body::Pieces(pieces.into_iter().map(Into::into).collect()))
            .header("content-type", "text/event-stream")
    }

    /// These bytes in place of a whole HTTP answer; then the connection is closed.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        let mut answer = Self::of(200, Body::Raw(bytes.into()));
        answer.end = End::AfterPieces(usize::MAX, Break::Close);
        answer
    }

    fn of(status: u16, body: Body) -> Self {
        let none = Duration::ZERO;
        Self {
            status,
            headers: Vec::new(),
            body,
            before_headers: none,
            between_pieces: none,
            before_end: none,
            end: End::Whole,
            usage: Usage { prompt: 5, completion: 7 },
            on_kept_connections: None,
        }
    }

    /// Says that it took so many tokens, rather than 5 and 7; a stream of chat or completions says
    /// so only to who asks for it.
    pub fn using(mut self, prompt: u64, completion: u64) -> Self {
        self.usage = Usage { prompt, completion };
        self
    }

    /// With this body in place of the route's own.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes(body.into());
        self
    }

    /// With this many events, where the request asks for a stream.
    pub fn events(mut self, events: usize) -> Self {
        self.body = Body::OfTheRoute { events };
        self
    }

    /// With this header too. A `content-length` replaces the true one.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With `retry-after`.
    pub fn retry_after(self, value: &str) -> Self {
        self.header("retry-after", value)
    }

    /// Headers only after this long.
    pub fn after(mut self, delay: Duration) -> Self {
        self.before_headers = delay;
        self
    }

    /// This long before each piece of the body.
    pub fn every(mut self, gap: Duration) -> Self {
        self.between_pieces = gap;
        self
    }

    /// The last chunk, which ends a chunked body, only this long after the last piece.
    pub fn end_after(mut self, delay: Duration) -> Self {
        self.before_end = delay;
        self
    }

    /// Never sends the headers.
    pub fn hang(mut self) -> Self {
        self.end = End::BeforeHeaders(Break::Hang);
        self
    }

    /// Sends the headers and this many pieces of the body, and then nothing more.
    pub fn hang_after(mut self, pieces: usize) -> Self {
        self.end = End::AfterPieces(pieces, Break::Hang);
        self
    }

    /// Resets the connection instead of answering.
    pub fn reset(mut self) -> Self {
        self.end = End::BeforeHeaders(Break::Reset);
        self
    }

    /// Closes the connection instead of answering.
    pub fn close(mut self) -> Self {
        self.end = End::BeforeHeaders(Break::Close);
        self
    }

    /// Closes the connection instead of answering, if it has carried a request before: as a server
    /// does that closes idle connections in the moment in which the next request comes.
    pub fn close_kept(mut self) -> Self {
        self.on_kept_connections = Some(Break::Close);
        self
    }

    /// The same with a TCP reset.
    pub fn reset_kept(mut self) -> Self {
        self.on_kept_connections = Some(Break::Reset);
        self
    }

    /// Sends the headers and this many pieces of the body, and resets the connection.
    pub fn reset_after(mut self, pieces: usize) -> Self {
        self.end = End::AfterPieces(pieces, Break::Reset);
        self
    }

    /// Sends the headers and this many pieces of the body, and closes the connection.
    pub fn close_after(mut self, pieces: usize) -> Self {
        self.end = End::AfterPieces(pieces, Break::Close);
        self
    }
}
