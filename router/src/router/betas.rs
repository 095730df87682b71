//! Betas of Anthropic's API, which clients name in `anthropic-beta`. Each server knows others, and
//! refuses a request with one that it does not know.
//!
//! Such a request goes to the other deployments of its group first, as the client wrote it. If there
//! is none left, it goes to the last one again, without the betas that this one has refused. Requests
//! for a group whose deployments have all refused a beta are sent without it from then on.

use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{Deployment, Wire};

use super::Router;
use super::failed_attempt::FailedAttempt;
use crate::attempt::{Resend, RetryState};
use crate::failure::ErrorClass;
use crate::failure::refusals::{Refused, refused_betas};
use crate::http::route::wire;

/// Remembers the betas that the deployment has refused in this attempt. Returns whether there are
/// any.
pub(super) fn learn(failed: &FailedAttempt<'_>, now: Duration) -> bool {
    let FailedAttempt { router, attempt, error, response, .. } = failed;
    if error.class != ErrorClass::UnsupportedRoute || wire(attempt.route) != Wire::Anthropic {
        return false;
    }
    let mut refusals = router.refusals.borrow_mut();
    let betas = refused_betas(response.original.as_ref().unwrap_or(&response.body));
    betas.map(|beta| refusals.add(attempt.deployment, Refused::beta(beta), now)).count() > 0
}

/// Has the request sent to the same deployment once more, without the betas that it has refused.
/// Returns whether that may help.
pub(super) fn leave_out(failed: &mut FailedAttempt<'_>) -> bool {
    let FailedAttempt { deployment, retry_state, .. } = failed;
    let id = &deployment.id;
    if retry_state.without_betas.as_ref() == Some(id) {
        return false;
    }
    retry_state.without_betas = Some(Arc::clone(id));
    retry_state.resend = Some(Resend { deployment: Arc::clone(id), is_bare: false });
    failed.keep_error();
    true
}

/// Whether a deployment gets a request without a beta. `members` are those of its group.
pub(super) fn is_left_out(
    router: &Router,
    (index, deployment): (usize, &Deployment),
    members: &[usize],
    retry_state: &RetryState,
    now: Duration,
) -> impl Fn(&str) -> bool {
    let refusals = router.refusals.borrow();
    let is_last = retry_state.without_betas.as_ref() == Some(&deployment.id);
    move |beta| {
        let beta = Refused::beta(beta);
        let refuses = |index: usize| refusals.has(index, beta, now);
        refuses(index) && (is_last || members.iter().all(|member| refuses(*member)))
    }
}
