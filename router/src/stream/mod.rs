//! The life of one attempt as a state machine: [`next`] says what an event changes, and what the
//! filter has to do about it. It is pure: the filter gathers the event, calls `next`, and performs
//! the effects. Requests, attempts and answers stay in the filter.
//!
//! ```text
//! New ─┬─ AwaitBody ─ (AwaitRedis) ─ Sent ─┬─ HoldAnswer ─ Streaming ─ Done   answered
//!      │                                   └─ ReadError ─ (RetryWait) ─ Done  failed
//!      ├─ Restoring ─ Done                                                    to the internal listener
//!      ├─ Probing ─ Done                                                      health
//!      └─ Done                                                                refused, or listed
//! ```
//!
//! | phase | event | next | effects |
//! |---|---|---|---|
//! | `New` | request headers: hold | `AwaitBody` | pause |
//! | | request headers: complete | `AwaitBody` | select a deployment |
//! | | request headers: reply | `Done` | reply |
//! | | request headers: reply after the body | `Refusing` | pause |
//! | | request headers: probe | `Probing` | start the probes |
//! | | request headers: again | `Restoring` | pause |
//! | | request headers: again, complete | `Restoring` | restore the client's request |
//! | | response headers (Envoy's) | `Done` | pass on |
//! | `AwaitBody` | request body, complete | same | select a deployment |
//! | | request body, above the limit | `Done` | refuse the body |
//! | | response headers, 413 (Envoy's) | `Done` | refuse the body |
//! | | response headers, others (Envoy's) | `Done` | record Envoy's answer, pass on |
//! | | log | `Done` | client disconnected |
//! | `Refusing` | request body | same | discard |
//! | | request body, complete or above the limit | `Done` | reply |
//! | | response headers (Envoy's) | `Done` | record Envoy's answer, pass on |
//! | `AwaitRedis` | Redis ready | same | select a deployment |
//! | | response headers (Envoy's) | `Done` | record Envoy's answer, pass on |
//! | | log | `Done` | client disconnected |
//! | `AwaitBody`, `AwaitRedis` | selected: forwarded | `Sent` | limit the wait, pass on |
//! | | selected: passed on | `Restoring` | pass on |
//! | | selected: await Redis | `AwaitRedis` | queue for it |
//! | | selected: reply, or Envoy refused the request | `Done` | reply |
//! | `Restoring` | request body, complete | same | restore the client's request |
//! | | selected: forwarded | same | pass on |
//! | | selected: Envoy refused the request | `Done` | reply |
//! | | response headers | `Done` | pass on |
//! | | log | `Done` | forget the request if its client is gone |
//! | `Sent` | response headers, below 300 | `HoldAnswer` | hold, or check if complete |
//! | | response headers, others | `ReadError` | hold, or settle if complete |
//! | | tick, idle for too long | `HoldAnswer` | close the stream |
//! | | log | `Done` | abandon the attempt |
//! | `HoldAnswer` | response body | same | check its first bytes |
//! | | checked: genuine | `Streaming`, `Done` | pass on |
//! | | checked: failed | `ReadError` | settle |
//! | | tick, held for long enough | same | check what there is |
//! | | log | `Done` | reset: the next attempt learns why |
//! | `Streaming` | response body | same, `Done` at its end | scan and pass on |
//! | | log | `Done` | end of an incomplete answer |
//! | `ReadError` | response body, complete or above 64 KiB | same | settle |
//! | | settled: relay, reply or retry | `Done` | obey |
//! | | settled: retry later | `RetryWait` | hold the response |
//! | | log | `Done` | reset: the next attempt learns why |
//! | `RetryWait` | tick, the wait is over | `Done` | resume the response |
//! | | response body | same | discard |
//! | | log | `Done` | forget the request if its client is gone, or Envoy has answered it |
//! | `Probing` | probes done | `Done` | reply |
//! | | response headers (Envoy's) | `Done` | record Envoy's answer, pass on |
//! | | log | `Done` | client disconnected |
//! | `Done` | response headers and body | same | pass on |
//! | `HoldAnswer`, `ReadError` | tick, idle for too long | `ReadError` | settle |
//! | `Streaming`, `Done` | tick, idle for too long | same | close the stream |
//! | `Streaming`, `ReadError`, `Done` | tick, held for long enough | same | |
//!
//! Whatever is not in the table cannot happen. Such an event gets [`Effect::Unreachable`] and fails
//! closed: before an answer was accepted, the client gets a local 500 and nothing is sent to a
//! provider; later events change nothing. The same 500 answers [`Event::StateMissing`].

