//! Requests that do not fit into a whole minute of some deployment. They go to siblings that are large enough, also when
//! those are full at the moment; a whole minute of a smaller one is for requests for which no deployment is large enough.

use std::time::Duration;

use crate::router::Router;
use crate::select::SelectionRequest;
use crate::state::deployment_states::DeploymentStates;

impl Router {
    /// Whether none of the deployments that the request may still use is large enough for it: those with its tags, of the
    /// priorities that are left, that neither cool down nor have refused it for good.
    pub(crate) fn is_oversized(
        &self,
        search: &SelectionRequest<'_>,
        states: &DeploymentStates,
        now: Duration,
    ) -> bool {
        let SelectionRequest { pool, retry_state, estimate, .. } = search;
        // Nearly every request ends here: an answer counts for half of a limit at most.
        if pool.smallest_tpm.is_none_or(|tpm| estimate.prompt <= tpm / 2) {
            return false;
        }
        let Ok(tagged) = self.tagged(search) else { return false };
        let is_left = |place: usize| {
            let level = pool
                .priorities
                .as_ref()
                .and_then(|priorities| priorities.get(place).copied())
                .unwrap_or(i64::MAX);
            retry_state.above.is_none_or(|above| level > above)
                && tagged.as_ref().is_none_or(|places| places.contains(&place))
        };
        let is_usable = |index: usize| {
            let is_useful =
                self.deployment(index).is_some_and(|own| !retry_state.permanently_failed.contains(&own.id));
            let is_cooling = states.seen(index).is_some_and(|(record, _)| record.cooldown.at(now).is_some());
            is_useful && (pool.by_id || !is_cooling)
        };
        let is_large = |index: usize| states.snapshot(index).is_some_and(|seen| !seen.is_too_small(estimate));
        let mut members = pool.members.iter().copied().enumerate();
        !members.any(|(place, index)| is_large(index) && is_left(place) && is_usable(index))
    }
}
