//! The exchange about one deployment: `exchange.lua` takes this instance's requests in flight, cooldown and latencies, and
//! replies with those of the others.

use crate::fleet::call::{Part, Pipeline, text};
use crate::fleet::reply::{Effect, Items};
use crate::fleet::resp::Value;
use crate::state::deployment_states::DeploymentStates;
use crate::state::latency::{Estimate, Metric};
use crate::state::record::{Record, RemoteInFlight, seconds};
use crate::state::store::Moment;

const SCRIPT: &[u8] = include_bytes!("exchange.lua");

/// Adds the exchange about one deployment.
pub(super) fn add(
    pipeline: &mut Pipeline<'_>,
    index: usize,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) {
    states.read(index, moment.store);
    let Some(id) = pipeline.settings.deployment_ids.get(index) else { return };
    let Some((record, _)) = states.seen(index) else { return };
    let cooldown = record.cooldown;
    let (from, until) = cooldown.at(moment.now).map_or((0, 0), |_| (cooldown.from, cooldown.until));
    let keys = [pipeline.key(&format!("{{{id}}}:fleet"))];
    let arguments = [
        text(pipeline.membership.instance),
        text(record.in_flight()),
        text(from),
        text(until),
        write(&record.latency.first),
        write(&record.latency.each),
        write(&record.latency.whole),
    ];
    pipeline.script(Part::Exchange { index }, SCRIPT, &keys, &arguments);
}

/// Applies the reply: `{requests in flight elsewhere, cooldown from, until, estimate, estimate, estimate}`.
pub(super) fn apply(
    index: usize,
    reply: &Items<'_>,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) -> Option<Effect> {
    let in_flight = u32::try_from(reply.number(0)?).unwrap_or(u32::MAX);
    let (from, until) = (reply.number(1)?, reply.number(2)?);
    let estimates = [(Metric::First, 3), (Metric::Each, 4), (Metric::Whole, 5)];
    let estimates = estimates.map(|(metric, place)| (metric, reply.get(place).and_then(read)));
    states.change(index, moment.now, moment.store, |record, _| {
        let before = record.clone();
        record.elsewhere = RemoteInFlight { count: in_flight, at: seconds(moment.now) };
        if until > record.cooldown.until {
            (record.cooldown.from, record.cooldown.until) = (from, until);
        }
        for (metric, estimate) in estimates {
            let own = record.latency.of_mut(metric);
            if let Some(estimate) = estimate.filter(|estimate| estimate.at > own.at) {
                *own = estimate;
            }
        }
        // The record of an unused deployment is not written every second.
        let was_in_flight = before.elsewhere.count;
        let has_changed = *record != Record { elsewhere: record.elsewhere, ..before };
        (has_changed || in_flight != was_in_flight || in_flight != 0).then_some(())
    });
    Some(Effect::None)
}

/// `<at> <ms> <load> <best>`, or nothing.
fn write(estimate: &Estimate) -> Vec<u8> {
    match estimate.at {
        0 => Vec::new(),
        at => text(format_args!("{at} {} {} {}", estimate.ms, estimate.load, estimate.best)),
    }
}

fn read(value: &Value) -> Option<Estimate> {
    let Value::Bulk(bytes) = value else { return None };
    let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
    let at = words.next()?.parse().ok()?;
    let mut float = || words.next()?.parse().ok().filter(|value: &f32| value.is_finite() && *value >= 0.0);
    Some(Estimate { at, ms: float()?, load: float()?, best: float()?, ..Estimate::default() })
}
