//! A configuration, prepared for requests, and the words in which it tells the filter what to do.
//!
//! The filter calls [`Router::on_request_headers`] with a request's headers, [`Router::on_request_body`] with its body, and then exactly one of
//! [`Router::on_attempt_failed`], [`Router::on_reset`], [`Router::on_response_end`] and [`Router::on_client_disconnect`]. Each of them has a file of its own.

pub mod conclude;
pub mod finish;
pub mod request_body;
pub mod request_headers;
pub mod resend;
pub mod response_headers;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{Config, Deployment, max_edge_retries};

use crate::attempt::{Attempt, RetryState};
use crate::failure::AttemptError;
use crate::failure::retry::{self, Allowance};
use crate::failure::usage_refusals::UsageRefusals;
use crate::fleet::{self, Call, CallResult, FleetClient, FleetSettings};
use crate::http::headers::Headers;
use crate::http::new_body::NewBody;
use crate::http::reply::Reply;
use crate::models::groups::Groups;
use crate::models::pool;
use crate::request::parse::Request;
use crate::router::response_headers as answer;
use crate::select::{SelectionContext, Shortlists};
use crate::state::deployment_states::DeploymentStates;
use crate::state::group_limits::RateLimits;
use crate::state::store::{Moment, Store};
use crate::telemetry::access_log::AccessLogEntry;
use crate::telemetry::gauges::GaugePublisher;
use crate::telemetry::metrics::Metrics;

/// A configuration, prepared for requests.
#[derive(Debug)]
pub struct Router {
    pub(crate) config: Config,
    pub(crate) groups: Groups,
    pub(crate) states: RefCell<DeploymentStates>,
    /// `None` without Redis.
    fleet: Option<FleetSettings>,
    pub(crate) shortlists: RefCell<Shortlists>,
    /// What is counted for those who watch.
    pub(crate) metrics: RefCell<Metrics>,
    pub(crate) watch: RefCell<GaugePublisher>,
    /// Who does not know what the router adds to streams.
    pub(crate) usage_refusals: RefCell<UsageRefusals>,
    /// See [`crate::single_hop`].
    pub(crate) single_hop: bool,
    /// How often a request is sent to a provider at most. The edge sends it once more, for an answer that is still owed.
    pub(crate) ceiling: u32,
}

/// What to do with a request whose headers have come.
#[derive(Debug)]
pub enum Arrival {
    /// Wait for the body.
    Hold(Box<Request>),
    /// Answer. A probe of liveness or readiness has no access-log entry.
    Reply(Reply, Option<Box<AccessLogEntry>>),
    /// Ask every deployment of this list whether it is there, then answer.
    Probe(Vec<usize>),
}

/// What to do with a request that is all there.
#[derive(Debug)]
pub enum Step {
    /// Send it to the deployment that was picked.
    Send(Box<Sending>),
    /// Ask Redis for leases, and then send again.
    AcquireLease(Box<NeedsLease>),
    /// Answer.
    Reply(Reply, Box<AccessLogEntry>),
}

/// A request that needs a lease before anybody may serve it.
#[derive(Debug)]
pub struct NeedsLease {
    /// What it has been through; for [`Router::on_request_body`], when Redis has answered or has had its time.
    pub retry_state: RetryState,
    /// The deployments that may serve it then, with the tokens that it needs there.
    pub shortfall: Vec<(usize, u64)>,
}

/// A request on its way to a deployment.
#[derive(Debug)]
pub struct Sending {
    /// All of its headers.
    pub headers: Headers,
    /// Its body, where it differs from the client's.
    pub body: Option<NewBody>,
    /// To be settled when the answer is there.
    pub attempt: Attempt,
}

/// What to do with an attempt that failed.
#[derive(Debug)]
pub enum Verdict {
    /// Ask the edge for another attempt, after a wait.
    Retry(Box<RetryState>, Duration),
    /// Pass on what the provider said, with these headers.
    Relay(Vec<(&'static str, String)>, Box<AccessLogEntry>),
    /// Answer in its place.
    Reply(Reply, Box<AccessLogEntry>),
}

impl Router {
    /// Prepares a configuration for one worker, whose VM has this number.
    pub fn new(config: Config, vm: u32) -> Self {
        let groups = Groups::new(&config);
        let ceiling = max_edge_retries(&config);
        let states =
            DeploymentStates::new(&config, vm, &|deployment| pool::strategy(&config, &deployment.group).0);
        Self {
            groups,
            states: RefCell::new(states),
            fleet: FleetSettings::new(&config),
            shortlists: RefCell::default(),
            metrics: RefCell::new(Metrics::new(config.deployments.len())),
            watch: RefCell::default(),
            usage_refusals: RefCell::default(),
            single_hop: false,
            ceiling,
            config,
        }
    }

    /// The configuration that it serves.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes part in what the workers share, before there is traffic.
    pub fn open(&self, store: &dyn Store) {
        self.states.borrow_mut().open(store);
    }

    /// Says that this worker is alive; to be called every [`BEAT`](crate::state::heartbeats::BEAT).
    pub fn beat(&self, now: Duration, store: &dyn Store) {
        self.states.borrow_mut().beat(now, store);
    }

    /// The calls to Redis; `None` without Redis.
    pub fn fleet(&self) -> Option<FleetClient<'_>> {
        Some(FleetClient::new(self.fleet.as_ref()?, self.states.borrow_mut()))
    }

    /// Applies the reply to a call to Redis, and counts the call; `None` where there is no reply. A late one is applied as
    /// well, but does not show that Redis is up: the next one may be as late.
    pub fn apply_reply(
        &self,
        call: &Call,
        reply: Option<&[u8]>,
        is_late: bool,
        moment: &Moment<'_>,
    ) -> CallResult {
        let result = fleet::apply_reply(call, reply, is_late, &mut self.states.borrow_mut(), moment);
        self.metrics.borrow_mut().redis(result.outcome);
        result
    }

    /// The headers that name the deployment which served, for every routed answer.
    pub fn served_by<'a>(&'a self, attempt: &'a Attempt) -> Option<answer::Names<'a>> {
        Some(answer::names(self.deployment(attempt.deployment)?, &attempt.model, &attempt.retry_state))
    }

    /// What is left of the limits of its group.
    pub fn rate_limits(&self, attempt: &Attempt, now: Duration) -> Option<RateLimits> {
        self.states.borrow_mut().rate_limits(attempt.deployment, now, None)
    }

    pub(crate) fn selection(&self) -> SelectionContext<'_> {
        SelectionContext {
            config: &self.config,
            states: self.states.borrow_mut(),
            shortlists: self.shortlists.borrow_mut(),
        }
    }

    pub(crate) fn allowance(
        &self,
        deployment: &Deployment,
        client: Option<u32>,
        fault: Option<&AttemptError>,
    ) -> Allowance {
        let allowance = retry::allowance(&self.config.router, deployment, client, fault);
        Allowance { retries: allowance.retries.min(self.ceiling.saturating_sub(1)), ..allowance }
    }

    /// A deployment by its index.
    pub fn deployment(&self, index: usize) -> Option<&Deployment> {
        self.config.deployments.get(index)
    }

    pub(crate) fn index_of(&self, id: &Arc<str>) -> Option<usize> {
        self.config.deployments.iter().position(|deployment| deployment.id == *id)
    }
}
