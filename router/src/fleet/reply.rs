//! What the reply to a call changes. One that a script does not make changes nothing.

use crate::fleet::call::{Call, FleetSettings, RedisCommand};
use crate::fleet::health::{self, RedisTransition};
use crate::fleet::reply_effect::{Items, ReplyEffect};
use crate::fleet::resp::{self, RespValue};
use crate::fleet::wait_call::{self, Recall};
use crate::fleet::{exchange_call, lease_call, origin_call, presence_call};
use crate::state::deployment_states::DeploymentStates;
use crate::state::membership::Membership;
use crate::state::store::Moment;

/// The result of a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CallResult {
    /// How it ended, as the metric of calls names it: `success`, `slow` or `error`.
    pub outcome: &'static str,
    /// What it changed about Redis.
    pub transition: RedisTransition,
    /// Requests that wait can go on: it brought a lease, what is needed to ask for one, or origins.
    pub resumes: bool,
    /// What to call next.
    pub follow_up: FollowUp,
}

/// The calls that follow from a reply: [`FleetClient::follow_up`](crate::FleetClient::follow_up).
#[derive(Debug, Default, PartialEq, Eq)]
pub enum FollowUp {
    /// None.
    #[default]
    None,
    /// This minute has another share than it should: to take a reserve, or to leave one.
    Balance,
    /// Redis has lost what this instance took of the minute: to report it.
    Resync,
    /// Other instances need what this one does not use.
    GiveBack(Vec<Recall>),
}

impl CallResult {
    /// One that changes nothing about Redis.
    fn of_wait(outcome: &'static str, follow_up: FollowUp) -> Self {
        Self { outcome, follow_up, ..Self::default() }
    }
}

/// Applies the reply to a call; `None` where there is none. A late one is applied as well, but does
/// not show that Redis is up: the next one may be as late.
pub(crate) fn apply_reply(
    settings: &FleetSettings,
    call: &Call,
    reply: Option<&[u8]>,
    is_late: bool,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) -> CallResult {
    if call.is_wait() {
        return end_wait(settings, call, reply, states, moment);
    }
    let lost_before = states.read_membership(moment.now, moment.store).lost_minute;
    let mut effects = Vec::new();
    let result = replies(call, reply).and_then(|replies| {
        let commands = call.commands.iter().zip(&replies);
        effects.extend(commands.map(|(command, reply)| apply(settings, *command, reply, states, moment)));
        if effects.contains(&None) {
            Err("an unexpected reply".to_owned())
        } else if effects.contains(&Some(ReplyEffect::Lost)) {
            Err("it has lost the counts of this minute".to_owned())
        } else {
            Ok(())
        }
    });
    let has = |effect: ReplyEffect| effects.contains(&Some(effect));
    let is_present = has(ReplyEffect::Present { is_in_transition: true });
    let brings = has(ReplyEffect::Resumes)
        || has(ReplyEffect::NewEpoch)
        || is_present
        || has(ReplyEffect::Present { is_in_transition: false });
    let resumes = result.is_ok() && brings;
    let (outcome, transition) = match result {
        Ok(()) if is_late => ("slow", RedisTransition::None),
        Ok(()) => ("success", health::set(None, states, moment)),
        Err(problem) => ("error", health::set(Some(problem), states, moment)),
    };
    let lost_minute = states.read_membership(moment.now, moment.store).lost_minute;
    let follow_up = if has(ReplyEffect::NewEpoch) || lost_minute != lost_before {
        FollowUp::Resync
    } else if is_present {
        FollowUp::Balance
    } else {
        FollowUp::None
    };
    CallResult { outcome, transition, resumes, follow_up }
}

