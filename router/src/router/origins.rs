//! Requests that refer to what one deployment has made: they go to that one, or to another with its
//! account. docs/decisions/responses.md has the rules.
//!
//! | the origin is | the request goes to |
//! |---|---|
//! | known, and in the group | the deployments with its account, also while they cool down |
//! | unknown | any deployment; after one that does not know it to the others, one after another |

use std::sync::Arc;

use super::Router;
use super::group_request::{GroupRequest, GroupResult};
use crate::attempt::{Attempt, Origin, Referral, RetryState};
use crate::http::route::{COMPACT, RESPONSES};
use crate::models::groups::Resolved;
use crate::models::pool::{Pool, share_account};
use crate::request::parse::Payload;
use crate::request::reference_scan::ReferenceScan;
use crate::request::references::{Reference, references, refers};
use crate::request::refusal::Refusal;
use crate::select::tags::tagged;
use crate::state::store::Moment;

/// Selects a deployment for a request about a stored response, which names no group.
pub(super) fn select<'a>(
    request: &'a GroupRequest<'_>,
    retry_state: &mut RetryState,
    moment: &mut Moment<'_>,
) -> GroupResult<'a> {
    retry_state.stream = request.parsed.stream;
    match request.router.groups.stored_responses() {
        Some(pool) => {
            let resolved = Resolved { pool: Arc::clone(pool), captures: Vec::new(), name: "" };
            request.select_in_group(resolved, retry_state, moment)
        }
        None => {
            let id = request.request.stored.as_ref().map_or_else(String::new, |stored| stored.id.clone());
            let refusal = Refusal::NoSuchResponse(id);
            GroupResult::Reply(request.reply(&refusal, retry_state))
        }
    }
}

/// What the request refers to, the most important first; nothing where it makes no difference
/// which deployment serves it.
fn references_of(request: &GroupRequest<'_>) -> Vec<Reference> {
    match (&request.request.stored, &request.parsed.payload) {
        _ if !request.router.groups.have_accounts() => Vec::new(),
        (Some(stored), _) => vec![stored.reference(caller(request))],
        (None, Payload::Json(body)) if request.request.route.refers_to_responses() => {
            references(body, caller(request))
        }
        _ => Vec::new(),
    }
}

/// Looks up where what it refers to was made, once for a request. Returns what is to be requested
/// from Redis before.
pub(super) fn find(
    request: &GroupRequest<'_>,
    retry_state: &mut RetryState,
    moment: &Moment<'_>,
) -> Vec<Reference> {
    if !matches!(retry_state.origin, Origin::Unsearched | Origin::Requested) {
        return Vec::new();
    }
    let references = references_of(request);
    let router = request.router;
    let states = &mut *router.states.borrow_mut();
    let known = references.iter().find_map(|reference| states.origin(*reference, moment.store));
    let may_ask = !references.is_empty() && router.fleet.is_some();
    retry_state.origin = match known.and_then(|index| router.deployment(index)) {
        Some(deployment) => Origin::Known(Arc::clone(&deployment.id)),
        None if may_ask && retry_state.origin == Origin::Unsearched => {
            retry_state.origin = Origin::Requested;
            return references;
        }
        None => Origin::Unknown,
    };
    Vec::new()
}

/// The deployments of a pool that may serve the request by its origin; `None` for all.
pub(super) fn view(request: &GroupRequest<'_>, pool: &Pool, retry_state: &RetryState) -> Option<Arc<Pool>> {
    let config = &request.router.config;
    let origin = match &retry_state.origin {
        Origin::Known(id) => Some(request.router.deployment(request.router.index_of(id)?)?),
        Origin::Elsewhere => None,
        _ => return None,
    };
    let knows = |place: &usize| {
        let member = pool.members.get(*place).and_then(|index| config.deployments.get(*index));
        member.is_some_and(|member| origin.is_none_or(|origin| share_account(origin, member)))
    };
    let mut places = tagged_places(request.router, pool, &request.parsed.routing.tags)?;
    places.retain(knows);
    pool.view_of_origins(config, &places)
}

