//! Which deployment serves a request: an eligible one, the one that the request prefers or else by
//! the strategy of its pool, which has admitted the request.
//!
//! - [`request`]: what goes into a selection, and what comes out of it.
//! - [`eligible`]: which deployments may serve a request, by [`tags`], limits and priority levels.
//! - [`oversized`]: requests that do not fit into a minute of some deployment.
//! - [`pick`]: the strategy's pick among them.
//! - [`preferred`]: the deployment that the request prefers.
//! - [`shortcuts`]: selections without a check of the whole pool.
//! - [`fallback_room`]: whether a fallback could admit a request.

pub(crate) mod eligible;
pub(crate) mod fallback_room;
mod oversized;
mod pick;
pub(crate) mod preferred;
mod request;
mod shortcuts;
mod shortlists;
pub(crate) mod tags;

pub(crate) use request::{CurrentRequest, NoDeployment, Selection, SelectionContext, SelectionRequest};
pub(crate) use shortlists::Shortlists;

use crate::select::eligible::{find_eligible, rested_first, untried_first};
use crate::select::oversized::is_oversized;
use crate::select::pick::pick;
use crate::state::eligibility::Excluded;
use crate::state::store::Moment;

/// Picks that fail their admission before all records of the pool are read again.
const PICKS: usize = 8;
/// How often that happens at most for one request. Each time, other workers have filled [`PICKS`]
/// deployments between a read and a swap.
const ROUNDS: usize = 16;

/// Selects a deployment, which has admitted the request.
///
/// # Errors
/// [`NoDeployment`] if none of the pool may serve it.
pub(crate) fn select(
    context: &mut SelectionContext<'_>,
    request: &SelectionRequest<'_>,
    moment: &mut Moment<'_>,
) -> Result<Selection, NoDeployment> {
    context.states.start_heartbeat(moment.now, moment.store);
    let mut request = request.at(context, moment);
    if let Some(selection) = same_again(context, &request, moment) {
        return Ok(selection);
    }
    if let Some(selection) = shortcuts::select(context, &request, moment) {
        return Ok(selection);
    }
    let mut excluded = Vec::new();
    for _ in 0..ROUNDS {
        let eligible = match find_eligible(context, &request, moment) {
            Ok(eligible) => {
                let untried = untried_first(context, eligible, &request);
                rested_first(context, untried, &request, moment.now)
            }
            // Records that were read since may show that all large enough deployments cool down.
            Err(_) if !request.is_oversized && is_oversized(context, &request, moment.now) => {
                request.is_oversized = true;
                continue;
            }
            Err(none) => return Err(none),
        };
        shortcuts::renew_shortlist(context, &eligible, &request, moment);
        match admit_one_of(context, eligible, &request, moment) {
            Err(NoDeployment::Excluded(full)) => excluded = full,
            result => return result,
        }
    }
    Err(NoDeployment::Excluded(excluded))
}

/// Admits the request at the pick, or at the next one if another worker has filled that
/// one meanwhile. After [`PICKS`] failures this worker's copies of all records are old, so it reads
/// them again for the next round.
fn admit_one_of(
    context: &mut SelectionContext<'_>,
    mut candidates: Vec<usize>,
    request: &CurrentRequest<'_>,
    moment: &mut Moment<'_>,
) -> Result<Selection, NoDeployment> {
    let eligible = Some(candidates.len());
    let mut full = Vec::new();
    while full.len() < PICKS
        && let Some((index, probe)) = pick(context, &candidates, request, moment)
    {
        match context.admit(index, probe, request, moment) {
            Ok(ticket) => return Ok(Selection { index, ticket, eligible }),
            // A deployment that happens to have a lease is not the one that the strategy picks.
            Err(Excluded::Unleased) if request.allow_unleased => {
                let tokens = context.states.tokens(index, &request.estimate, request.is_oversized);
                return Err(NoDeployment::Unleased((index, tokens)));
            }
            Err(why) => full.push((index, why)),
        }
        candidates.retain(|other| *other != index);
    }
    for index in candidates {
        context.states.read(index, moment.store);
    }
    Err(NoDeployment::Excluded(full))
}

/// An uncounted resend goes to the same deployment, if that still has room.
fn same_again(
    context: &mut SelectionContext<'_>,
    request: &CurrentRequest<'_>,
    moment: &Moment<'_>,
) -> Option<Selection> {
    let id = request.retry_state.bound_for()?;
    let is_same = |index: &&usize| context.deployment(**index).is_some_and(|own| own.id == *id);
    let index = *request.pool.members.iter().find(is_same)?;
    let ticket = context.admit(index, false, request, moment).ok()?;
    let eligible = request.retry_state.selection.and_then(|why| why.eligible);
    Some(Selection { index, ticket, eligible })
}
