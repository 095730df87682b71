//! One send to one deployment, and the retry_state of a request over several of them.

use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::Target;

use crate::failure::fallback::FallbackChain;
use crate::models::groups::Pool;
use crate::outcome::Failure;
use crate::request::overrides::RoutingParams;
use crate::request::parse::RequestOverrides;
use crate::request::refusal::Reply;
use crate::request::token_estimate::Estimate;
use crate::router::resend::Resend;
use crate::state::deployment_states::Ticket;
use crate::telemetry::access_log::{AttemptLog, SelectionInfo};

/// What a request has been through before its next attempt. Deployments are known by id, so that a retry_state
/// survives a reload of the configuration between two attempts.
#[derive(Clone, Debug, Default)]
pub struct RetryState {
    /// When the request was all there, since the Unix epoch.
    pub started_at: Option<Duration>,
    /// The model as the client named it, and the group that it stands for.
    pub requested: Option<(String, Option<Arc<str>>)>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// SelectionInfo the last deployment was picked.
    pub selection: Option<SelectionInfo>,
    /// All attempts so far, in whatever group.
    pub attempts: Vec<AttemptLog>,
    /// SelectionInfo nobody of the last group was to be asked.
    pub refusal_reason: Option<&'static str>,
    /// Who could have taken the last attempt, and why the others could not, for a client that wants to know.
    pub explanation: Option<String>,
    /// Deployments of this group that were tried, in order, repeated ones included.
    pub tried: Vec<Arc<str>>,
    /// Those among them that will not change their mind: a wrong key, a model that is not allowed.
    pub permanently_failed: Vec<Arc<str>>,
    /// Retries so far in this group, the one that is about to start included.
    pub retries: u32,
    /// Retries that the request has in this group, as x-litellm-max-retries shows them.
    pub max_retries: u32,
    /// Only deployments of a later `order` than this are left to try.
    pub above: Option<i64>,
    /// Where it goes in place of the model that the client named.
    pub target: Option<Target>,
    /// The fallbacks behind it, and those still ahead.
    pub fallback_chain: FallbackChain,
    /// Where the next attempt has to go, because the last one does not count.
    pub resend: Option<Resend>,
    /// Attempts of this request that do not count.
    pub resends: u32,
    /// Steps from one `order` of a group to the next, which LiteLLM counts as fallbacks.
    pub order_steps: u32,
    /// When it first asked for a lease, since the Unix epoch, and how often it has.
    pub lease_requests: Option<(Duration, u32)>,
    /// The error that a `mock_testing_*` member asked for has happened.
    pub is_mocked: bool,
    /// How the first group failed, which the client is told if all others fail as well.
    pub first_group_reply: Option<Box<Reply>>,
    /// How often the edge has sent the request, the attempt that is under way included; 0 reads as 1. Set by the filter.
    pub edge_attempts: u32,
    /// Set where the retry_state is over, but the client could not be told in the attempt that ended it.
    pub undelivered: Option<(Failure, Duration)>,
}

impl RetryState {
    /// Moves that x-litellm-attempted-fallbacks counts.
    pub fn fallbacks(&self) -> u32 {
        self.fallback_chain.depth().saturating_add(self.order_steps)
    }

    /// The group that the client asked for, in the words of the file.
    pub fn group(&self) -> Option<&Arc<str>> {
        self.requested.as_ref()?.1.as_ref()
    }

    /// Goes on to another group, where everything begins anew.
    pub fn go_to(&mut self, target: Target) {
        self.target = Some(target);
        self.above = None;
        self.start_over();
    }

    /// Goes on to the deployments of the next `order`.
    pub fn step_above(&mut self, order: i64) {
        self.above = Some(order);
        self.order_steps = self.order_steps.saturating_add(1);
        self.start_over();
    }

    fn start_over(&mut self) {
        self.resend = None;
        self.tried.clear();
        self.permanently_failed.clear();
        self.retries = 0;
        self.max_retries = 0;
    }
}

/// One send to one deployment. Settled exactly once: judged, served or abandoned, each of which takes it by value, so
/// that the compiler refuses a second time.
#[derive(Debug)]
pub struct Attempt {
    /// Index of the deployment in the configuration.
    pub deployment: usize,
    /// The model as the client named it, or the fallback that took its place.
    pub model: String,
    /// Who could have served it.
    pub pool: Arc<Pool>,
    /// The route, as providers spell it: `/chat/completions`.
    pub route: &'static str,
    /// What the client asked of the router.
    pub overrides: RequestOverrides,
    /// What it wished for besides.
    pub routing: RoutingParams,
    /// How long this attempt may take; between bytes, if the answer is streamed.
    pub timeout: Duration,
    /// Whether the client has set that.
    pub is_client_timeout: bool,
    /// What the request is expected to take, for the decision where it may go next.
    pub estimate: Estimate,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Whether the event that tells them has to be kept from the client, who did not ask for it.
    pub filters_usage_event: bool,
    /// Whether that is asked for by a member which the client did not send at all.
    pub adds_stream_options: bool,
    /// That it was admitted.
    pub ticket: Ticket,
    /// SelectionInfo this deployment was picked.
    pub selection: SelectionInfo,
    /// What Envoy says about a connection that failed.
    pub detail: Option<String>,
    /// Whether its connection is older than the request, and ended before an answer began.
    pub is_on_reused_connection: bool,
    /// What came before.
    pub retry_state: RetryState,
}
