//! How attempts and requests end, as Envoy and providers report it. [`failure`](crate::failure)
//! determines the cause.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use llm_balancer_config::FailurePolicy;

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The provider has sent an error.
    Provider {
        /// 400 and above, or a redirect: a client that followed it would bypass the balancer.
        status: u16,
        /// The wait that it asks for.
        retry_after: Option<Duration>,
    },
    /// No response, or no further byte, in time.
    TimedOut,
    /// No connection: refused, TLS not accepted, no address, no healthy host, the breaker open.
    NoConnection,
    /// The connection ended before the first byte of the response's body.
    Broken,
}

/// How an attempt or a request ended, for metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A complete response.
    Success,
    /// 429 from the provider.
    RateLimited,
    /// No response, or no further byte, in time.
    Timeout,
    /// No connection to the provider.
    ConnectionError,
    /// 5xx from the provider, or a redirect.
    ServerError,
    /// Any other 4xx from the provider.
    ClientError,
    /// The provider's stream ended early.
    Interrupted,
    /// The client closed its connection.
    ClientDisconnected,
    /// Of attempts only: sent again to the same deployment, uncounted.
    Resent,
    /// Of requests only: refused by the balancer.
    Refused,
}

impl Outcome {
    /// In labels and in the access log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::ConnectionError => "connection_error",
            Self::ServerError => "server_error",
            Self::ClientError => "client_error",
            Self::Interrupted => "stream_interrupted",
            Self::ClientDisconnected => "client_disconnected",
            Self::Resent => "resent",
            Self::Refused => "refused",
        }
    }
}

/// LiteLLM's exceptions, as its policies name them. The numbers are stored in records; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Everything else: `DefaultRetries`.
    Other = 9,
}

/// Envoy's response flags, as the attribute `response.flags` gives them
/// (envoy/stream_info/stream_info.h).
mod flag {
    pub const NO_HEALTHY_UPSTREAM: u64 = 0x2;
    pub const UPSTREAM_REQUEST_TIMEOUT: u64 = 0x4;
    pub const LOCAL_RESET: u64 = 0x8;
    pub const UPSTREAM_REMOTE_RESET: u64 = 0x10;
    pub const UPSTREAM_CONNECTION_FAILURE: u64 = 0x20;
    pub const UPSTREAM_CONNECTION_TERMINATION: u64 = 0x40;
    pub const UPSTREAM_OVERFLOW: u64 = 0x80;
    pub const STREAM_IDLE_TIMEOUT: u64 = 0x1_0000;
    pub const UPSTREAM_MAX_STREAM_DURATION: u64 = 0x8_0000;
    pub const UPSTREAM_PROTOCOL_ERROR: u64 = 0x80_0000;
    pub const NO_CLUSTER: u64 = 0x100_0000;
    pub const DOWNSTREAM_CONNECTION_TERMINATION: u64 = 0x4000;

    pub const TIMED_OUT: u64 = UPSTREAM_REQUEST_TIMEOUT | STREAM_IDLE_TIMEOUT | UPSTREAM_MAX_STREAM_DURATION;
    pub const NO_CONNECTION: u64 =
        NO_HEALTHY_UPSTREAM | UPSTREAM_CONNECTION_FAILURE | UPSTREAM_OVERFLOW | NO_CLUSTER;
    pub const BROKEN: u64 =
        LOCAL_RESET | UPSTREAM_REMOTE_RESET | UPSTREAM_CONNECTION_TERMINATION | UPSTREAM_PROTOCOL_ERROR;
}

impl Failure {
    /// The failure that Envoy reports; `None` where the provider has sent a response.
    pub fn from_response_flags(flags: u64) -> Option<Self> {
        match flags {
            _ if flags & flag::TIMED_OUT != 0 => Some(Self::TimedOut),
            _ if flags & flag::NO_CONNECTION != 0 => Some(Self::NoConnection),
            _ if flags & flag::BROKEN != 0 => Some(Self::Broken),
            _ => None,
        }
    }

    /// Whether the provider ended the connection or the stream.
    pub fn ended_by_provider(flags: u64) -> bool {
        flags & (flag::UPSTREAM_CONNECTION_TERMINATION | flag::UPSTREAM_REMOTE_RESET) != 0
    }

    /// Whether the client has closed its connection.
    pub fn client_disconnected(flags: u64) -> bool {
        flags & flag::DOWNSTREAM_CONNECTION_TERMINATION != 0
    }

    /// The provider's status, or the one that the client gets in place of it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Provider { status, .. } => *status,
            Self::TimedOut => 408,
            Self::NoConnection | Self::Broken => 500,
        }
    }

    /// The same for metrics and logs.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::TimedOut => Outcome::Timeout,
            Self::NoConnection => Outcome::ConnectionError,
            Self::Broken => Outcome::Interrupted,
            Self::Provider { status, .. } => match status {
                429 => Outcome::RateLimited,
                408 | 504 => Outcome::Timeout,
                400..=499 => Outcome::ClientError,
                _ => Outcome::ServerError,
            },
        }
    }

    /// The provider's status, if it has sent one.
    pub fn provider_status(&self) -> Option<u16> {
        match self {
            Self::Provider { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The wait that the provider asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Provider { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
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

    /// The number that a policy has for it, `DefaultRetries` included.
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
    fn envoys_flags_name_the_failure() {
        for (flags, expected) in [
            (0, None),
            (0x4, Some(Failure::TimedOut)),
            (0x2, Some(Failure::NoConnection)),
            (0x20, Some(Failure::NoConnection)),
            (0x80, Some(Failure::NoConnection)),
            (0x100_0000, Some(Failure::NoConnection)),
            (0x40, Some(Failure::Broken)),
            (0x80_0000, Some(Failure::Broken)),
            (0x4000, None),
        ] {
            assert_eq!(Failure::from_response_flags(flags), expected, "{flags:#x}");
        }
    }

    #[test]
    fn a_policy_covers_other_types_by_its_default() {
        let policy = FailurePolicy { rate_limit: Some(7), default: Some(1), ..FailurePolicy::default() };
        assert_eq!(LiteLlmErrorType::of_status(429).in_policy(&policy), Some(7));
        assert_eq!(LiteLlmErrorType::of_status(502).in_policy(&policy), Some(1));
        assert_eq!(LiteLlmErrorType::of_status(502).in_policy(&FailurePolicy::default()), None);
    }
}
