//! The error types of LiteLLM's policies (BEHAVIOUR 5.2).

use llm_balancer_config::FailurePolicy;

/// An error type of LiteLLM's retry and cooldown policies. The numbers are a part of the shared
/// records' format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiteLlmErrorType {
    /// `BadRequestError`
    BadRequest = 1,
    /// `AuthenticationError`
    Authentication = 2,
    /// `TimeoutError`
    Timeout = 3,
    /// `RateLimitError`
    RateLimit = 4,
    /// `ContentPolicyViolationError`
    ContentPolicy = 5,
    /// `InternalServerError`
    InternalServer = 6,
    /// `ServiceUnavailableError`
    ServiceUnavailable = 7,
    /// `NotFoundError`
    NotFound = 8,
    /// Any other error: `DefaultRetries`.
    Other = 9,
}

const ALL: [LiteLlmErrorType; 9] = [
    LiteLlmErrorType::BadRequest,
    LiteLlmErrorType::Authentication,
    LiteLlmErrorType::Timeout,
    LiteLlmErrorType::RateLimit,
    LiteLlmErrorType::ContentPolicy,
    LiteLlmErrorType::InternalServer,
    LiteLlmErrorType::ServiceUnavailable,
    LiteLlmErrorType::NotFound,
    LiteLlmErrorType::Other,
];

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

    /// Its number in the shared record; never 0.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The type with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        ALL.into_iter().find(|kind| kind.number() == number)
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
    fn a_stored_number_stands_for_its_type() {
        for kind in ALL {
            assert_eq!(LiteLlmErrorType::from_number(kind.number()), Some(kind));
        }
        assert_eq!([0, 10].map(LiteLlmErrorType::from_number), [None, None]);
    }

    #[test]
    fn a_policy_covers_other_kinds_by_its_default() {
        let policy = FailurePolicy { rate_limit: Some(7), default: Some(1), ..FailurePolicy::default() };
        assert_eq!(LiteLlmErrorType::of_status(429).in_policy(&policy), Some(7));
        assert_eq!(LiteLlmErrorType::of_status(502).in_policy(&policy), Some(1));
        assert_eq!(LiteLlmErrorType::of_status(502).in_policy(&FailurePolicy::default()), None);
    }
}
