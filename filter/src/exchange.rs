//! One attempt of one request, callback by callback in wire order.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use llm_balancer_config::names;
use llm_balancer_router::attempt::{Attempt, RetryState};
use llm_balancer_router::http::headers::Headers;
use llm_balancer_router::http::reply::Reply;
use llm_balancer_router::http::retry_after::retry_after;
use llm_balancer_router::outcome::{Failure, Outcome};
use llm_balancer_router::request::Refusal;
use llm_balancer_router::request::Request;
use llm_balancer_router::telemetry::access_log::AccessLogEntry;
use llm_balancer_router::upstream::answer_check::{Checked, FalseSuccess};
use llm_balancer_router::{Arrival, ErrorResponse, NeedsLease, Step, StreamEnd, Verdict};

use crate::abi::Action;
use crate::answering::Answering;
use crate::clock::Progress;
use crate::host::{BufferType, MapType};
use crate::large::Body;
use crate::probe::Probe;
use crate::{Worker, between, host};

/// An error body is read up to here before the attempt is judged; what follows is passed on or thrown away unread.
/// Providers' errors are a few hundred bytes.
const ERROR_BODY: usize = 64 * 1024;

/// One attempt, from the arrival of the request to the end of the response.
pub(crate) struct Exchange {
    context: u32,
    worker: Option<Rc<Worker>>,
    /// Of the request as it arrived: Envoy forgets them when it has sent them on.
    arrived: Headers,
    /// Set while the clock watches this response.
    progress: Option<Rc<Cell<Progress>>>,
    phase: Phase,
}

/// ```text
/// Arriving ─ Body ─ (NeedsLease) ─ Sent ─┬─ Held ──── Serving ─ Relaying   the provider serves
///      │              │   └─ Failing ─ Relaying             it failed: retry, now or after Waiting, or an error
///      │              └───── Probing ─ Relaying
///      └── our own answer: Relaying
/// ```
enum Phase {
    /// Nothing has come yet.
    Arriving,
    /// The request's body is on its way.
    Body(Box<Request>),
    /// All there, and nobody may serve it before Redis has answered.
    NeedsLease(Box<Request>, Box<RetryState>),
    /// With the provider.
    Sent(Box<Attempt>),
    /// The provider has said yes, and its first byte is awaited: until then another attempt can take over.
    Held(Box<Answering>),
    /// The answer is on its way to the client.
    Serving(Box<Answering>),
    /// The attempt failed, and its body is awaited.
    Failing(Box<Attempt>, Failure),
    /// The attempt failed, and the next one waits for its time; what is left of this response is thrown away.
    Waiting,
    /// Deployments are being asked whether they are there.
    Probing(Probe),
    /// Nothing is left to decide.
    Relaying,
}

/// What came of a decision about a request.
enum Decided {
    /// It is under way, or answered.
    Done(Action),
    /// It needs leases on these deployments, for so many tokens.
    Shortfall(Vec<(usize, u64)>),
}

/// What there is of a failed response's body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// There is none.
    Absent,
    /// All of it is here.
    Here,
    /// More than is worth reading.
    Coming,
}

impl Exchange {
    pub(crate) fn new(context: u32, worker: Option<Rc<Worker>>) -> Self {
        Self { context, worker, arrived: Headers::default(), progress: None, phase: Phase::Arriving }
    }

    fn stream_id(&self) -> &str {
        self.arrived.get(names::STREAM_ID).unwrap_or_default()
    }

    /// What this request has been through. A VM that was replaced in between remembers nothing but the number.
    fn retry_state(&self) -> Option<RetryState> {
        // Where nobody sends a request here twice, nobody but a client says that it is the second time.
        if self.worker.as_ref().is_some_and(|worker| worker.router.is_single_hop()) {
            return None;
        }
        let count: u32 = self.arrived.get(names::ATTEMPT_COUNT)?.parse().ok()?;
        let retries = count.checked_sub(1).filter(|retries| *retries > 0)?;
        let retry_state =
            between::take(self.stream_id()).unwrap_or(RetryState { retries, ..RetryState::default() });
        Some(RetryState { edge_attempts: count, ..retry_state })
    }

