//! The `x-litellm-*` and `x-ratelimit-*` headers of every routed response (BEHAVIOUR 9.4).

use std::borrow::Cow;

use llm_balancer_config::Deployment;

use crate::attempt::RetryState;
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

/// The limits of a group and what remains of them in this minute, as far as it has limits.
pub(super) fn rate_limits(limits: Option<RateLimits>) -> impl Iterator<Item = (&'static str, u64)> {
    const REQUESTS: [&str; 2] = ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"];
    const TOKENS: [&str; 2] = ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens"];
    let (requests, tokens) = limits.map_or((None, None), |limits| (limits.requests, limits.tokens));
    let pair = |names: [&'static str; 2], values: Option<(u64, u64)>| {
        names.into_iter().zip(values.into_iter().flat_map(|(limit, remaining)| [limit, remaining]))
    };
    pair(REQUESTS, requests).chain(pair(TOKENS, tokens))
}

/// The same headers for a [`Reply`](crate::http::reply::Reply).
pub(super) fn owned<V: ToString>(
    headers: impl IntoIterator<Item = (&'static str, V)>,
) -> Vec<(&'static str, String)> {
    headers.into_iter().map(|(name, value)| (name, value.to_string())).collect()
}
