//! The deployment that a request prefers, and what became of that.

use crate::affinity::{AffinityKey, AffinityResult, Preference};
use crate::attempt::AffinityInfo;
use crate::models::pool::Pool;
use crate::select::eligible::exclusion;
use crate::select::request::{CurrentRequest, Selection, SelectionContext, SelectionRequest};
use crate::select::tags::{Place, contains, tagged};
use crate::state::eligibility::Excluded;
use crate::state::snapshot::CurrentTime;
use crate::state::store::Moment;

/// Why a deployment is passed over that may serve, but has more than its share of the load.
pub(crate) const OVER_LOAD: &str = "over_load";

/// The candidate that the request prefers; `None` if the strategy is to decide.
pub(super) fn preferred(
    context: &SelectionContext<'_>,
    candidates: &[usize],
    request: &SelectionRequest<'_>,
) -> Option<usize> {
    match request.preference {
        Preference::None => None,
        Preference::Pinned(index) => candidates.contains(&index).then_some(index),
        Preference::Ranked(key) => first_within_bound(context, candidates, key)
            .or_else(|| context.rendezvous.first(key, &mut candidates.iter().copied())),
    }
}

/// The first in the order of the key, without those above their share of the load.
fn first_within_bound(context: &SelectionContext<'_>, among: &[usize], key: AffinityKey) -> Option<usize> {
    let (rendezvous, mut among) = (context.rendezvous, among.iter().copied());
    if !key.is_bounded {
        return rendezvous.first(key, &mut among);
    }
    let bound = context.load.bound(rendezvous, among.clone());
    rendezvous.first(key, &mut among.filter(|index| bound.admits(*index)))
}

/// Selects the deployment that the request prefers without a check of all others, if it admits the
/// request. For requests that may use any deployment of their pool.
pub(super) fn at_once(
    context: &mut SelectionContext<'_>,
    request: &CurrentRequest<'_>,
    moment: &Moment<'_>,
) -> Option<Selection> {
    let members = &request.pool.members;
    let index = preferred(context, members, request)?;
    let ticket = context.admit(index, false, request, moment).ok()?;
    Some(Selection { index, ticket, eligible: (members.len() == 1).then_some(1) })
}

/// What became of the preference of a request that a deployment serves now; `None` for a group
/// without affinity.
pub(crate) fn affinity_info(
    context: &SelectionContext<'_>,
    request: &CurrentRequest<'_>,
    selected: usize,
    moment: &Moment<'_>,
) -> Option<AffinityInfo> {
    let (pool, rendezvous) = (request.pool, context.rendezvous);
    if request.preference == Preference::None && !pool.affinity.is_ranked() {
        return None;
    }
    let tagged = tagged(context.config, pool, request.tags).ok().flatten();
    let comparable = || comparable(pool, tagged.as_deref(), selected);
    let first = match request.preference {
        Preference::None => None,
        Preference::Pinned(index) => Some(index).filter(|index| pool.members.contains(index)),
        Preference::Ranked(key) => rendezvous.first(key, &mut comparable()),
    };
    let result = match first {
        None => AffinityResult::Miss,
        Some(first) if first == selected => AffinityResult::Hit,
        Some(first) if comparable().any(|own| own == first) => {
            AffinityResult::Moved(passed_over(context, request, first, moment))
        }
        Some(_) => AffinityResult::Moved("other_order"),
    };
    let rank = match (result, request.preference) {
        (AffinityResult::Hit, _) => Some(0),
        (AffinityResult::Moved(_), Preference::Ranked(key)) => {
            Some(rendezvous.rank(key, selected, &mut comparable()))
        }
        _ => None,
    };
    Some(AffinityInfo { result, rank })
}

/// Whether a deployment that may serve comes before the selected one, so that only its load can be
/// the reason that it was passed over.
pub(crate) fn is_over_load(
    context: &SelectionContext<'_>,
    request: &SelectionRequest<'_>,
    index: usize,
    selected: usize,
) -> bool {
    let Preference::Ranked(key) = request.preference else { return false };
    context.rendezvous.rank(key, selected, &mut std::iter::once(index)) > 0
}

/// The members that the request's tags admit, of the same priority level as the selected one.
fn comparable(pool: &Pool, tagged: Option<&[Place]>, selected: usize) -> impl Iterator<Item = usize> {
    let level = pool.priorities.as_ref().map(|_| pool.priority_of(selected));
    pool.members.iter().copied().enumerate().filter_map(move |(place, index)| {
        let is_admitted = contains(tagged, place);
        let is_level = level.is_none_or(|level| pool.priority_at(place) == level);
        (is_admitted && is_level).then_some(index)
    })
}

/// Why a deployment that the request prefers does not serve it.
fn passed_over(
    context: &SelectionContext<'_>,
    request: &CurrentRequest<'_>,
    index: usize,
    moment: &Moment<'_>,
) -> &'static str {
    let is_tried = |id| request.retry_state.tried.contains(id);
    if context.deployment(index).is_some_and(|own| is_tried(&own.id)) {
        return "already_tried";
    }
    let excluded = exclusion(&context.states, request, index, &CurrentTime::new(moment.now));
    excluded.map_or(OVER_LOAD, Excluded::name)
}
