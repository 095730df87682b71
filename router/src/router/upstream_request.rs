//! The request that a deployment gets: its body and headers, its timeout, and the attempt that it
//! begins.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{
    Deployment, Layout, RouterSettings, Strategy, name_at, router_name, upstream_name,
};

use super::group_request::{GroupRequest, Selected};
use super::{Router, Sending, betas, origins};
use crate::attempt::{Attempt, InjectedUsage, RequestedModel, RetryState};
use crate::failure::refusals::Refused;
use crate::http::headers::Headers;
use crate::http::rewritten_body::RewrittenBody;
use crate::models::groups::Resolved;
use crate::models::wildcard;
use crate::request::parse::ParsedRequest;
use crate::upstream::headers::{TimeLimit, request_headers};
use crate::upstream::{body, single_hop, stream_options};

/// Begins an attempt.
pub(super) fn sending(
    request: &GroupRequest<'_>,
    selected: Selected<'_>,
    mut retry_state: RetryState,
) -> Sending {
    let GroupRequest { router, parsed, .. } = request;
    let Selected { resolved, selection, deployment, info, estimate } = selected;
    let (timeout, is_client_timeout) = timeout(&router.config.router, parsed, deployment);
    retry_state.begin_attempt();
    if retry_state.retries == 0 {
        retry_state.max_retries =
            router.allowance(&parsed.model, deployment, parsed.overrides.num_retries, None).retries;
    }
    let now = selection.ticket.at;
    let is_bare = retry_state.resend.as_ref().is_some_and(|resend| resend.is_bare)
        || router.refusals.borrow().has(selection.index, Refused::StreamOptions, now);
    let injected_usage =
        if is_bare { None } else { injected_usage(request, deployment, resolved.pool.strategy) };
    let model = upstream_model(deployment, &resolved);
    let body = new_body(request, deployment, &model, injected_usage.is_some());
    let length = body.as_ref().map_or(request.body.len(), RewrittenBody::length);
    let members = &resolved.pool.members;
    let left_out = betas::is_left_out(router, (selection.index, deployment), members, &retry_state, now);
    let limit = (timeout, retry_state.max_retries);
    let headers = upstream_headers(request, deployment, &model, limit, length, &left_out);
    drop(left_out);
    count(router, selection.index, &retry_state);
    retry_state.selection = Some(info);
    retry_state.resend = None;
    // The next attempt waits for leases of its own.
    retry_state.lease_requests = None;
    let is_stored = request.request.stored.is_some();
    if is_stored {
        retry_state.requested = Some(RequestedModel {
            model: deployment.group.to_string(),
            group: Some(Arc::clone(&deployment.group)),
        });
    }
    let attempt = Attempt {
        deployment: selection.index,
        model: if is_stored { deployment.group.to_string() } else { parsed.model.to_string() },
        pool: Arc::clone(&resolved.pool),
        route: request.request.route.suffix,
        overrides: parsed.overrides,
        routing: parsed.routing.clone(),
        timeout: match timeout {
            TimeLimit::Total(timeout) | TimeLimit::Idle(timeout) => timeout,
        },
        is_client_timeout,
        estimate,
        stream: parsed.stream,
        injected_usage,
        referral: origins::referral(request),
        reference_scan: origins::reference_scan(request),
        ticket: selection.ticket,
        response_error: None,
        detail: None,
        is_on_reused_connection: false,
        retry_state,
    };
    Sending { headers, body, attempt }
}

/// The usage event that the router asks for where the client does not.
fn injected_usage(
    request: &GroupRequest<'_>,
    deployment: &Deployment,
    strategy: Strategy,
) -> Option<InjectedUsage> {
    let GroupRequest { router, parsed, .. } = request;
    let is_for_client = router.config.server.always_include_usage && !stream_options::client_decides(parsed);
    let is_injected = (is_for_client || needs_answer_tokens(router, deployment, strategy))
        && stream_options::injects_usage(parsed, request.request.route, deployment);
    is_injected
        .then(|| InjectedUsage { is_for_client, adds_options: !stream_options::client_sets_options(parsed) })
}

