//! The closed list of classes, and what each means.

/// Whose fault a failure is. The table in [`classify`](super::classify()) says which answer belongs to which class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The request's own: every deployment would refuse it.
    Request,
    /// The backend does not serve this route.
    Route,
    /// An id in the request that this deployment does not know: of a response, a file, a batch.
    Reference,
    /// The deployment itself is wrong: its model does not exist, its address leads elsewhere.
    Deployment,
    /// The account is: key, permission, balance, quota.
    AccessLogEntry,
    /// A 403 that does not say why: a firewall in front of the API, perhaps because of this prompt.
    Forbidden,
    /// A limit that passes by itself.
    Limit,
    /// The request alone is larger than this account's limit.
    Size,
    /// The server, or the way to it.
    Server,
    /// The prompt is longer than the model's context.
    ContextWindow,
    /// The prompt or the answer was filtered.
    ContentPolicy,
    /// A member of the request that the balancer added.
    Ours,
    /// The client's own time limit has passed.
    ClientTimeout,
}

/// Where a failed request may be sent again, policies aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryScope {
    /// To any deployment, the same one included.
    Anywhere,
    /// Only to one that has not been tried: the same one would answer the same.
    RemoteInFlight,
    /// Nowhere in this group; fallbacks may still serve.
    Nowhere,
}

impl Class {
    /// Every class, in the order of the table.
    pub const ALL: [Self; 13] = [
        Self::Request,
        Self::Route,
        Self::Reference,
        Self::Deployment,
        Self::AccessLogEntry,
        Self::Forbidden,
        Self::Limit,
        Self::Size,
        Self::Server,
        Self::ContextWindow,
        Self::ContentPolicy,
        Self::Ours,
        Self::ClientTimeout,
    ];

    /// As a label of metrics and in the access log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "invalid_request",
            Self::Route => "unsupported_route",
            Self::Reference => "unknown_reference",
            Self::Deployment => "invalid_deployment",
            Self::AccessLogEntry => "account",
            Self::Forbidden => "forbidden",
            Self::Limit => "rate_limit",
            Self::Size => "request_too_large",
            Self::Server => "server",
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
            Self::Ours => "added_parameter",
            Self::ClientTimeout => "client_timeout",
        }
    }

    /// Where the request may go next.
    pub fn retry_scope(self) -> RetryScope {
        match self {
            Self::Request | Self::ContextWindow | Self::ContentPolicy => RetryScope::Nowhere,
            Self::Route
            | Self::Reference
            | Self::Deployment
            | Self::AccessLogEntry
            | Self::Forbidden
            | Self::Size => RetryScope::RemoteInFlight,
            Self::Limit | Self::Server | Self::Ours | Self::ClientTimeout => RetryScope::Anywhere,
        }
    }

    /// Whether it says something about the deployment, and so counts among its failures.
    pub fn is_counted(self) -> bool {
        matches!(self, Self::Deployment | Self::AccessLogEntry | Self::Forbidden | Self::Limit | Self::Server)
    }
}
