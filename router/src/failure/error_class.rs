//! The classes of errors, and what each means.

/// The cause of a failure. [`classify`](super::classify()) has the table of responses and classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// The request: every deployment would refuse it.
    InvalidRequest,
    /// The backend does not serve this route.
    UnsupportedRoute,
    /// An id in the request that this deployment does not know: of a response, a file, a batch.
    UnknownReference,
    /// The deployment's configuration: its model does not exist, its address redirects.
    InvalidDeployment,
    /// The account: key, permission, balance, quota.
    Account,
    /// A 403 without a reason: of a firewall in front of the API, perhaps because of this prompt.
    Forbidden,
    /// A rate limit, or an overload.
    RateLimit,
    /// The request alone is larger than this account's limit.
    RequestTooLarge,
    /// The server, or the way to it.
    Server,
    /// The prompt is longer than the model's context.
    ContextWindow,
    /// The prompt or the answer was filtered.
    ContentPolicy,
    /// A parameter that the router added to the request.
    AddedParameter,
    /// A timeout that the client has set, or may have caused by not reading.
    ClientTimeout,
}

/// Where a failed request may be sent again, without regard to retry policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryScope {
    /// To any deployment, the same included.
    AnyDeployment,
    /// To the other deployments: the same would fail again.
    OtherDeployments,
    /// To fallbacks.
    FallbacksOnly,
}

impl ErrorClass {
    /// Every class, in the order of the table.
    #[cfg(test)]
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

    /// Whether the deployments of the next `order` may serve the request. LiteLLM has fallbacks of their
    /// own for the other errors.
    pub fn may_step_up(self) -> bool {
        !matches!(self, Self::ContextWindow | Self::ContentPolicy)
    }

    /// Whether it counts as a failure of the deployment.
    pub fn is_counted(self) -> bool {
        matches!(
            self,
            Self::InvalidDeployment | Self::Account | Self::Forbidden | Self::RateLimit | Self::Server
        )
    }
}
