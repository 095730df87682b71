//! Whether it is worth leaving a group that has failed: a fallback without room for the request is nowhere to go.

use std::sync::Arc;

use llm_balancer_config::Deployment;

use crate::attempt::{Attempt, Journey};
use crate::failure::Class;
use crate::failure::fallback::Names;
use crate::models::groups::Pool;
use crate::router::Router;
use crate::select::Search;
use crate::state::lease::Sharing;
use crate::state::store::Moment;

impl Router {
    /// Whether one of the fallbacks that are left would admit the request now. They are visited as the request would visit
    /// them if each refused it, so this ends where that ends.
    pub(crate) fn has_fallback_with_room(
        &self,
        attempt: &Attempt,
        deployment: &Deployment,
        journey: &Journey,
        mut class: Class,
        moment: &Moment<'_>,
    ) -> bool {
        let mut trail = journey.trail.clone();
        let mut failed = (Arc::from(attempt.model.as_str()), Arc::clone(&deployment.group));
        loop {
            let names = Names { asked: &failed.0, group: &failed.1 };
            let Some(target) = trail.next(&self.config.router, &attempt.wishes, names, class) else {
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
        let mut ledger = self.ledger.borrow_mut();
        let mut search = Search {
            pool,
            journey: &Journey::default(),
            estimate: attempt.estimate,
            tags: &attempt.wishes.tags,
            stream: attempt.stream,
            sharing: Sharing::Alone,
            lenient: true,
            is_oversized: false,
        };
        search.sharing = ledger.sharing(moment.now, moment.store);
        search.is_oversized = self.is_oversized(&search, &ledger, moment.now);
        self.eligible(&search, &mut ledger, moment.now, moment.store).is_ok()
    }
}
