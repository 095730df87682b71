//! `GET /health` under way: one call to each deployment, one answer when all have been heard of.

use std::time::Duration;

use llm_balancer_config::Config;
use llm_balancer_router::health::{self, Probed};

use crate::abi::expect_answer;
use crate::host;

/// A deployment that has not answered by then counts as silent.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The calls of one request, by the host's token.
pub(crate) struct Probe {
    calls: Vec<Call>,
}

struct Call {
    token: u32,
    deployment: usize,
    result: Option<Probed>,
}

impl Probe {
    /// Calls all of them at once.
    pub(crate) fn start(context: u32, config: &Config, deployments: Vec<usize>) -> Self {
        let call = |index: usize| {
            let deployment = config.deployments.get(index)?;
            let sent = host::call(&deployment.cluster, &health::probe(deployment), b"", TIMEOUT);
            Some(match sent {
                Ok(token) => {
                    expect_answer(token, context);
                    Call { token, deployment: index, result: None }
                }
                Err(_) => Call { token: 0, deployment: index, result: Some(Probed::Silent) },
            })
        };
        Self { calls: deployments.into_iter().filter_map(call).collect() }
    }

    /// Takes down an answer; without a status there was none.
    pub(crate) fn answered(&mut self, token: u32, status: Option<u16>) {
        let waiting = |call: &&mut Call| call.token == token && call.result.is_none();
        if let Some(call) = self.calls.iter_mut().find(waiting) {
            call.result = Some(status.map_or(Probed::Silent, Probed::Answered));
        }
    }

    /// The answer to the client, when the last deployment has been heard of.
    pub(crate) fn report(&self, config: &Config) -> Option<String> {
        let results: Option<Vec<_>> =
            self.calls.iter().map(|call| call.result.map(|result| (call.deployment, result))).collect();
        results.map(|results| health::report(config, &results))
    }
}
