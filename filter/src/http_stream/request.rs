//! The request: its headers, its body, the deployment that gets it, and answers without one.

use llm_balancer_config::{Wire, names};
use llm_balancer_router::stream::{Arrived, Event, Phase, Selected};
use llm_balancer_router::{
    AccessLogEntry, Arrival, Original, Outcome, Refusal, Reply, RetryState, Sending, Step, sends_body, wire,
};

use super::Stream;
use super::kept_body::KeptBody;
use crate::health_probe::HealthProbe;
use crate::hostcalls::{Action, BufferType, MapType};
use crate::role::Role;
use crate::{hostcalls, retry_store};

impl Stream {
    pub(super) fn on_request_headers(&mut self, complete: bool) -> Action {
        self.request_headers = hostcalls::headers(MapType::HttpRequestHeaders);
        #[cfg(feature = "testing")]
        crate::testing::trap_if_asked(&self.request_headers, "1");
        if let Some(arrived) = self.arrived_again(complete) {
            return self.step(Event::RequestHeaders(arrived));
        }
        let router = &self.filter.decider.router;
        let arrived = match router.on_request_headers(&self.request_headers, complete) {
            Arrival::Hold(request) => {
                self.request = Some(request);
                if complete { Arrived::Complete } else { Arrived::Hold }
            }
            Arrival::Reply(reply, entry) => {
                (self.reply, self.entry) = (Some(reply), entry.map(|entry| *entry));
                if !complete && sends_body(&self.request_headers, self.max_body_bytes()) {
                    Arrived::ReplyAfterBody
                } else {
                    Arrived::Reply
                }
            }
            Arrival::Probe(to_probe) => {
                self.probe = Some(HealthProbe::new(to_probe));
                Arrived::Probe
            }
        };
        self.step(Event::RequestHeaders(arrived))
    }

    /// `size` is that of all of the body that Envoy holds.
    pub(super) fn on_request_body(&mut self, size: usize, complete: bool) -> Action {
        // What is refused is discarded as it comes.
        let discarded = if self.phase == Phase::Refusing { self.request_size } else { 0 };
        self.request_size = size.saturating_add(discarded);
        // Where the edge keeps a body for a retry, Envoy's own limit is above this one.
        let has_limit = matches!(self.phase, Phase::AwaitBody | Phase::Refusing);
        let is_too_large = has_limit && self.request_size as u64 > self.max_body_bytes();
        self.step(if is_too_large { Event::BodyTooLarge } else { Event::RequestBody { complete } })
    }

    fn max_body_bytes(&self) -> u64 {
        self.filter.decider.router.config().server.max_body_bytes
    }

    pub(super) fn select(&mut self) -> Action {
        let Some(request) = self.request.take() else { return self.step(Event::StateMissing) };
        if let Some(action) = self.pass_on() {
            return action;
        }
        if !self.is_on_edge() && retry_store::is_logged(self.stream_id()) {
            // For a client that is gone. A line would be its second one.
            self.reply = Some(self.reply_to(&Refusal::Lost));
            return self.step(Event::Selected(Selected::Reply));
        }
        let retry_state = match self.retry_state.take() {
            Some(retry_state) => Some(*retry_state),
            None => self.restore_retry_state(),
        };
        let body = hostcalls::buffer(BufferType::HttpRequestBody);
        let step = self
            .filter
            .decider
            .decide(|router, moment| router.on_request_body(&request, &body, retry_state, moment));
        let selected = match step {
            Step::Send(sending) => self.forward(*sending, body),
            Step::AwaitRedis(retry_state, awaited) => {
                self.request = Some(request);
                (self.retry_state, self.awaited) = (Some(retry_state), Some(awaited));
                Selected::AwaitRedis
            }
            Step::Reply(reply, entry) => {
                (self.reply, self.entry) = (Some(reply), Some(*entry));
                Selected::Reply
            }
        };
        self.step(Event::Selected(selected))
    }

