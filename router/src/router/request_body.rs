//! A request is complete: it goes to the group of its model, or to the first fallback that serves
//! it.

use std::borrow::Cow;

use llm_balancer_config::{Config, RouterSettings};

use super::group_request::{GroupRequest, GroupResult};
use super::upstream_request::sending;
use super::{Awaited, Router, Step, local_reply};
use crate::attempt::RetryState;
use crate::failure::fallback;
use crate::http::reply::Reply;
use crate::request::fallbacks_param::{most_merged, too_large};
use crate::request::parse::Request;
use crate::request::refusal::Refusal;
use crate::state::store::Moment;
use crate::telemetry::access_log::AccessLogEntry;

/// See [`Router::on_request_body`].
pub(super) fn on_request_body(
    router: &Router,
    request: &Request,
    body: &[u8],
    mut retry_state: RetryState,
    moment: &mut Moment<'_>,
) -> Step {
    retry_state.started_at.get_or_insert(moment.now);
    next_step(router, request, body, &mut retry_state, moment).unwrap_or_else(|refusal| {
        let reply = refusal.reply(request.route.wire());
        let entry = AccessLogEntry::refused(retry_state, refusal.reason(), reply.status);
        Step::Reply(reply, Box::new(entry))
    })
}

/// The next step in the group that the state names, or in the first fallback that has one.
fn next_step(
    router: &Router,
    request: &Request,
    body: &[u8],
    retry_state: &mut RetryState,
    moment: &mut Moment<'_>,
) -> Result<Step, Refusal> {
    // The client's body is read once for all groups that get it as it is.
    let mut own = GroupRequest::new(router, request, body, false)?;
    let mut most_merged = None;
    // A chain of fallbacks has no target twice, so this ends.
    loop {
        let target = retry_state.target.as_ref();
        let merged = target.and_then(|target| fallback::merged(&own.parsed.payload, body.len(), target));
        let step = match merged {
            Some(merged) => {
                let left = most_merged.get_or_insert_with(|| most_merged_bodies(&router.config, body.len()));
                *left = left.checked_sub(1).ok_or_else(too_large)?;
                let mut merged = GroupRequest::new(router, request, &merged, true)?;
                try_group(&mut merged, retry_state, moment)?
            }
            None => try_group(&mut own, retry_state, moment)?,
        };
        if let Some(step) = step {
            return Ok(step);
        }
    }
}

/// The next step in the group that the state names; `None` if a fallback follows.
fn try_group(
    request: &mut GroupRequest<'_>,
    retry_state: &mut RetryState,
    moment: &mut Moment<'_>,
) -> Result<Option<Step>, Refusal> {
    if let Some(target) = &retry_state.target {
        request.parsed.model = Cow::Owned(target.model.to_string());
    }
    if let Some((failure, timeout)) = retry_state.undelivered {
        let reply = local_reply::undelivered(
            request.router,
            request.request.route.wire(),
            &request.parsed.model,
            retry_state,
            failure,
            timeout,
        );
        return Ok(Some(last_step(reply, retry_state)));
    }
    Ok(match request.select(retry_state, moment)? {
        GroupResult::Selected(selected) => {
            let sending = sending(request, *selected, std::mem::take(retry_state));
            Some(Step::Send(Box::new(sending)))
        }
        GroupResult::NeedsLease((deployment, tokens)) => {
            Some(await_redis(Awaited::Lease { deployment, tokens }, retry_state))
        }
        GroupResult::NeedsOrigin(references) => Some(await_redis(Awaited::Origin(references), retry_state)),
        GroupResult::Reply(reply) => Some(last_step(reply, retry_state)),
        GroupResult::FallBack => None,
    })
}

/// How often a body of so many bytes is changed at most: for all fallbacks of the file, and within
/// bounds for those of the client, whose parameters may have fallbacks of their own.
fn most_merged_bodies(config: &Config, body: usize) -> usize {
    let RouterSettings { fallbacks, context_window_fallbacks, content_policy_fallbacks, .. } = &config.router;
    let lists = [fallbacks, context_window_fallbacks, content_policy_fallbacks];
    let targets = lists.into_iter().flatten().flat_map(|fallback| &fallback.targets);
    most_merged(body).saturating_add(targets.filter(|target| !target.overrides.is_empty()).count())
}

fn await_redis(awaited: Awaited, retry_state: &mut RetryState) -> Step {
    Step::AwaitRedis(Box::new(std::mem::take(retry_state)), awaited)
}

/// Ends a request that was refused, or whose last attempt could not answer the client.
fn last_step(reply: Reply, retry_state: &mut RetryState) -> Step {
    let retry_state = std::mem::take(retry_state);
    let last = retry_state.attempts.last().map(|attempt| attempt.result.outcome);
    let entry = match (retry_state.undelivered, retry_state.refusal_reason, last) {
        (Some((failure, _)), ..) => AccessLogEntry::new(retry_state, failure.outcome(), reply.status),
        // The client gets the error of the attempts that were made.
        (None, None, Some(outcome)) => AccessLogEntry::new(retry_state, outcome, reply.status),
        (None, reason, _) => {
            let reason = reason.unwrap_or("upstream_unavailable");
            AccessLogEntry::refused(retry_state, reason, reply.status)
        }
    };
    Step::Reply(reply, Box::new(entry))
}

#[cfg(test)]
mod tests;
