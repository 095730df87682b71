//! Whether a group that has failed is worth leaving: only for a fallback that has room for the
//! request.

use llm_balancer_config::Deployment;

use crate::attempt::{Attempt, RetryState};
use crate::failure::ErrorClass;
use crate::models::groups::Groups;
use crate::select::eligible::eligible;
use crate::select::request::{SelectionContext, SelectionRequest};
use crate::state::store::Moment;

/// Whether a fallback that is left would admit the request now. Visits them in the order in which
/// the request would if each refused it.
pub(crate) fn has_fallback_with_room(
    context: &mut SelectionContext<'_>,
    groups: &Groups,
    (attempt, deployment): (&Attempt, &Deployment),
    retry_state: &RetryState,
    mut class: ErrorClass,
    moment: &Moment<'_>,
) -> bool {
    let mut chain = retry_state.fallback_chain.clone();
    let mut failed = groups.failed_group(context.config, &attempt.model, Some(deployment));
    let mut target;
    while let Some(next) = chain.next(&context.config.router, &attempt.routing, &failed, class) {
        target = next;
        let resolved = groups.resolve(&target.model);
        let pool = resolved.as_ref().ok().and_then(|resolved| resolved.pool.serving(attempt.route));
        if let Some(pool) = pool {
            let fresh = RetryState::default();
            let (tags, stream) = (&attempt.routing.tags, attempt.stream);
            let request = SelectionRequest::new(&pool, &fresh, attempt.estimate, tags, stream);
            if eligible(context, &request, moment).is_ok() {
                return true;
            }
        }
        failed = groups.failed_group(context.config, &target.model, None);
        class = ErrorClass::Server;
    }
    false
}