    /// Answers before there is anybody to ask.
    fn turn_away(&mut self, reply: &Reply, entry: Option<AccessLogEntry>) -> Action {
        let is_first = self.is_first_attempt();
        self.reply(reply, entry.filter(|_| is_first))
    }

    /// Who is turned away is turned away in the first attempt. If the edge was still sending, it takes the end of our connection for
    /// a broken one and tries again, to hear the same.
    fn is_first_attempt(&self) -> bool {
        self.arrived.get(names::ATTEMPT_COUNT).is_none_or(|count| count == "1")
    }

    fn reply(&mut self, reply: &Reply, entry: Option<AccessLogEntry>) -> Action {
        self.phase = Phase::Relaying;
        if let Some(entry) = entry {
            self.finish(entry);
        }
        self.replace(reply)
    }

    /// Tells about the request, which has ended.
    fn finish(&self, entry: AccessLogEntry) {
        let Some(worker) = &self.worker else { return };
        let line = worker.decide(|router, moment| router.record_request(entry, &self.arrived, moment.now));
        if let Some(line) = line {
            host::set_property(names::ACCESS_LOG_ENTRY, &line);
        }
    }

    fn send(&mut self) -> Action {
        let Phase::Body(request) = std::mem::replace(&mut self.phase, Phase::Relaying) else {
            return Action::Continue;
        };
        let Some(worker) = self.worker.clone() else { return Action::Continue };
        let retry_state = self.retry_state();
        let action = match self.decide(request, retry_state) {
            Decided::Done(action) => action,
            Decided::Shortfall(shortfall) => {
                worker.current.set(self.context);
                let waits = worker.redis.lease(&worker, vec![(self.context, shortfall)]);
                worker.current.set(0);
                // Redis has just gone: whatever is decided now does not need it.
                if waits { Action::Pause } else { self.decide_without_redis() }
            }
        };
        self.after(action)
    }

    fn decide_without_redis(&mut self) -> Action {
        match self.go_on() {
            Some(Decided::Done(action)) => action,
            _ => self.final_answer(),
        }
    }

    /// Answers a request that nothing can be done for.
    fn final_answer(&mut self) -> Action {
        let refusal = Refusal::NoConnection;
        self.reply(&refusal.reply(), Some(AccessLogEntry::of_refusal(&refusal)))
    }

