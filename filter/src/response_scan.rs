//! An answer on its way to the client: its first bytes show whether it is one; then it is scanned
//! for usage, and for an error in the middle of a stream.

use std::time::Duration;

use llm_balancer_router::response_check::{
    BodyFormat, CheckResult, FalseSuccess, HeldResponse, LateCheck, check, error_event, is_json,
};
use llm_balancer_router::{
    Attempt, Filtered, FinalEvent, FinalEventScan, Reference, ReferenceScan, ResponseSummary, StreamEnd,
    UsageEventFilter, UsageScanner,
};

use crate::hostcalls::{self, BufferType, MapType};

/// One answer that has begun.
pub(crate) struct ResponseScan {
    /// The provider's, below 300.
    pub(crate) status: u16,
    route: &'static str,
    /// When the first held bytes came, since the Unix epoch, and in how many chunks they are.
    held: Option<(Duration, u32)>,
    /// Whether they have passed without any output among them.
    hold_is_over: bool,
    first_byte: Option<Duration>,
    /// Bytes that were scanned, which Envoy passes on.
    pub(crate) passed: u64,
    form: BodyFormat,
    late: LateCheck,
    usage: UsageScanner,
    final_event: FinalEventScan,
    /// When the final event came, since the Unix epoch.
    ended_at: Option<Duration>,
    filters_usage_event: bool,
    usage_event_filter: Option<UsageEventFilter>,
    references: Option<Box<ReferenceScan>>,
}

impl ResponseScan {
    /// A scan of a response of which nothing has been passed on.
    pub(crate) fn new(attempt: &mut Attempt, status: u16) -> Self {
        Self {
            status,
            route: attempt.route,
            usage: UsageScanner::new(),
            final_event: FinalEventScan::new(attempt.route),
            ended_at: None,
            filters_usage_event: attempt.injected_usage.is_some_and(|usage| !usage.is_for_client),
            usage_event_filter: None,
            references: attempt.reference_scan.take(),
            held: None,
            hold_is_over: false,
            first_byte: None,
            passed: 0,
            form: BodyFormat::Other,
            late: LateCheck::default(),
        }
    }

    /// Checks whether it is an answer, while its headers can still be changed. `bytes` is all of its
    /// body so far. `refusal_falls_back` is as in [`HeldResponse`].
    pub(crate) fn check(
        &mut self,
        bytes: &[u8],
        complete: bool,
        refusal_falls_back: &dyn Fn() -> bool,
    ) -> CheckResult {
        let (since, pieces) = self.held.unwrap_or_default();
        let held_for = match pieces {
            _ if self.hold_is_over => Duration::MAX,
            0 => Duration::ZERO,
            _ => hostcalls::now().saturating_sub(since),
        };
        let pieces = pieces.saturating_add(1);
        let response = self.response(bytes, complete);
        let checked = check(&HeldResponse { pieces, held_for, refusal_falls_back, ..response });
        match checked {
            CheckResult::Genuine(form) => self.begin(form),
            CheckResult::Undecided if pieces == 1 => self.held = Some((hostcalls::now(), pieces)),
            CheckResult::Undecided => self.held = Some((since, pieces)),
            CheckResult::Failed(_) => {}
        }
        checked
    }

    /// Bytes of it that are one piece and are not held, and for whose refusal there is no fallback.
    fn response<'a>(&self, bytes: &'a [u8], complete: bool) -> HeldResponse<'a> {
        HeldResponse {
            route: self.route,
            status: self.status,
            bytes,
            complete,
            pieces: 1,
            held_for: Duration::ZERO,
            header: &|name| hostcalls::header(MapType::HttpResponseHeaders, name),
            refusal_falls_back: &|| false,
        }
    }

    /// What is held passes, unless it shows an error.
    pub(crate) fn end_hold(&mut self) {
        self.hold_is_over = true;
    }

    /// The body is an answer, and passes from here on. What its type says does not matter: servers send
    /// events under any or none.
    fn begin(&mut self, form: BodyFormat) {
        self.form = form;
        if self.filters_usage_event && form != BodyFormat::Other {
            // The body becomes shorter than the provider says.
            hostcalls::remove_header(MapType::HttpResponseHeaders, "content-length");
            self.usage_event_filter = Some(UsageEventFilter::new());
        }
    }

    /// Scans a chunk of the body, which may be empty, and removes the usage event that only the
    /// router asked for. Returns the error in the chunk, if there is one.
    pub(crate) fn scan(&mut self, chunk: &[u8], complete: bool) -> Option<FalseSuccess> {
        // What a model had made would not have been held until the end.
        let is_output = !std::mem::take(&mut self.hold_is_over);
        if !chunk.is_empty() && is_output && self.first_byte.is_none() {
            self.first_byte = Some(hostcalls::now());
        }
        self.passed = self.passed.saturating_add(chunk.len() as u64);
        self.usage.feed(chunk);
        if let Some(filter) = &mut self.usage_event_filter
            && let Filtered::Replaced(bytes) = filter.feed(chunk, complete)
        {
            // Fails only if the response is gone.
            let _ = hostcalls::set_buffer(BufferType::HttpResponseBody, &bytes);
        }
        if self.form == BodyFormat::Unknown
            && let Some(found) = self.check_late(chunk, complete)
        {
            return Some(found);
        }
        if self.form != BodyFormat::EventStream {
            return self.final_event.failure(chunk);
        }
        let is_final = self.final_event.feed(chunk, &self.usage);
        if is_final {
            self.ended_at = Some(hostcalls::now());
        }
        let failure = || if is_final || complete { self.final_event.failure(chunk) } else { None };
        error_event(self.route, chunk).or_else(failure)
    }

    /// Goes on checking behind what has passed before any output.
    fn check_late(&mut self, bytes: &[u8], complete: bool) -> Option<FalseSuccess> {
        let next = self.response(bytes, complete);
        let (form, found) = match self.late.feed(&next) {
            CheckResult::Undecided => (BodyFormat::Unknown, None),
            CheckResult::Genuine(form) => (form, None),
            CheckResult::Failed(found) => (BodyFormat::Other, Some(found)),
        };
        self.form = form;
        found
    }

    /// What the next chunk has that later requests may refer to.
    pub(crate) fn references(&mut self, chunk: &[u8]) -> Vec<Reference> {
        self.references.as_mut().map_or_else(Vec::new, |scan| scan.feed(chunk))
    }

    /// What is known of the answer at its end.
    pub(crate) fn summary(&self, end: StreamEnd) -> ResponseSummary {
        let header = |name: &str| hostcalls::header(MapType::HttpResponseHeaders, name);
        // The headers are there as long as the response is, and are looked up only if it is cut off.
        let is_cut_document =
            || end == StreamEnd::Complete && self.usage.is_unfinished_document() && is_json(&header);
        let final_event = match self.ended_at {
            Some(time) => FinalEvent::At(time),
            None if self.final_event.is_missing(&self.usage) || is_cut_document() => FinalEvent::Missing,
            None => FinalEvent::Unknown,
        };
        ResponseSummary {
            status: self.status,
            first_byte: self.first_byte,
            usage: self.usage.usage(),
            events: self.usage.events(),
            end,
            final_event,
        }
    }
}
