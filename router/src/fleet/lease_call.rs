//! Leases: `lease.lua` grants an instance requests and tokens of a deployment's minute, and takes
//! back what it does not use.

use crate::fleet::call::{Part, Pipeline, text};
use crate::fleet::effect::{Effect, Items};
use crate::state::deployment_states::DeploymentStates;
use crate::state::lease::Shortfall;
use crate::state::limits::MinuteLimits;
use crate::state::membership::Membership;
use crate::state::record::Record;
use crate::state::store::Moment;
use crate::state::time::{Minute, UnixMillis};

const SCRIPT: &[u8] = include_bytes!("lease.lua");

/// What a call is for.
#[derive(Clone, Copy)]
pub(super) enum LeaseCall {
    /// To take a portion of the minute, at least what requests wait for.
    Acquire(Shortfall),
    /// To return what is not used.
    Return,
    /// To report what was taken, after Redis has lost it.
    Report,
}

/// Requests and tokens.
type Amounts = (u64, u64);

impl LeaseCall {
    /// Changes the record before the call is sent: what is returned can no longer be used. Returns
    /// what is wanted, returned and used; `None` where there is nothing to send.
    fn prepare(
        self,
        record: &mut Record,
        limits: MinuteLimits,
        instances: u32,
        moment: &Moment<'_>,
    ) -> Option<[Amounts; 3]> {
        let Record { window, lease, .. } = record;
        *lease = lease.for_minute(window.minute);
        lease.reconcile(window);
        let used = (u64::from(window.requests), window.tokens);
        match self {
            Self::Acquire(shortfall) => {
                let wanted = lease.next_portion(window, limits, shortfall, instances, moment.now);
                Some([wanted, (0, 0), used])
            }
            Self::Return => Some([(0, 0), lease.release_unused(window, moment.now)?, used]),
            Self::Report if limits == MinuteLimits::default() => None,
            // All that the lease holds: Redis no longer knows that it granted it.
            Self::Report => Some([(0, 0), (0, 0), (lease.requests, lease.tokens)]),
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
    let instances = membership.instances();
    let amounts = states.change(index, moment.now, moment.store, |record, limits| {
        call.prepare(record, limits.per_minute(), instances, moment)
    });
    let (Some(id), Some((record, limits)), Some([wanted, returned, used])) =
        (pipeline.settings.deployment_ids.get(index), states.record(index), amounts)
    else {
        return;
    };
    let minute = record.window.minute;
    let shortfall = if let LeaseCall::Acquire(shortfall) = call { shortfall } else { Shortfall::default() };
    let limit = |limit: Option<u64>| limit.map_or_else(|| b"-1".to_vec(), text);
    let keys = [pipeline.key(&format!("{{{id}}}:{}", minute.0)), pipeline.key("epoch")];
    let arguments = [
        text(membership.instance),
        text(membership.epoch),
        limit(limits.rpm),
        limit(limits.tpm),
        text(wanted.0),
        text(wanted.1),
        text(returned.0),
        text(returned.1),
        text(used.0),
        text(used.1),
        text(membership.missing),
        text(instances),
        text(u8::from(membership.lost_minute == minute)),
        text(shortfall.requests),
        text(shortfall.tokens),
    ];
    let part = Part::Lease { index, minute, is_acquire: wanted != (0, 0) };
    pipeline.script(part, SCRIPT, &keys, &arguments);
}

/// Applies the reply; `lease.lua` lists its items.
pub(super) fn apply(
    (index, minute, is_acquire): (usize, Minute, bool),
    reply: &Items<'_>,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) -> Option<Effect> {
    let (requests, tokens) = (reply.number(0)?, reply.number(1)?);
    let remaining = (reply.number(2)?, reply.number(3)?);
    let (epoch_state, unused_elsewhere) = (reply.number(4)?, reply.number(5)? == 1);
    if epoch_state == 1 {
        Membership::update(moment.store, |membership| {
            membership.epoch = 0;
            membership.lost_minute = minute;
            Some(())
        });
    }
    if epoch_state != 0 {
        return Some(Effect::Lost);
    }
    states.change(index, moment.now, moment.store, |record, _| {
        let lease = &mut record.lease;
        // A reply about a minute that is over grants nothing.
        if lease.minute != minute {
            return None;
        }
        lease.requests = lease.requests.saturating_add(requests);
        lease.tokens = lease.tokens.saturating_add(tokens);
        (lease.remaining_requests, lease.remaining_tokens) = remaining;
        if is_acquire {
            lease.unused_elsewhere = unused_elsewhere;
            lease.answered_at = UnixMillis::of(moment.now);
        }
        Some(())
    });
    if (requests, tokens) == (0, 0) {
        return Some(Effect::None);
    }
    states.note_release(index, moment.now, moment.store);
    Some(Effect::Granted)
}
