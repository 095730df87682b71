//! The `x-litellm-*` and `x-ratelimit-*` headers of every routed response (BEHAVIOUR 9.4).

use std::borrow::Cow;
use std::time::Duration;

use llm_balancer_config::Deployment;

use crate::attempt::RetryState;
use crate::http::retry_after::whole_seconds;
use crate::state::group_limits::RateLimits;

/// The headers of a response that this deployment gave, to a client that requested this model.
pub(super) fn of_deployment<'a>(
    deployment: &'a Deployment,
    model: &'a str,
    retry_state: &RetryState,
) -> [(&'static str, Cow<'a, str>); 6] {
    let number = |number: u32| Cow::Owned(number.to_string());
    [
        ("x-litellm-model-id", Cow::Borrowed(&*deployment.id)),
        ("x-litellm-model-group", Cow::Borrowed(model)),
        ("x-litellm-model-api-base", Cow::Borrowed(&*deployment.endpoint.display_url)),
        ("x-litellm-attempted-retries", number(retry_state.retries)),
        ("x-litellm-max-retries", number(retry_state.max_retries)),
        ("x-litellm-attempted-fallbacks", number(retry_state.fallbacks())),
    ]
}

/// The headers of a response that no deployment gave.
pub(super) fn of_group(model: &str, retry_state: &RetryState) -> Vec<(&'static str, String)> {
    vec![
        ("x-litellm-model-group", model.to_owned()),
        ("x-litellm-attempted-retries", retry_state.retries.to_string()),
        ("x-litellm-max-retries", retry_state.max_retries.to_string()),
        ("x-litellm-attempted-fallbacks", retry_state.fallbacks().to_string()),
    ]
}

/// The limits of a group, what remains of them in this minute, and when it ends, as far as the group
/// has limits. OpenAI writes the end as a duration: `17s`.
pub(super) fn rate_limits(limits: Option<RateLimits>) -> impl Iterator<Item = (&'static str, String)> {
    const REQUESTS: [&str; 3] =
        ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
    const TOKENS: [&str; 3] =
        ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];
    let of_limit = |names: [&'static str; 3], limit: Option<(u64, u64)>, reset: Duration| {
        let values = limit.map(|(limit, remaining)| {
            [limit.to_string(), remaining.to_string(), format!("{}s", whole_seconds(reset))]
        });
        names.into_iter().zip(values.into_iter().flatten())
    };
    limits.into_iter().flat_map(move |RateLimits { requests, tokens, reset }| {
        of_limit(REQUESTS, requests, reset).chain(of_limit(TOKENS, tokens, reset))
    })
}

/// The same headers for a [`Reply`](crate::http::reply::Reply).
pub(super) fn owned<V: ToString>(
    headers: impl IntoIterator<Item = (&'static str, V)>,
) -> Vec<(&'static str, String)> {
    headers.into_iter().map(|(name, value)| (name, value.to_string())).collect()
}
