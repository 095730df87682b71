//! Deployments that refuse `stream_options`, which the router adds where it, or the file, wants
//! the usage of a stream.
//!
//! A worker learns it from one request, which it resends, and remembers it for an hour: the server
//! may be updated. Meanwhile the tokens of the deployment's streams are estimates. Workers do not
//! share it.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long a refusal is remembered.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The refusals of one worker.
#[derive(Debug, Default)]
pub struct UsageRefusals {
    /// By the index of the deployment, since the Unix epoch.
    refused_at: BTreeMap<usize, Duration>,
}

impl UsageRefusals {
    /// The deployment refuses now.
    pub fn add(&mut self, deployment: usize, now: Duration) {
        self.refused_at.insert(deployment, now);
    }

    /// Whether the deployment has refused within the hour. A clock that stepped back ends that,
    /// too.
    pub fn has(&self, deployment: usize, now: Duration) -> bool {
        let refused_at = self.refused_at.get(&deployment);
        refused_at.and_then(|at| now.checked_sub(*at)).is_some_and(|since| since < REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_remembered_for_an_hour() {
        let noon = Duration::from_secs(1_740_000_000);
        let mut refusals = UsageRefusals::default();
        refusals.add(7, noon);
        for (deployment, seconds, expected) in
            [(7, 0, true), (7, 3599, true), (7, 3600, false), (8, 0, false)]
        {
            let now = noon.saturating_add(Duration::from_secs(seconds));
            assert_eq!(refusals.has(deployment, now), expected, "{deployment} {seconds}");
        }
        assert!(!refusals.has(7, Duration::ZERO));
    }
}
