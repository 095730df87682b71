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

impl GroupRequest<'_> {
    /// Selects a deployment for a request about a stored response, which names no group.
    pub(super) fn select_by_origin(
        &self,
        retry_state: &mut RetryState,
        moment: &mut Moment<'_>,
    ) -> GroupResult<'_> {
        retry_state.stream = self.parsed.stream;
        match self.router.groups.stored_responses() {
            Some(pool) => {
                let resolved = Resolved { pool: Arc::clone(pool), captures: Vec::new(), name: "" };
                self.select_in_group(resolved, retry_state, moment)
            }
            None => {
                let id = self.request.stored.as_ref().map_or_else(String::new, |stored| stored.id.clone());
                let refusal = Refusal::NoSuchResponse(id);
                GroupResult::Reply(self.reply(&refusal, retry_state))
            }
        }
    }

    /// What the request refers to, the most important first; nothing where it makes no difference
    /// which deployment serves it.
    fn references(&self) -> Vec<Reference> {
        match (&self.request.stored, &self.parsed.payload) {
            _ if !self.router.groups.have_accounts() => Vec::new(),
            (Some(stored), _) => vec![stored.reference(self.caller())],
            (None, Payload::Json(body)) if self.request.route.refers_to_responses() => {
                references(body, self.caller())
            }
            _ => Vec::new(),
        }
    }

    /// Looks up where it was made, once for a request. Returns what is to be requested from Redis
    /// before.
    pub(super) fn find_origin(&self, retry_state: &mut RetryState, moment: &Moment<'_>) -> Vec<Reference> {
        if !matches!(retry_state.origin, Origin::Unsearched | Origin::Requested) {
            return Vec::new();
        }
        let references = self.references();
        let router = self.router;
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
    pub(super) fn origin_view(&self, pool: &Pool, retry_state: &RetryState) -> Option<Arc<Pool>> {
        let config = &self.router.config;
        let origin = match &retry_state.origin {
            Origin::Known(id) => Some(self.router.deployment(self.router.index_of(id)?)?),
            Origin::Elsewhere => None,
            _ => return None,
        };
        let knows = |place: &usize| {
            let member = pool.members.get(*place).and_then(|index| config.deployments.get(*index));
            member.is_some_and(|member| origin.is_none_or(|origin| share_account(origin, member)))
        };
        let mut places = tagged_places(self.router, pool, &self.parsed.routing.tags)?;
        places.retain(knows);
        pool.view_of_origins(config, &places)
    }

    /// The deployment that made the response which the request continues, if that is known.
    pub(super) fn maker(&self, retry_state: &RetryState) -> Option<usize> {
        match &retry_state.origin {
            Origin::Known(id) if self.request.stored.is_none() => self.router.index_of(id),
            _ => None,
        }
    }

    /// What the attempt refers to.
    pub(super) fn referral(&self) -> Referral {
        match &self.request.stored {
            Some(stored) => Referral::Stored {
                id: stored.id.clone(),
                response: stored.reference(self.caller()),
                deletes: stored.deletes(),
            },
            None if self.continues() => Referral::Continuation,
            None => Referral::None,
        }
    }

    /// The client, as references have it: 0 where it has no key of its own.
    fn caller(&self) -> u64 {
        self.request.client.unwrap_or_default()
    }

    fn continues(&self) -> bool {
        match &self.parsed.payload {
            Payload::Json(body) if self.request.route.refers_to_responses() => {
                self.router.groups.have_accounts() && refers(body)
            }
            _ => false,
        }
    }

    /// Finds in the answer what later requests may refer to.
    pub(super) fn reference_scan(&self) -> Option<Box<ReferenceScan>> {
        let caller = self.caller();
        let scan = match (self.request.route.suffix, &self.parsed.payload) {
            _ if !self.router.groups.have_accounts() => None,
            _ if self.request.stored.is_some() => Some(ReferenceScan::of_stored(caller)),
            (RESPONSES, Payload::Json(body)) => ReferenceScan::new(body, caller),
            (COMPACT, _) => Some(ReferenceScan::of_items(caller)),
            _ => None,
        };
        scan.map(Box::new)
    }
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

impl Router {
    /// Remembers that a deployment has made what its answer has.
    pub fn remember(&self, deployment: usize, references: &[Reference], moment: &Moment<'_>) {
        let mut states = self.states.borrow_mut();
        for reference in references {
            states.remember_origin(*reference, deployment, moment.store, true);
        }
    }
}
