//! What a deployment may be asked for, and what a request asks of it.

use llm_balancer_config::{Config, Deployment, Strategy};

use crate::request::token_estimate::TokenEstimate;
use crate::state::lease::{Limits, QuotaMode};
use crate::state::window::Window;

/// What a deployment may be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeploymentLimits {
    /// Requests of a minute.
    pub rpm: Option<u64>,
    /// Tokens of a minute.
    pub tpm: Option<u64>,
    /// Requests in flight.
    pub parallel: Option<u32>,
    /// Whether its requests are counted even without any of these: a strategy wants to know.
    pub counted: bool,
}

impl DeploymentLimits {
    /// Of a deployment whose group is served by this strategy.
    pub fn of(config: &Config, deployment: &Deployment, strategy: Strategy) -> Self {
        let hard = !config.router.soft_limits;
        Self {
            rpm: deployment.rpm.filter(|rpm| hard && *rpm > 0),
            tpm: deployment.tpm.filter(|tpm| hard && *tpm > 0),
            parallel: deployment.max_parallel_requests.or(config.router.max_parallel_requests),
            counted: !matches!(strategy, Strategy::SimpleShuffle | Strategy::LowestCost),
        }
    }

    /// Those of a minute.
    pub fn limits(&self) -> Limits {
        Limits { rpm: self.rpm, tpm: self.tpm }
    }

    /// Whether a minute has limits at all.
    pub fn are_limited(&self) -> bool {
        self.rpm.is_some() || self.tpm.is_some()
    }

    /// Counts a request in the sums of its group, which are about limits: one that takes nothing from a limit, or from
    /// that of tokens, is not in them.
    pub fn count(&self, window: &mut Window, tokens: u64) {
        if self.rpm.is_some() {
            window.requests = window.requests.saturating_add(1);
        }
        if self.tpm.is_some() {
            window.tokens = window.tokens.saturating_add(tokens);
        }
    }

    /// Whether its requests have tickets that must be settled.
    pub fn are_counted(&self) -> bool {
        self.counted || self.rpm.is_some() || self.tpm.is_some() || self.parallel.is_some()
    }
}

/// What a request asks of a deployment.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionRequest {
    /// The deployment.
    pub index: usize,
    /// Tokens that it is expected to cost, as far as this worker knows the deployment; more than its tpm where the request is
    /// to go to a larger one.
    pub tokens: u64,
    /// What `tokens` follows from, once the record has been read.
    pub estimate: TokenEstimate,
    /// No deployment is large enough for it.
    pub is_oversized: bool,
    /// The client named this deployment, so a cooldown does not matter.
    pub by_id: bool,
    /// To find out how fast it is.
    pub probe: bool,
    /// Whether its limits are shared with other instances.
    pub quota_mode: QuotaMode,
}