    /// What this request has been through. A VM that was replaced in between knows only how often
    /// the edge has sent it.
    fn restore_retry_state(&self) -> Option<RetryState> {
        // Nothing sends a request here twice, so only a client can claim that.
        if !self.is_behind_the_edge() {
            return None;
        }
        let counted: u32 = self.request_headers.get(names::ATTEMPT_COUNT)?.parse().ok()?;
        let stored = retry_store::take(self.stream_id());
        let began_on_edge = stored.as_ref().is_some_and(|stored| stored.began_on_edge);
        let edge_attempts = counted.saturating_add(u32::from(began_on_edge));
        let retries = edge_attempts.checked_sub(1).filter(|retries| *retries > 0)?;
        Some(RetryState {
            edge_attempts,
            ..stored.unwrap_or(RetryState { retries, ..RetryState::default() })
        })
    }

    /// Rewrites the request for its deployment.
    fn forward(&mut self, sending: Sending, body: Vec<u8>) -> Selected {
        let deployment = self.filter.decider.router.deployment(sending.attempt.deployment);
        let cluster = deployment.map_or("", |deployment| deployment.cluster.as_str());
        // One call sets them all and makes Envoy select the route, and with it the cluster, again.
        let mut headers = sending.headers;
        headers.push(names::CLUSTER, cluster);
        let rewritten = hostcalls::set_headers(MapType::HttpRequestHeaders, &headers).and_then(|()| {
            match &sending.body {
                Some(new) => hostcalls::set_buffer_pieces(BufferType::HttpRequestBody, new.pieces(&body)),
                None => Ok(()),
            }
        });
        if self.is_on_edge() {
            self.original = Some(KeptBody::new(Original::new(body, sending.body.as_ref())));
        }
        self.attempt = Some(Box::new(sending.attempt));
        if rewritten.is_ok() { Selected::Forwarded } else { Selected::NotRewritten }
    }

    pub(super) fn await_redis(&mut self) {
        let Some(awaited) = self.awaited.take() else { return };
        self.filter.redis.enqueue(&self.filter.decider, self.this.clone(), awaited);
    }

    pub(super) fn on_redis_ready(&mut self) {
        let goes_on = self.step(Event::RedisReady) == Action::Continue;
        if goes_on && matches!(self.phase, Phase::Sent | Phase::Restoring) {
            hostcalls::resume_request();
        }
    }

    /// Beside the request that found the lease nearly used up.
    pub(super) fn refill_lease(&self) {
        if let Some(attempt) = &self.attempt
            && attempt.ticket.lease_low
        {
            self.filter.redis.refill(&self.filter.decider, attempt.deployment);
        }
    }

    /// Settles an attempt whose result stays unknown.
    pub(super) fn abandon(&mut self) {
        if !self.is_on_edge() {
            retry_store::end(self.stream_id(), false);
        }
        if let Some(attempt) = self.attempt.take() {
            let decider = &self.filter.decider;
            self.entry = Some(decider.decide(|router, moment| router.on_client_disconnect(*attempt, moment)));
        }
    }

    pub(super) fn on_client_disconnect(&mut self) {
        self.entry = self.take_retry_state().map(AccessLogEntry::client_disconnected);
    }

    /// The state of a request that ends without an attempt; `None` if another stream has written its
    /// line.
    pub(super) fn take_retry_state(&mut self) -> Option<RetryState> {
        let kept = if self.is_behind_the_edge() {
            retry_store::end(self.stream_id(), false)
        } else {
            Some(RetryState::default())
        };
        self.retry_state.take().map(|retry_state| *retry_state).or(kept)
    }

    /// In front of the internal listener's filter, the edge has an answer of its own.
    pub(super) fn record_local_reply(&mut self) {
        if !self.is_behind_the_edge() {
            let retry_state = self.retry_state.take().map(|retry_state| *retry_state).unwrap_or_default();
            self.entry = Some(AccessLogEntry::of_local_reply(self.entry.take(), retry_state, self.status));
            self.finish();
        }
    }

