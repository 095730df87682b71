//! The presence of instances: `presence.lua` notes that this one is alive, and counts the others.

use crate::fleet::call::{Part, Pipeline, text};
use crate::fleet::effect::{Effect, Items};
use crate::random::Random;
use crate::state::membership::Membership;
use crate::state::store::Moment;
use crate::state::time::Minute;

const SCRIPT: &[u8] = include_bytes!("presence.lua");

/// Instances, at most: a reply that counts more is forged, and each share would be 0.
const MAX_INSTANCES: u64 = 100_000;

/// Notes that this instance is alive.
pub(super) fn add(pipeline: &mut Pipeline<'_>, instance: u64, random: &mut dyn Random) {
    let keys = [pipeline.key("instances"), pipeline.key("epoch"), pipeline.key("run")];
    // 52 bits, which Lua's numbers hold exactly.
    let epoch = (random.bits() >> 12).max(1);
    pipeline.script(Part::Presence, SCRIPT, &keys, &[text(instance), text(epoch)]);
}

/// Removes this instance, if it has a number. It looks as if it had been silent for long, so the
/// next instance that notes its presence removes it.
pub(super) fn remove(pipeline: &mut Pipeline<'_>, instance: u64) {
    if instance != 0 {
        let key = pipeline.key("instances");
        pipeline.command(Part::Deregister, &[b"ZADD", &key, b"0", &text(instance)]);
    }
}

/// Applies the reply: `{epoch, live, missing}`.
pub(super) fn apply(reply: &Items<'_>, moment: &Moment<'_>) -> Option<Effect> {
    let (epoch, live, missing) = (reply.number(0)?, reply.number(1)?, reply.number(2)?);
    if live.max(missing) > MAX_INSTANCES {
        return None;
    }
    let minute = Minute::of(moment.now);
    let mut is_new_epoch = false;
    Membership::update(moment.store, |membership| {
        is_new_epoch = membership.epoch == 0 && membership.lost_minute == minute;
        if membership.epoch != 0 && membership.epoch != epoch {
            membership.lost_minute = minute;
        }
        membership.epoch = epoch;
        let live = u32::try_from(live).unwrap_or(u32::MAX).max(1);
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        // Instances that Redis has lost note their presence within a second, and may have taken
        // much of this minute.
        let before = membership.live.saturating_add(membership.missing).saturating_sub(missing);
        membership.live = if membership.lost_minute == minute { live.max(before) } else { live };
        membership.missing = missing;
        Some(())
    });
    Some(if is_new_epoch { Effect::NewEpoch } else { Effect::Granted })
}
