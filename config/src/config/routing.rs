//! How requests are routed.

use std::sync::Arc;
use std::time::Duration;

use super::deployment::Member;
use super::failure_policy::FailurePolicy;

/// `routing_strategy`: how a deployment is selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// `simple-shuffle`
    #[default]
    SimpleShuffle,
    /// `least-busy`
    LeastBusy,
    /// `usage-based-routing` and `usage-based-routing-v2`
    UsageBased,
    /// `latency-based-routing`
    LowestLatency,
    /// `cost-based-routing`
    LowestCost,
}

impl Strategy {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::SimpleShuffle => "simple-shuffle",
            Self::LeastBusy => "least-busy",
            Self::UsageBased => "usage-based-routing",
            Self::LowestLatency => "latency-based-routing",
            Self::LowestCost => "cost-based-routing",
        }
    }
}

/// `router_settings`, `litellm_settings` where those have no value, and LiteLLM's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct RouterSettings {
    /// How a deployment is selected.
    pub strategy: Strategy,
    /// Its `routing_strategy_args`.
    pub strategy_args: StrategyArgs,
    /// `routing_groups`: groups with a strategy of their own.
    pub routing_groups: Vec<RoutingGroup>,
    /// Retries after the first attempt; 3 if unset.
    pub num_retries: u32,
    /// Per attempt, not streaming; 6000 s if unset.
    pub timeout: Duration,
    /// Per attempt, streaming, if it differs.
    pub stream_timeout: Option<Duration>,
    /// The shortest wait before a retry, where a retry waits.
    pub retry_after: Duration,
    /// Retries by class of failure, for every group.
    pub retry_policy: FailurePolicy,
    /// The same for single names; overrides `retry_policy`. That of the requested name goes before
    /// that of its group.
    pub group_retry_policy: Vec<(Arc<str>, FailurePolicy)>,
    /// Depth of fallbacks of fallbacks, at most; 5 if unset.
    pub max_fallbacks: u32,
    /// `fallbacks`, and `default_fallbacks` under the group `*`.
    pub fallbacks: Vec<Fallback>,
    /// `context_window_fallbacks`.
    pub context_window_fallbacks: Vec<Fallback>,
    /// `content_policy_fallbacks`.
    pub content_policy_fallbacks: Vec<Fallback>,
    /// `cooldown_time`; 5 s if unset.
    pub cooldown_time: Duration,
    /// Failures within one cooldown time that are allowed before a deployment cools down; `None`
    /// selects LiteLLM's default rule (BEHAVIOUR 5.4).
    pub allowed_fails: Option<u32>,
    /// The same by class of failure.
    pub allowed_fails_policy: FailurePolicy,
    /// Default rule: a deployment cools down when more than this share of its requests of the
    /// minute failed. `DEFAULT_FAILURE_THRESHOLD_PERCENT`; 0.5 if unset.
    pub failure_threshold: f64,
    /// Default rule: and the minute has at least this many requests.
    /// `DEFAULT_FAILURE_THRESHOLD_MINIMUM_REQUESTS`; 5 if unset.
    pub failure_threshold_requests: u32,
    /// Default rule for the only deployment of a group: it cools down when all requests of the
    /// minute failed, and there were at least this many.
    /// `SINGLE_DEPLOYMENT_TRAFFIC_FAILURE_THRESHOLD`; 1000 if unset.
    pub single_deployment_failure_threshold: u32,
    /// `disable_cooldowns`.
    pub disable_cooldowns: bool,
    /// `default_max_parallel_requests`.
    pub max_parallel_requests: Option<u32>,
    /// `enable_pre_call_checks`: a prompt is compared with `max_input_tokens` of each deployment.
    pub pre_call_checks: bool,
    /// `enable_tag_filtering`.
    pub tag_filtering: bool,
    /// `tag_filtering_match_any`; true if unset.
    pub tags_match_any: bool,
    /// `tag_routing_prefix`: removed from the tags of requests; empty if unset.
    pub tag_prefix: String,
    /// `general_settings.dangerously_allow_mock_testing_request_params`; true if unset.
    pub mock_testing: bool,
    /// `llm_balancer.limits: soft`: rpm and tpm are weights only.
    pub soft_limits: bool,
}

/// `routing_strategy_args`.
#[derive(Clone, Debug, PartialEq)]
pub struct StrategyArgs {
    /// How long a latency is kept; 3600 s if unset.
    pub ttl: Duration,
    /// Share above the lowest latency within which deployments count as equal; 0 if unset.
    pub lowest_latency_buffer: f64,
    /// Latencies kept for each deployment; 10 if unset.
    pub max_latency_list_size: u32,
}

/// The groups that are tried when a group cannot serve a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The group, or `*`.
    pub group: Arc<str>,
    /// In the order they are tried.
    pub targets: Vec<Target>,
}

/// One group of a fallback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A group, an alias or a deployment's id.
    pub model: Arc<str>,
    /// Members that replace those of the client's body: `{model: other, temperature: 0}`.
    pub overrides: Vec<Member>,
}

/// `routing_groups[]`: model groups with a strategy of their own, which clients can also request
/// together.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingGroup {
    /// The name under which clients request all of its deployments.
    pub name: Arc<str>,
    /// Its model groups.
    pub models: Vec<Arc<str>>,
    /// How a deployment is selected. With priorities, among those of equal priority: the strategy
    /// of the file.
    pub strategy: Strategy,
    /// Its `routing_strategy_args`.
    pub strategy_args: StrategyArgs,
    /// `model_priorities` of a group whose `routing_strategy` is `priority`, in the order of
    /// `models`; empty for all others. Lower is preferred. They apply to requests for the routing
    /// group's name only, and a model may be in several such groups.
    pub priorities: Vec<(Arc<str>, i64)>,
}
