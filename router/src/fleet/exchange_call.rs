//! The exchange about one deployment: `exchange.lua` takes this instance's requests in flight,
//! cooldown and latencies, and replies with those of the others.

use crate::fleet::call::{Pipeline, RedisCommand, argument};
use crate::fleet::reply_effect::{Items, ReplyEffect};
use crate::fleet::resp::RespValue;
use crate::fleet::script::{Script, script};
use crate::http::json;
use crate::state::cooldown::{Cooldown, MAX_STEP_BACK};
use crate::state::deployment_states::DeploymentStates;
use crate::state::latency::{LatencyEstimate, Metric};
use crate::state::record::{Record, RemoteInFlight};
use crate::state::store::Moment;
use crate::state::time::{UnixMillis, UnixSeconds};

static SCRIPT: Script = script!("exchange.lua");

/// Adds the exchange about one deployment.
pub(super) fn add(
    pipeline: &mut Pipeline<'_>,
    index: usize,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) {
    states.read(index, moment.store);
    let Some(id) = pipeline.settings.deployment_ids.get(index) else { return };
    let Some((record, _)) = states.record(index) else { return };
    let cooldown = record.cooldown;
    let (from, until) =
        cooldown.active_until(moment.now).map_or((0, 0), |_| (cooldown.from.0, cooldown.until.0));
    let keys = [pipeline.key(&format!("{{{id}}}:fleet"))];
    let arguments = [
        argument(pipeline.membership.instance),
        argument(record.in_flight()),
        argument(from),
        argument(until),
        write(&record.latency.first),
        write(&record.latency.each),
        write(&record.latency.whole),
    ];
    pipeline.script(RedisCommand::Exchange { index }, &SCRIPT, &keys, &arguments);
}

/// Applies the reply: `{in flight elsewhere, cooldown from, until, estimate, estimate, estimate}`.
pub(super) fn apply(
    index: usize,
    reply: &Items<'_>,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) -> Option<ReplyEffect> {
    let in_flight = u32::try_from(reply.number(0)?).unwrap_or(u32::MAX);
    let cooldown = Cooldown { from: UnixMillis(reply.number(1)?), until: UnixMillis(reply.number(2)?) };
    let estimates = [(Metric::First, 3), (Metric::Each, 4), (Metric::Whole, 5)];
    let estimates = estimates.map(|(metric, place)| (metric, reply.get(place).and_then(read)));
    let latest = UnixSeconds::of(moment.now.saturating_add(MAX_STEP_BACK));
    let at = |estimate: &LatencyEstimate| Some(estimate.at).filter(|at| *at <= latest);
    states.change(index, moment.now, moment.store, |record, _| {
        let before = record.clone();
        record.remote_in_flight = RemoteInFlight { count: in_flight, at: UnixSeconds::of(moment.now) };
        if cooldown.active_until(moment.now) > record.cooldown.active_until(moment.now) {
            record.cooldown = cooldown;
        }
        for (metric, estimate) in estimates {
            let own = record.latency.of_mut(metric);
            if let Some(estimate) = estimate.filter(|estimate| at(estimate) > at(own)) {
                *own = estimate;
            }
        }
        // The record of an unused deployment is not written every second.
        let was_in_flight = before.remote_in_flight.count;
        let has_changed = *record != Record { remote_in_flight: record.remote_in_flight, ..before };
        (has_changed || in_flight != was_in_flight || in_flight != 0).then_some(())
    });
    Some(ReplyEffect::None)
}

/// `<at> <ms> <load> <best>`, or nothing.
fn write(estimate: &LatencyEstimate) -> Vec<u8> {
    if !estimate.is_known() {
        return Vec::new();
    }
    let LatencyEstimate { ms, at, load, best, .. } = estimate;
    let [ms, load, best] = [ms, load, best].map(|number| json::number(f64::from(*number)));
    argument(format_args!("{} {ms} {load} {best}", at.0))
}

fn read(value: &RespValue) -> Option<LatencyEstimate> {
    let RespValue::Bulk(bytes) = value else { return None };
    let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
    let at = UnixSeconds(words.next()?.parse().ok()?);
    let number = |word: &str| word.parse().ok().map(|value: f64| value as f32);
    let mut float = || number(words.next()?).filter(|value| value.is_finite() && *value >= 0.0);
    Some(LatencyEstimate { at, ms: float()?, load: float()?, best: float()?, ..LatencyEstimate::default() })
}
