//! The presence of instances: `presence.lua` notes that this one is alive and which share it has, and
//! replies with what that becomes.

use std::time::Duration;

use crate::fleet::call::{Pipeline, RedisCommand, argument};
use crate::fleet::reply_effect::{Items, ReplyEffect};
use crate::fleet::script::{Script, script};
use crate::state::membership::Membership;
use crate::state::share::{Share, WHOLE};
use crate::state::store::Moment;
use crate::state::time::Minute;

static SCRIPT: Script = script!("presence.lua");

/// Instances, at most: a reply that counts more is forged.
const MAX_INSTANCES: u64 = 100_000;

/// Instances that balance their leases in a second, about.
const BALANCED_AT_ONCE: u64 = 8;

/// Notes that this instance is alive.
pub(super) fn add(pipeline: &mut Pipeline<'_>, moment: &mut Moment<'_>) {
    let Membership { instance, epoch, share, turns, .. } = pipeline.membership;
    let keys = [pipeline.key("shares"), pipeline.key("epoch"), pipeline.key("run")];
    let known = if share.target == 0 { 0 } else { share.after.saturating_add(share.others).min(WHOLE) };
    let arguments = [
        argument(instance),
        // 52 bits, which Lua's numbers hold exactly.
        argument((moment.random.bits() >> 12).max(1)),
        argument(epoch),
        argument(turns),
        argument(share.after),
        argument(share.before),
        argument(share.from.0),
        argument(known),
        argument(pipeline.membership.weight()),
        argument(Minute::of(moment.now).0),
        pipeline.key("wake:"),
    ];
    pipeline.script(RedisCommand::Presence { turn: turns }, &SCRIPT, &keys, &arguments);
}

/// Notes that this instance ends, if it has a number. It keeps its share of this minute, of which
/// it gives up what it has not used.
pub(super) fn remove(pipeline: &mut Pipeline<'_>, now: Duration) {
    let Membership { instance, share, .. } = pipeline.membership;
    if instance != 0 {
        let (key, minute) = (pipeline.key("shares"), Minute::of(now));
        // No presence that is still on its way has a later number.
        let next = minute.0.saturating_add(1);
        let ended = argument(format_args!("0 {} {next} 0 9999999999999 0", share.at(minute)));
        pipeline.command(RedisCommand::Deregister, &[b"HSET", &key, &argument(instance), &ended]);
    }
}

/// Applies the reply: `{epoch, instances, after, before, from, target, others}`. The share is that of
/// the last presence only: what an earlier one was granted, the later one has taken back.
pub(super) fn apply(turn: u64, reply: &Items<'_>, moment: &Moment<'_>) -> Option<ReplyEffect> {
    let (epoch, instances) = (reply.number(0)?, reply.number(1)?);
    if !(1..=MAX_INSTANCES).contains(&instances) {
        return None;
    }
    let part = |place| reply.number(place).and_then(|part| u32::try_from(part).ok());
    let whole = |place| part(place).filter(|part| *part <= WHOLE);
    let share = Share {
        after: whole(2)?,
        before: whole(3)?,
        from: Minute(part(4)?),
        target: whole(5)?,
        others: part(6)?,
    };
    let minute = Minute::of(moment.now);
    let mut is_new_epoch = false;
    let changed = Membership::update(moment.store, |membership| {
        // It has served without knowing the others, as they may have.
        let was_alone = membership.is_redis_down && membership.share.target == 0;
        if was_alone || (membership.epoch != 0 && membership.epoch != epoch) {
            membership.lost_minute = minute;
        }
        is_new_epoch = (membership.epoch == 0 || was_alone) && membership.lost_minute == minute;
        membership.epoch = epoch;
        membership.instances = u32::try_from(instances).unwrap_or(u32::MAX);
        if membership.turns == turn {
            membership.share = share;
        }
        Some(())
    });
    // In a large fleet not every second: each change is a script for each deployment.
    let every = instances.div_ceil(BALANCED_AT_ONCE).max(1);
    let is_due = |number: u64| number.wrapping_add(moment.now.as_secs()).is_multiple_of(every);
    let is_in_transition = changed.is_some_and(|(membership, ())| {
        membership.share.is_in_transition(minute) && is_due(membership.instance)
    });
    Some(if is_new_epoch { ReplyEffect::NewEpoch } else { ReplyEffect::Present { is_in_transition } })
}
