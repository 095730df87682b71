//! What the reply to a call changes. One that a script does not make changes nothing.

use crate::fleet::call::{Call, Part};
use crate::fleet::effect::{Effect, Items};
use crate::fleet::health::{self, RedisTransition};
use crate::fleet::resp::{self, Value};
use crate::fleet::{exchange_call, lease_call, origin_call, presence_call};
use crate::state::deployment_states::DeploymentStates;
use crate::state::store::Moment;

/// The result of a call.
#[derive(Debug, PartialEq, Eq)]
pub struct CallResult {
    /// How it ended, as the metric of calls names it: `success`, `slow` or `error`.
    pub outcome: &'static str,
    /// What it changed about Redis.
    pub transition: RedisTransition,
    /// It brought a lease, or what is needed to ask for one.
    pub granted: bool,
    /// Redis has lost what this instance took of the minute:
    /// [`resync`](crate::fleet::FleetClient::resync) is due.
    pub needs_resync: bool,
}

/// Applies the reply to a call; `None` where there is none. A late one is applied as well, but does
/// not show that Redis is up: the next one may be as late.
pub(crate) fn apply_reply(
    call: &Call,
    reply: Option<&[u8]>,
    is_late: bool,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) -> CallResult {
    let lost_before = states.read_membership(moment.now, moment.store).lost_minute;
    let mut effects = Vec::new();
    let result = replies(call, reply).and_then(|replies| {
        let parts = call.parts.iter().zip(&replies);
        effects.extend(parts.map(|(part, reply)| apply(*part, reply, states, moment)));
        match effects.contains(&None) {
            true => Err("an unexpected reply".to_owned()),
            false if effects.contains(&Some(Effect::Lost)) => {
                Err("it has lost the counts of this minute".to_owned())
            }
            false => Ok(()),
        }
    });
    let is_new_epoch = effects.contains(&Some(Effect::NewEpoch));
    let granted = result.is_ok() && (is_new_epoch || effects.contains(&Some(Effect::Granted)));
    let (outcome, (transition, has_missed)) = match result {
        Ok(()) if is_late => ("slow", (RedisTransition::None, false)),
        Ok(()) => ("success", health::set(None, states, moment)),
        Err(problem) => ("error", health::set(Some(problem), states, moment)),
    };
    let lost_minute = states.read_membership(moment.now, moment.store).lost_minute;
    let needs_resync = has_missed || is_new_epoch || lost_minute != lost_before;
    CallResult { outcome, transition, granted, needs_resync }
}

/// The replies to the parts of a call, and to QUIT.
fn replies(call: &Call, bytes: Option<&[u8]>) -> Result<Vec<Value>, String> {
    let bytes = bytes.filter(|bytes| !bytes.is_empty()).ok_or("no reply")?;
    let replies = resp::replies(bytes, call.parts.len().saturating_add(1));
    let replies = replies.ok_or("a truncated or malformed reply")?;
    let error = replies.iter().find_map(|reply| match reply {
        Value::Error(error) => Some(error.clone()),
        _ => None,
    });
    match error {
        Some(error) => Err(error),
        None if replies.last() == Some(&Value::Simple("OK".to_owned())) => Ok(replies),
        None => Err("a truncated reply".to_owned()),
    }
}

/// Applies one part of a reply; `None` for one that its script does not make.
fn apply(part: Part, reply: &Value, states: &mut DeploymentStates, moment: &Moment<'_>) -> Option<Effect> {
    if let Part::FindOrigin { reference } = part {
        return origin_call::apply(reference, reply, states, moment);
    }
    let reply = Items::of(reply);
    match part {
        Part::Setup | Part::Deregister | Part::PublishOrigin | Part::FindOrigin { .. } => Some(Effect::None),
        Part::Presence => presence_call::apply(&reply, moment),
        Part::Lease { index, minute, is_acquire } => {
            lease_call::apply((index, minute, is_acquire), &reply, states, moment)
        }
        Part::Exchange { index } => exchange_call::apply(index, &reply, states, moment),
    }
}
