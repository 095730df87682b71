//! A failed attempt with its class, and what LiteLLM's policies, metrics and clients call it.

use std::time::Duration;

use super::{ErrorClass, RetryScope};
use crate::outcome::{Failure, LiteLlmErrorType, Outcome};
use crate::request::mock::Mock;

/// A failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptError {
    /// What happened.
    pub failure: Failure,
    /// Its cause.
    pub class: ErrorClass,
}

impl AttemptError {
    /// The failure that a mock error takes the place of.
    pub fn of_mock(mock: Mock) -> Self {
        let (status, class) = match mock {
            Mock::RateLimit => (429, ErrorClass::RateLimit),
            Mock::Fallbacks => (500, ErrorClass::Server),
            Mock::ContextWindow => (400, ErrorClass::ContextWindow),
            Mock::ContentPolicy => (400, ErrorClass::ContentPolicy),
        };
        Self { failure: Failure::Provider { status, retry_after: None }, class }
    }

    /// A timeout, which is the deployment's failure unless it may be the client's.
    pub fn timed_out(is_client_timeout: bool) -> Self {
        let class = if is_client_timeout { ErrorClass::ClientTimeout } else { ErrorClass::Server };
        Self { failure: Failure::TimedOut, class }
    }

    /// Where the request may go next (BEHAVIOUR 5.2).
    pub fn retry_scope(&self) -> RetryScope {
        self.class.retry_scope()
    }

    /// The exception that LiteLLM raises for it (BEHAVIOUR 5.2): by the status, except where
    /// LiteLLM reads the body.
    pub fn litellm_type(&self) -> LiteLlmErrorType {
        match (self.class, self.failure) {
            (ErrorClass::ContentPolicy, _) => LiteLlmErrorType::ContentPolicy,
            (ErrorClass::ContextWindow, _) => LiteLlmErrorType::BadRequest,
            (ErrorClass::RateLimit, _) => LiteLlmErrorType::RateLimit,
            (_, Failure::TimedOut) => LiteLlmErrorType::Timeout,
            (_, Failure::NoConnection | Failure::Broken) => LiteLlmErrorType::InternalServer,
            (_, Failure::Provider { status, .. }) => LiteLlmErrorType::of_status(status),
        }
    }

    /// The outcome for metrics and logs: of the response, whatever its cause.
    pub fn outcome(&self) -> Outcome {
        self.failure.outcome()
    }

    /// The wait that the provider asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        self.failure.retry_after()
    }

    /// Whether the provider asks for a wait: a rate limit, or any response with a retry-after.
    pub fn asks_for_time(&self) -> bool {
        self.class == ErrorClass::RateLimit || self.retry_after().is_some_and(|time| !time.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use llm_balancer_config::Wire;

    use super::*;
    use crate::request::refusal::Refusal;

    #[test]
    fn policies_know_a_failure_by_litellms_name_for_it() {
        let provider = |status| Failure::Provider { status, retry_after: None };
        for (failure, class, kind) in [
            (provider(400), ErrorClass::InvalidRequest, LiteLlmErrorType::BadRequest),
            (provider(500), ErrorClass::ContextWindow, LiteLlmErrorType::BadRequest),
            (provider(403), ErrorClass::ContentPolicy, LiteLlmErrorType::ContentPolicy),
            (provider(401), ErrorClass::Account, LiteLlmErrorType::Authentication),
            (provider(400), ErrorClass::Account, LiteLlmErrorType::BadRequest),
            (provider(404), ErrorClass::UnsupportedRoute, LiteLlmErrorType::NotFound),
            (provider(404), ErrorClass::InvalidDeployment, LiteLlmErrorType::NotFound),
            (provider(429), ErrorClass::RateLimit, LiteLlmErrorType::RateLimit),
            (provider(529), ErrorClass::RateLimit, LiteLlmErrorType::RateLimit),
            (provider(413), ErrorClass::RequestTooLarge, LiteLlmErrorType::Other),
            (provider(503), ErrorClass::Server, LiteLlmErrorType::ServiceUnavailable),
            (Failure::TimedOut, ErrorClass::ClientTimeout, LiteLlmErrorType::Timeout),
            (Failure::TimedOut, ErrorClass::Server, LiteLlmErrorType::Timeout),
            (Failure::Broken, ErrorClass::Server, LiteLlmErrorType::InternalServer),
        ] {
            assert_eq!(AttemptError { failure, class }.litellm_type(), kind, "{failure:?} {class:?}");
        }
    }

    #[test]
    fn a_mock_error_has_the_status_of_the_true_one() {
        for mock in [Mock::RateLimit, Mock::Fallbacks, Mock::ContextWindow, Mock::ContentPolicy] {
            let reply = Refusal::Mock(mock, "g".into()).reply(Wire::OpenAi);
            assert!(reply.body.contains("This is a mock exception for model=g, to trigger a "), "{mock:?}");
            assert_eq!(reply.status, AttemptError::of_mock(mock).failure.status(), "{mock:?}");
        }
    }

    #[test]
    fn only_who_asks_for_time_is_left_alone_for_a_while() {
        let wait = |seconds| Some(Duration::from_secs(seconds));
        for (status, retry_after, class, expected) in [
            (429, None, ErrorClass::RateLimit, true),
            (500, wait(3), ErrorClass::Server, true),
            (500, wait(0), ErrorClass::Server, false),
            (500, None, ErrorClass::Server, false),
        ] {
            let failure = Failure::Provider { status, retry_after };
            assert_eq!(AttemptError { failure, class }.asks_for_time(), expected, "{status} {retry_after:?}");
        }
    }
}
