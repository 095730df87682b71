//! What became of an attempt: served, or failed, in which way, and whether another attempt makes sense.

use std::time::Duration;

use llm_balancer_config::FailurePolicy;
use memchr::memmem;

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The provider said no.
    Provider {
        /// 400 and above, or a redirect: a client that followed it would pass us by.
        status: u16,
        /// What its body says, where that matters.
        reason: Reason,
        /// How long it asks us to stay away.
        retry_after: Option<Duration>,
    },
    /// No answer, or no further byte, in time.
    TimedOut,
    /// No connection: refused, TLS not accepted, no address, no healthy host, the breaker open.
    NoConnection,
    /// The connection broke before the first byte of the answer's body.
    Broken,
}

/// How an attempt or a request ended, in the words of metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered, all of it.
    Success,
    /// 429 from the provider.
    RateLimited,
    /// No answer, or no further byte, in time.
    Timeout,
    /// No connection to the provider.
    ConnectionError,
    /// 5xx from the provider, or a redirect.
    ServerError,
    /// Any other 4xx from the provider.
    ClientError,
    /// The answer began and broke off on the provider's side.
    BrokenOff,
    /// The client went before the end.
    ClientLeft,
    /// Made again at the same deployment, uncounted; of attempts only.
    Resent,
    /// No provider was to be asked; of requests only.
    Refused,
}

impl Outcome {
    /// As a label and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::ConnectionError => "connection_error",
            Self::ServerError => "server_error",
            Self::ClientError => "client_error",
            Self::BrokenOff => "broken_off",
            Self::ClientLeft => "client_left",
            Self::Resent => "resent",
            Self::Refused => "refused",
        }
    }
}

/// What an error body says beyond its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// Nothing of note.
    #[default]
    Other,
    /// The prompt is longer than the model can take.
    ContextWindow,
    /// The prompt or the answer was filtered.
    ContentPolicy,
}

/// Kinds of failure as LiteLLM's policies name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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
    /// Everything else: `DefaultRetries`.
    Other,
}

/// Where a failed request may be sent again, policies aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// To any deployment, the same one included.
    Anywhere,
    /// Only to one that has not been tried: the fault lies with the deployment and will not pass.
    Elsewhere,
    /// Nowhere: the fault lies with the request.
    Nowhere,
}

/// Envoy's response flags, as the attribute `response.flags` gives them (envoy/stream_info/stream_info.h).
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
    /// What Envoy itself found wrong, or `None` where the provider answered.
    pub fn seen_by_envoy(flags: u64) -> Option<Self> {
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

    /// Whether the client has gone.
    pub fn client_left(flags: u64) -> bool {
        flags & flag::DOWNSTREAM_CONNECTION_TERMINATION != 0
    }

    /// The same with what the provider's body says, which is only read where there is one.
    pub fn explained(self, body: impl FnOnce() -> Vec<u8>) -> Self {
        match self {
            // Words such as "content filter" mean nothing in the error page of an overloaded server.
            Self::Provider { status: status @ (400 | 422), retry_after, .. } => {
                Self::Provider { status, reason: Reason::of(&body()), retry_after }
            }
            other => other,
        }
    }

    /// The name under which policies know it (BEHAVIOUR 5.2).
    pub fn kind(&self) -> Kind {
        match self {
            Self::TimedOut => Kind::Timeout,
            Self::NoConnection | Self::Broken => Kind::InternalServer,
            Self::Provider { reason: Reason::ContentPolicy, .. } => Kind::ContentPolicy,
            Self::Provider { status, .. } => match status {
                400 | 422 => Kind::BadRequest,
                401 => Kind::Authentication,
                404 => Kind::NotFound,
                408 | 504 => Kind::Timeout,
                429 => Kind::RateLimit,
                500 => Kind::InternalServer,
                503 => Kind::ServiceUnavailable,
                _ => Kind::Other,
            },
        }
    }

    /// Where the request may go next (BEHAVIOUR 5.2).
    pub fn again(&self) -> Again {
        match self {
            Self::TimedOut | Self::NoConnection | Self::Broken => Again::Anywhere,
            Self::Provider { status, .. } => match status {
                300..=399 | 401..=403 => Again::Elsewhere,
                408 | 409 | 429 | 500.. => Again::Anywhere,
                _ => Again::Nowhere,
            },
        }
    }

    /// The same in the words of metrics and logs.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::TimedOut => Outcome::Timeout,
            Self::NoConnection => Outcome::ConnectionError,
            Self::Broken => Outcome::BrokenOff,
            Self::Provider { status, .. } => match status {
                429 => Outcome::RateLimited,
                408 | 504 => Outcome::Timeout,
                400..=499 => Outcome::ClientError,
                _ => Outcome::ServerError,
            },
        }
    }

    /// The status that the provider gave, if it did.
    pub fn provider_status(&self) -> Option<u16> {
        match self {
            Self::Provider { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What the provider's body says.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Provider { reason, .. } => *reason,
            _ => Reason::Other,
        }
    }

    /// How long the provider asks us to stay away.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Provider { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl Reason {
    /// Reads an error body. OpenAI and Azure use codes; others only words.
    pub fn of(body: &[u8]) -> Self {
        const CONTEXT: [&str; 4] =
            ["context_length_exceeded", "maximum context length", "context window", "input is too long"];
        const POLICY: [&str; 4] =
            ["content_policy_violation", "content_filter", "ResponsibleAIPolicyViolation", "safety system"];
        let says = |words: &[&str]| words.iter().any(|word| memmem::find(body, word.as_bytes()).is_some());
        match () {
            () if says(&CONTEXT) => Self::ContextWindow,
            () if says(&POLICY) => Self::ContentPolicy,
            () => Self::Other,
        }
    }
}

