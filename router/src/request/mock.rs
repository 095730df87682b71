//! Errors that a client asks for, to test what follows from them (BEHAVIOUR 6).

/// `mock_testing_*: true`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mock {
    /// `mock_testing_rate_limit_error`: takes the place of the first attempt.
    RateLimit,
    /// `mock_testing_fallbacks`: takes the place of the group, as the other two do.
    Fallbacks,
    /// `mock_testing_context_window_fallbacks`
    ContextWindow,
    /// `mock_testing_content_policy_fallbacks`
    ContentPolicy,
}
