//! Which ways are left to a request after a failed attempt.

use std::sync::Arc;
use std::time::Duration;

use super::failed_attempt::FailedAttempt;
use crate::attempt::{Attempt, RetryState};
use crate::failure::AttemptError;
use crate::failure::retry::{self, Allowance};
use crate::select::SelectionRequest;
use crate::select::eligible::{eligible, weighted};
use crate::state::store::Moment;

/// The deployments that could take the next attempt, in the group of the failed one.
pub(super) struct RetryOptions {
    /// There is one of the same `order`.
    any: bool,
    /// One of those has not been tried.
    untried: bool,
    /// One of those has not failed permanently.
    useful: bool,
    /// There is one of a later `order`, which is a fallback.
    next_order: bool,
}

impl RetryOptions {
    pub fn new(failed: &FailedAttempt<'_>, moment: &Moment<'_>) -> Self {
        let FailedAttempt { router, attempt, retry_state, .. } = failed;
        let Attempt { pool, estimate, routing, stream, .. } = attempt;
        let own = pool.priority_of(attempt.deployment);
        let mut request = SelectionRequest::new(pool, retry_state, *estimate, &routing.tags, *stream);
        let mut context = router.selection();
        let left = eligible(&mut context, &request, moment).unwrap_or_default();
        let mut left = weighted(&context, &request, left);
        let has_fallbacks = !routing.disable_fallbacks;
        // Those of a later order follow when this order has had its retries. Without fallbacks they are
        // left where all of this one cool down.
        left.retain(|index| !has_fallbacks || pool.priority_of(*index) == own);
        let any_but = |known: &[Arc<str>]| {
            left.iter().any(|index| router.deployment(*index).is_some_and(|d| !known.contains(&d.id)))
        };
        let above = RetryState { above: Some(own), ..RetryState::default() };
        request.retry_state = &above;
        Self {
            any: !left.is_empty(),
            untried: any_but(&retry_state.tried),
            useful: any_but(&retry_state.permanently_failed),
            next_order: has_fallbacks
                && pool.priorities.is_some()
                && eligible(&mut context, &request, moment).is_ok(),
        }
    }

    /// Whether the deployments of the next `order` are to be tried.
    pub fn may_step_up(&self, error: &AttemptError) -> bool {
        self.next_order && error.class.may_step_up()
    }

    /// The wait before the request is sent again within its group and `order`: none where a
    /// deployment or a fallback is left that has not failed. `None` if it is not sent again there.
    pub fn retry_wait(
        &self,
        failed: &FailedAttempt<'_>,
        allowance: Allowance,
        moment: &mut Moment<'_>,
    ) -> Option<Duration> {
        // After each deployment of an order was tried once, the next order is better than a second
        // try.
        let is_better = self.untried || (self.any && !self.may_step_up(&failed.error));
        let FailedAttempt { router, error, retry_state, .. } = failed;
        let may_retry = is_better
            && !must_save_attempts(failed)
            && retry::may_retry(allowance, retry_state.retries, error.retry_scope(), self.useful);
        if !may_retry || self.untried {
            return may_retry.then_some(Duration::ZERO);
        }
        // A fallback does not know what the request refers to.
        if !failed.refers() && failed.has_fallback_with_room(moment) {
            // It serves before a provider that asks for time.
            return (!error.asks_for_time()).then_some(Duration::ZERO);
        }
        let least = router.config.router.retry_after;
        Some(retry::wait(error.retry_after(), retry_state.retries, least, moment.random))
    }
}

/// Whether the attempts that the edge has left are needed for the fallbacks ahead, one for
/// each.
fn must_save_attempts(failed: &FailedAttempt<'_>) -> bool {
    let left = failed.router.ceiling.saturating_sub(failed.retry_state.edge_attempts);
    // Few requests use up half of what the edge allows.
    if left > failed.router.ceiling / 2 {
        return false;
    }
    let mut chain = failed.retry_state.fallback_chain.clone();
    let FailedAttempt { router, attempt, error, .. } = failed;
    let mut group = failed.group();
    let mut target;
    for _ in 0..left {
        let Some(next) = chain.next(&router.config.router, &attempt.routing, &group, error.class) else {
            return false;
        };
        target = next;
        group = router.failed_group(&target.model, None);
    }
    true
}
