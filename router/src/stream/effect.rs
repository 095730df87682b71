//! What the filter does about an event.

/// What the filter does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell Envoy to go on with the message.
    Continue,
    /// Tell Envoy to hold the message.
    Pause,
    /// Send the router's answer.
    Reply,
    /// Send a local 500.
    ReplyError,
    /// Count and log nothing if an earlier attempt of this request has been answered the same way.
    SkipDuplicateLog,
    /// Answer 413, with the limit.
    RefuseTooLarge,
    /// Call the deployments of `GET /health`; gives [`Event::ProbesDone`], now or later.
    StartProbes,
    /// Select a deployment and rewrite the request for it; gives [`Event::Selected`].
    Select,
    /// Restore the client's request, whose first attempt failed on the edge, and send it to the
    /// internal listener; gives [`Event::Selected`].
    Restore,
    /// Queue for what Redis has; gives [`Event::RedisReady`] later.
    AwaitRedis,
    /// Acquire more of a lease that is nearly used up.
    RefillLease,
    /// Tell the client which deployment answers, and prepare to read the answer.
    StartAnswer,
    /// Limit the time between two chunks of a streamed response.
    StartIdleTimeout,
    /// Check the first bytes of the answer; gives [`Event::Checked`].
    Check,
    /// What is held of the answer need not wait for more: to be checked as it is.
    EndHold,
    /// Scan what there is of the answer.
    Scan,
    /// The answer is complete.
    EndAnswer,
    /// The answer ended early, by the client, the provider or a timeout.
    EndInterrupted,
    /// Classify the failed response.
    ReadFailure,
    /// The response was silent for too long: the attempt has failed.
    TimeOut,
    /// Ask the router about the failed attempt; gives [`Event::Settled`].
    Settle,
    /// Add the router's headers to the provider's error.
    AddErrorHeaders,
    /// Mark the response for another attempt by the edge, and discard its body.
    RequestRetry,
    /// Start the timer that ends [`Phase::RetryWait`].
    StartRetryTimer,
    /// Discard what there is of the response's body.
    DiscardBody,
    /// Discard what there is of the request's body.
    DiscardRequest,
    /// Let the held response go on.
    ResumeResponse,
    /// End the stream without an answer.
    CloseStream,
    /// Settle an attempt whose result is unknown.
    Abandon,
    /// Settle an attempt whose response broke off before anything of it was passed on.
    ResetAttempt,
    /// Count a request that Envoy has answered by itself before it was sent.
    RecordLocalReply,
    /// Count a request whose client left before a deployment was selected.
    ClientDisconnected,
    /// Count a request that ended during the wait before its next attempt, if there will be none.
    EndRetryWait,
    /// Count a request whose client left during a later attempt.
    EndRestoring,
    /// This cannot happen: assert in debug builds.
    Unreachable,
}
