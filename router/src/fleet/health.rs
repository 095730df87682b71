//! Whether Redis answers, as all workers of this instance know it.

use crate::state::deployment_states::DeploymentStates;
use crate::state::membership::Membership;
use crate::state::store::Moment;

/// How a call changed what this instance knows of Redis.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum RedisTransition {
    /// Redis is as it was.
    #[default]
    None,
    /// Redis does not answer, or not as the scripts do: from now on each instance has what it holds.
    Down(String),
    /// Redis answers again.
    Up,
}

/// Notes that Redis is up, or down because of this problem. Says what that changed.
pub(super) fn set(
    problem: Option<String>,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) -> RedisTransition {
    let changed = Membership::update(moment.store, |membership| {
        if problem.is_none() && !membership.allows_wait(moment.now) {
            return None;
        }
        let has_changed = membership.is_redis_down != problem.is_some();
        membership.is_redis_down = problem.is_some();
        has_changed.then_some(())
    });
    states.read_membership(moment.now, moment.store);
    match (changed, problem) {
        (None, _) => RedisTransition::None,
        (Some(_), Some(problem)) => RedisTransition::Down(problem),
        (Some(_), None) => RedisTransition::Up,
    }
}
