//! What the attempts of one request share.

use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::Target;

use super::{AttemptLog, SelectionInfo};
use crate::failure::fallback::FallbackChain;
use crate::http::reply::Reply;
use crate::outcome::Failure;

/// The state of a request between two attempts. It names deployments by id, so that it survives a
/// reload of the configuration.
#[derive(Clone, Debug, Default)]
pub struct RetryState {
    /// When the request was complete, since the Unix epoch.
    pub started_at: Option<Duration>,
    /// What the client requested.
    pub requested: Option<RequestedModel>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// How the last deployment was selected.
    pub selection: Option<SelectionInfo>,
    /// All attempts so far, over all groups.
    pub attempts: Vec<AttemptLog>,
    /// Why no deployment of the last group was selected: a
    /// [`Refusal::reason`](crate::request::refusal::Refusal::reason).
    pub refusal_reason: Option<&'static str>,
    /// Why no deployment of that group could serve, by [`Excluded::name`](
    /// crate::state::eligibility::Excluded::name), each reason once.
    pub limits: Vec<&'static str>,
    /// The last selection, explained, where the client asked for that.
    pub explanation: Option<String>,
    /// Deployments of this group that were tried, in order, repeated ones included.
    pub tried: Vec<Arc<str>>,
    /// Those of them that fail every time: a wrong key, a model without access.
    pub permanently_failed: Vec<Arc<str>>,
    /// Retries in this group so far that a deployment has admitted.
    pub retries: u32,
    /// Whether the next attempt is one.
    pub is_retry: bool,
    /// The error that the next attempt follows, which the client gets if no deployment admits that.
    /// None behind a fallback.
    pub last_error: Option<Box<Reply>>,
    /// Retries that the request has in this group: x-litellm-max-retries.
    pub max_retries: u32,
    /// Only deployments of a later `order` than this are left to try.
    pub above: Option<i64>,
    /// The [partition](crate::models::pool::Pool::partition) of the last selection, which counts the
    /// request no more.
    pub partition: Option<Arc<str>>,
    /// The fallback that takes the place of the requested model.
    pub target: Option<Target>,
    /// The fallbacks so far, and those that are left.
    pub fallback_chain: FallbackChain,
    /// Where what the request refers to was made.
    pub origin: Origin,
    /// Where the next attempt has to go, because the last one does not count.
    pub resend: Option<Resend>,
    /// The deployment that gets the request without the betas that it has refused.
    pub without_betas: Option<Arc<str>>,
    /// Attempts of this request that do not count.
    pub resends: u32,
    /// Steps from one `order` of a group to the next, which LiteLLM counts as fallbacks.
    pub order_steps: u32,
    /// The leases that the request has waited for in this attempt.
    pub lease_requests: Option<LeaseRequests>,
    /// Whether the error of a `mock_testing_*` parameter has happened.
    pub is_mocked: bool,
    /// The answer of the first group, which the client gets if all fallbacks fail as well.
    pub first_group_reply: Option<Box<Reply>>,
    /// The deployment that gave it in a search: it may know what the request refers to.
    pub refused_by: Option<Arc<str>>,
    /// How often the edge has sent the request, this attempt included; 0 means 1. The filter sets
    /// it: to `u32::MAX` where it has no room for a request that is sent again.
    pub edge_attempts: u32,
    /// Whether the first attempt went from the edge straight to its deployment, which Envoy does not
    /// count. The filter sets it.
    pub began_on_edge: bool,
    /// The last attempt's failure and timeout, where it could not answer the client: the next
    /// attempt only answers.
    pub undelivered: Option<(Failure, Duration)>,
}

/// The deployment that made what a request refers to: a response, or encrypted reasoning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Not looked up yet.
    #[default]
    Unsearched,
    /// Redis was asked.
    Requested,
    /// The deployment with this id.
    Known(Arc<str>),
    /// No instance knows it, or the request refers to nothing.
    Unknown,
    /// A deployment has responded that it is another's: all of them are tried.
    Elsewhere,
}

/// The model that a client requested.
#[derive(Clone, Debug)]
pub struct RequestedModel {
    /// As the client wrote it.
    pub model: String,
    /// The label of the group that it resolves to.
    pub group: Option<Arc<str>>,
}

/// How often a request has waited for a lease.
#[derive(Clone, Copy, Debug)]
pub struct LeaseRequests {
    /// When it first did, since the Unix epoch.
    pub since: Duration,
    /// How often.
    pub count: u32,
}

/// The deployment of the next attempt, whatever the strategy would select.
#[derive(Clone, Debug)]
pub struct Resend {
    /// Its id.
    pub deployment: Arc<str>,
    /// Whether the router adds nothing of its own to the body.
    pub is_bare: bool,
}

impl RetryState {
    /// The label of the requested group.
    pub(crate) fn group(&self) -> Option<&Arc<str>> {
        self.requested.as_ref()?.group.as_ref()
    }

    /// The memory that it takes, in bytes, about.
    pub fn bytes(&self) -> usize {
        /// With the names of an attempt, and Envoy's detail.
        const ATTEMPT: usize = 512;
        let reply = self.first_group_reply.as_ref().map_or(0, |reply| reply.body.len());
        let explanation = self.explanation.as_ref().map_or(0, String::len);
        size_of::<Self>()
            .saturating_add(self.attempts.len().saturating_mul(ATTEMPT))
            .saturating_add(reply)
            .saturating_add(explanation)
    }

    /// Fallbacks so far: x-litellm-attempted-fallbacks.
    pub fn fallbacks(&self) -> u32 {
        self.fallback_chain.depth().saturating_add(self.order_steps)
    }

    /// Id of the deployment to which the next attempt has to go, if that can serve.
    pub(crate) fn bound_for(&self) -> Option<&Arc<str>> {
        self.resend.as_ref().map(|resend| &resend.deployment)
    }

    /// Goes on to a fallback, with new retries.
    pub(crate) fn go_to(&mut self, target: Target) {
        self.target = Some(target);
        self.above = None;
        self.start_over();
    }

    /// Goes on to the deployments of the next `order`, with new retries.
    pub(crate) fn step_above(&mut self, order: i64) {
        self.above = Some(order);
        self.order_steps = self.order_steps.saturating_add(1);
        self.start_over();
    }

    /// A deployment has admitted the next attempt.
    pub(crate) fn begin_attempt(&mut self) {
        self.retries = self.retries.saturating_add(u32::from(self.is_retry));
        self.is_retry = false;
        self.last_error = None;
    }

    fn start_over(&mut self) {
        self.resend = None;
        self.tried.clear();
        self.permanently_failed.clear();
        self.retries = 0;
        self.is_retry = false;
        self.last_error = None;
        self.max_retries = 0;
        // The next group may have leases where this one has none.
        self.lease_requests = None;
    }
}
