//! Numbers by class of failure.

/// A number for each class of failure: `retry_policy`, `allowed_fails_policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailurePolicy {
    /// `BadRequestError..`: 400, 422 and what else LiteLLM counts among them.
    pub bad_request: Option<u32>,
    /// `AuthenticationError..`: 401.
    pub authentication: Option<u32>,
    /// `TimeoutError..`: 408, 504, or no answer in time.
    pub timeout: Option<u32>,
    /// `RateLimitError..`: 429.
    pub rate_limit: Option<u32>,
    /// `ContentPolicyViolationError..`: a 400 that says so.
    pub content_policy: Option<u32>,
    /// `InternalServerError..`: 500, or no connection.
    pub internal_server: Option<u32>,
    /// `ServiceUnavailableError..`: 503.
    pub service_unavailable: Option<u32>,
    /// `NotFoundError..`: 404.
    pub not_found: Option<u32>,
    /// `DefaultRetries`: every other class.
    pub default: Option<u32>,
}
