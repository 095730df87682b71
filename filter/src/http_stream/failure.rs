//! A failed attempt: the error of the provider or of Envoy, and what the router decides about it.

use std::time::Duration;

use llm_balancer_config::names;
use llm_balancer_router::response_check::FalseSuccess;
#[cfg(not(target_family = "wasm"))]
use llm_balancer_router::stream::Phase;
use llm_balancer_router::stream::{Event, Settled};
use llm_balancer_router::{
    AccessLogEntry, ERROR_HEADERS, ErrorResponse, Failure, Outcome, RetryState, Verdict, retry_after,
};

use super::Stream;
use super::again;
use super::request::set_response_header;
use crate::hostcalls::{Action, BufferType, Detail, MapType, response_flags};
use crate::{hostcalls, retry_store};

/// The status of the edge's answer where a response has broken off.
const BROKE_OFF: u16 = 500;

impl Stream {
    /// The provider answered with an error, or Envoy has no provider.
    pub(super) fn read_failure(&mut self) {
        let Some(attempt) = &mut self.attempt else { return };
        let router = &self.filter.decider.router;
        let flags = response_flags();
        let by_envoy = Failure::from_response_flags(flags);
        attempt.detail = by_envoy.and_then(|_| detail());
        attempt.is_on_reused_connection = by_envoy.is_some()
            && Failure::ended_by_provider(flags)
            && hostcalls::header(MapType::HttpResponseHeaders, names::REUSED).is_some();
        let status = self.status;
        let failure = by_envoy.unwrap_or_else(|| {
            if (300..=399).contains(&status) {
                let location = hostcalls::header(MapType::HttpResponseHeaders, "location");
                let shown = location.and_then(|location| router.redirect_target(attempt, &location));
                attempt.detail = shown;
            }
            Failure::Provider { status, retry_after: retry_after_header() }
        });
        self.failed = Some((failure, None));
    }

    /// The answer is an error, whatever its status says.
    pub(super) fn found_error(&mut self, found: FalseSuccess) {
        if let Some(attempt) = &mut self.attempt {
            attempt.detail = Some(format!("error in the body of a response with status {}", self.status));
        }
        let failure = Failure::Provider { status: found.status, retry_after: retry_after_header() };
        let error = ErrorResponse {
            headers: error_headers(),
            body: found.body.into_bytes(),
            original: found.original.map(String::into_bytes),
            received_status: Some(self.status),
            ..ErrorResponse::default()
        };
        self.failed = Some((failure, Some(error)));
    }

    /// The response is silent for too long.
    pub(super) fn time_out(&mut self) {
        self.failed = Some((Failure::TimedOut, None));
    }

    /// Asks the router what to do about the failed attempt.
    pub(super) fn settle(&mut self) -> Action {
        let (Some(mut attempt), Some((failure, error))) = (self.attempt.take(), self.failed.take()) else {
            return self.step(Event::StateMissing);
        };
        if !self.may_be_sent_again() {
            attempt.retry_state.edge_attempts = u32::MAX;
        }
        let response = || error.clone().unwrap_or_else(error_response);
        let verdict = self
            .filter
            .decider
            .decide(|router, moment| router.on_attempt_failed(*attempt, failure, &response, moment));
        // The failure may have begun a cooldown, which the other instances learn at once.
        self.filter.redis.wake_up(&self.filter.decider);
        let settled = self.keep(verdict);
        self.step(Event::Settled(settled))
    }

    /// Whether there is room for what is kept of a request until its next attempt.
    pub(super) fn may_be_sent_again(&self) -> bool {
        retry_store::has_room() && (!self.is_on_edge() || again::may_keep())
    }

    fn keep(&mut self, verdict: Verdict) -> Settled {
        match verdict {
            Verdict::Relay(headers, entry) => {
                (self.error_headers, self.entry) = (headers, Some(*entry));
                self.finish();
                Settled::Relay
            }
            Verdict::Reply(reply, entry) => {
                (self.reply, self.entry) = (Some(reply), Some(*entry));
                Settled::Reply
            }
            Verdict::Retry(retry_state, wait) => {
                (self.next_attempt, self.retry_wait) = (Some(retry_state), wait);
                if wait.is_zero() { Settled::Retry } else { Settled::RetryLater }
            }
        }
    }

    pub(super) fn add_error_headers(&mut self) {
        self.add_edge_headers();
        for (name, value) in std::mem::take(&mut self.error_headers) {
            set_response_header(name, &value);
        }
    }

    pub(super) fn request_retry(&mut self) {
        let is_on_edge = self.is_on_edge();
        if let Some(mut retry_state) = self.next_attempt.take() {
            if is_on_edge {
                retry_state.began_on_edge = true;
                self.keep_client_request();
            }
            self.store(*retry_state);
        }
        if self.retry_wait.is_zero() && self.send_again() {
            return;
        }
        if is_on_edge && !hostcalls::SENDS_AGAIN {
            // Envoy would give the client's answer the status of this one.
            hostcalls::remove_header(MapType::HttpResponseHeaders, ":status");
        }
        set_response_header(names::RETRY, "1");
        // The edge discards the body; without one, it keeps the connection.
        if self.complete {
            set_response_header("content-length", "0");
        } else {
            hostcalls::remove_header(MapType::HttpResponseHeaders, "content-length");
        }
        hostcalls::discard(BufferType::HttpResponseBody);
    }

