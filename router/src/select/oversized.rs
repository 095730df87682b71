//! Requests that do not fit into a whole minute of some deployment. They go to siblings that are
//! large enough, also when those are full at the moment; only if no deployment is large enough may
//! such a request take a whole minute of a smaller one.

use std::time::Duration;

use crate::select::request::{SelectionContext, SelectionRequest};
use crate::select::tags::{contains, tagged};

/// Whether none of the deployments that the request may still use is large enough for it: those
/// that its tags admit, of the priority levels that are left, that neither cool down nor have
/// failed it permanently.
pub(super) fn is_oversized(
    context: &SelectionContext<'_>,
    request: &SelectionRequest<'_>,
    now: Duration,
) -> bool {
    let SelectionRequest { pool, retry_state, estimate, .. } = request;
    // Nearly every request ends here: an answer counts for half of a limit at most.
    if pool.smallest_tpm.is_none_or(|tpm| estimate.prompt <= tpm / 2) {
        return false;
    }
    let Ok(tagged) = tagged(context.config, pool, request.tags) else { return false };
    let is_left = |place: usize| {
        retry_state.above.is_none_or(|above| pool.priority_at(place) > above)
            && contains(tagged.as_deref(), place)
    };
    let is_usable = |index: usize| {
        let deployment = context.deployment(index);
        let may_succeed = deployment.is_some_and(|own| !retry_state.permanently_failed.contains(&own.id));
        let is_cooling = || {
            context
                .states
                .record(index)
                .is_some_and(|(record, _)| record.cooldown.active_until(now).is_some())
        };
        may_succeed && (pool.by_id || !is_cooling())
    };
    let is_large = |index| context.states.snapshot(index).is_some_and(|seen| !seen.is_too_small(estimate));
    let mut members = pool.members.iter().copied().enumerate();
    !members.any(|(place, index)| is_large(index) && is_left(place) && is_usable(index))
}
