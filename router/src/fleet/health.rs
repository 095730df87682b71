//! Whether Redis answers, as all workers of this instance know it.

use crate::state::deployment_states::DeploymentStates;
use crate::state::membership::Membership;
use crate::state::store::Moment;
use crate::state::time::Minute;

/// How a call changed what this instance knows of Redis.
#[derive(Debug, PartialEq, Eq)]
pub enum RedisTransition {
    /// Redis is as it was.
    None,
    /// Redis does not answer, or not as the scripts do: from now on each instance has its share.
    Down(String),
    /// Redis answers again.
    Up,
}

/// Notes that Redis is up, or down because of this problem. Says what that changed, and whether
/// instances may have admitted requests meanwhile that Redis does not know of.
pub(super) fn set(
    problem: Option<String>,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) -> (RedisTransition, bool) {
    let changed = Membership::update(moment.store, |membership| {
        if membership.is_redis_down == problem.is_some() {
            return None;
        }
        if problem.is_some() {
            membership.redis_down(moment.now);
            return Some(false);
        }
        let has_missed = membership.redis_up(moment.now);
        if has_missed {
            // The other instances may have done so as well: until all have reported, each has its
            // share and no more.
            membership.lost_minute = Minute::of(moment.now);
        }
        Some(has_missed)
    });
    states.read_membership(moment.now, moment.store);
    match (changed, problem) {
        (None, _) => (RedisTransition::None, false),
        (Some(_), Some(problem)) => (RedisTransition::Down(problem), false),
        (Some((_, has_missed)), None) => (RedisTransition::Up, has_missed),
    }
}
