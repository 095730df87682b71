//! The strategy's pick among the candidates.

use llm_balancer_config::Strategy;

use crate::select::preferred::preferred;
use crate::select::request::{SelectionContext, SelectionRequest};
use crate::state::deployment_states::DeploymentStates;
use crate::state::store::Moment;
use crate::strategy::{
    Candidate, least_busy, lowest_cost, lowest_latency,
    simple_shuffle::{SimpleShuffle, Weights},
    usage_based,
};

/// Records of other members that are read again for a pick.
const REFRESHED_RECORDS: usize = 2;

/// The index of the preferred candidate, or else of the strategy's pick, and whether it is a probe of that deployment's latency.
pub(super) fn pick(
    context: &mut SelectionContext<'_>,
    candidates: &[usize],
    request: &SelectionRequest<'_>,
    moment: &mut Moment<'_>,
) -> Option<(usize, bool)> {
    if let [only] = candidates {
        return Some((*only, false));
    }
    if let Some(index) = preferred(context, candidates, request) {
        return Some((index, false));
    }
    if matches!(request.pool.strategy, Strategy::SimpleShuffle | Strategy::LowestCost) {
        return pick_by_strategy(context, candidates, request, moment);
    }
    // The other strategies depend on what other workers do.
    context
        .states
        .refresh_next(&request.pool.members, &request.pool.refresh_cursor, REFRESHED_RECORDS, moment.store);
    let first = pick_by_strategy(context, candidates, request, moment)?;
    if context.states.is_single_worker() {
        return Some(first);
    }
    // Re-read the winner: its copy may be old, and another deployment better.
    context.states.read(first.0, moment.store);
    pick_by_strategy(context, candidates, request, moment)
}

fn pick_by_strategy(
    context: &SelectionContext<'_>,
    members: &[usize],
    request: &SelectionRequest<'_>,
    moment: &mut Moment<'_>,
) -> Option<(usize, bool)> {
    let SelectionRequest { pool, stream, .. } = request;
    if pool.strategy == Strategy::SimpleShuffle {
        let deployments = members.iter().filter_map(|index| context.deployment(*index));
        let weights: Vec<Weights> = deployments.map(Weights::of).collect();
        let place = SimpleShuffle::new(&weights).pick(moment.random)?;
        return Some((*members.get(place)?, false));
    }
    let candidates = candidates(members, &context.states);
    let mut probe = false;
    let place = match pool.strategy {
        Strategy::LeastBusy => least_busy::pick(&candidates, moment.now, moment.random),
        Strategy::UsageBased => usage_based::pick(&candidates, moment.now, moment.random),
        Strategy::LowestLatency => {
            let pick = lowest_latency::pick(&candidates, &pool.args, *stream, moment.now, moment.random)?;
            probe = pick.probe;
            Some(pick.place)
        }
        Strategy::LowestCost | Strategy::SimpleShuffle => lowest_cost::pick(&candidates, moment.random),
    };
    Some((candidates.get(place?)?.index, probe))
}

pub(super) fn candidates<'l>(members: &[usize], states: &'l DeploymentStates) -> Vec<Candidate<'l>> {
    let candidate = |index: &usize| Some(Candidate { index: *index, snapshot: states.snapshot(*index)? });
    members.iter().filter_map(candidate).collect()
}
