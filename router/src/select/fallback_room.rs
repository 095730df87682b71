//! Whether it is worth leaving a group that has failed: a fallback without room for the request is nowhere to go.

use std::sync::Arc;

use llm_balancer_config::Deployment;

use crate::attempt::{Attempt, RetryState};
use crate::failure::Class;
use crate::failure::fallback::Names;
use crate::models::groups::Pool;
use crate::router::Router;
use crate::select::SelectionRequest;
use crate::state::lease::QuotaMode;
use crate::state::store::Moment;

impl Router {
    /// Whether one of the fallbacks that are left would admit the request now. They are visited as the request would visit
    /// them if each refused it, so this ends where that ends.
    pub(crate) fn has_fallback_with_room(
        &self,
        attempt: &Attempt,
        deployment: &Deployment,
        retry_state: &RetryState,
        mut class: Class,
        moment: &Moment<'_>,
    ) -> bool {
        let mut trail = retry_state.trail.clone();
        let mut failed = (Arc::from(attempt.model.as_str()), Arc::clone(&deployment.group));
        loop {
            let names = Names { asked: &failed.0, group: &failed.1 };
            let Some(target) = trail.next(&self.config.router, &attempt.routing, names, class) else {
                return false;
            };
            let resolved = self.groups.resolve(&target.model);
            let pool = resolved.as_ref().ok().and_then(|resolved| resolved.pool.serving(attempt.route));
            if pool.is_some_and(|pool| self.has_room(&pool, attempt, moment)) {
                return true;
            }
            let group =
                resolved.map_or_else(|_| Arc::clone(&target.model), |resolved| Arc::from(resolved.name));
            (failed, class) = ((target.model, group), Class::Server);
        }
    }

    fn has_room(&self, pool: &Pool, attempt: &Attempt, moment: &Moment<'_>) -> bool {
        let mut states = self.states.borrow_mut();
        let mut search = SelectionRequest {
            pool,
            retry_state: &RetryState::default(),
            estimate: attempt.estimate,
            tags: &attempt.routing.tags,
            stream: attempt.stream,
            quota_mode: QuotaMode::Local,
            allow_unleased: true,
            is_oversized: false,
        };
        search.quota_mode = states.quota_mode(moment.now, moment.store);
        search.is_oversized = self.is_oversized(&search, &states, moment.now);
        self.eligible(&search, &mut states, moment.now, moment.store).is_ok()
    }
}
