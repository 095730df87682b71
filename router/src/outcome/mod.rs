//! How attempts and requests end. Which error class a failure has is decided in
//! [`failure`](crate::failure).

mod failure;
mod litellm_error_type;

pub use failure::Failure;
pub use litellm_error_type::LiteLlmErrorType;

/// How an attempt or a request ended, in metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole answer.
    Success,
    /// 429 from the provider.
    RateLimited,
    /// A time limit passed before the answer, or between two of its bytes.
    Timeout,
    /// No connection to the provider.
    ConnectionError,
    /// 5xx from the provider, a redirect, or a fault of the filter.
    ServerError,
    /// Any other 4xx from the provider.
    ClientError,
    /// The connection to the provider broke, mostly in the middle of an answer.
    Interrupted,
    /// The client disconnected before the end of the answer.
    ClientDisconnected,
    /// Sent again to the same deployment, uncounted; of attempts only.
    Resent,
    /// Not sent to a provider; of requests only.
    Refused,
}

impl Outcome {
    /// Its label in metrics and in the access log.
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
