//! The limits of a deployment.

use llm_balancer_config::{Config, Deployment, Strategy};

use crate::state::amount::Amount;
use crate::state::share::part_of;
use crate::state::window::Window;

/// The limits of a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeploymentLimits {
    /// Requests per minute.
    pub rpm: Option<u64>,
    /// Tokens per minute.
    pub tpm: Option<u64>,
    /// Requests in flight.
    pub max_parallel_requests: Option<u32>,
    /// Its use is counted even without limits, because the strategy depends on it.
    pub track_usage: bool,
}

/// Those of a minute, which instances share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinuteLimits {
    /// Requests per minute.
    pub rpm: Option<u64>,
    /// Tokens per minute.
    pub tpm: Option<u64>,
}

impl MinuteLimits {
    /// A part of them in millionths; 0 without a limit.
    pub fn part(&self, share: u32) -> Amount {
        let part = |limit: Option<u64>| limit.map_or(0, |limit| part_of(limit, share));
        Amount { requests: part(self.rpm), tokens: part(self.tpm) }
    }
}

impl DeploymentLimits {
    /// The limits of a deployment whose group is served by this strategy.
    pub fn of(config: &Config, deployment: &Deployment, strategy: Strategy) -> Self {
        let hard = !config.router.soft_limits;
        Self {
            rpm: deployment.rpm.filter(|rpm| hard && *rpm > 0),
            tpm: deployment.tpm.filter(|tpm| hard && *tpm > 0),
            max_parallel_requests: deployment.max_parallel_requests.or(config.router.max_parallel_requests),
            track_usage: !matches!(strategy, Strategy::SimpleShuffle | Strategy::LowestCost),
        }
    }

    /// Those of a minute.
    pub fn per_minute(&self) -> MinuteLimits {
        MinuteLimits { rpm: self.rpm, tpm: self.tpm }
    }

    /// Whether a minute is limited.
    pub fn are_per_minute(&self) -> bool {
        self.rpm.is_some() || self.tpm.is_some()
    }

    /// Whether requests are counted, so that their tickets must be settled.
    pub fn are_tracked(&self) -> bool {
        self.track_usage || self.are_per_minute() || self.max_parallel_requests.is_some()
    }

    /// Adds what a deployment has used to the window of its group, which counts its latest minute.
    pub fn add_to_group(&self, window: &mut Window, used: &Window) {
        if used.minute > window.minute {
            *window = Window { minute: used.minute, ..Window::default() };
        }
        if used.minute == window.minute && self.rpm.is_some() {
            window.requests = window.requests.saturating_add(used.requests);
        }
        if used.minute == window.minute && self.tpm.is_some() {
            window.tokens = window.tokens.saturating_add(used.tokens);
        }
    }

    /// Counts a request in the window of its group, which counts only what takes from a limit.
    pub fn count_in_group(&self, window: &mut Window, tokens: u64) {
        if self.rpm.is_some() {
            window.requests = window.requests.saturating_add(1);
        }
        if self.tpm.is_some() {
            window.tokens = window.tokens.saturating_add(tokens);
        }
    }
}
