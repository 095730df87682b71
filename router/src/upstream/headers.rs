//! The request headers that a deployment gets: path, host, credentials and time limits, built from
//! nothing, so that no header of the client's can leak to the provider by oversight.

use std::time::Duration;

use llm_balancer_config::{Credential, Deployment, Layout, Tls, Wire, is_oauth_token, names};

use crate::http::headers::Headers;
use crate::request::parse::Request;
use crate::request::stored_response::StoredResponse;
use crate::upstream::paths;

/// In place of the client's user-agent.
const USER_AGENT: &str = concat!("llm-balancer/", env!("CARGO_PKG_VERSION"));

/// How long an attempt may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLimit {
    /// From the request to the end of the response.
    Total(Duration),
    /// From the request to the response headers, and then between bytes.
    Idle(Duration),
}

/// All headers of the request to the provider, those of its body and Envoy's own controls included,
/// but for the name of the cluster: the filter sets that one by a call of its own, which makes
/// Envoy select the route again. `is_left_out`: the betas that the provider does not get.
pub fn request_headers(
    request: &Request,
    deployment: &Deployment,
    model: &str,
    limit: TimeLimit,
    (content_type, length): (&str, usize),
    is_left_out: &dyn Fn(&str) -> bool,
) -> Headers {
    let mut headers = Headers::with_capacity(1024, 16);
    let wire = request.route.wire();
    match &request.stored {
        None => {
            let path = paths::path(&deployment.endpoint, request.route.suffix, model);
            push_deployment_headers(&mut headers, deployment, wire, "POST", &path);
            headers.push("content-type", content_type);
            headers.push("content-length", &length.to_string());
        }
        Some(stored) => push_stored(&mut headers, deployment, stored),
    }
    if let Some(accept) = request.accept.as_ref().filter(|_| !sets(deployment, "accept")) {
        headers.push("accept", accept);
    }
    // Betas are a list: the operator's and the client's apply.
    let is_added = |name: &str| name == ANTHROPIC_BETA || !sets(deployment, name);
    for (name, value) in request.forwarded.iter().filter(|(name, _)| is_added(name)) {
        match name.as_str() {
            ANTHROPIC_BETA => push_betas(&mut headers, value, is_left_out),
            _ => headers.push(name, value),
        }
    }
    if wire == Wire::Anthropic && !request.forwarded.iter().any(|(name, _)| name == ANTHROPIC_VERSION) {
        push_version(&mut headers, deployment);
    }
    // Envoy finds no route without it; the route removes it again.
    headers.push("x-forwarded-proto", "http");
    match limit {
        TimeLimit::Total(limit) => headers.push(names::TIMEOUT, &milliseconds(limit)),
        TimeLimit::Idle(limit) => headers.push(names::FIRST_BYTE_TIMEOUT, &milliseconds(limit)),
    }
    headers
}

/// The start of a request about a stored response, which has no body.
fn push_stored(headers: &mut Headers, deployment: &Deployment, stored: &StoredResponse) {
    let path = paths::stored(&deployment.endpoint, (&stored.id, stored.route.tail()), &stored.query);
    push_deployment_headers(headers, deployment, Wire::OpenAi, stored.method, &path);
    // Also where the client has sent a body, which the router discards.
    if stored.method != "GET" {
        headers.push("content-length", "0");
    }
}

/// The header with the version of Anthropic's API, and LiteLLM's version for clients without one.
const ANTHROPIC_VERSION: &str = "anthropic-version";
const VERSION: &str = "2023-06-01";

/// The header with features of Anthropic's API, which may be repeated, and the one of OAuth's tokens.
const ANTHROPIC_BETA: &str = "anthropic-beta";
const OAUTH_BETA: &str = "oauth-2025-04-20";

/// Adds the client's betas, as it wrote them where none is left out.
#[cold]
fn push_betas(headers: &mut Headers, value: &str, is_left_out: &dyn Fn(&str) -> bool) {
    let betas = value.split(',').map(str::trim);
    if !betas.clone().any(is_left_out) {
        return headers.push(ANTHROPIC_BETA, value);
    }
    let kept: Vec<&str> = betas.filter(|beta| !beta.is_empty() && !is_left_out(beta)).collect();
    if !kept.is_empty() {
        headers.push(ANTHROPIC_BETA, &kept.join(","));
    }
}

/// Adds the version of Anthropic's API, which it requires, unless the operator sets it.
pub fn push_version(headers: &mut Headers, deployment: &Deployment) {
    if !sets(deployment, ANTHROPIC_VERSION) {
        headers.push(ANTHROPIC_VERSION, VERSION);
    }
}

/// Adds the headers that every request to a deployment has, health probes included.
pub fn push_deployment_headers(
    headers: &mut Headers,
    deployment: &Deployment,
    wire: Wire,
    method: &str,
    path: &str,
) {
    headers.push(":method", method);
    headers.push(":path", path);
    headers.push(":authority", &deployment.endpoint.authority);
    headers.push(":scheme", if deployment.endpoint.tls == Tls::Off { "http" } else { "https" });
    if !sets(deployment, "user-agent") {
        headers.push("user-agent", USER_AGENT);
    }
    if let Some(credential) = &deployment.credential {
        push_credential(headers, deployment, wire, credential);
    }
    for (name, value) in deployment.headers.iter().filter(|(name, _)| !is_framing(name)) {
        headers.push(name, value.reveal());
    }
}

/// Anthropic takes a key as `x-api-key`, and a token as bearer. Other servers of its API also get
/// the bearer key that they may check instead.
fn push_credential(headers: &mut Headers, deployment: &Deployment, wire: Wire, credential: &Credential) {
    let (Credential::Bearer(key) | Credential::ApiKey(key) | Credential::Token(key)) = credential;
    let is_token = matches!(credential, Credential::Token(_));
    if is_token && is_oauth_token(key) {
        headers.push(ANTHROPIC_BETA, OAUTH_BETA);
    }
    if wire == Wire::Anthropic && !is_token && !sets(deployment, "x-api-key") {
        headers.push("x-api-key", key.reveal());
    }
    let has_bearer = is_token || wire == Wire::OpenAi || deployment.endpoint.layout == Layout::Messages;
    match credential {
        Credential::Bearer(_) | Credential::Token(_) if has_bearer && !sets(deployment, "authorization") => {
            headers.push_parts("authorization", &["Bearer ", key.reveal()]);
        }
        Credential::ApiKey(_) if wire == Wire::OpenAi && !sets(deployment, "api-key") => {
            headers.push("api-key", key.reveal());
        }
        _ => {}
    }
}

/// Whether the operator sets a header for this deployment, which then replaces ours.
fn sets(deployment: &Deployment, name: &str) -> bool {
    deployment.headers.iter().any(|(own, _)| own == name)
}

/// Headers that say how to read the body. The operator cannot set them.
fn is_framing(name: &str) -> bool {
    matches!(name, "content-type" | "content-length" | "transfer-encoding" | "host" | "connection")
}

/// The longest limit in milliseconds that is passed to Envoy, almost 25 days: Envoy ignores numbers
/// that do not fit.
const MAX_MILLISECONDS: u128 = i32::MAX as u128;

/// A limit as Envoy's headers take it: at least one millisecond, since zero would switch the limit
/// off.
pub(crate) fn milliseconds(limit: Duration) -> String {
    limit.as_millis().clamp(1, MAX_MILLISECONDS).to_string()
}
