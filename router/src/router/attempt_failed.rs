//! An attempt has failed: whether and where the request is sent again.

use std::time::Duration;

use super::failed_attempt::{FailedAttempt, has_fallback};
use super::resend::resend;
use super::retry_options::RetryOptions;
use super::{ErrorResponse, Router, Verdict, betas};
use crate::attempt::{Attempt, RetryState};
use crate::failure::ErrorClass;
use crate::failure::retry::Allowance;
use crate::outcome::Failure;
use crate::state::store::Moment;
use crate::telemetry::access_log::AccessLogEntry;

/// See [`Router::on_attempt_failed`].
pub(super) fn on_attempt_failed(
    router: &Router,
    attempt: Attempt,
    failure: Failure,
    response: &dyn Fn() -> ErrorResponse,
    moment: &mut Moment<'_>,
) -> Verdict {
    let Some(mut failed) = FailedAttempt::new(router, attempt, failure, response) else {
        return Verdict::Relay(Vec::new(), Box::new(of_no_deployment(failure)));
    };
    match next_attempt(&mut failed, moment) {
        Some(wait) => Verdict::Retry(Box::new(failed.retry_state), wait),
        None => failed.final_answer(moment),
    }
}

/// See [`Router::refusal_falls_back`].
pub(super) fn refusal_falls_back(router: &Router, attempt: &Attempt) -> bool {
    let retry_state = &attempt.retry_state;
    if router.single_hop || is_last_attempt(router, retry_state) {
        return false;
    }
    let failed = router.failed_group(&attempt.model, router.deployment(attempt.deployment));
    has_fallback(router, attempt, retry_state, &failed, ErrorClass::ContentPolicy)
}

/// See [`Router::on_reset`].
pub(super) fn on_reset(
    router: &Router,
    attempt: Attempt,
    failure: Failure,
    moment: &mut Moment<'_>,
) -> RetryState {
    let undelivered = Some((failure, attempt.timeout));
    let failed = FailedAttempt::new(router, attempt, failure, &ErrorResponse::default);
    let Some(mut failed) = failed else { return RetryState { undelivered, ..RetryState::default() } };
    match next_attempt(&mut failed, moment) {
        Some(_) => failed.retry_state,
        None => RetryState { undelivered, ..failed.retry_state },
    }
}

/// See [`Router::on_unanswered`].
pub(super) fn on_unanswered(
    router: &Router,
    attempt: Attempt,
    failure: Failure,
    moment: &Moment<'_>,
) -> AccessLogEntry {
    let failed = FailedAttempt::new(router, attempt, failure, &ErrorResponse::default);
    let Some(mut failed) = failed else { return of_no_deployment(failure) };
    record(&mut failed, moment);
    let first = failed.retry_state.first_group_reply.as_ref();
    let status = first.map_or(failure.status(), |reply| reply.status);
    failed.into_entry(status)
}

/// A request to a deployment that does not exist.
fn of_no_deployment(failure: Failure) -> AccessLogEntry {
    AccessLogEntry::new(RetryState::default(), failure.outcome(), failure.status())
}

/// Whether the edge makes no further attempt, except one for an answer that could not be delivered.
pub(super) fn is_last_attempt(router: &Router, retry_state: &RetryState) -> bool {
    retry_state.edge_attempts >= router.ceiling
}

/// Keeps the failure, and returns the retries that the request has after it.
fn record(failed: &mut FailedAttempt<'_>, moment: &Moment<'_>) -> Allowance {
    failed.record(moment);
    let client = failed.attempt.overrides.num_retries;
    let (model, error) = (&failed.attempt.model, Some(&failed.error));
    let allowance = failed.router.allowance(model, failed.deployment, client, error);
    failed.retry_state.max_retries = allowance.retries;
    failed.with_search(allowance, client)
}

/// Brings the state of the request to its next attempt, and returns the wait before that. `None` if
/// there is none.
fn next_attempt(failed: &mut FailedAttempt<'_>, moment: &mut Moment<'_>) -> Option<Duration> {
    if resend(failed, moment) {
        return Some(Duration::ZERO);
    }
    let refuses_betas = betas::learn(failed, moment.now);
    let allowance = record(failed, moment);
    if failed.router.single_hop || is_last_attempt(failed.router, &failed.retry_state) {
        return None;
    }
    let options = RetryOptions::new(failed, moment);
    if let Some(wait) = options.retry_wait(failed, allowance, moment) {
        failed.retry_state.is_retry = true;
        failed.keep_error();
        return Some(wait);
    }
    if options.may_step_up(&failed.error) {
        failed.retry_state.step_above(failed.attempt.pool.priority_of(failed.attempt.deployment));
        failed.keep_error();
        return Some(Duration::ZERO);
    }
    if refuses_betas && betas::leave_out(failed) {
        return Some(Duration::ZERO);
    }
    failed.fall_back().then_some(Duration::ZERO)
}
