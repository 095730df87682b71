//! Attempts that are made once more at the same deployment, uncounted: they failed by no fault of the provider's.
//!
//! | what failed | how it is known | what the next attempt does |
//! |---|---|---|
//! | a connection that the provider had closed for being idle | it is older than the request, and it ended before the first byte of an answer, within a second | uses another connection |
//! | a member that the router had added | the provider's error names it | leaves it out, and so do others for an hour |
//!
//! Such an attempt is no retry and no failure: it takes nothing from `num_retries`, cools nothing down, and the room that it
//! had in the minute is given back. RFC 9112, section 9.3.1: a client must expect that a kept connection ends at any time.

use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::Deployment;

use crate::attempt::{Attempt, AttemptResult, Resend};
use crate::failure::{AttemptError, ErrorClass};
use crate::outcome::{Failure, Outcome};
use crate::router::{Router, Verdict};
use crate::state::store::Moment;

/// How often a request may be sent again uncounted. Several kept connections can have ended at the same time.
const MOST: u32 = 3;
/// How soon after the send the end of a connection means that the provider had closed it before: a round trip around the
/// world, and some. Later, the provider may have been at work on the request.
const DEAD_ON_ARRIVAL: Duration = Duration::from_secs(1);

impl Router {
    /// The next attempt, where the one that failed does not count.
    pub(crate) fn resent(
        &self,
        attempt: &Attempt,
        deployment: &Deployment,
        fault: &AttemptError,
        moment: &Moment<'_>,
    ) -> Option<Verdict> {
        let is_bare = fault.class == ErrorClass::AddedParameter;
        if is_bare && attempt.adds_stream_options {
            self.usage_refusals.borrow_mut().add(attempt.deployment, moment.now);
        }
        let may = !self.single_hop
            && attempt.retry_state.resends < MOST
            && !self.is_last_attempt(&attempt.retry_state);
        if !may || !(is_bare || was_dead(attempt, &fault.failure, moment.now)) {
            return None;
        }
        self.states.borrow_mut().withdraw(attempt.deployment, &attempt.ticket, moment.now, moment.store);
        let mut retry_state = attempt.retry_state.clone();
        let result = AttemptResult { outcome: Outcome::Resent, class: None, ..fault.into() };
        self.past(attempt, &mut retry_state, result, moment.now);
        retry_state.resends = retry_state.resends.saturating_add(1);
        retry_state.resend = Some(Resend { deployment: Arc::clone(&deployment.id), is_bare });
        Some(Verdict::Retry(Box::new(retry_state), Duration::ZERO))
    }
}

/// Whether the provider had closed the connection before the request was sent.
fn was_dead(attempt: &Attempt, failure: &Failure, now: Duration) -> bool {
    *failure == Failure::Broken
        && attempt.is_on_reused_connection
        && now.saturating_sub(attempt.ticket.at) <= DEAD_ON_ARRIVAL
}