mod effect;
mod event;
#[cfg(test)]
mod tests;

pub use effect::Effect;
use effect::Effect::*;
pub use event::{Arrived, Checked, Due, Event, Selected, Settled, Status};

/// Bytes of an error body that are read before the attempt is settled. The rest is passed on or
/// discarded unread: providers' errors are a few hundred bytes.
pub const ERROR_BODY: usize = 64 * 1024;

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No headers yet.
    #[default]
    New,
    /// The request's headers are held until its body is complete.
    AwaitBody,
    /// The answer is known, and given when the body has arrived. An earlier one would end the
    /// connection, which a client that is still sending may take for an error.
    Refusing,
    /// The complete request is held until Redis grants a lease, or says where something was made.
    AwaitRedis,
    /// The provider has the request.
    Sent,
    /// A success status; held until the first bytes show an answer. A retry is still possible.
    HoldAnswer,
    /// The answer is passed on to the client.
    Streaming,
    /// The attempt failed; its error body is read.
    ReadError,
    /// The failed response is held until the wait before the next attempt is over.
    RetryWait,
    /// A request that is back on the edge: held until its body is complete, then sent to the
    /// internal listener. Or one that was sent there at once.
    Restoring,
    /// `GET /health`: deployments are being called.
    Probing,
    /// Nothing is left to decide.
    Done,
}

