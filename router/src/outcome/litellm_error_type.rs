//! The error types of LiteLLM's policies (BEHAVIOUR 5.2).

use llm_balancer_config::FailurePolicy;
use serde::{Deserialize, Serialize};

/// An error type of LiteLLM's retry and cooldown policies. Shared records contain it: its variants
/// keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LiteLlmErrorType {
    /// `BadRequestError`
    BadRequest,
    /// `AuthenticationError`
    Authentication,
    /// `TimeoutError`
    Timeout,
    /// `RateLimitError`
    RateLimit,
    /// `ContentPolicyViolationError`
    ContentPolicy,
    /// `InternalServerError`
    InternalServer,
    /// `ServiceUnavailableError`
    ServiceUnavailable,
    /// `NotFoundError`
    NotFound,
    /// Any other error: `DefaultRetries`.
    Other,
}

impl LiteLlmErrorType {
    /// LiteLLM's exception for a provider's status.
    pub fn of_status(status: u16) -> Self {
        match status {
            400 | 422 => Self::BadRequest,
            401 => Self::Authentication,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            429 => Self::RateLimit,
            500 => Self::InternalServer,
            503 => Self::ServiceUnavailable,
            _ => Self::Other,
        }
    }

    /// A policy's value for this type, else its default.
    pub fn in_policy(self, policy: &FailurePolicy) -> Option<u32> {
        let own = match self {
            Self::BadRequest => policy.bad_request,
            Self::Authentication => policy.authentication,
            Self::Timeout => policy.timeout,
            Self::RateLimit => policy.rate_limit,
            Self::ContentPolicy => policy.content_policy,
            Self::InternalServer => policy.internal_server,
            Self::ServiceUnavailable => policy.service_unavailable,
            Self::NotFound => policy.not_found,
            Self::Other => None,
        };
        own.or(policy.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_covers_other_kinds_by_its_default() {
        let policy = FailurePolicy { rate_limit: Some(7), default: Some(1), ..FailurePolicy::default() };
        assert_eq!(LiteLlmErrorType::of_status(429).in_policy(&policy), Some(7));
        assert_eq!(LiteLlmErrorType::of_status(502).in_policy(&policy), Some(1));
        assert_eq!(LiteLlmErrorType::of_status(502).in_policy(&FailurePolicy::default()), None);
    }
}