    pub(super) fn start_probes(&mut self) {
        if let Some(probe) = &mut self.probe {
            probe.start(self.filter.decider.router.config());
        }
        self.report_probes();
    }

    pub(super) fn on_probe_reply(&mut self, token: u32, status: Option<u16>) {
        if let Some(probe) = &mut self.probe {
            probe.on_reply(token, status);
        }
        self.report_probes();
    }

    fn report_probes(&mut self) {
        let (Some(probe), Phase::Probing) = (&self.probe, self.phase) else { return };
        if let Some(report) = probe.report(self.filter.decider.router.config()) {
            let outcome = if report.status < 500 { Outcome::Success } else { Outcome::ServerError };
            self.entry = Some(AccessLogEntry::new(RetryState::default(), outcome, report.status));
            self.reply = Some(report);
            self.step(Event::ProbesDone);
        }
    }

    /// The edge retries a request whose refusal came while it was still sending: it takes the end
    /// of our connection for a broken one. The second attempt gets the same refusal. Where no edge
    /// is in front of this filter, the count is the client's own.
    pub(super) fn skip_duplicate_log(&mut self) {
        if self.is_behind_the_edge()
            && self.request_headers.get(names::ATTEMPT_COUNT).is_some_and(|count| count != "1")
        {
            self.entry = None;
        }
    }

    /// Envoy found the body above its limit.
    pub(super) fn refuse_too_large(&mut self) {
        let refusal = Refusal::TooLarge(self.max_body_bytes());
        self.refuse(&refusal);
        self.skip_duplicate_log();
        self.send_reply();
    }

    /// A local 500.
    pub(super) fn send_error(&mut self) {
        self.refuse(&Refusal::NoConnection);
        self.send_reply();
    }

    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        (self.reply, self.entry) = (Some(self.reply_to(refusal)), Some(AccessLogEntry::of_refusal(refusal)));
    }

    /// A refusal in the shape of the client's API.
    fn reply_to(&self, refusal: &Refusal) -> Reply {
        refusal.reply(wire(&self.request_headers))
    }

    /// Sends our answer in place of a response that is held: nothing of it passes, its headers
    /// included.
    pub(super) fn send_reply(&mut self) {
        self.finish();
        let reply = self.reply.take().unwrap_or_else(|| self.reply_to(&Refusal::NoConnection));
        // Envoy marks its own answers for retry, in case they do not pass here. This one is final.
        // Before the edge it needs no mark, and the edge does not add the id.
        let marked = match self.filter.role {
            Role::Edge { .. } => Some((CALL_ID, self.stream_id())),
            Role::Internal | Role::Deregister => Some(FINAL),
            Role::SingleHop => None,
        };
        send(&reply, marked);
    }
}

/// Response header of an answer that the edge does not retry.
pub(crate) const FINAL: (&str, &str) = (names::RETRY, "0");

/// A local 500 where there is no stream.
pub(super) fn send_error() {
    send(&Refusal::NoConnection.reply(Wire::OpenAi), Some(FINAL));
}

fn send(reply: &Reply, marked: Option<(&str, &str)>) {
    let content_type = reply.content_type.as_deref().unwrap_or("application/json");
    let own = reply.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let headers = [("content-type", content_type)].into_iter().chain(own).chain(marked);
    // Fails only if the client is gone.
    let _ = hostcalls::send_response(reply.status, headers, &reply.body, names::FILTER);
}

/// Response header with the edge's id of a request.
pub(super) const CALL_ID: &str = "x-litellm-call-id";

/// Sets a header of the response; fails only if the response is gone.
pub(super) fn set_response_header(name: &str, value: &str) {
    let _ = hostcalls::set_header(MapType::HttpResponseHeaders, name, value);
}
