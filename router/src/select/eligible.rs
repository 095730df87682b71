//! Which deployments of a pool may serve a request, and why the others may not.

use std::collections::BinaryHeap;
use std::time::Duration;

use llm_balancer_config::{Deployment, Strategy};

use crate::select::request::{CurrentRequest, NoDeployment, SelectionContext, SelectionRequest};
use crate::select::tags::{Place, tagged};
use crate::state::deployment_states::DeploymentStates;
use crate::state::eligibility::{self, Excluded};
use crate::state::snapshot::CurrentTime;
use crate::state::store::Moment;

/// Groups whose records are read for a request that has eligible deployments already.
const REFRESHED_GROUPS: usize = 2;

/// The deployments that may serve the request now, of the first priority level that has any.
///
/// # Errors
/// [`NoDeployment`] if there are none.
pub(crate) fn eligible(
    context: &mut SelectionContext<'_>,
    request: &SelectionRequest<'_>,
    moment: &Moment<'_>,
) -> Result<Vec<usize>, NoDeployment> {
    let request = request.at(context, moment);
    find_eligible(context, &request, moment)
}

/// The same as [`eligible`] for a request of which it is known what is true at the moment.
pub(super) fn find_eligible(
    context: &mut SelectionContext<'_>,
    request: &CurrentRequest<'_>,
    moment: &Moment<'_>,
) -> Result<Vec<usize>, NoDeployment> {
    let members = &request.pool.members;
    let mut left = Vec::with_capacity(members.len());
    let mut excluded = Vec::new();
    let at = CurrentTime::new(moment.now);
    let mut sort = |place: Place, index: usize| match exclusion(&context.states, request, index, &at) {
        None => left.push(place),
        Some(why) => excluded.push((place, why)),
    };
    match tagged(context.config, request.pool, request.tags)? {
        None => members.iter().enumerate().for_each(|(place, index)| sort(place, *index)),
        Some(places) => places.into_iter().for_each(|place| {
            if let Some(index) = members.get(place) {
                sort(place, *index);
            }
        }),
    }
    refresh_stale(context, &mut left, &mut excluded, request, moment);
    let left = of_first_priority(left, request);
    if left.is_empty() {
        let by_index = |(place, why): (Place, Excluded)| Some((*members.get(place)?, why));
        return Err(NoDeployment::Excluded(excluded.into_iter().filter_map(by_index).collect()));
    }
    Ok(left)
}

/// Re-reads deployments that an old copy shows as full, and that may have room again: with every
/// request those of a few groups, and of all before a request is refused or sent where it has
/// failed already.
fn refresh_stale(
    context: &mut SelectionContext<'_>,
    left: &mut Vec<Place>,
    excluded: &mut [(Place, Excluded)],
    request: &CurrentRequest<'_>,
    moment: &Moment<'_>,
) {
    let member = |place: Place| request.pool.members.get(place).copied();
    let is_untried = |place: &Place| {
        let deployment = member(*place).and_then(|index| context.deployment(index));
        deployment.is_some_and(|deployment| !request.retry_state.tried.contains(&deployment.id))
    };
    let early: Vec<_> = excluded.iter_mut().filter(|(_, why)| why.may_end_early()).collect();
    let has_untried = left.iter().any(is_untried);
    let states = &mut context.states;
    if early.is_empty() || (has_untried && states.is_single_worker()) {
        return;
    }
    let groups = early.iter().filter_map(|(place, _)| states.group(member(*place)?));
    let groups: BinaryHeap<_> = groups.map(|group| (states.last_refresh(group), group)).collect();
    let mut groups = groups.into_sorted_vec();
    groups.dedup();
    if has_untried {
        // Least recently first: which of them are left out varies, so no cursor would meet all of
        // them.
        groups.truncate(REFRESHED_GROUPS);
    }
    let is_renewed = |(_, group): &(u64, usize)| states.refresh_released(*group, moment.store);
    let renewed = groups.into_iter().filter(is_renewed).count();
    if renewed == 0 {
        return;
    }
    for (place, why) in early {
        let Some(index) = member(*place) else { continue };
        match exclusion(states, request, index, &CurrentTime::new(moment.now)) {
            None => left.push(*place),
            Some(still) => *why = still,
        }
    }
}