impl Kind {
    /// Its number in what is stored; never 0.
    pub fn number(self) -> u8 {
        match self {
            Self::BadRequest => 1,
            Self::Authentication => 2,
            Self::Timeout => 3,
            Self::RateLimit => 4,
            Self::ContentPolicy => 5,
            Self::InternalServer => 6,
            Self::ServiceUnavailable => 7,
            Self::NotFound => 8,
            Self::Other => 9,
        }
    }

    /// The kind of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::BadRequest,
            2 => Self::Authentication,
            3 => Self::Timeout,
            4 => Self::RateLimit,
            5 => Self::ContentPolicy,
            6 => Self::InternalServer,
            7 => Self::ServiceUnavailable,
            8 => Self::NotFound,
            9 => Self::Other,
            _ => return None,
        })
    }

    /// What a policy says about this kind, `DefaultRetries` included.
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

    fn provider(status: u16) -> Failure {
        Failure::Provider { status, reason: Reason::Other, retry_after: None }
    }

    #[test]
    fn what_is_retried_depends_on_whose_fault_it_is() {
        for (statuses, expected) in [
            (&[400_u16, 404, 405, 413, 422][..], Again::Nowhere),
            (&[301, 307, 401, 402, 403], Again::Elsewhere),
            (&[408, 409, 429, 500, 502, 503, 504, 529], Again::Anywhere),
        ] {
            for status in statuses {
                assert_eq!(provider(*status).again(), expected, "{status}");
            }
        }
    }

    #[test]
    fn envoys_flags_are_told_apart() {
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
            assert_eq!(Failure::seen_by_envoy(flags), expected, "{flags:#x}");
        }
    }

    #[test]
    fn an_error_body_tells_a_long_prompt_from_a_filtered_one() {
        assert_eq!(Reason::of(br#"{"error":{"code":"context_length_exceeded"}}"#), Reason::ContextWindow);
        assert_eq!(Reason::of(br#"{"error":{"code":"content_filter"}}"#), Reason::ContentPolicy);
        assert_eq!(Reason::of(b"<html>Bad gateway</html>"), Reason::Other);
    }

    #[test]
    fn a_policy_covers_other_kinds_by_its_default() {
        let policy = FailurePolicy { rate_limit: Some(7), default: Some(1), ..FailurePolicy::default() };
        assert_eq!(provider(429).kind().in_policy(&policy), Some(7));
        assert_eq!(provider(502).kind().in_policy(&policy), Some(1));
        assert_eq!(provider(502).kind().in_policy(&FailurePolicy::default()), None);
    }
}
