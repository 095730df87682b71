//! What happens to a stream.

/// What happened: a callback of Envoy, a tick, or the result of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The request's headers, as the router understands them.
    RequestHeaders(Arrived),
    /// A part of the request's body. Trailers complete it.
    RequestBody {
        /// Whether it is the last one.
        complete: bool,
    },
    /// A part of the request's body, which is above the limit now.
    BodyTooLarge,
    /// Redis has answered, or did not in time.
    RedisReady,
    /// Result of [`Effect::Select`] or [`Effect::Restore`].
    Selected(Selected),
    /// The response's headers.
    ResponseHeaders {
        /// Class of their status.
        status: Status,
        /// Whether no body follows.
        complete: bool,
    },
    /// A part of the response's body.
    ResponseBody {
        /// Bytes that Envoy holds.
        size: usize,
        /// Whether it is the last one.
        complete: bool,
    },
    /// Result of [`Effect::Check`].
    Checked {
        /// What the first bytes are.
        answer: Checked,
        /// Whether the body ends with them.
        complete: bool,
    },
    /// Result of [`Effect::Settle`].
    Settled(Settled),
    /// Each deployment has answered its probe, or has not in time.
    ProbesDone,
    /// A timer of this stream is due.
    Tick(Due),
    /// The end of the stream, just before its line in the access log.
    Log,
    /// The filter lacks what an effect needs: the request or the attempt.
    StateMissing,
}

/// What the router decides by a request's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// Wait for the body.
    Hold,
    /// There is no body to wait for.
    Complete,
    /// Answer.
    Reply,
    /// Answer when the body has arrived, which nothing needs.
    ReplyAfterBody,
    /// Call the deployments, then answer.
    Probe,
    /// It is back: its first attempt failed on the edge.
    Again,
    /// The same without a body.
    AgainComplete,
}

/// What became of a complete request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// It is rewritten for a deployment, or restored.
    Forwarded,
    /// On the edge, which keeps too much already: the internal listener gets it as it is.
    PassedOn,
    /// It needs a lease, or to know where something was made.
    AwaitRedis,
    /// The router answers.
    Reply,
    /// Envoy refused the new headers or body: they still hold the client's key. Or it has lost the
    /// body.
    NotRewritten,
}

/// Class of a response's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Below 300.
    Success,
    /// 413.
    TooLarge,
    /// Any other.
    Failure,
}

impl Status {
    /// Class of a `:status`; Envoy passes on numbers that are none of HTTP's.
    pub fn of(status: u16) -> Self {
        match status {
            ..300 => Self::Success,
            413 => Self::TooLarge,
            _ => Self::Failure,
        }
    }
}

/// What the first bytes of an answer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Too few to tell.
    Undecided,
    /// An answer.
    Genuine,
    /// An error under a success status.
    Failed,
}

/// What the router decides about a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Pass on the provider's error.
    Relay,
    /// Answer in its place.
    Reply,
    /// Another attempt at once.
    Retry,
    /// Another attempt after a wait.
    RetryLater,
}

/// Which timer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The wait before the next attempt is over.
    Retry,
    /// The response was silent for longer than its timeout.
    Idle,
    /// The start of the answer has been held for long enough.
    Held,
}
