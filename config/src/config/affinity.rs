//! Which requests of a group should go to the same deployment again.

/// Which requests should go to the same deployment again: `optional_pre_call_checks`,
/// `model_group_affinity_config` and `llm_balancer.affinity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// `session_affinity`: those of a session.
    pub sessions: bool,
    /// `deployment_affinity`: those of a caller.
    pub callers: bool,
    /// `responses_api_deployment_check`: those that continue a response.
    pub responses: bool,
    /// `encrypted_content_affinity`: those with encrypted items of a response.
    pub encrypted_items: bool,
    /// `prompt_caching`: those with a prompt that providers cache.
    pub prompt_caching: bool,
    /// `llm_balancer: {affinity: prefix}`: those whose prompts begin alike.
    pub prefixes: bool,
}

impl Affinity {
    /// Whether requests are ranked by what they have in common.
    pub fn is_ranked(self) -> bool {
        self.sessions || self.callers || self.is_bounded()
    }

    /// Whether the rank of a deployment depends on the requests that it has in flight.
    pub fn is_bounded(self) -> bool {
        self.prompt_caching || self.prefixes
    }
}
