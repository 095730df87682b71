//! One attempt of one request. Each callback gathers its event, [`next`] says what it changes, and
//! the effects are performed here, in the order of the wire.

pub(crate) mod again;
mod failure;
mod kept_body;
mod request;
mod response;

use std::cell::{Cell, RefCell, RefMut};
use std::rc::{Rc, Weak};
use std::time::Duration;

#[cfg(target_family = "wasm")]
use crate::hostcalls::MapType;
use llm_balancer_config::names;
use llm_balancer_router::stream::{Due, Effect, Event, Phase, next};
use llm_balancer_router::{
    AccessLogEntry, Attempt, Awaited, ErrorResponse, Failure, Headers, Reply, Request, RetryState,
};
#[cfg(target_family = "wasm")]
use proxy_wasm::traits::{Context, HttpContext};

use self::kept_body::KeptBody;
#[cfg(not(target_family = "wasm"))]
pub(crate) use self::request::FINAL;
use crate::filter::Filter;
use crate::health_probe::HealthProbe;
#[cfg(target_family = "wasm")]
use crate::health_probe::UPSTREAM_TIME;
use crate::hostcalls::{self, Action, BufferType};
use crate::response_scan::ResponseScan;
use crate::stream_handle::{StreamHandle, Wake};

/// What the host owns. Timers and Redis have a [`StreamHandle`] to the same stream. There is none
/// where the configuration has failed: the request is answered with an error.
pub(crate) struct HttpStream(Option<Rc<RefCell<Stream>>>);

impl HttpStream {
    pub(crate) fn new(context: u32, filter: Option<Rc<Filter>>) -> Self {
        Self(filter.map(|filter| {
            Rc::new_cyclic(|this| {
                let handle = StreamHandle::new(context, Weak::<RefCell<Stream>>::clone(this));
                RefCell::new(Stream::new(handle, filter))
            })
        }))
    }

    pub(crate) fn on_request_headers(&self, complete: bool) -> Action {
        if self.0.is_none() {
            request::send_error();
        }
        self.enter(|stream| stream.on_request_headers(complete))
    }

    pub(crate) fn on_request_body(&self, size: usize, complete: bool) -> Action {
        self.enter(|stream| stream.on_request_body(size, complete))
    }

    /// A body that ends in trailers never says so itself.
    pub(crate) fn on_request_trailers(&self) -> Action {
        self.enter(|stream| stream.step(Event::RequestBody { complete: true }))
    }

    pub(crate) fn on_response_headers(&self, complete: bool) -> Action {
        self.enter_response(|stream| stream.on_response_headers(complete))
    }

    pub(crate) fn on_response_body(&self, size: usize, complete: bool) -> Action {
        self.enter_response(|stream| stream.on_response_body(size, complete))
    }

    /// The answer to a health probe; without a status there was none.
    pub(crate) fn on_probe_reply(&self, token: u32, status: Option<u16>) {
        if let Some(mut stream) = self.borrow() {
            stream.on_probe_reply(token, status);
        }
    }

    /// The end of the stream. Envoy writes the access log next.
    pub(crate) fn end(&self) {
        if let Some(mut stream) = self.borrow() {
            stream.on_log();
        }
    }

    /// The same of a stream in which the filter has panicked.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn end_by_fault(&self) {
        if let Some(mut stream) = self.borrow() {
            stream.on_fault();
        }
    }

    /// The stream, unless it is busy, or there is none.
    fn borrow(&self) -> Option<RefMut<'_, Stream>> {
        self.0.as_ref()?.try_borrow_mut().ok()
    }

    /// A stream that is busy is not entered again: nothing of it goes on.
    fn enter(&self, callback: impl FnOnce(&mut Stream) -> Action) -> Action {
        self.borrow().map_or(Action::Pause, |mut stream| callback(&mut stream))
    }

    /// Where there is no stream, the response is the filter's error.
    fn enter_response(&self, callback: impl FnOnce(&mut Stream) -> Action) -> Action {
        if self.0.is_none() { Action::Continue } else { self.enter(callback) }
    }
}