type Transition = (Phase, &'static [Effect]);

/// What an event changes, by the table above.
pub fn next(phase: Phase, event: Event) -> Transition {
    match event {
        Event::RequestHeaders(arrived) => on_request_headers(phase, arrived),
        Event::RequestBody { complete } => on_request_body(phase, complete),
        Event::BodyTooLarge => on_body_too_large(phase),
        Event::Selected(selected) => on_selected(phase, selected),
        Event::ResponseHeaders { status, complete } => on_response_headers(phase, status, complete),
        Event::ResponseBody { size, complete } => on_response_body(phase, size, complete),
        Event::Checked { answer, complete } => on_checked(phase, answer, complete),
        Event::Settled(settled) => on_settled(phase, settled),
        Event::RedisReady | Event::ProbesDone | Event::Tick(_) => on_wake_up(phase, event),
        Event::Log => on_log(phase),
        Event::StateMissing => fail_closed(phase),
    }
}

fn on_request_headers(phase: Phase, arrived: Arrived) -> Transition {
    match (phase, arrived) {
        (Phase::New, Arrived::Hold) => (Phase::AwaitBody, &[Pause]),
        (Phase::New, Arrived::Reply) => (Phase::Done, &[SkipDuplicateLog, Reply, Pause]),
        (Phase::New, Arrived::ReplyAfterBody) => (Phase::Refusing, &[Pause]),
        (Phase::New, Arrived::Probe) => (Phase::Probing, &[StartProbes, Pause]),
        (Phase::New, Arrived::Complete) => (Phase::AwaitBody, &[Select]),
        (Phase::New, Arrived::Again) => (Phase::Restoring, &[Pause]),
        (Phase::New, Arrived::AgainComplete) => (Phase::Restoring, &[Restore]),
        _ => impossible_request(phase),
    }
}

fn on_request_body(phase: Phase, complete: bool) -> Transition {
    match phase {
        Phase::AwaitBody if complete => (phase, &[Select]),
        Phase::Restoring if complete => (phase, &[Restore]),
        Phase::Refusing if complete => (Phase::Done, &[SkipDuplicateLog, Reply, Pause]),
        Phase::Refusing => (phase, &[DiscardRequest, Pause]),
        // The answer to what is held or answered already does not need the body.
        Phase::AwaitBody | Phase::Restoring | Phase::Probing | Phase::Done => (phase, &[Pause]),
        _ => impossible_request(phase),
    }
}

fn on_body_too_large(phase: Phase) -> Transition {
    match phase {
        Phase::AwaitBody => (Phase::Done, &[RefuseTooLarge, Pause]),
        Phase::Refusing => (Phase::Done, &[SkipDuplicateLog, Reply, Pause]),
        _ => impossible_request(phase),
    }
}

fn on_selected(phase: Phase, selected: Selected) -> Transition {
    match (phase, selected) {
        (Phase::AwaitBody | Phase::AwaitRedis, Selected::Forwarded) => {
            (Phase::Sent, &[RefillLease, StartIdleTimeout, Continue])
        }
        (Phase::AwaitBody | Phase::AwaitRedis, Selected::PassedOn) => (Phase::Restoring, &[Continue]),
        (Phase::AwaitBody | Phase::AwaitRedis, Selected::AwaitRedis) => {
            (Phase::AwaitRedis, &[AwaitRedis, Pause])
        }
        (Phase::AwaitBody | Phase::AwaitRedis, Selected::Reply) => (Phase::Done, &[Reply, Pause]),
        (Phase::AwaitBody | Phase::AwaitRedis, Selected::NotRewritten) => {
            (Phase::Done, &[Abandon, ReplyError, Pause])
        }
        // Until a response comes, it may be between two attempts, and then this stream owns it.
        (Phase::Restoring, Selected::Forwarded) => (phase, &[Continue]),
        (Phase::Restoring, Selected::NotRewritten) => (Phase::Done, &[ReplyError, Pause]),
        _ => impossible_request(phase),
    }
}

fn on_response_headers(phase: Phase, status: Status, complete: bool) -> Transition {
    match (phase, status, complete) {
        (Phase::Sent, Status::Success, true) => (Phase::HoldAnswer, &[StartAnswer, Check]),
        (Phase::Sent, Status::Success, false) => (Phase::HoldAnswer, &[StartAnswer, StartIdleTimeout, Pause]),
        (Phase::Sent, _, true) => (Phase::ReadError, &[ReadFailure, Settle]),
        (Phase::Sent, _, false) => (Phase::ReadError, &[ReadFailure, StartIdleTimeout, Pause]),
        // Envoy's own answers: the body is above its limit, or a timeout.
        (Phase::AwaitBody, Status::TooLarge, _) => (Phase::Done, &[RefuseTooLarge, Pause]),
        (Phase::AwaitBody | Phase::Refusing | Phase::AwaitRedis | Phase::Probing, ..) => {
            (Phase::Done, &[RecordLocalReply, Continue])
        }
        (Phase::New | Phase::Restoring | Phase::Done, ..) => (Phase::Done, &[Continue]),
        _ => impossible_response(phase),
    }
}

fn on_response_body(phase: Phase, size: usize, complete: bool) -> Transition {
    match phase {
        Phase::HoldAnswer if size == 0 && !complete => (phase, &[Pause]),
        Phase::HoldAnswer => (phase, &[Check]),
        Phase::Streaming if complete => (Phase::Done, &[Scan, EndAnswer, Continue]),
        Phase::Streaming => (phase, &[Scan, Continue]),
        Phase::ReadError if !complete && size <= ERROR_BODY => (phase, &[Pause]),
        Phase::ReadError => (phase, &[Settle]),
        Phase::RetryWait => (phase, &[DiscardBody, Pause]),
        Phase::Done => (phase, &[Continue]),
        _ => impossible_response(phase),
    }
}

fn on_checked(phase: Phase, answer: Checked, complete: bool) -> Transition {
    match (phase, answer, complete) {
        (Phase::HoldAnswer, Checked::Undecided, _) => (phase, &[Pause]),
        (Phase::HoldAnswer, Checked::Genuine, true) => (Phase::Done, &[Scan, EndAnswer, Continue]),
        (Phase::HoldAnswer, Checked::Genuine, false) => (Phase::Streaming, &[Scan, Continue]),
        (Phase::HoldAnswer, Checked::Failed, _) => (Phase::ReadError, &[Settle]),
        _ => impossible_response(phase),
    }
}

fn on_settled(phase: Phase, settled: Settled) -> Transition {
    match (phase, settled) {
        (Phase::ReadError, Settled::Relay) => (Phase::Done, &[AddErrorHeaders, Continue]),
        (Phase::ReadError, Settled::Reply) => (Phase::Done, &[Reply, Pause]),
        (Phase::ReadError, Settled::Retry) => (Phase::Done, &[RequestRetry, Continue]),
        (Phase::ReadError, Settled::RetryLater) => {
            (Phase::RetryWait, &[RequestRetry, StartRetryTimer, Pause])
        }
        _ => impossible_response(phase),
    }
}

/// What does not come from Envoy's callbacks of this stream: no message waits for an action.
fn on_wake_up(phase: Phase, event: Event) -> Transition {
    match (phase, event) {
        (Phase::AwaitRedis, Event::RedisReady) => (phase, &[Select]),
        (Phase::Probing, Event::ProbesDone) => (Phase::Done, &[Reply]),
        // The next attempt has the request: the edge cuts off what has no end of this response.
        (Phase::RetryWait, Event::Tick(Due::Retry)) => (Phase::Done, &[ResumeResponse]),
        // Settled as a timeout when the stream is closed.
        (Phase::Sent, Event::Tick(Due::Idle)) => (Phase::HoldAnswer, &[CloseStream]),
        (Phase::HoldAnswer | Phase::ReadError, Event::Tick(Due::Idle)) => {
            (Phase::ReadError, &[TimeOut, Settle])
        }
        (Phase::Streaming | Phase::Done, Event::Tick(Due::Idle)) => (phase, &[CloseStream]),
        (Phase::HoldAnswer, Event::Tick(Due::Held)) => (phase, &[EndHold, Check]),
        (Phase::Streaming | Phase::ReadError, Event::Tick(Due::Held)) => (phase, &[]),
        // Envoy has answered in between.
        (Phase::Done, _) => (phase, &[]),
        _ => (phase, &[Unreachable]),
    }
}

fn on_log(phase: Phase) -> Transition {
    let effects: &[Effect] = match phase {
        Phase::AwaitBody | Phase::AwaitRedis => &[ClientDisconnected],
        Phase::Sent => &[Abandon],
        // An error that breaks off counts as a broken connection, as in the SDK inside of LiteLLM.
        Phase::HoldAnswer | Phase::ReadError => &[ResetAttempt],
        Phase::Streaming => &[EndInterrupted],
        Phase::RetryWait => &[EndRetryWait],
        Phase::Restoring => &[EndRestoring],
        Phase::Probing => &[ClientDisconnected],
        // The line of what was refused is there already.
        Phase::New | Phase::Refusing | Phase::Done => &[],
    };
    (Phase::Done, effects)
}

/// A request event that is not in the table: the request must not go on.
fn impossible_request(phase: Phase) -> Transition {
    match phase {
        Phase::Streaming | Phase::RetryWait => (phase, &[Unreachable, Pause]),
        _ => (Phase::Done, &[Unreachable, Abandon, ReplyError, Pause]),
    }
}

/// A response event that is not in the table: what was not accepted must not go on.
fn impossible_response(phase: Phase) -> Transition {
    match phase {
        Phase::Streaming | Phase::Done => (phase, &[Unreachable, Continue]),
        Phase::RetryWait => (phase, &[Unreachable, Pause]),
        _ => (Phase::Done, &[Unreachable, Abandon, ReplyError, Pause]),
    }
}

/// Nothing is sent to a provider, and nothing that was held is passed on.
fn fail_closed(phase: Phase) -> Transition {
    match phase {
        // The end of the stream writes its line.
        Phase::Streaming => (phase, &[Abandon, CloseStream, Pause]),
        Phase::RetryWait => (phase, &[Pause]),
        Phase::Done => (phase, &[ReplyError, Pause]),
        _ => (Phase::Done, &[Abandon, ReplyError, Pause]),
    }
}
