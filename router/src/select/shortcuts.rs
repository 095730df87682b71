//! Selections that do not check every deployment of a large pool: with a thousand of them that
//! would cost more than everything else that the filter does for a request.
//! docs/decisions/selection-shortcuts.md has the figures.
//!
//! - simple-shuffle draws from the whole pool, and most draws are eligible.
//! - A request with a preference needs a look at the others only if that deployment does not admit it.
//! - The other strategies remember the best of a pool. What makes a deployment the best changes
//!   with single requests, so one that was among the best a moment ago still is. The shortlist's
//!   members are compared anew for every request, and the shortlist itself is renewed after as many
//!   requests as keep the cost from growing with the pool.

use llm_balancer_config::Strategy;

use crate::affinity::Preference;
use crate::select::eligible::exclusion;
use crate::select::pick::{candidates, pick};
use crate::select::preferred;
use crate::select::request::{CurrentRequest, Selection, SelectionContext, SelectionRequest};
use crate::select::tags::filters_tags;
use crate::state::snapshot::CurrentTime;
use crate::state::store::Moment;
use crate::strategy::{Candidate, least_busy, lowest_latency, usage_based};

/// Larger pools have shortlists.
const LARGE: usize = 64;

/// Selects a deployment without a check of the whole pool, if a shortcut finds one.
pub(super) fn select(
    context: &mut SelectionContext<'_>,
    request: &CurrentRequest<'_>,
    moment: &mut Moment<'_>,
) -> Option<Selection> {
    if !may_use_any(request) {
        return None;
    }
    if request.preference != Preference::None {
        return preferred::at_once(context, request, moment);
    }
    match request.pool.strategy {
        Strategy::SimpleShuffle => at_first_draw(context, request, moment),
        _ => on_the_shortlist(context, request, moment),
    }
}

/// Whether the request may use any deployment that is eligible, whatever its tags, its priority
/// level and earlier attempts.
fn may_use_any(request: &SelectionRequest<'_>) -> bool {
    let SelectionRequest { pool, retry_state, .. } = request;
    !pool.is_view && pool.priorities.is_none() && !filters_tags(pool) && retry_state.tried.is_empty()
}

fn at_first_draw(
    context: &mut SelectionContext<'_>,
    request: &CurrentRequest<'_>,
    moment: &mut Moment<'_>,
) -> Option<Selection> {
    let members = &request.pool.members;
    let index = *members.get(request.pool.shuffle.pick(moment.random)?)?;
    let ticket = context.admit(index, false, request, moment).ok()?;
    Some(Selection { index, ticket, eligible: (members.len() == 1).then_some(1) })
}

/// One of the shortlist, if at least half of it is eligible.
fn on_the_shortlist(
    context: &mut SelectionContext<'_>,
    request: &CurrentRequest<'_>,
    moment: &mut Moment<'_>,
) -> Option<Selection> {
    let listed = context.shortlists.take((request.pool, request.stream))?;
    let at = CurrentTime::new(moment.now);
    let count = listed.len();
    let is_eligible = |index: &usize| exclusion(&context.states, request, *index, &at).is_none();
    let eligible: Vec<usize> = listed.into_iter().filter(is_eligible).collect();
    if eligible.len().saturating_mul(2) < count {
        return None;
    }
    let (index, probe) = pick(context, &eligible, request, moment)?;
    let ticket = context.admit(index, probe, request, moment).ok()?;
    Some(Selection { index, ticket, eligible: None })
}

/// Makes a new shortlist from the eligible deployments of a pool that has one.
pub(super) fn renew_shortlist(
    context: &mut SelectionContext<'_>,
    eligible: &[usize],
    request: &SelectionRequest<'_>,
    moment: &mut Moment<'_>,
) {
    let SelectionRequest { pool, stream, .. } = request;
    if pool.members.len() <= LARGE || !may_use_any(request) {
        return;
    }
    let candidates = candidates(eligible, &context.states);
    let scored = |score: &dyn Fn(&Candidate<'_>) -> f64| -> Vec<(f64, usize)> {
        candidates.iter().map(|candidate| (score(candidate), candidate.index)).collect()
    };
    let scored = match pool.strategy {
        Strategy::SimpleShuffle => return,
        Strategy::LeastBusy => scored(&|candidate| least_busy::score(candidate, moment.now)),
        Strategy::UsageBased => scored(&|candidate| usage_based::score(candidate, moment.now)),
        Strategy::LowestLatency => {
            scored(&lowest_latency::ranking(&candidates, &pool.args, *stream, moment.now))
        }
        Strategy::LowestCost => scored(&|candidate| candidate.snapshot.price),
    };
    // The cost of a renewal is spread over as many requests as keep it from growing with the pool.
    let uses = pool.members.len().checked_div(LARGE).unwrap_or_default();
    context.shortlists.put((pool, *stream), scored, uses, moment.random);
}