/// Why a deployment may not serve the request, by the copy of its record; `None` if it may.
pub(crate) fn exclusion(
    states: &DeploymentStates,
    request: &CurrentRequest<'_>,
    index: usize,
    at: &CurrentTime,
) -> Option<Excluded> {
    if states.snapshot(index)?.is_surely_available(&request.estimate, at) {
        return None;
    }
    let (record, limits) = states.record(index)?;
    let tokens = states.tokens(index, &request.estimate, request.is_oversized);
    let why = eligibility::excluded(record, limits, &request.admission(false), tokens, at.now);
    why.filter(|why| !(request.allow_unleased && *why == Excluded::Unleased))
}

/// Those that a retry may go to: simple-shuffle gives nothing to a weight of 0 while another one is
/// above and may serve the request (BEHAVIOUR 3.2), and neither does a retry. A search for what a
/// request refers to visits all.
pub(crate) fn weighted(
    context: &SelectionContext<'_>,
    request: &SelectionRequest<'_>,
    mut members: Vec<usize>,
) -> Vec<usize> {
    let SelectionRequest { pool, retry_state, .. } = request;
    let deployment = |index: &usize| context.deployment(*index);
    let is_above = |index: &usize| {
        deployment(index).is_some_and(|own| {
            own.weight.is_some_and(|weight| weight > 0.0) && !retry_state.permanently_failed.contains(&own.id)
        })
    };
    if !pool.by_id && pool.strategy == Strategy::SimpleShuffle && members.iter().any(is_above) {
        members.retain(|index| deployment(index).is_some_and(|own| own.weight != Some(0.0)));
    }
    members
}

/// Those that this request has not tried; else those that may succeed now.
pub(super) fn untried_first(
    context: &SelectionContext<'_>,
    members: Vec<usize>,
    request: &SelectionRequest<'_>,
) -> Vec<usize> {
    let retry_state = request.retry_state;
    if retry_state.tried.is_empty() {
        return members;
    }
    let members = weighted(context, request, members);
    let last = retry_state.tried.last();
    let among = |stays: &dyn Fn(&Deployment) -> bool| -> Vec<usize> {
        let stays = |index: &usize| context.deployment(*index).is_some_and(stays);
        members.iter().copied().filter(stays).collect()
    };
    let useful = |deployment: &Deployment| !retry_state.permanently_failed.contains(&deployment.id);
    let tiers: [&dyn Fn(&Deployment) -> bool; 3] = [
        &|deployment| !retry_state.tried.contains(&deployment.id),
        &|deployment| useful(deployment) && Some(&deployment.id) != last,
        &useful,
    ];
    tiers.into_iter().map(among).find(|left| !left.is_empty()).unwrap_or(members)
}

/// Those that do not cool down, where a cooldown excludes none of several deployments; else all.
pub(super) fn rested_first(
    context: &SelectionContext<'_>,
    members: Vec<usize>,
    request: &SelectionRequest<'_>,
    now: Duration,
) -> Vec<usize> {
    if !request.pool.by_id || members.len() == 1 {
        return members;
    }
    let is_rested = |index: &usize| {
        let record = context.states.record(*index);
        record.is_none_or(|(record, _)| record.cooldown.active_until(now).is_none())
    };
    let rested: Vec<usize> = members.iter().copied().filter(is_rested).collect();
    if rested.is_empty() { members } else { rested }
}

/// From places to deployments: those of the lowest priority level that is left, above the one that
/// has failed.
fn of_first_priority(places: Vec<Place>, request: &SelectionRequest<'_>) -> Vec<usize> {
    let SelectionRequest { pool, retry_state, .. } = request;
    let member = |place: &Place| pool.members.get(*place).copied();
    if pool.priorities.is_none() {
        return places.iter().filter_map(member).collect();
    }
    let is_left = |place: &&Place| retry_state.above.is_none_or(|above| pool.priority_at(**place) > above);
    let first = places.iter().filter(is_left).map(|place| pool.priority_at(*place)).min();
    let is_first = |place: &&Place| is_left(place) && Some(pool.priority_at(**place)) == first;
    places.iter().filter(is_first).filter_map(member).collect()
}
