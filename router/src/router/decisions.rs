//! What the filter reports to the router, and what the router decides.

use std::time::Duration;

use crate::attempt::{Attempt, RetryState};
use crate::http::headers::Headers;
use crate::http::reply::Reply;
use crate::http::rewritten_body::RewrittenBody;
use crate::request::parse::Request;
use crate::request::references::Reference;
use crate::telemetry::access_log::AccessLogEntry;
use crate::upstream::final_event::FinalEvent;
use crate::upstream::health::ToProbe;
use crate::upstream::usage::Usage;

/// What to do with a request whose headers have arrived.
#[derive(Debug)]
pub enum Arrival {
    /// Wait for the body.
    Hold(Box<Request>),
    /// Answer. Probes of liveness and readiness have no access-log entry.
    Reply(Reply, Option<Box<AccessLogEntry>>),
    /// Send a health probe to these deployments, and answer with the results.
    Probe(ToProbe),
}

/// What to do with a request whose body is complete.
#[derive(Debug)]
pub enum Step {
    /// Send it to the selected deployment.
    Send(Box<Sending>),
    /// Ask Redis for this, and then ask the router again, with this state of the request.
    AwaitRedis(Box<RetryState>, Awaited),
    /// Answer.
    Reply(Reply, Box<AccessLogEntry>),
}

/// What a request waits for.
#[derive(Debug)]
pub enum Awaited {
    /// A lease, without which no deployment may serve it.
    Lease {
        /// The one that could serve it with a lease.
        deployment: usize,
        /// The tokens that it needs there.
        tokens: u64,
    },
    /// Where these were made that it refers to: this instance does not know their deployment.
    Origin(Vec<Reference>),
}

/// A request to a deployment.
#[derive(Debug)]
pub struct Sending {
    /// All of its headers.
    pub headers: Headers,
    /// Its body, if it differs from the client's.
    pub body: Option<RewrittenBody>,
    /// To be settled when the response has ended.
    pub attempt: Attempt,
}

/// What to do after an attempt has failed.
#[derive(Debug)]
pub enum Verdict {
    /// Ask the edge for another attempt, after a wait.
    Retry(Box<RetryState>, Duration),
    /// Pass on the provider's response, with these headers added.
    Relay(Vec<(&'static str, String)>, Box<AccessLogEntry>),
    /// Answer in its place.
    Reply(Reply, Box<AccessLogEntry>),
}

/// How the body of a response is compressed.
pub(super) const CONTENT_ENCODING: &str = "content-encoding";

/// Headers of a provider's error by which a client decides when to try again, and what to report,
/// and by which the router knows whether it can repeat the body. `retry-after` is not among them: it
/// is that of the failure.
pub const ERROR_HEADERS: [&str; 5] =
    ["request-id", "retry-after-ms", "x-request-id", "x-should-retry", CONTENT_ENCODING];

/// A provider's response to an attempt that failed.
#[derive(Clone, Debug, Default)]
pub struct ErrorResponse {
    /// content-type.
    pub content_type: Option<String>,
    /// x-amzn-errortype.
    pub error_type: Option<String>,
    /// Those of [`ERROR_HEADERS`]. A client gets them also where the router repeats the error after a
    /// fallback has failed, but for content-encoding.
    pub headers: Vec<(&'static str, String)>,
    /// The body, up to the length that the filter reads.
    pub body: Vec<u8>,
    /// The error as the provider sent it, where `body` is the router's: it decides about the class.
    pub original: Option<Vec<u8>>,
    /// The status that the provider sent, where it is not the failure's: such a response cannot be
    /// passed on.
    pub received_status: Option<u16>,
}

/// A response that had begun and has ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseSummary {
    /// The status that the client got; 0 where it is unknown.
    pub status: u16,
    /// When the first byte of the body arrived, since the Unix epoch.
    pub first_byte: Option<Duration>,
    /// The tokens that the response reports.
    pub usage: Option<Usage>,
    /// The events of a stream that have arrived. Those with output have a token each, or more.
    pub events: u64,
    /// How its connections ended.
    pub end: StreamEnd,
    /// What its events say about its end.
    pub final_event: FinalEvent,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamEnd {
    /// The provider has sent all of it.
    #[default]
    Complete,
    /// The client disconnected before that.
    ClientDisconnected,
    /// The provider's stream ended before that.
    Interrupted,
    /// A timeout passed before that.
    TimedOut {
        /// Bytes of the body that the filter had passed on.
        passed: u64,
    },
}
