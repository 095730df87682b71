//! An error has come in a response that had begun: what it means for the deployment.

use super::failed_attempt::classified;
use super::{ErrorResponse, Router};
use crate::attempt::Attempt;
use crate::outcome::Failure;
use crate::upstream::response_check::FalseSuccess;

const DETAIL: &str = "error in the middle of the response";

/// See [`Router::on_response_error`].
pub(super) fn on_response_error(router: &Router, attempt: &mut Attempt, found: FalseSuccess) {
    let Some(deployment) = router.deployment(attempt.deployment) else { return };
    // A later one may follow from the first.
    if attempt.response_error.is_some() {
        return;
    }
    let failure = Failure::Provider { status: found.status, retry_after: None };
    let response = ErrorResponse {
        body: found.original.unwrap_or(found.body).into_bytes(),
        received_status: Some(200),
        ..ErrorResponse::default()
    };
    attempt.response_error = Some(classified(attempt, deployment, failure, &response));
    attempt.detail = Some(DETAIL.to_owned());
}
