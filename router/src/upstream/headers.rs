//! The request as the chosen deployment gets it: cluster, path, host, credentials and time limits, built from nothing,
//! so that what the client sent cannot leak to the provider by being forgotten.

use std::time::Duration;

use llm_balancer_config::{Credential, Deployment};

use crate::http::headers::Headers;
use crate::request::parse::Request;
use crate::upstream::paths;

/// Sent as user-agent; the client's own says nothing to a provider that is asked by us.
const USER_AGENT: &str = concat!("llm-balancer/", env!("CARGO_PKG_VERSION"));

/// How long an attempt may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// From start to end of the answer.
    Whole(Duration),
    /// To the answer's headers, and then between bytes.
    Gaps(Duration),
}

/// All headers of the request to the provider, those of its body and Envoy's own controls included, but for the name of the cluster: only a
/// header that is set by itself makes Envoy look for the route again.
pub fn headers(
    request: &Request,
    deployment: &Deployment,
    model: &str,
    limit: Limit,
    (content_type, length): (&str, usize),
) -> Headers {
    let mut headers = Headers::with_capacity(1024, 16);
    let path = paths::path(&deployment.endpoint, request.route.suffix, model);
    addressed(&mut headers, deployment, "POST", &path);
    headers.push("content-type", content_type);
    headers.push("content-length", &length.to_string());
    if let Some(accept) = request.accept.as_ref().filter(|_| !has_own(deployment, "accept")) {
        headers.push("accept", accept);
    }
    for (name, value) in request.forwarded.iter().filter(|(name, _)| !has_own(deployment, name)) {
        headers.push(name, value);
    }
    // Envoy finds no route without it; the route removes it again.
    headers.push("x-forwarded-proto", "http");
    match limit {
        Limit::Whole(limit) => headers.push("x-envoy-upstream-rq-timeout-ms", &milliseconds(limit)),
        Limit::Gaps(limit) => headers.push("x-envoy-upstream-rq-per-try-timeout-ms", &milliseconds(limit)),
    }
    headers
}

/// The part that every request to a deployment has in common, a probe's included.
pub fn addressed(headers: &mut Headers, deployment: &Deployment, method: &str, path: &str) {
    headers.push(":method", method);
    headers.push(":path", path);
    headers.push(":authority", &deployment.endpoint.authority);
    headers.push(
        ":scheme",
        if deployment.endpoint.tls == llm_balancer_config::Tls::Off { "http" } else { "https" },
    );
    if !has_own(deployment, "user-agent") {
        headers.push("user-agent", USER_AGENT);
    }
    match &deployment.credential {
        Some(Credential::Bearer(key)) if !has_own(deployment, "authorization") => {
            headers.push_parts("authorization", &["Bearer ", key.reveal()]);
        }
        Some(Credential::ApiKey(key)) if !has_own(deployment, "api-key") => {
            headers.push("api-key", key.reveal())
        }
        _ => {}
    }
    for (name, value) in deployment.headers.iter().filter(|(name, _)| !is_framing(name)) {
        headers.push(name, value.reveal());
    }
}

/// Whether the operator sets a header for this deployment, in place of whatever we would send.
fn has_own(deployment: &Deployment, name: &str) -> bool {
    deployment.headers.iter().any(|(own, _)| own == name)
}

/// Headers that say how the body is to be read: never anybody's but ours.
fn is_framing(name: &str) -> bool {
    matches!(name, "content-type" | "content-length" | "transfer-encoding" | "host" | "connection")
}

/// The longest limit that Envoy is given, in milliseconds: almost 25 days. Of a number that does not fit it takes none.
const MOST_MILLISECONDS: u128 = i32::MAX as u128;

/// A limit as Envoy's headers take it.
pub(crate) fn milliseconds(limit: Duration) -> String {
    // Zero would switch Envoy's limit off.
    limit.as_millis().clamp(1, MOST_MILLISECONDS).to_string()
}
