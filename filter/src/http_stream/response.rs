//! The answer: held until its first bytes show that it is one, then scanned on its way.

use std::time::Duration;

use llm_balancer_router::stream::{Checked, Event, Phase, Status};
use llm_balancer_router::{Failure, Reference, StreamEnd, response_check};

use super::request::{CALL_ID, set_response_header};
use super::{Stream, write_log};
use crate::hostcalls::{self, Action, BufferType, MapType, response_flags};
use crate::response_scan::ResponseScan;
use crate::shared_data::SharedData;

/// Before the headers Envoy has the same limit, and its answer is better than a closed stream. But
/// after an interim answer of a provider (1xx) its limit does nothing.
const GRACE: Duration = Duration::from_secs(1);

impl Stream {
    pub(super) fn on_response_headers(&mut self, complete: bool) -> Action {
        #[cfg(feature = "testing")]
        crate::testing::trap_if_asked(&self.request_headers, "2");
        #[cfg(feature = "testing")]
        crate::testing::time_host_calls_if_asked(&self.request_headers);
        let status = hostcalls::header(MapType::HttpResponseHeaders, ":status");
        // Envoy passes on numbers that are none of HTTP's.
        self.status = status.and_then(|status| status.parse().ok()).unwrap_or(u16::MAX);
        self.complete = complete;
        self.step(Event::ResponseHeaders { status: Status::of(self.status), complete })
    }

    pub(super) fn on_response_body(&mut self, size: usize, complete: bool) -> Action {
        (self.chunk, self.chunk_size, self.complete) = (None, size, complete);
        // The limit between two chunks covers all of an error body. Chunks without content are none.
        let is_counted = size > 0 && self.phase != Phase::ReadError;
        if let Some(chunks) = self.chunks.as_ref().filter(|_| is_counted) {
            chunks.set(chunks.get().wrapping_add(1));
        }
        self.step(Event::ResponseBody { size, complete })
    }

    pub(super) fn start_answer(&mut self) {
        let Some(attempt) = &mut self.attempt else { return };
        let router = &self.filter.decider.router;
        for (name, value) in router.response_headers(attempt, &hostcalls::now, &SharedData) {
            set_response_header(name, &value);
        }
        if attempt.stream {
            // Proxies such as nginx would hold events back, and others keep them.
            set_response_header("x-accel-buffering", "no");
            set_response_header("cache-control", "no-cache");
        }
        self.scan = Some(Box::new(ResponseScan::new(attempt, self.status)));
        self.add_edge_headers();
    }

    /// What the edge's route does for a response of the internal listener: the id of the request,
    /// and no redirect of the provider's.
    pub(super) fn add_edge_headers(&self) {
        if self.is_on_edge() {
            set_response_header(CALL_ID, self.stream_id());
            hostcalls::remove_header(MapType::HttpResponseHeaders, "location");
        }
    }

    /// Limits a streamed answer between its chunks, and until its headers. Envoy limits any other as
    /// a whole.
    pub(super) fn start_idle_timeout(&mut self) {
        let Some(attempt) = &self.attempt else { return };
        if attempt.stream {
            let grace = if self.phase == Phase::Sent { GRACE } else { Duration::ZERO };
            let limit = attempt.timeout.saturating_add(grace);
            self.chunks = Some(self.filter.decider.timers.start_idle_timeout(self.this.clone(), limit));
        }
    }

    /// The chunk that is looked at: read once, by [`Stream::check`] or [`Stream::scan`].
    fn take_chunk(&mut self) -> Vec<u8> {
        match self.chunk.take() {
            Some(chunk) => chunk,
            None if self.chunk_size > 0 => hostcalls::buffer(BufferType::HttpResponseBody),
            None => Vec::new(),
        }
    }

    pub(super) fn check(&mut self) -> Action {
        let chunk = self.take_chunk();
        let complete = self.complete;
        let Some(mut scan) = self.scan.take() else { return self.step(Event::StateMissing) };
        let checked = scan.check(&chunk, complete, &|| self.refusal_falls_back());
        self.scan = Some(scan);
        let answer = match checked {
            response_check::CheckResult::Undecided => Checked::Undecided,
            response_check::CheckResult::Genuine(_) => {
                self.original = None;
                Checked::Genuine
            }
            response_check::CheckResult::Failed(found) => {
                self.found_error(found);
                Checked::Failed
            }
        };
        self.chunk = Some(chunk);
        self.step(Event::Checked { answer, complete })
    }

    fn refusal_falls_back(&self) -> bool {
        let router = &self.filter.decider.router;
        self.may_be_sent_again()
            && self.attempt.as_ref().is_some_and(|attempt| router.refusal_falls_back(attempt))
    }

    pub(super) fn end_hold(&mut self) {
        if let Some(scan) = &mut self.scan {
            scan.end_hold();
        }
    }

    pub(super) fn scan(&mut self) {
        let chunk = self.take_chunk();
        if let Some(scan) = &mut self.scan {
            let error = scan.scan(&chunk, self.complete);
            let found = scan.references(&chunk);
            if !found.is_empty() {
                self.remember(&found);
            }
            if let (Some(error), Some(attempt)) = (error, &mut self.attempt) {
                self.filter.decider.router.on_response_error(attempt, error);
            }
        }
    }

    /// Remembers that the deployment has made these. The other instances learn it at once.
    fn remember(&self, found: &[Reference]) {
        let Some(attempt) = &self.attempt else { return };
        let filter = &self.filter;
        filter.decider.decide(|router, moment| router.remember(attempt.deployment, found, moment));
        filter.redis.wake_up(&filter.decider);
    }

    pub(super) fn end_answer(&mut self) {
        self.end_attempt(StreamEnd::Complete);
    }

    pub(super) fn end_interrupted(&mut self) {
        let flags = response_flags();
        let passed = self.scan.as_ref().map_or(0, |scan| scan.passed);
        let end = match flags {
            _ if self.is_left_by_client(flags) => StreamEnd::ClientDisconnected,
            _ if self.has_timed_out(flags) => StreamEnd::TimedOut { passed },
            _ => StreamEnd::Interrupted,
        };
        self.end_attempt(end);
    }

    /// Settles the attempt and records its request: both at the same time, which one host call
    /// returns.
    fn end_attempt(&mut self, end: StreamEnd) {
        if let (Some(attempt), Some(scan)) = (self.attempt.take(), &self.scan) {
            let filter = &self.filter;
            let (summary, headers) = (scan.summary(end), &self.request_headers);
            let has_error = attempt.response_error.is_some();
            write_log(filter.decider.decide(|router, moment| {
                let entry = router.on_response_end(*attempt, summary, moment);
                router.record_request(entry, headers, moment.now)
            }));
            if has_error {
                // It may have begun a cooldown, which the other instances learn at once.
                filter.redis.wake_up(&filter.decider);
            }
        }
    }

    /// Whether its client ended this stream, and not the filter.
    pub(super) fn is_left_by_client(&self, flags: u64) -> bool {
        !self.timed_out && Failure::client_disconnected(flags)
    }

    /// Whether a timeout ended this stream: the filter's between two chunks, or Envoy's.
    pub(super) fn has_timed_out(&self, flags: u64) -> bool {
        self.timed_out || Failure::from_response_flags(flags) == Some(Failure::TimedOut)
    }

    /// The response was silent for too long.
    pub(super) fn close(&mut self) {
        self.timed_out = true;
        hostcalls::close_response();
    }
}
