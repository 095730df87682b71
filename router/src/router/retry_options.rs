//! Which ways are left to a request after a failed attempt.

use std::sync::Arc;

use super::failed_attempt::FailedAttempt;
use crate::attempt::{Attempt, RetryState};
use crate::failure::retry::{self, Allowance};
use crate::failure::{AttemptError, RetryScope};
use crate::select::SelectionRequest;
use crate::select::eligible::{eligible, weighted};
use crate::state::store::Moment;

/// The deployments that could take the next attempt, in the group of the failed one.
pub(super) struct RetryOptions {
    /// There is one of the same `order`.
    any: bool,
    /// One of those has not been tried.
    pub untried: bool,
    /// One of those has not failed permanently.
    useful: bool,
    /// There is one of a later `order`.
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
        // Those of a later order follow when this order has had its retries.
        left.retain(|index| pool.priority_of(*index) == own);
        let any_but = |known: &[Arc<str>]| {
            left.iter().any(|index| router.deployment(*index).is_some_and(|d| !known.contains(&d.id)))
        };
        let above = RetryState { above: Some(own), ..RetryState::default() };
        request.retry_state = &above;
        Self {
            any: !left.is_empty(),
            untried: any_but(&retry_state.tried),
            useful: any_but(&retry_state.permanently_failed),
            next_order: pool.priorities.is_some() && eligible(&mut context, &request, moment).is_ok(),
        }
    }

    /// Whether the deployments of the next `order` are to be tried.
    pub fn may_step_up(&self, error: &AttemptError) -> bool {
        self.next_order && error.retry_scope() != RetryScope::FallbacksOnly
    }

    /// Whether the request is to be sent again within its group and `order`.
    pub fn allow_retry(&self, failed: &FailedAttempt<'_>, allowance: Allowance, moment: &Moment<'_>) -> bool {
        // After each deployment of an order was tried once, the next order is better than a second
        // try.
        let is_better = self.untried || (self.any && !self.may_step_up(&failed.error));
        let scope = failed.error.retry_scope();
        is_better
            && !must_save_attempts(failed)
            && retry::may_retry(allowance, failed.retry_state.retries, scope, self.useful)
            && (self.untried || !prefers_fallback(failed, moment))
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

/// Whether a request that can only go where it has failed goes to a fallback at once, because
/// the provider asks for time.
fn prefers_fallback(failed: &FailedAttempt<'_>, moment: &Moment<'_>) -> bool {
    // A fallback does not know what the request refers to.
    failed.error.asks_for_time() && !failed.refers() && failed.has_fallback_with_room(moment)
}
