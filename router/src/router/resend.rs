//! Attempts that are repeated at the same deployment without being counted: they failed through no
//! fault of the provider's.
//!
//! | what failed | how it is known | what the next attempt does |
//! |---|---|---|
//! | a reused connection that the provider had closed | it is older than the request, and ended before the first byte of a response, within a second | uses another connection |
//! | a parameter that the router had added | the provider's error names it | leaves it out, as other requests do for an hour |
//!
//! Such an attempt is no retry and no failure: `num_retries`, cooldowns and limits do not count it.
//! RFC 9112, section 9.3.1: a client must expect that a reused connection ends at any time.

use std::sync::Arc;
use std::time::Duration;

use super::attempt_failed::is_last_attempt;
use super::failed_attempt::FailedAttempt;
use crate::attempt::{AttemptResult, Resend};
use crate::failure::ErrorClass;
use crate::failure::refusals::Refused;
use crate::outcome::{Failure, Outcome};
use crate::state::store::Moment;

/// Resends of one request. Several reused connections may have ended at the same time.
const MAX_RESENDS: u32 = 3;
/// A connection that ends so soon after the send had been closed before: a round trip around the
/// world takes less. Later, the provider may have begun to process the request.
const MAX_DETECTION: Duration = Duration::from_secs(1);

/// Has the request sent again uncounted, if the failure is one of those above. Returns whether it
/// is.
pub(super) fn resend(failed: &mut FailedAttempt<'_>, moment: &Moment<'_>) -> bool {
    let was_closed = was_closed_before(failed, moment.now);
    let FailedAttempt { router, deployment, attempt, retry_state, error, .. } = failed;
    let is_bare = error.class == ErrorClass::AddedParameter;
    if is_bare && attempt.injected_usage.is_some_and(|usage| usage.adds_options) {
        router.refusals.borrow_mut().add(attempt.deployment, Refused::StreamOptions, moment.now);
    }
    let may_resend =
        !router.single_hop && retry_state.resends < MAX_RESENDS && !is_last_attempt(router, retry_state);
    if !may_resend || !(is_bare || was_closed) {
        return false;
    }
    router.states.borrow_mut().withdraw(attempt.deployment, &attempt.ticket, moment.now, moment.store);
    retry_state.resends = retry_state.resends.saturating_add(1);
    retry_state.resend = Some(Resend { deployment: Arc::clone(&deployment.id), is_bare });
    let result = AttemptResult { outcome: Outcome::Resent, class: None, ..AttemptResult::from(&*error) };
    failed.end_attempt(result, moment.now);
    true
}

/// Whether the provider had closed the connection before the request was sent.
fn was_closed_before(failed: &FailedAttempt<'_>, now: Duration) -> bool {
    failed.error.failure == Failure::Broken
        && failed.attempt.is_on_reused_connection
        && now.saturating_sub(failed.attempt.ticket.at) <= MAX_DETECTION
}