/// The deployment that made the response which the request continues, if that is known.
pub(super) fn maker(request: &GroupRequest<'_>, retry_state: &RetryState) -> Option<usize> {
    match &retry_state.origin {
        Origin::Known(id) if request.request.stored.is_none() => request.router.index_of(id),
        _ => None,
    }
}

/// What the attempt refers to.
pub(super) fn referral(request: &GroupRequest<'_>) -> Referral {
    match &request.request.stored {
        Some(stored) => Referral::Stored {
            id: stored.id.clone(),
            response: stored.reference(caller(request)),
            deletes: stored.deletes(),
        },
        None if continues(request) => Referral::Continuation,
        None => Referral::None,
    }
}

/// The client, as references have it: 0 where it has no key of its own.
fn caller(request: &GroupRequest<'_>) -> u64 {
    request.request.client.unwrap_or_default()
}

fn continues(request: &GroupRequest<'_>) -> bool {
    match &request.parsed.payload {
        Payload::Json(body) if request.request.route.refers_to_responses() => {
            request.router.groups.have_accounts() && refers(body)
        }
        _ => false,
    }
}

/// Finds in the answer what later requests may refer to.
pub(super) fn reference_scan(request: &GroupRequest<'_>) -> Option<Box<ReferenceScan>> {
    let caller = caller(request);
    let scan = match (request.request.route.suffix, &request.parsed.payload) {
        _ if !request.router.groups.have_accounts() => None,
        _ if request.request.stored.is_some() => Some(ReferenceScan::of_stored(caller)),
        (RESPONSES, Payload::Json(body)) => ReferenceScan::new(body, caller),
        (COMPACT, _) => Some(ReferenceScan::of_items(caller)),
        _ => None,
    };
    scan.map(Box::new)
}

/// Tags are strict, also about the deployment that has made a response.
fn tagged_places(router: &Router, pool: &Pool, tags: &[String]) -> Option<Vec<usize>> {
    let tagged = tagged(&router.config, pool, tags).ok()?;
    Some(tagged.unwrap_or_else(|| (0..pool.members.len()).collect()))
}

/// A deployment does not know what the request refers to. Neither do those with the same account;
/// the others are left to be tried.
pub(super) fn not_here(router: &Router, attempt: &mut Attempt, retry_state: &mut RetryState) {
    let Some(deployment) = router.deployment(attempt.deployment) else { return };
    let shares =
        |index: &&usize| router.deployment(**index).is_some_and(|own| share_account(deployment, own));
    if let Some(pool) = whole_pool(router, attempt) {
        attempt.pool = pool;
    }
    retry_state.origin = Origin::Elsewhere;
    for index in attempt.pool.members.iter().filter(shares) {
        let id = router.deployment(*index).map(|own| Arc::clone(&own.id));
        retry_state.tried.extend(id.clone());
        retry_state.permanently_failed.extend(id);
    }
}

/// All deployments that could serve the request, whatever its origin.
fn whole_pool(router: &Router, attempt: &Attempt) -> Option<Arc<Pool>> {
    if matches!(attempt.referral, Referral::Stored { .. }) {
        return router.groups.stored_responses().cloned();
    }
    let pool = router.groups.resolve(&attempt.model).ok()?.pool.serving(attempt.route)?;
    let places = tagged_places(router, &pool, &attempt.routing.tags)?;
    pool.view_of_origins(&router.config, &places)
}

/// A response was received, or deleted.
pub(super) fn on_stored_response(router: &Router, attempt: &Attempt, moment: &Moment<'_>) {
    let Referral::Stored { response, deletes, .. } = attempt.referral else { return };
    let mut states = router.states.borrow_mut();
    match (deletes, &attempt.retry_state.origin) {
        (true, _) => states.forget_origin(response, moment.store),
        // It is remembered already.
        (false, Origin::Known(_)) => {}
        (false, _) if !router.groups.have_accounts() => {}
        (false, _) => states.remember_origin(response, attempt.deployment, moment.store, true),
    }
}

/// Remembers that a deployment has made what its answer has.
pub(super) fn remember(router: &Router, deployment: usize, references: &[Reference], moment: &Moment<'_>) {
    let mut states = router.states.borrow_mut();
    for reference in references {
        states.remember_origin(*reference, deployment, moment.store, true);
    }
}
