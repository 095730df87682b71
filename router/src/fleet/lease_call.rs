//! Leases: `lease.lua` grants an instance requests and tokens of a deployment's minute, and takes
//! back what it does not use.

use crate::fleet::call::{Pipeline, RedisCommand, argument};
use crate::fleet::reply_effect::{Items, ReplyEffect};
use crate::fleet::script::{Script, script};
use crate::state::amount::Amount;
use crate::state::deployment_states::DeploymentStates;
use crate::state::limits::MinuteLimits;
use crate::state::membership::Membership;
use crate::state::record::Record;
use crate::state::store::Moment;
use crate::state::time::{Minute, UnixMillis};

static SCRIPT: Script = script!("lease.lua");

/// What a call is for.
#[derive(Clone, Copy)]
pub(super) enum LeaseCall {
    /// To take a portion of the minute, at least what requests wait for.
    Acquire(Amount),
    /// To give back what is not used, because another instance has asked. It also reports what is
    /// used, so it is made even if there is nothing to give.
    GiveBack { all: bool },
    /// To come closer to the share that this instance should have of the minute.
    Balance,
    /// To report what is held, after Redis has lost it.
    Report,
    /// To give back all that is not used, because the instance ends.
    GiveUp,
}

/// What a call acquires and gives back of a lease, and what it reports.
#[derive(Clone, Copy, Default)]
struct LeaseChange {
    wanted: Amount,
    returned: Amount,
    used: Amount,
    held: Amount,
}

impl LeaseCall {
    /// Changes the record before the call is sent: what is returned can no longer be used. `None`
    /// where there is nothing to send.
    fn prepare(
        self,
        record: &mut Record,
        limits: MinuteLimits,
        membership: &Membership,
        moment: &Moment<'_>,
    ) -> Option<LeaseChange> {
        if limits == MinuteLimits::default() {
            return None;
        }
        let (instances, now) = (membership.instances, moment.now);
        let Record { window, lease, .. } = record;
        *lease = lease.for_minute(window.minute, limits, membership.share.at(window.minute));
        lease.reconcile(window);
        let change = LeaseChange { used: window.used(), ..LeaseChange::default() };
        match self {
            Self::Acquire(needed) => {
                let wanted = lease.next_portion(window, limits, needed, instances, now);
                Some(LeaseChange { wanted, ..change })
            }
            Self::GiveBack { all } => {
                Some(LeaseChange { returned: lease.give_back(window, all, now), ..change })
            }
            Self::Balance => {
                let target = limits.part(membership.share.target);
                let [wanted, returned] = lease.balance(window, limits, target, instances, now)?;
                Some(LeaseChange { wanted, returned, ..change })
            }
            Self::GiveUp => Some(LeaseChange { returned: lease.give_up(window), ..change }),
            Self::Report => Some(LeaseChange { held: lease.held, ..change }),
        }
    }
}

/// Adds a lease call about one deployment, where there is something to send.
pub(super) fn add(
    pipeline: &mut Pipeline<'_>,
    index: usize,
    call: LeaseCall,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) {
    let membership = pipeline.membership;
    let change = states.change(index, moment.now, moment.store, |record, limits| {
        call.prepare(record, limits.per_minute(), &membership, moment)
    });
    let (Some(id), Some((record, limits)), Some(LeaseChange { wanted, returned, used, held })) =
        (pipeline.settings.deployment_ids.get(index), states.record(index), change)
    else {
        return;
    };
    let minute = record.window.minute;
    let needed = if let LeaseCall::Acquire(needed) = call { needed } else { Amount::default() };
    let limit = |limit: Option<u64>| limit.map_or_else(|| b"-1".to_vec(), argument);
    let of_minute = pipeline.key(&format!("{{{id}}}:{}", minute.0));
    let keys = [of_minute, pipeline.key("epoch"), pipeline.key("shares")];
    let arguments = [
        argument(membership.instance),
        argument(membership.epoch),
        argument(minute.0),
        limit(limits.rpm),
        limit(limits.tpm),
        argument(wanted.requests),
        argument(wanted.tokens),
        argument(returned.requests),
        argument(returned.tokens),
        argument(used.requests),
        argument(used.tokens),
        argument(needed.requests),
        argument(needed.tokens),
        argument(u8::from(membership.lost_minute == minute)),
        argument(held.requests),
        argument(held.tokens),
        pipeline.key("wake:"),
        argument(id),
    ];
    let command = RedisCommand::Lease { index, minute, is_acquire: wanted != Amount::default() };
    pipeline.script(command, &SCRIPT, &keys, &arguments);
}

/// Applies the reply; `lease.lua` lists its items.
pub(super) fn apply(
    (index, minute, is_acquire): (usize, Minute, bool),
    reply: &Items<'_>,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) -> Option<ReplyEffect> {
    let granted = Amount { requests: reply.number(0)?, tokens: reply.number(1)? };
    let remaining = Amount { requests: reply.number(2)?, tokens: reply.number(3)? };
    let (epoch_state, unused_elsewhere) = (reply.number(4)?, reply.number(5)? == 1);
    if epoch_state == 1 {
        Membership::update(moment.store, |membership| {
            membership.epoch = 0;
            membership.lost_minute = minute;
            Some(())
        });
    }
    if epoch_state != 0 {
        return Some(ReplyEffect::Lost);
    }
    states.change(index, moment.now, moment.store, |record, _| {
        let lease = &mut record.lease;
        // A reply about a minute that is over grants nothing.
        if lease.minute != minute {
            return None;
        }
        lease.held = lease.held.saturating_add(granted);
        lease.remaining = remaining;
        if is_acquire {
            lease.unused_elsewhere = unused_elsewhere;
            lease.answered_at = UnixMillis::of(moment.now);
        }
        Some(())
    });
    if granted == Amount::default() {
        return Some(ReplyEffect::None);
    }
    states.note_release(index, moment.now, moment.store);
    Some(ReplyEffect::Resumes)
}
