//! The closed list of classes, and what each means.

/// Whose fault a failure is. The table in [`classify`](super::classify()) says which answer belongs to which class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// The request's own: every deployment would refuse it.
    InvalidRequest,
    /// The backend does not serve this route.
    UnsupportedRoute,
    /// An id in the request that this deployment does not know: of a response, a file, a batch.
    UnknownReference,
    /// The deployment itself is wrong: its model does not exist, its address leads elsewhere.
    InvalidDeployment,
    /// The account is: key, permission, balance, quota.
    Account,
    /// A 403 that does not say why: a firewall in front of the API, perhaps because of this prompt.
    Forbidden,
    /// A limit that passes by itself.
    RateLimit,
    /// The request alone is larger than this account's limit.
    RequestTooLarge,
    /// The server, or the way to it.
    Server,
    /// The prompt is longer than the model's context.
    ContextWindow,
    /// The prompt or the answer was filtered.
    ContentPolicy,
    /// A member of the request that the balancer added.
    AddedParameter,
    /// The client's own time limit has passed.
    ClientTimeout,
}

/// Where a failed request may be sent again, policies aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryScope {
    /// To any deployment, the same one included.
    AnyDeployment,
    /// Only to one that has not been tried: the same one would answer the same.
    OtherDeployments,
    /// Nowhere in this group; fallbacks may still serve.
    FallbacksOnly,
}

impl ErrorClass {
    /// Every class, in the order of the table.
    pub const ALL: [Self; 13] = [
        Self::InvalidRequest,
        Self::UnsupportedRoute,
        Self::UnknownReference,
        Self::InvalidDeployment,
        Self::Account,
        Self::Forbidden,
        Self::RateLimit,
        Self::RequestTooLarge,
        Self::Server,
        Self::ContextWindow,
        Self::ContentPolicy,
        Self::AddedParameter,
        Self::ClientTimeout,
    ];

    /// As a label of metrics and in the access log.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnsupportedRoute => "unsupported_route",
            Self::UnknownReference => "unknown_reference",
            Self::InvalidDeployment => "invalid_deployment",
            Self::Account => "account",
            Self::Forbidden => "forbidden",
            Self::RateLimit => "rate_limit",
            Self::RequestTooLarge => "request_too_large",
            Self::Server => "server",
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
            Self::AddedParameter => "added_parameter",
            Self::ClientTimeout => "client_timeout",
        }
    }

    /// Where the request may go next.
    pub fn retry_scope(self) -> RetryScope {
        match self {
            Self::InvalidRequest | Self::ContextWindow | Self::ContentPolicy => RetryScope::FallbacksOnly,
            Self::UnsupportedRoute
            | Self::UnknownReference
            | Self::InvalidDeployment
            | Self::Account
            | Self::Forbidden
            | Self::RequestTooLarge => RetryScope::OtherDeployments,
            Self::RateLimit | Self::Server | Self::AddedParameter | Self::ClientTimeout => {
                RetryScope::AnyDeployment
            }
        }
    }

    /// Whether it says something about the deployment, and so counts among its failures.
    pub fn is_counted(self) -> bool {
        matches!(
            self,
            Self::InvalidDeployment | Self::Account | Self::Forbidden | Self::RateLimit | Self::Server
        )
    }
}