/// The model that the provider gets. Of a wildcard deployment, it has what the stars matched, as the
/// provider spells it.
fn upstream_model<'a>(deployment: &'a Deployment, resolved: &Resolved<'_>) -> Cow<'a, str> {
    if !deployment.model.contains('*') {
        return Cow::Borrowed(deployment.model.as_str());
    }
    let filled = wildcard::fill(&deployment.model, &resolved.captures, resolved.name);
    // Of a deployment without a prefix, the requested name may have it.
    let has_no_prefix = deployment.model == deployment.litellm_model;
    let name = has_no_prefix.then(|| name_at(&deployment.provider, &filled)).flatten();
    let name = upstream_name(&deployment.provider, name.unwrap_or(&filled));
    Cow::Owned(match deployment.endpoint.layout {
        Layout::HuggingFace => router_name(&name),
        _ => name,
    })
}

/// The body that the provider gets; `None` for the client's own.
fn new_body(
    request: &GroupRequest<'_>,
    deployment: &Deployment,
    model: &str,
    injects_usage: bool,
) -> Option<RewrittenBody> {
    let GroupRequest { parsed, body, .. } = request;
    if request.request.stored.is_some() {
        return (!body.is_empty()).then(RewrittenBody::default);
    }
    let new = body::rewritten(body, parsed, request.request.route, deployment, model, injects_usage);
    // Envoy holds the client's body, so pieces of a merged body have to be copied.
    if request.is_merged {
        Some(RewrittenBody::from(new.map_or_else(|| body.to_vec(), |new| new.joined(body))))
    } else {
        new
    }
}

fn upstream_headers(
    request: &GroupRequest<'_>,
    deployment: &Deployment,
    model: &str,
    (timeout, max_retries): (TimeLimit, u32),
    length: usize,
    is_left_out: &dyn Fn(&str) -> bool,
) -> Headers {
    let content_type = request.parsed.payload.content_type();
    let framing = (&*content_type, length);
    if !request.router.single_hop {
        return request_headers(request.request, deployment, model, timeout, framing, is_left_out);
    }
    let all = single_hop::request_limit(timeout, max_retries);
    let mut headers = request_headers(request.request, deployment, model, all, framing, is_left_out);
    single_hop::push_retry_headers(&mut headers, max_retries, timeout);
    headers
}

/// Whether a limit or the strategy needs the number of tokens that an answer takes.
fn needs_answer_tokens(router: &Router, deployment: &Deployment, strategy: Strategy) -> bool {
    let is_limited = deployment.tpm.is_some() && !router.config.router.soft_limits;
    is_limited || matches!(strategy, Strategy::UsageBased | Strategy::LowestLatency)
}

fn count(router: &Router, deployment: usize, retry_state: &RetryState) {
    let mut metrics = router.metrics.borrow_mut();
    metrics.inc_in_flight(deployment);
    router.load.inc(deployment);
    let is_retry = retry_state.retries > 0 && retry_state.resend.is_none();
    let failed = retry_state.tried.last().filter(|_| is_retry);
    if let Some(failed) = failed.and_then(|id| router.index_of(id)) {
        metrics.retry(failed);
    }
}

/// How long an attempt may take (BEHAVIOUR 7), and whether the client has set that.
fn timeout(
    settings: &RouterSettings,
    parsed: &ParsedRequest<'_>,
    deployment: &Deployment,
) -> (TimeLimit, bool) {
    let configured = deployment.timeout.unwrap_or(settings.timeout);
    let client = parsed.overrides.timeout;
    let whole: (Duration, bool) = (client.unwrap_or(configured), client.is_some());
    if !parsed.stream {
        return (TimeLimit::Total(whole.0), whole.1);
    }
    let gaps = deployment.stream_timeout.or(settings.stream_timeout);
    let (gap, is_client) = match (parsed.overrides.stream_timeout, gaps) {
        (Some(gap), _) => (gap, true),
        (None, Some(gap)) => (gap, false),
        (None, None) => whole,
    };
    (TimeLimit::Idle(gap), is_client)
}
