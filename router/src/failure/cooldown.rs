//! Whether a failure makes a deployment cool down, and for how long (BEHAVIOUR 5.4).
//!
//! | class of the failure | in a group | only member of its group |
//! |---|---|---|
//! | `rate_limit` | at once | with the thousandth failure in a row |
//! | `invalid_deployment` | at once | at once |
//! | `account` | at once | at once for a wrong key (LiteLLM's AuthenticationError), else never |
//! | `server`, `forbidden` | when more than half of five or more failed | with the thousandth failure in a row |
//! | all others | never: their cause is not the deployment | never |
//!
//! `allowed_fails` and the policies replace the table by a count. Every failed attempt is counted,
//! those of retries and fallbacks included. [`classify`](crate::failure::classify()) determines the
//! class.

use std::time::Duration;

use llm_balancer_config::{Deployment, FailurePolicy, RouterSettings};

use crate::failure::{AttemptError, ErrorClass};
use crate::outcome::LiteLlmErrorType;
use crate::state::cooldown::CooldownChange;
use crate::state::pending_successes::WrittenSuccesses;
use crate::state::record::{FailureCount, Outcomes, Record};
use crate::state::time::UnixSeconds;

/// LiteLLM's `allowed_fails` where only a policy is set, and it does not name the failure.
const ALLOWED_FAILS: u32 = 3;
/// The longest cooldown. A provider that asks for more than a day is mistaken.
const MAX_COOLDOWN: Duration = Duration::from_secs(24 * 3600);

/// The rules for the failures of one deployment.
#[derive(Clone, Copy, Debug)]
pub struct CooldownPolicy<'a> {
    /// The router's settings.
    pub settings: &'a RouterSettings,
    /// The deployment.
    pub deployment: &'a Deployment,
    /// Whether it is the only one of its group.
    pub only_member: bool,
    /// Whether the request has fallbacks.
    pub has_fallbacks: bool,
    /// Which successes the record has: failures are written at once, successes may wait.
    pub successes: WrittenSuccesses,
}

impl CooldownPolicy<'_> {
    /// Counts a failure, and begins a cooldown if one is due; `None` if not.
    pub fn record_failure(
        &self,
        error: &AttemptError,
        record: &mut Record,
        now: Duration,
    ) -> Option<CooldownChange> {
        let own = error.litellm_type().in_policy(&self.deployment.allowed_fails_policy);
        // A policy of the deployment may also count failures of the request.
        let is_named =
            own.is_some() && !matches!(error.class, ErrorClass::ClientTimeout | ErrorClass::AddedParameter);
        if !error.class.is_counted() && !is_named {
            return None;
        }
        record.outcomes = record.outcomes.at(now);
        record.outcomes.failures = record.outcomes.failures.saturating_add(1);
        let time = self.time(error);
        if self.settings.disable_cooldowns || time.is_zero() || !self.is_due(own, error, record, now) {
            return None;
        }
        Some(record.cooldown.extend(time, now))
    }

    fn is_due(&self, own: Option<u32>, error: &AttemptError, record: &mut Record, now: Duration) -> bool {
        let settings = self.settings;
        let kind = error.litellm_type();
        let general = kind.in_policy(&settings.allowed_fails_policy);
        let is_default =
            settings.allowed_fails.is_none() && settings.allowed_fails_policy == FailurePolicy::default();
        match (own, self.deployment.allowed_fails, general) {
            (Some(allowed), _, _) => self.exceeds(allowed, Some(kind), record, now),
            (None, Some(allowed), _) => self.exceeds(allowed, None, record, now),
            _ if is_default => self.is_due_by_default(error, &record.outcomes),
            (None, None, Some(allowed)) => self.exceeds(allowed, Some(kind), record, now),
            // Requests have no other deployment to go to.
            (None, None, None) if self.only_member && !self.has_fallbacks => false,
            (None, None, None) => {
                self.exceeds(settings.allowed_fails.unwrap_or(ALLOWED_FAILS), None, record, now)
            }
        }
    }

    fn is_due_by_default(&self, error: &AttemptError, outcomes: &Outcomes) -> bool {
        let settings = self.settings;
        let Outcomes { successes, failures, .. } = *outcomes;
        let attempts = successes.saturating_add(failures);
        let most_failed = f64::from(failures) > f64::from(attempts) * settings.failure_threshold
            && attempts >= settings.failure_threshold_requests
            && self.successes.are_complete(outcomes);
        let all_failed = successes == 0 && failures >= settings.single_deployment_failure_threshold;
        match error.class {
            ErrorClass::InvalidDeployment => true,
            ErrorClass::Account => {
                !self.only_member || error.litellm_type() == LiteLlmErrorType::Authentication
            }
            ErrorClass::RateLimit if !self.only_member => true,
            _ => all_failed || (most_failed && !self.only_member),
        }
    }

    /// Counts a failure, of one type or of all, and returns whether there are more than allowed. A
    /// count lasts as long as a cooldown, from its first failure.
    fn exceeds(
        &self,
        allowed: u32,
        kind: Option<LiteLlmErrorType>,
        record: &mut Record,
        now: Duration,
    ) -> bool {
        let lasts = self.deployment.cooldown_time.unwrap_or(self.settings.cooldown_time);
        let lasts = Duration::from_secs(lasts.as_secs().max(1));
        record.fails.retain(|fails| fails.since.distance(now) < lasts);
        if let Some(fails) = record.fails.iter_mut().find(|fails| fails.kind == kind) {
            fails.count = fails.count.saturating_add(1);
            return fails.count > allowed;
        }
        record.fails.push(FailureCount { kind, since: UnixSeconds::of(now), count: 1 });
        allowed == 0
    }

    /// The duration: the deployment's, else the provider's, else the router's.
    fn time(&self, error: &AttemptError) -> Duration {
        let time = self.deployment.cooldown_time.or(error.retry_after());
        time.unwrap_or(self.settings.cooldown_time).min(MAX_COOLDOWN)
    }
}