    /// Runs the request through the edge again, if the host can do that by itself.
    fn send_again(&self) -> bool {
        // Without the scheme, Envoy takes the request for one that it should not have got.
        let headers = [(names::NEXT_ATTEMPT, self.stream_id()), ("x-forwarded-proto", "http")];
        self.is_on_edge() && hostcalls::send_again(names::NEXT_ATTEMPT_PATH, headers)
    }

    /// The wait before a retry is over: the response, which asks for it, goes on.
    pub(super) fn resume_response(&self) {
        if !self.send_again() {
            hostcalls::resume_response();
        }
    }

    pub(super) fn start_retry_timer(&mut self) {
        self.filter.decider.timers.start_retry_wait(self.this.clone(), self.retry_wait);
    }

    /// The stream ended while its failed response was held. On the edge nothing is sent again then: where
    /// the response broke off, Envoy has answered the client.
    pub(super) fn end_retry_wait(&mut self) {
        if self.is_left_by_client(response_flags()) {
            self.forget_request(AccessLogEntry::client_disconnected);
        } else if self.is_on_edge() {
            self.forget_request(|state| AccessLogEntry::new(state, Outcome::Interrupted, BROKE_OFF));
        }
    }

    /// The stream of a later attempt ended on the edge.
    pub(super) fn end_restoring(&mut self) {
        if self.is_left_by_client(response_flags()) {
            self.forget_request(AccessLogEntry::client_disconnected);
        }
    }

    /// A panic has ended the stream. Its line is written here, unless it is written or another stream of
    /// the request does that.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn on_fault(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Done);
        if let Some(attempt) = self.attempt.take() {
            let decider = &self.filter.decider;
            self.entry = Some(decider.decide(|router, moment| router.on_fault(*attempt, moment)));
        } else if matches!(phase, Phase::Restoring | Phase::RetryWait) {
            self.forget_request(AccessLogEntry::of_fault);
        } else if phase != Phase::Done {
            self.entry = self.take_retry_state().map(AccessLogEntry::of_fault);
        }
        self.finish();
        self.filter.decider.timers.forget(self.this.context());
    }

    fn forget_request(&mut self, entry: impl FnOnce(RetryState) -> AccessLogEntry) {
        again::forget(self.stream_id());
        self.entry = retry_store::end(self.stream_id(), self.is_on_edge()).map(entry);
    }

    /// The response ended before anything of it was passed on. The edge sends the request again, if
    /// it has got nothing of the response itself.
    pub(super) fn reset_attempt(&mut self) {
        let flags = response_flags();
        if self.is_left_by_client(flags) {
            return self.abandon();
        }
        let Some(mut attempt) = self.attempt.take() else { return };
        let decider = &self.filter.decider;
        attempt.detail = detail();
        let failure = if self.has_timed_out(flags) { Failure::TimedOut } else { Failure::Broken };
        if !self.is_behind_the_edge() {
            self.entry =
                Some(decider.decide(|router, moment| router.on_unanswered(*attempt, failure, moment)));
            return;
        }
        let retry_state = decider.decide(|router, moment| router.on_reset(*attempt, failure, moment));
        self.store(retry_state);
    }

    /// Keeps the state for the next attempt, or writes the line of a request whose client has left.
    fn store(&mut self, retry_state: RetryState) {
        if let Some(left) = retry_store::put(self.stream_id(), retry_state) {
            self.entry = Some(AccessLogEntry::client_disconnected(left));
            self.finish();
        }
    }
}

/// Envoy's words for what is wrong: `connection_refused`, a TLS error.
fn detail() -> Option<String> {
    let text = |what| hostcalls::detail(what).filter(|text| !text.is_empty());
    let detail = text(Detail::TransportFailure).or_else(|| text(Detail::Response))?;
    Some(String::from_utf8_lossy(&detail).into_owned())
}

/// How long the provider wants no requests.
fn retry_after_header() -> Option<Duration> {
    let header = |name| hostcalls::header(MapType::HttpResponseHeaders, name);
    let (ms, seconds) = (header("retry-after-ms"), header("retry-after"));
    retry_after(ms.as_deref(), seconds.as_deref(), hostcalls::now())
}

/// The provider's error, in a response that is held.
fn error_response() -> ErrorResponse {
    let header = |name| hostcalls::header(MapType::HttpResponseHeaders, name);
    ErrorResponse {
        content_type: header("content-type"),
        error_type: header("x-amzn-errortype"),
        headers: error_headers(),
        body: hostcalls::buffer(BufferType::HttpResponseBody),
        original: None,
        received_status: None,
    }
}

fn error_headers() -> Vec<(&'static str, String)> {
    let header = |name| Some((name, hostcalls::header(MapType::HttpResponseHeaders, name)?));
    ERROR_HEADERS.into_iter().filter_map(header).collect()
}