    /// Takes a request up again that has waited for a lease.
    fn go_on(&mut self) -> Option<Decided> {
        match std::mem::replace(&mut self.phase, Phase::Relaying) {
            Phase::NeedsLease(request, retry_state) => Some(self.decide(request, Some(*retry_state))),
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// A lease that is nearly used up is refilled beside the request that found it so.
    fn after(&self, action: Action) -> Action {
        if let (Some(worker), Phase::Sent(attempt)) = (&self.worker, &self.phase)
            && attempt.ticket.low
        {
            worker.current.set(self.context);
            worker.redis.refill(worker, attempt.deployment);
            worker.current.set(0);
        }
        action
    }

    fn decide(&mut self, request: Box<Request>, retry_state: Option<RetryState>) -> Decided {
        let Some(worker) = self.worker.clone() else { return Decided::Done(Action::Continue) };
        let body = host::body(BufferType::RequestBody);
        let step =
            worker.decide(|router, moment| router.on_request_body(&request, &body, retry_state, moment));
        Decided::Done(match step {
            Step::Reply(reply, entry) => self.reply(&reply, Some(*entry)),
            Step::AcquireLease(asking) => {
                let NeedsLease { retry_state, shortfall } = *asking;
                self.phase = Phase::NeedsLease(request, Box::new(retry_state));
                return Decided::Shortfall(shortfall);
            }
            Step::Send(sending) => {
                let deployment = worker.router.deployment(sending.attempt.deployment);
                let cluster = deployment.map_or("", |deployment| deployment.cluster.as_str());
                let sent = host::set_headers(MapType::Request, &sending.headers)
                    .and_then(|()| host::set_header(MapType::Request, names::CLUSTER, cluster))
                    .and_then(|()| match &sending.body {
                        Some(new) => host::set_buffer_pieces(BufferType::RequestBody, new.pieces(&body)),
                        None => Ok(()),
                    });
                if sent.is_err() {
                    // A request that was not rewritten still holds the client's key: it must not go out.
                    // The entry that follows says so.
                    drop(
                        worker.decide(|router, moment| router.on_client_disconnect(sending.attempt, moment)),
                    );
                    return Decided::Done(self.final_answer());
                }
                self.phase = Phase::Sent(Box::new(sending.attempt));
                Action::Continue
            }
        })
    }

    /// The provider says yes.
    fn accepted(&mut self, attempt: Box<Attempt>, status: u16, complete: bool) -> Action {
        self.name(&attempt);
        let answering = Box::new(Answering::new(attempt, status));
        if complete {
            return self.check(answering, b"", Rest::Absent);
        }
        self.watch(&answering.attempt);
        self.phase = Phase::Held(answering);
        Action::Pause
    }

    /// The first bytes of an answer, which show whether it is one.
    fn check(&mut self, mut answering: Box<Answering>, bytes: &[u8], rest: Rest) -> Action {
        let complete = rest != Rest::Coming;
        match answering.check(bytes, complete) {
            Checked::Genuine(_) => self.serve(answering, bytes, complete),
            Checked::Failed(found) => self.disproved(*answering, found, rest),
            Checked::Undecided => {
                self.phase = Phase::Held(answering);
                Action::Pause
            }
        }
    }

    /// The answer is an error, whatever its status says.
    fn disproved(&mut self, answering: Answering, found: FalseSuccess, rest: Rest) -> Action {
        let Answering { mut attempt, status, .. } = answering;
        attempt.detail = Some(format!("error in the body of a response with status {status}"));
        let failure = Failure::Provider { status: found.status, retry_after: asked_time() };
        let said = ErrorResponse {
            body: found.body.into_bytes(),
            received_status: Some(status),
            ..ErrorResponse::default()
        };
        self.settle(*attempt, failure, &|| said.clone(), rest)
    }

    /// A part of the answer.
    fn serve(&mut self, mut answering: Box<Answering>, chunk: &[u8], complete: bool) -> Action {
        answering.pass(chunk, complete);
        if complete {
            self.served(*answering, StreamEnd::Complete);
        } else {
            self.phase = Phase::Serving(answering);
        }
        Action::Continue
    }

    fn served(&self, answering: Answering, end: StreamEnd) {
        let Some(worker) = &self.worker else { return };
        let ended = answering.ended(end);
        let attempt = *answering.attempt;
        self.finish(worker.decide(|router, moment| router.on_response_end(attempt, ended, moment)));
    }

    /// The client has gone while nobody was being asked.
    fn left(&self, retry_state: Option<RetryState>) {
        self.finish(AccessLogEntry::client_disconnected(retry_state.unwrap_or_default()));
    }

    fn abandoned(&self, attempt: Attempt) {
        let Some(worker) = &self.worker else { return };
        self.finish(worker.decide(|router, moment| router.on_client_disconnect(attempt, moment)));
    }

    /// The provider says no, or Envoy says that there is no provider.
    fn failed(&mut self, mut attempt: Box<Attempt>, status: u16, complete: bool) -> Action {
        let flags = flags();
        let from_response_flags = Failure::from_response_flags(flags);
        attempt.detail = from_response_flags.and_then(|_| detail());
        attempt.is_on_reused_connection = from_response_flags.is_some()
            && Failure::ended_by_provider(flags)
            && host::header(MapType::Response, names::REUSED).is_some();
        let failure = from_response_flags.unwrap_or_else(|| {
            let location = || host::header(MapType::Response, "location");
            if let (300..=399, Some(worker), Some(location)) = (status, &self.worker, location()) {
                attempt.detail = worker.router.redirect_target(&attempt, &location);
            }
            Failure::Provider { status, retry_after: asked_time() }
        });
        if complete {
            return self.settle(*attempt, failure, &said, Rest::Absent);
        }
        self.watch(&attempt);
        self.phase = Phase::Failing(attempt, failure);
        Action::Pause
    }

    /// Obeys the verdict on a failed attempt.
    fn settle(
        &mut self,
        attempt: Attempt,
        failure: Failure,
        said: &dyn Fn() -> ErrorResponse,
        rest: Rest,
    ) -> Action {
        let Some(worker) = self.worker.clone() else { return Action::Continue };
        self.phase = Phase::Relaying;
        let verdict =
            worker.decide(|router, moment| router.on_attempt_failed(attempt, failure, said, moment));
        worker.current.set(self.context);
        worker.redis.tell_news(&worker);
        worker.current.set(0);
        match verdict {
            Verdict::Relay(names, entry) => {
                self.finish(*entry);
                for (name, value) in names {
                    set(name, &value);
                }
                Action::Continue
            }
            Verdict::Reply(reply, entry) => self.reply(&reply, Some(*entry)),
            Verdict::Retry(retry_state, wait) => self.retry(*retry_state, wait, rest),
        }
    }

    fn retry(&mut self, retry_state: RetryState, wait: Duration, rest: Rest) -> Action {
        between::put(self.stream_id(), retry_state);
        set(names::RETRY, "1");
        // The edge throws the body away; without one, it keeps the connection.
        match rest {
            Rest::Absent | Rest::Here => set("content-length", "0"),
            Rest::Coming => host::remove_header(MapType::Response, "content-length"),
        }
        let _ = host::set_buffer(BufferType::ResponseBody, b"");
        match &self.worker {
            Some(worker) if !wait.is_zero() => {
                worker.clock.resume_after(self.context, wait);
                self.phase = Phase::Waiting;
                Action::Pause
            }
            _ => Action::Continue,
        }
    }

    /// Puts our words in the place of a response that is being held: nothing of it passes, its headers included.
    fn replace(&self, reply: &Reply) -> Action {
        let own = reply.headers.iter().map(|(name, value)| (*name, value.as_str()));
        // Envoy marks its own answers for retry, for the case that they do not pass here. This one is final.
        let is_single_hop = self.worker.as_ref().is_some_and(|worker| worker.router.is_single_hop());
        let is_final = (!is_single_hop).then_some((names::RETRY, "0"));
        let headers = [("content-type", content_type(reply))].into_iter().chain(own).chain(is_final);
        // FailureCount only if the client has gone.
        let _ = host::send_response(reply.status, headers, &reply.body, names::FILTER);
        Action::Pause
    }

    /// Says which deployment serves.
    fn name(&self, attempt: &Attempt) {
        let Some(worker) = &self.worker else { return };
        for (name, value) in worker.router.response_headers(attempt) {
            set(name, &value);
        }
    }

    /// A streamed answer is limited between its bytes, any other as a whole, which Envoy does by itself.
    fn watch(&mut self, attempt: &Attempt) {
        if let Some(worker) = self.worker.as_ref().filter(|_| attempt.stream) {
            self.progress = Some(worker.clock.limit_gaps(self.context, attempt.timeout));
        }
    }

    fn progressed(&self) {
        if let Some(progress) = &self.progress {
            let Progress { chunks, timed_out } = progress.get();
            progress.set(Progress { chunks: chunks.wrapping_add(1), timed_out });
        }
    }

    /// Whether a time limit has ended this stream: ours between two bytes, or Envoy's.
    fn timed_out(&self, flags: u64) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.get().timed_out)
            || Failure::from_response_flags(flags) == Some(Failure::TimedOut)
    }

