//! A configuration that serves requests: one method for each event of a request, in wire order.
//!
//! The filter calls [`Router::on_request_headers`] and [`Router::on_request_body`]; then exactly
//! one of [`Router::on_attempt_failed`], [`Router::on_reset`], [`Router::on_unanswered`],
//! [`Router::on_response_end`] and [`Router::on_client_disconnect`] for each attempt, where
//! [`Router::on_response_error`] may come before the end of a response; then
//! [`Router::record_request`] with the access-log entry that ended the request. Each event has a
//! file.

mod attempt_failed;
mod betas;
mod context_window;
mod decisions;
mod failed_attempt;
mod group_request;
mod local_reply;
mod origins;
mod request_body;
mod request_headers;
mod resend;
mod response_end;
mod response_error;
mod response_headers;
mod retry_options;
mod upstream_request;

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{Config, Deployment, Target, max_edge_retries};

use crate::affinity::load::WorkerLoad;
use crate::affinity::popularity::Popularity;
use crate::affinity::rendezvous::Rendezvous;
use crate::attempt::{Attempt, AttemptLog, AttemptResult, RetryState};
use crate::failure::fallback::FailedGroup;
use crate::failure::refusals::Refusals;
use crate::failure::retry::{self, Allowance};
use crate::failure::{AttemptError, ErrorClass};
use crate::fleet::{self, Call, CallResult, FleetClient, FleetSettings};
use crate::http::headers::Headers;
use crate::models::groups::Groups;
use crate::models::pool;
use crate::outcome::{Failure, Outcome};
use crate::request::parse::Request;
use crate::request::references::Reference;
use crate::request::routing_params::{AllowedParams, RoutingParams};
use crate::select::{SelectionContext, Shortlists};
use crate::state::cooldown::CooldownChange;
use crate::state::deployment_states::DeploymentStates;
use crate::state::group_limits::RateLimits;
use crate::state::store::{Moment, Store};
use crate::state::time::millis;
use crate::telemetry::access_log::AccessLogEntry;
use crate::telemetry::explain;
use crate::telemetry::gauges::GaugePublisher;
use crate::telemetry::metrics::{Change, Metrics};
use crate::upstream::redirect;
use crate::upstream::response_check::FalseSuccess;

pub use request_headers::{sends_body, wire};

pub use decisions::{
    Arrival, Awaited, ERROR_HEADERS, ErrorResponse, ResponseSummary, Sending, Step, StreamEnd, Verdict,
};

/// A configuration on one worker.
#[derive(Debug)]
pub struct Router {
    config: Config,
    groups: Groups,
    allowed: AllowedParams,
    states: RefCell<DeploymentStates>,
    /// `None` without Redis.
    fleet: Option<FleetSettings>,
    shortlists: RefCell<Shortlists>,
    rendezvous: Rendezvous,
    load: WorkerLoad,
    popularity: Popularity,
    metrics: RefCell<Metrics>,
    gauges: RefCell<GaugePublisher>,
    refusals: RefCell<Refusals>,
    /// See [`single_hop`](crate::upstream::single_hop).
    single_hop: bool,
    /// Attempts of a request at most. The edge makes one more, for an answer that could not be
    /// delivered.
    ceiling: u32,
}

/// What a router is, and what it does beside requests.
impl Router {
    /// Prepares a configuration for a worker, whose VM has this number.
    pub fn new(config: Config, vm: u32) -> Self {
        let groups = Groups::new(&config);
        let strategy = |deployment: &Deployment| pool::strategy(&config, &deployment.group).0;
        Self {
            states: RefCell::new(DeploymentStates::new(&config, vm, &strategy)),
            groups,
            allowed: AllowedParams::of(&config),
            shortlists: RefCell::default(),
            rendezvous: Rendezvous::new(&config),
            load: WorkerLoad::new(&config),
            popularity: Popularity::default(),
            fleet: FleetSettings::new(&config),
            metrics: RefCell::new(Metrics::new(config.deployments.len())),
            gauges: RefCell::default(),
            refusals: RefCell::default(),
            single_hop: false,
            ceiling: max_edge_retries(&config),
            config,
        }
    }

    /// The same router where there is no edge to make another attempt.
    pub fn in_single_hop(mut self) -> Self {
        self.single_hop = true;
        self
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A deployment by its index.
    pub fn deployment(&self, index: usize) -> Option<&Deployment> {
        self.config.deployments.get(index)
    }

    /// Creates the records of all deployments; to be called before there is traffic.
    pub fn open(&self, store: &dyn Store) {
        self.states.borrow_mut().open(store);
    }

    /// Registers the configuration with the gauges, before there is traffic: `number` is its own,
    /// if configurations are numbered, and `own` identifies this worker. Returns the
    /// configuration's generation.
    pub fn announce(&self, number: Option<u32>, fingerprint: u64, own: u64, store: &dyn Store) -> u32 {
        self.gauges.borrow_mut().open(number, fingerprint, own, store)
    }

    /// Writes this worker's heartbeat, and what it counted for all; to be called every
    /// [`HEARTBEAT`](crate::state::heartbeats::HEARTBEAT).
    pub fn beat(&self, now: Duration, store: &dyn Store) {
        self.states.borrow_mut().heartbeat(now, store);
        self.popularity.beat(store);
    }

    /// The calls to Redis; `None` without Redis.
    pub fn fleet(&self) -> Option<FleetClient<'_>> {
        Some(FleetClient::new(self.fleet.as_ref()?, self.states.borrow_mut()))
    }

