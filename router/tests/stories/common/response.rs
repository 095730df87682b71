//! What providers answer and clients get.

use llm_balancer_router::{Headers, Reply, StreamEnd};

/// The answer of a provider to one attempt.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Ok,
    /// A response with this body.
    Body(&'static str),
    /// A body under status 200, which is checked as the filter does.
    Checked(&'static str),
    /// A response that took this many prompt and completion tokens.
    Used(u64, u64),
    /// A response after this many milliseconds, with one completion token.
    After(u64),
    /// A response that begins after this many milliseconds, without usage.
    BeginsAfter(u64),
    /// The client disconnects before the response.
    ClientDisconnects,
    /// An error with this status and an empty body.
    Status(u16),
    /// An error with this status and body.
    Error(u16, &'static str),
    /// A 429 whose `retry-after` is this many seconds.
    RateLimited(u64),
    /// No connection.
    Refused,
    /// A time limit ends before the response.
    TimedOut,
    /// The connection is reset after the response headers.
    Reset,
    /// A reused connection that ends this many milliseconds after the request, without a response.
    DeadConnection(u64),
    /// The response begins, and then a time limit ends.
    Stalls,
    /// The same behind more of it than a client may leave unread.
    IsUnread,
    /// A stream begins, and then comes an event with these lines. It ends behind that.
    ErrorEvent(&'static str),
    /// The same, but the client disconnects.
    LeftAtErrorEvent(&'static str),
    /// The response begins, and then the connection ends.
    Interrupted,
    /// The response reports this many prompt and completion tokens, and then ends early.
    UsedSoFar(u64, u64, StreamEnd),
    /// A stream of these chunks, one each ten milliseconds, whose connections end 100 ms later.
    Stream(&'static [&'static str], StreamEnd),
}

/// What the client gets, and how the request came to it.
#[derive(Debug, Default)]
pub struct ClientResponse {
    pub status: u16,
    /// The ids of the deployments that were called, in order.
    pub called: Vec<String>,
    /// Seconds before each retry.
    pub waits: Vec<f64>,
    /// Headers that the router adds.
    pub headers: Vec<(String, String)>,
    /// The body of an error.
    pub body: String,
    /// The last request that a provider got.
    pub sent: Option<Sent>,
}

/// A request to a provider.
#[derive(Debug)]
pub struct Sent {
    pub headers: Headers,
    pub body: String,
}

impl ClientResponse {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The router's own reply in place of a provider's response.
    pub fn with_reply(self, reply: Reply) -> Self {
        let headers = reply.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { status: reply.status, body: reply.body, headers, ..self }
    }
}

impl Sent {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_default()
    }
}