    /// A response ended before anything of it was passed on, and the edge sends the request again.
    fn broken(&self, mut attempt: Attempt) {
        let Some(worker) = &self.worker else { return };
        attempt.detail = detail();
        let flags = flags();
        if Failure::client_disconnected(flags) {
            return self.abandoned(attempt);
        }
        let failure = if self.timed_out(flags) { Failure::TimedOut } else { Failure::Broken };
        if worker.router.is_single_hop() {
            // Envoy has told the client already.
            let verdict = worker.decide(|router, moment| {
                router.on_attempt_failed(attempt, failure, &ErrorResponse::default, moment)
            });
            if let Verdict::Relay(_, entry) | Verdict::Reply(_, entry) = verdict {
                self.finish(*entry);
            }
            return;
        }
        let retry_state = worker.decide(|router, moment| router.on_reset(attempt, failure, moment));
        between::put(self.stream_id(), retry_state);
    }
}

/// What is there of the body of a response.
fn response_body(size: usize) -> Body {
    if size > 0 { host::body(BufferType::ResponseBody) } else { Body::default() }
}

/// How long the provider asks us to stay away.
fn asked_time() -> Option<Duration> {
    let header = |name| host::header(MapType::Response, name);
    let (ms, seconds) = (header("retry-after-ms"), header("retry-after"));
    retry_after(ms.as_deref(), seconds.as_deref(), host::now())
}