    /// Applies the reply to a call to Redis, and counts the call; `None` where there is no reply. A
    /// late one is applied as well, but does not show that Redis is up: the next one may be as
    /// late.
    pub fn apply_reply(
        &self,
        call: &Call,
        reply: Option<&[u8]>,
        is_late: bool,
        moment: &Moment<'_>,
    ) -> CallResult {
        let Some(settings) = &self.fleet else { return CallResult::default() };
        let mut states = self.states.borrow_mut();
        let result = fleet::apply_reply(settings, call, reply, is_late, &mut states, moment);
        self.metrics.borrow_mut().redis(result.outcome);
        result
    }

    /// Flushes the metrics; to be called once a second.
    pub fn flush(&self, now: Duration, store: &dyn Store, sink: &mut dyn FnMut(&str, Change)) {
        let (mut states, mut metrics) = (self.states.borrow_mut(), self.metrics.borrow_mut());
        self.gauges.borrow_mut().publish(&self.config, &self.groups, &mut states, &mut metrics, now, store);
        metrics.flush(&self.config, sink);
    }

    /// Flushes the last metrics, when this configuration has served its last request here.
    pub fn close(&self, store: &dyn Store, sink: &mut dyn FnMut(&str, Change)) {
        let (mut gauges, mut metrics) = (self.gauges.borrow_mut(), self.metrics.borrow_mut());
        let has_led = gauges.close(&self.config, &mut metrics);
        metrics.flush(&self.config, sink);
        if has_led {
            gauges.resign(store);
        }
    }
}

/// The events of a request, in wire order.
impl Router {
    /// The headers of a request have arrived. `end_of_stream` means that no body follows.
    pub fn on_request_headers(&self, headers: &Headers, end_of_stream: bool) -> Arrival {
        request_headers::on_request_headers(self, headers, end_of_stream)
    }

    /// A request is complete. `retry_state` is what its last attempt left, and `None` in the first
    /// one.
    pub fn on_request_body(
        &self,
        request: &Request,
        body: &[u8],
        retry_state: Option<RetryState>,
        moment: &mut Moment<'_>,
    ) -> Step {
        request_body::on_request_body(self, request, body, retry_state.unwrap_or_default(), moment)
    }

    /// The headers that the router adds to the response of a deployment. `now` is called where they
    /// say what remains of a minute.
    pub fn response_headers<'a>(
        &'a self,
        attempt: &'a Attempt,
        now: &dyn Fn() -> Duration,
        store: &dyn Store,
    ) -> impl Iterator<Item = (&'static str, Cow<'a, str>)> + use<'a> {
        let Attempt { model, retry_state, .. } = attempt;
        let deployment = self.deployment(attempt.deployment);
        let limits = response_headers::rate_limits(self.group_limits(attempt.deployment, now, store));
        let explanation = retry_state.explanation.as_deref();
        deployment
            .into_iter()
            .flat_map(|deployment| response_headers::of_deployment(deployment, model, retry_state))
            .chain(limits.map(|(name, value)| (name, Cow::Owned(value))))
            .chain(explanation.map(|text| (explain::HEADER, Cow::Borrowed(text))))
    }

    /// Where a redirect leads, for [`Attempt::detail`]; without what may be secret.
    pub fn redirect_target(&self, attempt: &Attempt, location: &str) -> Option<String> {
        redirect::display_location(location, &self.deployment(attempt.deployment)?.endpoint)
    }

    /// Whether a fallback is left for a prompt that this attempt's provider has refused under status 200.
    pub fn refusal_falls_back(&self, attempt: &Attempt) -> bool {
        attempt_failed::refusal_falls_back(self, attempt)
    }

    /// An attempt has failed before any of its response reached the client. `response` is called at
    /// most once, if the provider has sent one.
    pub fn on_attempt_failed(
        &self,
        attempt: Attempt,
        failure: Failure,
        response: &dyn Fn() -> ErrorResponse,
        moment: &mut Moment<'_>,
    ) -> Verdict {
        attempt_failed::on_attempt_failed(self, attempt, failure, response, moment)
    }

    /// The connection of an attempt has ended before its response began, so that the edge sends the
    /// request again in any case. Returns the state for that: it goes on, or answers the client.
    pub fn on_reset(&self, attempt: Attempt, failure: Failure, moment: &mut Moment<'_>) -> RetryState {
        attempt_failed::on_reset(self, attempt, failure, moment)
    }

    /// A response has ended before anything of it was passed on, and Envoy has answered the client,
    /// so that nothing can be sent again. Returns what the access log says.
    pub fn on_unanswered(&self, attempt: Attempt, failure: Failure, moment: &Moment<'_>) -> AccessLogEntry {
        attempt_failed::on_unanswered(self, attempt, failure, moment)
    }

    /// Remembers that a deployment has made what its answer has.
    pub fn remember(&self, deployment: usize, references: &[Reference], moment: &Moment<'_>) {
        origins::remember(self, deployment, references, moment);
    }

    /// An error has come in a response that had begun, before it ends. The client has it already, but
    /// the attempt is a failure of its class.
    pub fn on_response_error(&self, attempt: &mut Attempt, found: FalseSuccess) {
        response_error::on_response_error(self, attempt, found);
    }

    /// A response that had begun has ended.
    pub fn on_response_end(
        &self,
        attempt: Attempt,
        summary: ResponseSummary,
        moment: &Moment<'_>,
    ) -> AccessLogEntry {
        response_end::on_response_end(self, attempt, summary, moment)
    }

    /// The client has disconnected before the response began.
    pub fn on_client_disconnect(&self, attempt: Attempt, moment: &Moment<'_>) -> AccessLogEntry {
        response_end::on_client_disconnect(self, attempt, moment)
    }

    /// A fault of the filter ended the request during an attempt, whose result stays unknown.
    pub fn on_fault(&self, attempt: Attempt, moment: &Moment<'_>) -> AccessLogEntry {
        response_end::on_fault(self, attempt, moment)
    }

    /// Counts a request that has ended. Returns its line of the access log, if there is a log.
    /// `headers` are those of the request as the client sent it.
    pub fn record_request(&self, entry: AccessLogEntry, headers: &Headers, now: Duration) -> Option<String> {
        let mut metrics = self.metrics.borrow_mut();
        let group = entry.retry_state.group();
        if entry.outcome == Outcome::Refused || entry.retry_state.started_at.is_some() {
            metrics.request(group, entry.outcome, entry.status);
        }
        if let Some(reason) = entry.reason {
            metrics.refusal(group, reason);
        }
        self.config.server.access_log.then(|| entry.line(headers, now))
    }
}