#[cfg(target_family = "wasm")]
impl Context for HttpStream {
    fn on_http_call_response(&mut self, token: u32, _headers: usize, _body: usize, _trailers: usize) {
        let header = |name| hostcalls::header(MapType::HttpCallResponseHeaders, name);
        let status = header(UPSTREAM_TIME).and_then(|_| header(":status")?.parse().ok());
        self.on_probe_reply(token, status);
    }

    /// Envoy does not log every stream, HTTP/3 for one.
    fn on_done(&mut self) -> bool {
        self.end();
        true
    }
}

#[cfg(target_family = "wasm")]
impl HttpContext for HttpStream {
    fn on_http_request_headers(&mut self, _count: usize, complete: bool) -> Action {
        self.on_request_headers(complete)
    }

    fn on_http_request_body(&mut self, size: usize, complete: bool) -> Action {
        self.on_request_body(size, complete)
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        self.on_request_trailers()
    }

    fn on_http_response_headers(&mut self, _count: usize, complete: bool) -> Action {
        self.on_response_headers(complete)
    }

    fn on_http_response_body(&mut self, size: usize, complete: bool) -> Action {
        self.on_response_body(size, complete)
    }

    fn on_log(&mut self) {
        self.end();
    }
}

impl Wake for RefCell<Stream> {
    fn on_timer(&self, due: Due) {
        if let Ok(mut stream) = self.try_borrow_mut()
            && stream.step(Event::Tick(due)) == Action::Continue
        {
            hostcalls::resume_response();
        }
    }

    fn on_redis_ready(&self) {
        if let Ok(mut stream) = self.try_borrow_mut() {
            stream.on_redis_ready();
        }
    }
}

/// What the filter knows about an attempt. Which fields are set depends on the phase; what is
/// missing ends in [`Event::StateMissing`].
struct Stream {
    this: StreamHandle,
    filter: Rc<Filter>,
    phase: Phase,
    /// As they arrived: Envoy forgets them when it has sent them on.
    request_headers: Headers,
    /// Bytes of the request's body so far.
    request_size: usize,
    request: Option<Box<Request>>,
    /// What restores the client's body, on the edge: until the answer is accepted, and in a request
    /// that is back.
    original: Option<KeptBody>,
    /// Whether a request that is back has no body.
    is_back_without_body: bool,
    /// While the request waits for Redis: what it has been through, and what it waits for until that
    /// is queued.
    retry_state: Option<Box<RetryState>>,
    awaited: Option<Awaited>,
    probe: Option<HealthProbe>,
    attempt: Option<Box<Attempt>>,
    /// Of the response; 0 before there is one.
    status: u16,
    scan: Option<Box<ResponseScan>>,
    /// The chunk of the response's body that is being looked at, once it has been read.
    chunk: Option<Vec<u8>>,
    /// Bytes that Envoy holds of the response's body, and whether they are the last ones.
    chunk_size: usize,
    complete: bool,
    /// Why the attempt has failed, with an error under a success status.
    failed: Option<(Failure, Option<ErrorResponse>)>,
    error_headers: Vec<(&'static str, String)>,
    next_attempt: Option<Box<RetryState>>,
    retry_wait: Duration,
    /// The router's answer.
    reply: Option<Reply>,
    /// Of a request that has ended, until it is written.
    entry: Option<AccessLogEntry>,
    /// Chunks so far, for the idle timeout; `None` if there is no limit.
    chunks: Option<Rc<Cell<u32>>>,
    /// Set when the idle timeout has ended the stream.
    timed_out: bool,
}

impl Stream {
    fn new(this: StreamHandle, filter: Rc<Filter>) -> Self {
        Self {
            this,
            filter,
            phase: Phase::New,
            request_headers: Headers::default(),
            request_size: 0,
            request: None,
            original: None,
            is_back_without_body: false,
            retry_state: None,
            awaited: None,
            probe: None,
            attempt: None,
            status: 0,
            scan: None,
            chunk: None,
            chunk_size: 0,
            complete: false,
            failed: None,
            error_headers: Vec::new(),
            next_attempt: None,
            retry_wait: Duration::ZERO,
            reply: None,
            entry: None,
            chunks: None,
            timed_out: false,
        }
    }