/// What the provider said in a response that is being held.
fn said() -> ErrorResponse {
    let header = |name| host::header(MapType::Response, name);
    ErrorResponse {
        content_type: header("content-type"),
        error_type: header("x-amzn-errortype"),
        body: host::buffer(BufferType::ResponseBody),
        received_status: None,
    }
}

fn content_type(reply: &Reply) -> &str {
    reply.content_type.as_deref().unwrap_or("application/json")
}

/// What Envoy has found wrong with this stream.
fn flags() -> u64 {
    host::number_property("response\0flags").unwrap_or_default()
}

/// The same in Envoy's words: `connection_refused`, a TLS error.
fn detail() -> Option<String> {
    let text = |path| host::property(path).filter(|text| !text.is_empty());
    let detail = text("upstream\0transport_failure_reason").or_else(|| text("response\0code_details"))?;
    Some(String::from_utf8_lossy(&detail).into_owned())
}

/// Sets a header of the response, which fails only where the response has gone.
fn set(name: &str, value: &str) {
    let _ = host::set_header(MapType::Response, name, value);
}

impl Exchange {
    fn report(&mut self) {
        let (Phase::Probing(probe), Some(worker)) = (&self.phase, &self.worker) else { return };
        if let Some(report) = probe.report(worker.router.config()) {
            let entry = AccessLogEntry::new(RetryState::default(), Outcome::Success, 200);
            self.reply(&Reply::ok(report), Some(entry));
        }
    }
}

/// What Envoy calls, in wire order.
impl Exchange {
    pub(crate) fn on_request_headers(&mut self, complete: bool) -> Action {
        let Some(worker) = self.worker.clone() else {
            return self.reply(&Refusal::NoConnection.reply(), None);
        };
        self.arrived = host::headers(MapType::Request);
        #[cfg(feature = "testing")]
        crate::testing::trap_if_asked(&self.arrived);
        match worker.router.on_request_headers(&self.arrived, complete) {
            Arrival::Reply(reply, entry) => self.turn_away(&reply, entry.map(|entry| *entry)),
            Arrival::Hold(request) => {
                self.phase = Phase::Body(request);
                Action::Pause
            }
            Arrival::Probe(deployments) => {
                self.phase = Phase::Probing(Probe::start(self.context, worker.router.config(), deployments));
                self.report();
                Action::Pause
            }
        }
    }

    pub(crate) fn on_request_body(&mut self, complete: bool) -> Action {
        match (&self.phase, complete) {
            (Phase::Body(_), true) => self.send(),
            _ => Action::Pause,
        }
    }

    pub(crate) fn on_request_trailers(&mut self) -> Action {
        // A body that ends in trailers never says so itself.
        match &self.phase {
            Phase::Body(_) => self.send(),
            _ => Action::Pause,
        }
    }