/// What several events need.
impl Router {
    fn selection(&self) -> SelectionContext<'_> {
        SelectionContext {
            config: &self.config,
            states: self.states.borrow_mut(),
            shortlists: self.shortlists.borrow_mut(),
            rendezvous: &self.rendezvous,
            load: &self.load,
        }
    }

    fn allowance(
        &self,
        model: &str,
        deployment: &Deployment,
        client: Option<u32>,
        error: Option<&AttemptError>,
    ) -> Allowance {
        let allowance = retry::allowance(&self.config.router, model, deployment, client, error);
        Allowance { retries: allowance.retries.min(self.ceiling.saturating_sub(1)), ..allowance }
    }

    fn index_of(&self, id: &Arc<str>) -> Option<usize> {
        self.config.deployments.iter().position(|deployment| deployment.id == *id)
    }

    /// The label of the group that a model resolves to.
    fn label(&self, model: &str) -> Option<Arc<str>> {
        self.groups.resolve(model).ok().map(|resolved| Arc::clone(&resolved.pool.label))
    }

    /// See [`Groups::failed_group`].
    fn failed_group<'n>(&'n self, requested: &'n str, attempted: Option<&Deployment>) -> FailedGroup<'n> {
        self.groups.failed_group(&self.config, requested, attempted)
    }

    /// The fallback after a group that failed, counted; `None` if there is none.
    fn next_fallback(
        &self,
        retry_state: &mut RetryState,
        routing: &RoutingParams,
        failed: &FailedGroup<'_>,
        class: ErrorClass,
    ) -> Option<Target> {
        let target = retry_state.fallback_chain.next(&self.config.router, routing, failed, class)?;
        let to = self.label(&target.model);
        self.metrics.borrow_mut().fallback(failed.label.as_ref(), to.as_ref());
        Some(target)
    }

    fn group_limits(
        &self,
        deployment: usize,
        now: &dyn Fn() -> Duration,
        store: &dyn Store,
    ) -> Option<RateLimits> {
        self.states.borrow_mut().rate_limits(deployment, now, store)
    }

    /// Counts an attempt that has ended, and adds it to those of its request.
    fn end_attempt(
        &self,
        attempt: &Attempt,
        retry_state: &mut RetryState,
        result: AttemptResult,
        now: Duration,
    ) {
        self.metrics.borrow_mut().attempt(attempt.deployment, result);
        self.load.dec(attempt.deployment);
        let Some(deployment) = self.deployment(attempt.deployment) else { return };
        retry_state.attempts.push(AttemptLog {
            deployment: Arc::clone(&deployment.id),
            result,
            milliseconds: millis(now.saturating_sub(attempt.ticket.at)),
            detail: attempt.detail.clone(),
        });
    }

    /// Counts a cooldown that begins. The other instances learn of it at once, and of one that gets
    /// longer.
    fn note_cooldown(&self, deployment: usize, cooled: Option<CooldownChange>) {
        let Some(cooled) = cooled.filter(|cooled| *cooled != CooldownChange::Unchanged) else { return };
        if cooled == CooldownChange::Started {
            self.metrics.borrow_mut().cooldown(deployment);
        }
        self.states.borrow_mut().note_cooldown(deployment);
    }
}
