//! What every routed answer says about its way here (DESIGN section 7), whoever wrote its body.

use std::borrow::Cow;
use std::time::Duration;

use llm_balancer_config::Deployment;

use crate::attempt::RetryState;
use crate::http::reply::Reply;
use crate::outcome::Failure;
use crate::request::refusal::Refusal;
use crate::state::group_limits::RateLimits;

/// Response headers under LiteLLM's names.
pub type Names<'a> = [(&'static str, Cow<'a, str>); 6];

/// The headers for an answer of this deployment, to a client that asked for this model.
pub fn names<'a>(deployment: &'a Deployment, model: &'a str, retry_state: &RetryState) -> Names<'a> {
    [
        ("x-litellm-model-id", Cow::Borrowed(&*deployment.id)),
        ("x-litellm-model-group", Cow::Borrowed(model)),
        ("x-litellm-model-api-base", Cow::Borrowed(&*deployment.endpoint.display_url)),
        ("x-litellm-attempted-retries", number(retry_state.retries)),
        ("x-litellm-max-retries", number(retry_state.max_retries)),
        ("x-litellm-attempted-fallbacks", number(retry_state.fallbacks())),
    ]
}

/// What is left of them, for an answer that no deployment gave.
pub fn of_group(model: &str, retry_state: &RetryState) -> Vec<(&'static str, String)> {
    vec![
        ("x-litellm-model-group", model.to_owned()),
        ("x-litellm-attempted-retries", retry_state.retries.to_string()),
        ("x-litellm-max-retries", retry_state.max_retries.to_string()),
        ("x-litellm-attempted-fallbacks", retry_state.fallbacks().to_string()),
    ]
}

/// The limits of the group and what is left of them in this minute, for as many as it has.
pub fn limits(limits: Option<RateLimits>) -> impl Iterator<Item = (&'static str, u64)> {
    const REQUESTS: [&str; 2] = ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"];
    const TOKENS: [&str; 2] = ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens"];
    let (requests, tokens) = limits.map_or((None, None), |limits| (limits.requests, limits.tokens));
    let pair = |names: [&'static str; 2], values: Option<(u64, u64)>| {
        names.into_iter().zip(values.into_iter().flat_map(|(limit, left)| [limit, left]))
    };
    pair(REQUESTS, requests).chain(pair(TOKENS, tokens))
}

/// The answer where the last attempt got none from a provider. `location` is where a redirect leads.
pub fn failed(
    deployment: &Deployment,
    model: &str,
    retry_state: &RetryState,
    failure: Failure,
    limit: Duration,
    location: Option<String>,
) -> Reply {
    let refusal = match failure {
        Failure::TimedOut => Refusal::TimedOut(limit),
        Failure::NoConnection | Failure::Broken => Refusal::NoConnection,
        // A provider's own errors are passed on; only its redirects are not.
        Failure::Provider { status, .. } => Refusal::Redirected(status, location),
    };
    let mut reply = refusal.reply();
    reply.headers.extend(owned(names(deployment, model, retry_state)));
    reply
}

/// The same headers, for an answer that outlives the attempt.
pub fn owned<V: ToString>(names: impl IntoIterator<Item = (&'static str, V)>) -> Vec<(&'static str, String)> {
    names.into_iter().map(|(name, value)| (name, value.to_string())).collect()
}

/// Small numbers, which nearly all of these are, cost no allocation.
fn number(number: u32) -> Cow<'static, str> {
    match number {
        0 => Cow::Borrowed("0"),
        1 => Cow::Borrowed("1"),
        2 => Cow::Borrowed("2"),
        3 => Cow::Borrowed("3"),
        _ => Cow::Owned(number.to_string()),
    }
}
