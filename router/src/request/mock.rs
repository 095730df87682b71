//! Errors that a request asks for, so that its author sees what happens then (BEHAVIOUR 6).

/// `mock_testing_*: true`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mock {
    /// `mock_testing_rate_limit_error`: in place of the first attempt.
    RateLimit,
    /// `mock_testing_fallbacks`: in place of the group, as the other two.
    Fallbacks,
    /// `mock_testing_context_window_fallbacks`
    ContextWindow,
    /// `mock_testing_content_policy_fallbacks`
    ContentPolicy,
}
