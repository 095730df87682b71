//! A request is complete: it goes to the group of its model, or to the first fallback that serves
//! it.

use std::borrow::Cow;

use super::group_request::{GroupRequest, GroupResult};
use super::upstream_request::sending;
use super::{Awaited, Router, Step, local_reply};
use crate::attempt::RetryState;
use crate::failure::fallback;
use crate::http::reply::Reply;
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
    loop {
        // A chain of fallbacks has no target twice, so this ends.
        match try_group(router, request, body, &mut retry_state, moment) {
            Ok(Some(step)) => return step,
            Ok(None) => {}
            Err(refusal) => {
                let reply = refusal.reply(request.route.wire());
                let entry = AccessLogEntry::refused(retry_state, refusal.reason(), reply.status);
                return Step::Reply(reply, Box::new(entry));
            }
        }
    }
}

/// The next step in the group that the state names; `None` if a fallback follows.
fn try_group(
    router: &Router,
    request: &Request,
    body: &[u8],
    retry_state: &mut RetryState,
    moment: &mut Moment<'_>,
) -> Result<Option<Step>, Refusal> {
    let merged = retry_state.target.as_ref().and_then(|target| fallback::merged(body, target));
    let body = merged.as_deref().unwrap_or(body);
    let mut parsed = request.parsed(body)?;
    if let Some(target) = &retry_state.target {
        parsed.model = Cow::Owned(target.model.to_string());
    }
    if let Some((failure, timeout)) = retry_state.undelivered {
        let reply = local_reply::undelivered(
            router,
            request.route.wire(),
            &parsed.model,
            retry_state,
            failure,
            timeout,
        );
        return Ok(Some(last_step(reply, retry_state)));
    }
    let request = GroupRequest { router, request, body, is_merged: merged.is_some(), parsed };
    Ok(match request.select(retry_state, moment)? {
        GroupResult::Selected(selected) => {
            let sending = sending(&request, *selected, std::mem::take(retry_state));
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
