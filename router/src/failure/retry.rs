//! Whether a failed request is sent again, how often, and after which wait (BEHAVIOUR 5.1 to 5.3).

use std::time::Duration;

use llm_balancer_config::waits::{MAX_RETRY_AFTER, RETRY_JITTER};
use llm_balancer_config::{Deployment, RouterSettings};

use crate::failure::{AttemptError, RetryScope};
use crate::random::Random;

/// The first wait without a `retry-after`. It doubles with every retry, ..
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// .. up to this.
const MAX_WAIT: Duration = Duration::from_secs(8);

/// The retries of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Attempts after the first.
    pub retries: u32,
    /// Whether a policy allows them: then also failures are retried that otherwise are not.
    pub by_policy: bool,
}

/// The number of retries: the client's, else the deployment's, else the router's. A policy for this
/// error overrides all of them, except a client's zero: that of the requested model, else that of
/// the deployment's group, else the router's.
pub fn allowance(
    settings: &RouterSettings,
    model: &str,
    deployment: &Deployment,
    client: Option<u32>,
    error: Option<&AttemptError>,
) -> Allowance {
    let plain = client.or(deployment.num_retries).unwrap_or(settings.num_retries);
    let named = |name: &str| settings.group_retry_policy.iter().find(|(group, _)| **group == *name);
    let policy = named(model).or_else(|| named(&deployment.group));
    let policy = policy.map_or(&settings.retry_policy, |(_, policy)| policy);
    match error.and_then(|error| error.litellm_type().in_policy(policy)) {
        Some(retries) if client != Some(0) => Allowance { retries, by_policy: true },
        _ => Allowance { retries: plain, by_policy: false },
    }
}

/// Whether a request that has been retried `done` times may be retried again. `has_other` means
/// that the group has a deployment where the request has not failed permanently.
pub fn may_retry(allowance: Allowance, done: u32, scope: RetryScope, has_other: bool) -> bool {
    done < allowance.retries
        && match scope {
            _ if allowance.by_policy => true,
            RetryScope::AnyDeployment => true,
            RetryScope::OtherDeployments => has_other,
            RetryScope::FallbacksOnly => false,
        }
}

/// The wait before a deployment is tried again: the provider's `retry-after`, else a wait that
/// doubles.
pub fn wait(hint: Option<Duration>, done: u32, min: Duration, random: &mut dyn Random) -> Duration {
    let jitter = RETRY_JITTER.mul_f64(random.fraction());
    let doubled = FIRST_WAIT.saturating_mul(1_u32.checked_shl(done).unwrap_or(u32::MAX));
    let wait = match hint {
        Some(hint) if !hint.is_zero() && hint <= MAX_RETRY_AFTER => hint,
        _ => doubled.max(min).min(MAX_WAIT),
    };
    wait.saturating_add(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoJitter;

    impl Random for NoJitter {
        fn bits(&mut self) -> u64 {
            0
        }
    }

    #[test]
    fn a_wait_doubles_up_to_eight_seconds() {
        let waits: Vec<_> =
            (0..7).map(|done| wait(None, done, Duration::ZERO, &mut NoJitter).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(wait(None, 40, Duration::ZERO, &mut NoJitter), MAX_WAIT);
        assert_eq!(wait(None, 0, Duration::from_secs(3), &mut NoJitter), Duration::from_secs(3));
    }

    #[test]
    fn a_providers_hint_counts_up_to_a_minute() {
        for (hint, expected) in [(2, 2), (60, 60), (61, 1), (0, 1)] {
            let hint = Some(Duration::from_secs(hint));
            assert_eq!(wait(hint, 1, Duration::ZERO, &mut NoJitter).as_secs(), expected, "{hint:?}");
        }
    }
}