/// Applies the end of a wait. One that broke off is begun again by the next exchange, and says
/// nothing about Redis; an error of Redis does.
fn end_wait(
    settings: &FleetSettings,
    call: &Call,
    reply: Option<&[u8]>,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) -> CallResult {
    let Ok(replies) = parse(call, reply) else {
        Membership::end_wait(moment.store);
        return CallResult::of_wait("error", FollowUp::None);
    };
    let problem = problem(&replies);
    // AUTH and SELECT come first.
    let setup = call.commands.iter().take_while(|command| matches!(command, RedisCommand::Setup)).count();
    let replies = replies.get(setup..).unwrap_or_default();
    let follow_up = match wait_call::recalls(replies, |id| settings.index(id)) {
        // What is answered in the place of Redis must not make an endless loop.
        Some(recalls) if recalls.is_empty() => {
            Membership::end_wait(moment.store);
            FollowUp::None
        }
        Some(recalls) => FollowUp::GiveBack(recalls),
        None => FollowUp::None,
    };
    if problem.is_none() {
        return CallResult::of_wait("success", follow_up);
    }
    Membership::refuse_wait(moment.store);
    let transition = health::set(problem, states, moment);
    CallResult { transition, ..CallResult::of_wait("error", follow_up) }
}

/// The replies to the commands of a call, and to QUIT.
fn replies(call: &Call, bytes: Option<&[u8]>) -> Result<Vec<RespValue>, String> {
    let replies = parse(call, bytes)?;
    problem(&replies).map_or(Ok(replies), Err)
}

/// Redis hangs up where it refuses the connection, or a long command of a user that it does not know:
/// fewer replies then, of which the first error has the reason.
fn parse(call: &Call, bytes: Option<&[u8]>) -> Result<Vec<RespValue>, String> {
    let bytes = bytes.filter(|bytes| !bytes.is_empty()).ok_or("no reply")?;
    resp::replies(bytes, call.commands.len().saturating_add(1)).ok_or_else(|| {
        resp::first_error(bytes).unwrap_or_else(|| "a truncated or malformed reply".to_owned())
    })
}

/// The first error of Redis among replies, or that they are not complete.
fn problem(replies: &[RespValue]) -> Option<String> {
    let error = replies.iter().find_map(|reply| match reply {
        RespValue::Error(error) => Some(error.clone()),
        _ => None,
    });
    let is_complete = replies.last() == Some(&RespValue::Simple("OK".to_owned()));
    error.or_else(|| (!is_complete).then(|| "a truncated reply".to_owned()))
}

/// Applies the reply to one command; `None` for one that its script does not make.
fn apply(
    settings: &FleetSettings,
    command: RedisCommand,
    reply: &RespValue,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) -> Option<ReplyEffect> {
    let items = Items::of(reply);
    match command {
        RedisCommand::Setup | RedisCommand::Deregister | RedisCommand::Wait | RedisCommand::PublishOrigin => {
            Some(ReplyEffect::None)
        }
        RedisCommand::Presence { turn } => presence_call::apply(turn, &items, moment),
        RedisCommand::Lease { index, minute, is_acquire } => {
            lease_call::apply((index, minute, is_acquire), &items, states, moment)
        }
        RedisCommand::Exchange { index } => exchange_call::apply(index, &items, states, moment),
        RedisCommand::FindOrigin { reference } => {
            origin_call::apply(reference, reply, |id| settings.index(id), states, moment)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(reply: &str) -> String {
        let commands = vec![
            RedisCommand::Setup,
            RedisCommand::Presence { turn: 1 },
            RedisCommand::Exchange { index: 0 },
        ];
        replies(&Call { bytes: Vec::new(), commands }, Some(reply.as_bytes())).unwrap_err()
    }

    #[test]
    fn where_redis_hangs_up_its_first_error_is_the_problem() {
        // Of Redis 7 and 8, to AUTH with a wrong password and a script with more than ten words.
        const WRONG: &str = "WRONGPASS invalid username-password pair or user is disabled.";
        let hangs_up = "-ERR Protocol error: unauthenticated multibulk length\r\n";
        assert_eq!(problem_of(&format!("-{WRONG}\r\n{hangs_up}")), WRONG);
        assert_eq!(problem_of("-ERR max number of clients reached\r\n"), "ERR max number of clients reached");
        assert_eq!(problem_of("+OK\r\n-LOADING Redis\r\n:1"), "LOADING Redis");
        for truncated in ["+OK\r\n-LOADING", "+OK\r\n", "-ERR"] {
            assert_eq!(problem_of(truncated), "a truncated or malformed reply", "{truncated}");
        }
    }
}