    pub(crate) fn on_response_headers(&mut self, complete: bool) -> Action {
        let status = host::header(MapType::Response, ":status");
        // Envoy passes on numbers that are none of HTTP's.
        let status = status.and_then(|status| status.parse().ok()).unwrap_or(u16::MAX);
        match std::mem::replace(&mut self.phase, Phase::Relaying) {
            Phase::Sent(attempt) if status < 300 => self.accepted(attempt, status, complete),
            Phase::Sent(attempt) => self.failed(attempt, status, complete),
            // Only Envoy itself answers before a request is sent: the body is above the limit.
            Phase::Body(_) if status == 413 => {
                let limit = self.worker.as_ref().map(|worker| worker.router.config().server.max_body_bytes);
                let refusal = Refusal::TooLarge(limit.unwrap_or_default());
                self.turn_away(&refusal.reply(), Some(AccessLogEntry::of_refusal(&refusal)))
            }
            _ => Action::Continue,
        }
    }

    pub(crate) fn on_response_body(&mut self, size: usize, complete: bool) -> Action {
        // An error body has the time of one gap for all of it: it is of no use to anybody that trickles in.
        if !matches!(self.phase, Phase::Failing(..)) {
            self.progressed();
        }
        match std::mem::replace(&mut self.phase, Phase::Relaying) {
            Phase::Held(answering) if size == 0 && !complete => {
                self.phase = Phase::Held(answering);
                Action::Pause
            }
            Phase::Held(answering) => {
                let rest = if complete { Rest::Here } else { Rest::Coming };
                self.check(answering, &response_body(size), rest)
            }
            Phase::Serving(answering) => self.serve(answering, &response_body(size), complete),
            Phase::Failing(attempt, failure) if !complete && size <= ERROR_BODY => {
                self.phase = Phase::Failing(attempt, failure);
                Action::Pause
            }
            Phase::Failing(attempt, failure) => {
                self.settle(*attempt, failure, &said, if complete { Rest::Here } else { Rest::Coming })
            }
            Phase::Waiting => {
                self.phase = Phase::Waiting;
                let _ = host::set_buffer(BufferType::ResponseBody, b"");
                Action::Pause
            }
            _ => Action::Continue,
        }
    }

    /// Redis has answered, or has had its time; what the request shortfall still.
    pub(crate) fn on_leased(&mut self) -> Option<Vec<(usize, u64)>> {
        match self.go_on()? {
            Decided::Shortfall(shortfall) => return Some(shortfall),
            Decided::Done(Action::Continue) => {
                self.after(Action::Continue);
                host::resume_request();
            }
            Decided::Done(Action::Pause) => {}
        }
        None
    }

    /// An answer to a call of our own; without a status there was none.
    pub(crate) fn on_call_response(&mut self, token: u32, status: Option<&str>) {
        let Phase::Probing(probe) = &mut self.phase else { return };
        probe.answered(token, status.and_then(|status| status.parse().ok()));
        self.report();
    }

    /// The end, however it came; what the access log is to say must be said by now.
    pub(crate) fn on_log(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Relaying) {
            // An error that breaks off counts as a broken connection, as it does for the SDK inside of LiteLLM.
            Phase::Held(answering) => self.broken(*answering.attempt),
            Phase::Failing(attempt, _) => self.broken(*attempt),
            Phase::Sent(attempt) => self.abandoned(*attempt),
            Phase::Serving(answering) if Failure::client_disconnected(flags()) => {
                self.served(*answering, StreamEnd::ClientDisconnected)
            }
            Phase::Serving(answering) if self.timed_out(flags()) => {
                self.served(*answering, StreamEnd::TimedOut)
            }
            Phase::Serving(answering) => self.served(*answering, StreamEnd::Interrupted),
            Phase::Waiting if Failure::client_disconnected(flags()) => {
                self.left(between::take(self.stream_id()))
            }
            Phase::NeedsLease(_, retry_state) => self.left(Some(*retry_state)),
            Phase::Body(_) => self.left(None),
            Phase::Probing(_) => self.left(None),
            _ => {}
        }
        if let Some(worker) = &self.worker {
            worker.clock.forget(self.context);
        }
    }
}
