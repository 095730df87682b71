//! `GET /health`: one call to each deployment, and one answer when all of them are back.

use llm_balancer_config::Config;
use llm_balancer_config::waits::PROBE_TIMEOUT;
use llm_balancer_router::Reply;
use llm_balancer_router::health::{self, ProbeResult, ToProbe};

use crate::hostcalls;

/// The header that Envoy adds to a deployment's answer, and not to its own, which it gives where
/// there was none.
pub(crate) const UPSTREAM_TIME: &str = "x-envoy-upstream-service-time";

/// The probes of one request.
pub(crate) struct HealthProbe {
    probes: Vec<Probe>,
    is_named: bool,
}

struct Probe {
    deployment: usize,
    /// The host's token of the call; `None` before it is made.
    token: Option<u32>,
    result: Option<ProbeResult>,
}

impl HealthProbe {
    /// For these deployments.
    pub(crate) fn new(ToProbe { deployments, is_named }: ToProbe) -> Self {
        let probe = |deployment| Probe { deployment, token: None, result: None };
        Self { probes: deployments.into_iter().map(probe).collect(), is_named }
    }

    /// Calls all deployments at once. The active stream gets the answers.
    pub(crate) fn start(&mut self, config: &Config) {
        self.probes.retain_mut(|probe| {
            let Some(deployment) = config.deployments.get(probe.deployment) else { return false };
            let headers = health::probe_headers(deployment);
            match hostcalls::call(&deployment.cluster, headers.iter().collect(), PROBE_TIMEOUT) {
                Ok(token) => probe.token = Some(token),
                Err(_) => probe.result = Some(ProbeResult::NoResponse),
            }
            true
        });
    }

    /// Records an answer; without a status there was none.
    pub(crate) fn on_reply(&mut self, token: u32, status: Option<u16>) {
        let is_meant = |probe: &&mut Probe| probe.token == Some(token) && probe.result.is_none();
        if let Some(probe) = self.probes.iter_mut().find(is_meant) {
            probe.result = Some(status.map_or(ProbeResult::NoResponse, ProbeResult::Status));
        }
    }

    /// The answer to the client, when every deployment has a result.
    pub(crate) fn report(&self, config: &Config) -> Option<Reply> {
        let result = |probe: &Probe| probe.result.map(|result| (probe.deployment, result));
        let results: Option<Vec<_>> = self.probes.iter().map(result).collect();
        results.map(|results| health::report(config, &results, self.is_named))
    }
}