    /// Moves the state machine, and does what it says.
    fn step(&mut self, event: Event) -> Action {
        let (phase, effects) = next(self.phase, event);
        self.phase = phase;
        effects.iter().fold(Action::Pause, |action, effect| self.perform(*effect).unwrap_or(action))
    }

    /// Returns an action where the effect decides about the message that Envoy holds.
    fn perform(&mut self, effect: Effect) -> Option<Action> {
        match effect {
            Effect::Continue => return Some(Action::Continue),
            Effect::Pause => return Some(Action::Pause),
            Effect::Select => return Some(self.select()),
            Effect::Restore => return Some(self.restore()),
            Effect::Check => return Some(self.check()),
            Effect::Settle => return Some(self.settle()),
            Effect::Reply => self.send_reply(),
            Effect::ReplyError => self.send_error(),
            Effect::SkipDuplicateLog => self.skip_duplicate_log(),
            Effect::RefuseTooLarge => self.refuse_too_large(),
            Effect::StartProbes => self.start_probes(),
            Effect::AwaitRedis => self.await_redis(),
            Effect::RefillLease => self.refill_lease(),
            Effect::StartAnswer => self.start_answer(),
            Effect::StartIdleTimeout => self.start_idle_timeout(),
            Effect::EndHold => self.end_hold(),
            Effect::Scan => self.scan(),
            Effect::EndAnswer => self.end_answer(),
            Effect::EndInterrupted => self.end_interrupted(),
            Effect::ReadFailure => self.read_failure(),
            Effect::TimeOut => self.time_out(),
            Effect::AddErrorHeaders => self.add_error_headers(),
            Effect::RequestRetry => self.request_retry(),
            Effect::StartRetryTimer => self.start_retry_timer(),
            Effect::DiscardBody => hostcalls::discard(BufferType::HttpResponseBody),
            Effect::DiscardRequest => hostcalls::discard(BufferType::HttpRequestBody),
            Effect::ResumeResponse => self.resume_response(),
            Effect::CloseStream => self.close(),
            Effect::Abandon => self.abandon(),
            Effect::ResetAttempt => self.reset_attempt(),
            Effect::RecordLocalReply => self.record_local_reply(),
            Effect::ClientDisconnected => self.on_client_disconnect(),
            Effect::EndRetryWait => self.end_retry_wait(),
            Effect::EndRestoring => self.end_restoring(),
            Effect::Unreachable => debug_assert!(false, "an impossible event"),
        }
        None
    }

    /// The edge's id of the request, which all its attempts share.
    fn stream_id(&self) -> &str {
        self.request_headers.get(names::STREAM_ID).unwrap_or_default()
    }

    /// Whether this is the filter on the edge, whose responses go straight to the client.
    fn is_on_edge(&self) -> bool {
        self.filter.role.is_edge()
    }

    fn is_behind_the_edge(&self) -> bool {
        self.filter.role.is_behind_the_edge()
    }

    /// Counts the request and writes its line of the access log, if it has ended.
    fn finish(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        let headers = &self.request_headers;
        write_log(
            self.filter.decider.decide(|router, moment| router.record_request(entry, headers, moment.now)),
        );
    }

    /// The end of the stream, however it came. Envoy writes the access log next.
    fn on_log(&mut self) {
        if self.phase == Phase::Done && self.chunks.is_none() && self.retry_wait.is_zero() {
            return;
        }
        if self.phase != Phase::Done {
            self.step(Event::Log);
            self.finish();
        }
        self.filter.decider.timers.forget(self.this.context());
    }
}

/// Leaves the line to Envoy's access log, if there is one.
fn write_log(line: Option<String>) {
    if let Some(line) = line {
        hostcalls::set_property(names::ACCESS_LOG_ENTRY, &line);
    }
}
