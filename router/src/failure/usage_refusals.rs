//! Deployments that do not know `stream_options`, which the router adds where it has to learn how many tokens a stream took.
//!
//! A worker finds out by one request that is sent twice, and believes it for an hour: a server may be updated. Until then the
//! tokens of its streams are estimates. Nothing is shared between workers: each asks once an hour, and no request fails.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long a refusal is believed.
const BELIEVED: Duration = Duration::from_secs(3600);

/// What one worker has found out.
#[derive(Debug, Default)]
pub struct UsageRefusals {
    /// When each deployment refused, since the Unix epoch, by its index.
    refused_at: BTreeMap<usize, Duration>,
}

impl UsageRefusals {
    /// The deployment has refused now.
    pub fn add(&mut self, deployment: usize, now: Duration) {
        self.refused_at.insert(deployment, now);
    }

    /// Whether the deployment has refused within the hour. A clock that stepped back ends it, too.
    pub fn has(&self, deployment: usize, now: Duration) -> bool {
        let refused_at = self.refused_at.get(&deployment);
        refused_at.and_then(|at| now.checked_sub(*at)).is_some_and(|since| since < BELIEVED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_believed_for_an_hour() {
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