#[cfg(test)]
#[path = "../../tests/failures/rules.rs"]
mod rules;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::rules::{COOLDOWN_TIMES, RULES, Rule};
    use super::*;
    use crate::failure::{ProviderError, classify};
    use crate::outcome::Failure;
    use llm_balancer_config::read;

    const NOON: Duration = Duration::from_secs(1_740_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    /// A deployment that fails.
    struct Failing {
        config: llm_balancer_config::Config,
        record: Record,
        only_member: bool,
    }

    fn failing(item: &str, settings: &str, only_member: bool) -> Failing {
        let text = format!(
            "model_list:\n- model_name: g\n  litellm_params: {{model: openai/m, api_key: k}}\n{item}\nrouter_settings: {{{settings}}}\n"
        );
        let reading = read("config.yaml", &text, &|_| None);
        let config = reading.config.unwrap_or_else(|| panic!("{:?}", reading.findings));
        Failing { config, record: Record::default(), only_member }
    }

    impl Failing {
        fn fails(&mut self, error: AttemptError, now: Duration) -> bool {
            self.cooled(error, now).is_some()
        }

        fn cooled(&mut self, error: AttemptError, now: Duration) -> Option<CooldownChange> {
            let policy = CooldownPolicy {
                settings: &self.config.router,
                deployment: &self.config.deployments[0],
                only_member: self.only_member,
                has_fallbacks: false,
                successes: WrittenSuccesses::All,
            };
            policy.record_failure(&error, &mut self.record, now)
        }

        fn succeeds(&mut self, times: u32, now: Duration) {
            self.record.outcomes = self.record.outcomes.at(now);
            let successes = &mut self.record.outcomes.successes;
            *successes = successes.saturating_add(times);
        }

        fn cooldown_seconds(&self, now: Duration) -> u64 {
            self.record.cooldown.active_until(now).map_or(0, |until| until.saturating_sub(now).as_secs())
        }
    }

    fn says(status: u16, body: &str, retry_after: Option<Duration>) -> AttemptError {
        let class = classify(&ProviderError {
            status,
            body: body.as_bytes(),
            error_type: None,
            has_retry_after: retry_after.is_some(),
            is_wildcard: false,
            model: "",
            adds_stream_options: false,
        })
        .class;
        AttemptError { failure: Failure::Provider { status, retry_after }, class }
    }

    fn status(status: u16) -> AttemptError {
        says(status, "", None)
    }

    fn hint(seconds: u64) -> AttemptError {
        says(429, "", Some(Duration::from_secs(seconds)))
    }

    const NO_CONNECTION: AttemptError =
        AttemptError { failure: Failure::NoConnection, class: ErrorClass::Server };

    #[test]
    fn a_first_failure_cools_where_a_retry_would_fail_too() {
        for Rule { status, body, cools_in_group, cools_alone, .. } in RULES {
            let error = says(status, body, None);
            let mut sibling = failing("", "", false);
            assert_eq!(sibling.fails(error, NOON), cools_in_group, "{status} {body} in a group");
            let mut alone = failing("", "", true);
            assert_eq!(alone.fails(error, NOON), cools_alone, "{status} {body} alone");
        }
    }

    #[test]
    fn a_failure_during_a_cooldown_is_news_only_if_it_moves_the_end() {
        let mut cooling = failing("", "", false);
        assert_eq!(cooling.cooled(hint(20), NOON), Some(CooldownChange::Started));
        assert_eq!(cooling.cooled(hint(20), NOON + SECOND / 2), Some(CooldownChange::Unchanged));
        assert_eq!(cooling.cooled(status(429), NOON + SECOND), Some(CooldownChange::Unchanged));
        assert_eq!(cooling.cooled(hint(60), NOON + SECOND), Some(CooldownChange::Extended));
        assert_eq!(cooling.cooled(hint(20), NOON + 61 * SECOND), Some(CooldownChange::Started));
    }

    #[test]
    fn more_than_half_of_five_failures_cool_a_member_of_a_group() {
        let mut all = failing("", "", false);
        let cooled: Vec<bool> = (0..5).map(|_| all.fails(NO_CONNECTION, NOON)).collect();
        assert_eq!(cooled, [false, false, false, false, true]);
        assert_eq!(all.cooldown_seconds(NOON), 5);

        let mut half = failing("", "", false);
        half.succeeds(5, NOON);
        assert!((0..5).all(|_| !half.fails(status(500), NOON)), "half is not more than half");
        assert!(half.fails(status(500), NOON));

        let mut spread = failing("", "", false);
        assert!((0..8).all(|nth| !spread.fails(status(500), NOON + nth * 20 * SECOND)), "five in a minute");
    }

    #[test]
    fn a_deployment_that_is_alone_cools_with_the_thousandth_failure_in_a_row() {
        let mut only_member = failing("", "", true);
        assert!((0..999).all(|_| !only_member.fails(status(500), NOON)));
        assert!(only_member.fails(status(500), NOON));
        let mut lucky = failing("", "", true);
        lucky.succeeds(1, NOON);
        assert!((0..1500).all(|_| !lucky.fails(status(500), NOON)));
    }

    #[test]
    fn the_deployments_cooldown_time_has_precedence_over_the_providers_and_that_over_the_routers() {
        for (params, settings, hint, seconds) in COOLDOWN_TIMES {
            let item = format!("  model_info: {{{}}}", params.trim_start_matches(", "));
            let mut deployment = failing(&item, settings.trim_start_matches(", "), false);
            deployment.fails(says(429, "", hint.map(Duration::from_secs)), NOON);
            assert_eq!(deployment.cooldown_seconds(NOON), seconds, "{params} {settings} {hint:?}");
        }
    }

    #[test]
    fn allowed_fails_are_allowed_and_no_more() {
        let mut one = failing("", "allowed_fails: 1", false);
        assert!(!one.fails(status(500), NOON));
        assert!(one.fails(status(429), NOON + SECOND), "any kind counts");

        let mut slow = failing("", "allowed_fails: 1", false);
        assert!(
            (0..9).all(|nth| !slow.fails(status(500), NOON + nth * 5 * SECOND)),
            "within a cooldown_time"
        );

        let mut only_member = failing("", "allowed_fails: 1", true);
        assert!((0..9).all(|_| !only_member.fails(status(500), NOON)), "nowhere else to go");
    }

    #[test]
    fn a_policy_counts_each_kind_by_itself() {
        let policy =
            "allowed_fails_policy: {RateLimitErrorAllowedFails: 2, InternalServerErrorAllowedFails: 0}";
        let mut deployment = failing("", policy, true);
        assert!(!deployment.fails(status(429), NOON) && !deployment.fails(status(429), NOON));
        assert!(deployment.fails(status(500), NOON));
        assert!(deployment.fails(status(429), NOON));
    }

    #[test]
    fn a_deployments_own_policy_may_name_what_never_cools_otherwise() {
        let item = "  model_info: {allowed_fails_policy: {BadRequestErrorAllowedFails: 1}}";
        let mut own = failing(item, "", false);
        assert!(!own.fails(status(400), NOON));
        assert!(own.fails(status(400), NOON));
        assert!(own.fails(status(429), NOON), "other kinds follow the rule that they had");
    }
}
