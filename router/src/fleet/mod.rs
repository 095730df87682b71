//! What is said to Redis and what its answers mean: leases ahead of need, signs of life, and what instances tell each other.
//!
//! Everything goes in pipelines that end in QUIT, whose `+OK` shows that nothing was cut off. Each script runs once and
//! answers by itself, so the pieces of a pipeline need not belong together. An answer that never comes costs what it granted:
//! a lease that is lost stays taken until the minute ends, so the fleet admits less, and never more.

pub mod resp;

use std::time::Duration;

use llm_balancer_config::Redis;

use crate::router::Router;
use crate::state::deployment_states::DeploymentStates;
use crate::state::latency::{Estimate, Metric};
use crate::state::lease::{Limits, QuotaMode, Shortfall};
use crate::state::membership::Fleet;
use crate::state::record::{Record, RemoteInFlight, milliseconds, seconds};
use crate::state::store::Moment;
use resp::Value;

const LEASE: &[u8] = include_bytes!("lease.lua");
const PRESENCE: &[u8] = include_bytes!("presence.lua");
const EXCHANGE: &[u8] = include_bytes!("exchange.lua");

/// Deployments in one pipeline, at most: their answers stay far below the 64 KB that come back whole.
const MOST: usize = 128;
/// Instances, at most: whoever says that there are more is not Redis, and the share of each would be nothing.
const MOST_INSTANCES: u64 = 100_000;

/// A pipeline on its way to Redis.
#[derive(Debug)]
pub struct Call {
    /// What is sent.
    pub bytes: Vec<u8>,
    /// What its replies mean, in order.
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    /// AUTH or SELECT.
    Auth,
    Presence,
    Goodbye,
    Lease {
        index: usize,
        minute: u32,
        is_wanted: bool,
    },
    Exchange {
        index: usize,
    },
}

/// What came of a call.
#[derive(Debug, PartialEq, Eq)]
pub struct CallResult {
    /// What it says about Redis.
    pub news: RedisTransition,
    /// It brought a lease on something, or what is needed to ask for one.
    pub granted: bool,
    /// Redis has forgotten: it is to be told again, see [`Router::resync`].
    pub forgot: bool,
}

/// What is new about Redis.
#[derive(Debug, PartialEq, Eq)]
pub enum RedisTransition {
    /// It is as it was.
    None,
    /// Redis does not answer, or not with what was asked for: from now on each instance has its share.
    Away(String),
    /// Redis is back.
    Back,
}

impl Call {
    /// The deployments that it asks leases of.
    pub fn leases(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().filter_map(|part| match part {
            Part::Lease { index, .. } => Some(*index),
            _ => None,
        })
    }
}

impl Router {
    /// Deployments that began to sit out since this was last asked: news for the other instances.
    pub fn begun_cooldowns(&self) -> Vec<usize> {
        std::mem::take(&mut *self.news.borrow_mut())
    }

    /// Asks for leases on these deployments, for what is lacked there at least; `None` without Redis, or while it is away.
    pub fn acquire(&self, shortfall: &[(usize, Shortfall)], moment: &mut Moment<'_>) -> Option<Call> {
        let mut states = self.states.borrow_mut();
        let mut call = self.call()?;
        let fleet = states.look_at_fleet(moment.now, moment.store);
        if fleet.away || fleet.left {
            return None;
        }
        if fleet.epoch == 0 {
            // It has to introduce itself first.
            self.introduce(Fleet::register(moment.store, moment.random), &mut call, moment);
            return call.finish();
        }
        for (index, shortfall) in shortfall.iter().take(MOST) {
            self.ask_for(*index, *shortfall, LeaseCall::Acquire, &fleet, &mut call, &mut states, moment);
        }
        call.finish()
    }

    /// Gives back what is held on these deployments and not used; keeps those that are still in use in the list.
    pub fn release_unused(&self, held: &mut Vec<usize>, moment: &mut Moment<'_>) -> Option<Call> {
        let mut states = self.states.borrow_mut();
        let may_give_back = |index: usize, states: &DeploymentStates| {
            let Some((record, _)) = states.seen(index) else { return true };
            record.lease.may_give_back(&record.window.at(moment.now), moment.now)
        };
        if !held.iter().any(|index| may_give_back(*index, &states)) {
            return None;
        }
        let fleet = states.look_at_fleet(moment.now, moment.store);
        let mut call = self.call()?;
        let mut asked = 0;
        held.retain(|index| {
            if !may_give_back(*index, &states) {
                return true;
            }
            states.read(*index, moment.store);
            let Some((record, _)) = states.seen(*index) else { return false };
            let window = record.window.at(moment.now);
            let mut lease = record.lease;
            let is_idle = lease.release_unused(&window, moment.now).is_some();
            if is_idle && !fleet.away && asked < MOST {
                asked = asked.saturating_add(1);
                self.ask_for(
                    *index,
                    Shortfall::default(),
                    LeaseCall::Return,
                    &fleet,
                    &mut call,
                    &mut states,
                    moment,
                );
            }
            // What it reserved may still come back to it, so it is looked at for a while.
            lease.minute == window.minute && (fleet.away || is_idle || !lease.is_forgotten(moment.now))
        });
        call.finish()
    }

    /// What is to be exchanged with the other instances, when it is this worker's turn.
    pub fn exchange(&self, moment: &mut Moment<'_>) -> Vec<Call> {
        let Some(mut call) = self.call() else { return Vec::new() };
        // Before the turn is taken, so that the fleet as it is then knows the number.
        let instance = Fleet::register(moment.store, moment.random);
        let mut states = self.states.borrow_mut();
        let count = states.count();
        // All of them once a second, unless there are very many.
        let asked = count.min(MOST.saturating_mul(4));
        let Some((fleet, first)) = Fleet::take_turn(moment.store, moment.now, asked, count) else {
            return Vec::new();
        };
        self.introduce(instance, &mut call, moment);
        let mut calls: Vec<_> = call.finish().into_iter().collect();
        if fleet.away {
            return calls;
        }
        let turn: Vec<usize> = (0..count).cycle().skip(first).take(asked).collect();
        for some in turn.chunks(MOST) {
            let Some(mut call) = self.call() else { break };
            for index in some {
                self.exchange_about(*index, &fleet, &mut call, &mut states, moment);
            }
            calls.extend(call.finish());
        }
        calls
    }

    /// Says that this instance is there.
    fn introduce(&self, instance: u64, call: &mut Call, moment: &mut Moment<'_>) {
        let keys = [self.key("instances"), self.key("epoch"), self.key("run")];
        // A number that Lua does not round.
        let own = [number(instance), number((moment.random.bits() >> 12).max(1))];
        call.script(Part::Presence, PRESENCE, &keys, &own);
    }

    /// Says goodbye: nobody has to keep a share for this instance. To be said when the fleet has been
    /// [parted](Fleet::deregister) from and what was on its way has arrived.
    pub fn deregister(&self, moment: &mut Moment<'_>) -> Option<Call> {
        let instance = Fleet::read(moment.store).instance;
        if instance == 0 {
            return None;
        }
        let mut call = self.call()?;
        // As if its last sign of life were long ago: it is gone with the next one of anybody.
        let words: [&[u8]; 4] = [b"ZADD", &self.key("instances"), b"0", &number(instance)];
        resp::command(&mut call.bytes, &words);
        call.parts.push(Part::Goodbye);
        call.finish()
    }

    /// Tells Redis again what this instance has taken of the minute, after it has forgotten.
    pub fn resync(&self, moment: &mut Moment<'_>) -> Vec<Call> {
        let mut states = self.states.borrow_mut();
        let fleet = states.look_at_fleet(moment.now, moment.store);
        let mut calls = Vec::new();
        let all: Vec<usize> = (0..states.count()).collect();
        for some in all.chunks(MOST) {
            let Some(mut call) = self.call() else { break };
            for index in some {
                // Nothing taken is a word as well: until all have said theirs, each has its share and no more.
                self.ask_for(
                    *index,
                    Shortfall::default(),
                    LeaseCall::Report,
                    &fleet,
                    &mut call,
                    &mut states,
                    moment,
                );
            }
            calls.extend(call.finish());
        }
        calls
    }

    /// Tells the others about a deployment at once: it cools down.
    pub fn publish(&self, index: usize, moment: &mut Moment<'_>) -> Option<Call> {
        let mut states = self.states.borrow_mut();
        let fleet = states.look_at_fleet(moment.now, moment.store);
        if fleet.away {
            return None;
        }
        let mut call = self.call()?;
        self.exchange_about(index, &fleet, &mut call, &mut states, moment);
        call.finish()
    }

    /// Takes in what Redis answered; `None` for nothing. An answer that is late is taken in as well, but says nothing about Redis
    /// being back: the next one may be as late.
    pub fn apply_reply(
        &self,
        call: Call,
        answer: Option<&[u8]>,
        is_late: bool,
        moment: &mut Moment<'_>,
    ) -> CallResult {
        let mut states = self.states.borrow_mut();
        let replies = match answer {
            None => Err("no reply".to_owned()),
            // One more for QUIT.
            Some(bytes) => resp::replies(bytes, call.parts.len().saturating_add(1))
                .ok_or_else(|| match bytes.is_empty() {
                    true => "no reply".to_owned(),
                    false => "a truncated or malformed reply".to_owned(),
                })
                .and_then(|replies| first_error(&replies).map_or(Ok(replies), Err)),
        };
        let before = states.look_at_fleet(moment.now, moment.store).lost_minute;
        let (mut granted, mut learned) = (false, false);
        let outcome = replies.and_then(|replies| {
            let parts = call.parts.iter().zip(&replies);
            let mut known = true;
            let mut is_sense = true;
            for (part, reply) in parts {
                match apply_part(*part, reply, &mut states, moment) {
                    Some(ReplyEffect::Granted) => granted = true,
                    Some(ReplyEffect::Learned) => (granted, learned) = (true, true),
                    Some(ReplyEffect::Unknown) => known = false,
                    Some(ReplyEffect::Word) => {}
                    None => is_sense = false,
                }
            }
            match (is_sense, known) {
                (false, _) => Err("an unexpected reply".to_owned()),
                (true, false) => Err("it has lost the counts of this minute".to_owned()),
                (true, true) => Ok(()),
            }
        });
        granted &= outcome.is_ok();
        self.metrics.borrow_mut().redis(match outcome {
            Ok(()) if is_late => "slow",
            Ok(()) => "success",
            Err(_) => "error",
        });
        let (news, has_missed) = match outcome {
            Ok(()) if is_late => (RedisTransition::None, false),
            outcome => set_redis_health(outcome.err(), &mut states, moment),
        };
        let forgot =
            has_missed || learned || states.look_at_fleet(moment.now, moment.store).lost_minute != before;
        CallResult { news, granted, forgot }
    }

    /// A call is taking longer than a request may wait. Its answer is taken in all the same, if it comes.
    pub fn timed_out(&self, moment: &mut Moment<'_>) -> RedisTransition {
        let mut states = self.states.borrow_mut();
        set_redis_health(Some("no reply in time".to_owned()), &mut states, moment).0
    }

    #[expect(clippy::too_many_arguments, reason = "one lease in all its parts")]
    fn ask_for(
        &self,
        index: usize,
        shortfall: Shortfall,
        give: LeaseCall,
        fleet: &Fleet,
        call: &mut Call,
        states: &mut DeploymentStates,
        moment: &Moment<'_>,
    ) {
        let Some(deployment) = self.deployment(index) else { return };
        let QuotaMode::Shared { instances, .. } = fleet.quota_mode(moment.now) else { return };
        let now = moment.now;
        let asked = states.change(index, now, moment.store, |record, terms| {
            record.lease = record.lease.on(record.window.minute);
            record.lease.reconcile(&record.window);
            let back = match give {
                LeaseCall::Return => record.lease.release_unused(&record.window, now)?,
                LeaseCall::Report if terms.limits() == Limits::default() => return None,
                LeaseCall::Acquire | LeaseCall::Report => (0, 0),
            };
            let used = match give {
                // All that it holds: Redis does not know that it granted it.
                LeaseCall::Report => (record.lease.requests, record.lease.tokens),
                LeaseCall::Return | LeaseCall::Acquire => {
                    (u64::from(record.window.requests), record.window.tokens)
                }
            };
            let wanted = match give {
                LeaseCall::Return | LeaseCall::Report => (0, 0),
                LeaseCall::Acquire => {
                    record.lease.portion(&record.window, terms.limits(), shortfall, instances, now)
                }
            };
            Some((record.window.minute, terms.limits(), wanted, back, used))
        });
        let Some((minute, limits, wanted, back, used)) = asked else { return };
        let limit = |limit: Option<u64>| limit.map_or_else(|| b"-1".to_vec(), number);
        let is_lost = u64::from(fleet.lost_minute == minute);
        let keys = [self.key(&format!("{{{}}}:{}", deployment.id, minute)), self.key("epoch")];
        let arguments = [
            number(fleet.instance),
            number(fleet.epoch),
            limit(limits.rpm),
            limit(limits.tpm),
            number(wanted.0),
            number(wanted.1),
            number(back.0),
            number(back.1),
            number(used.0),
            number(used.1),
            number(u64::from(fleet.missing)),
            number(u64::from(instances)),
            number(is_lost),
            number(shortfall.requests),
            number(shortfall.tokens),
        ];
        let is_wanted = wanted != (0, 0);
        call.script(Part::Lease { index, minute, is_wanted }, LEASE, &keys, &arguments);
    }

    fn exchange_about(
        &self,
        index: usize,
        fleet: &Fleet,
        call: &mut Call,
        states: &mut DeploymentStates,
        moment: &Moment<'_>,
    ) {
        states.read(index, moment.store);
        let (Some(deployment), Some((record, _))) = (self.deployment(index), states.seen(index)) else {
            return;
        };
        let cooldown =
            record.cooldown.at(moment.now).map_or((0, 0), |_| (record.cooldown.from, record.cooldown.until));
        let keys = [self.key(&format!("{{{}}}:fleet", deployment.id))];
        let arguments = [
            number(fleet.instance),
            number(u64::from(record.in_flight())),
            number(cooldown.0),
            number(cooldown.1),
            estimate(&record.latency.first),
            estimate(&record.latency.each),
            estimate(&record.latency.whole),
        ];
        call.script(Part::Exchange { index }, EXCHANGE, &keys, &arguments);
    }

    fn call(&self) -> Option<Call> {
        let redis = self.config.redis.as_ref()?;
        let mut call = Call { bytes: Vec::with_capacity(2048), parts: Vec::new() };
        call.greet(redis);
        Some(call)
    }

    fn key(&self, rest: &str) -> Vec<u8> {
        let namespace = self.config.redis.as_ref().map_or("", |redis| &redis.namespace);
        format!("{namespace}:{rest}").into_bytes()
    }
}

/// Which way a lease goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LeaseCall {
    /// Asks for a portion of the minute.
    Acquire,
    /// Returns what is not used.
    Return,
    /// Reports how much is used.
    Report,
}

impl Call {
    fn greet(&mut self, redis: &Redis) {
        if let Some(password) = &redis.password {
            let password = password.reveal().as_bytes();
            match &redis.username {
                Some(user) => resp::command(&mut self.bytes, &[b"AUTH", user.as_bytes(), password]),
                None => resp::command(&mut self.bytes, &[b"AUTH", password]),
            }
            self.parts.push(Part::Auth);
        }
        if redis.database != 0 {
            resp::command(&mut self.bytes, &[b"SELECT", &number(u64::from(redis.database))]);
            self.parts.push(Part::Auth);
        }
    }

    fn script(&mut self, part: Part, script: &[u8], keys: &[Vec<u8>], arguments: &[Vec<u8>]) {
        let count = number(keys.len() as u64);
        let mut command: Vec<&[u8]> = vec![b"EVAL", script, &count];
        command.extend(keys.iter().chain(arguments).map(Vec::as_slice));
        resp::command(&mut self.bytes, &command);
        self.parts.push(part);
    }

    /// Ends the pipeline; `None` where there is nothing to say.
    fn finish(mut self) -> Option<Self> {
        if self.parts.iter().all(|part| matches!(part, Part::Auth)) {
            return None;
        }
        resp::command(&mut self.bytes, &[b"QUIT"]);
        Some(self)
    }
}

fn number(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// Notes whether Redis is away, with the problem if it is; says what is new, and whether Redis has missed what instances took in
/// the meantime. Others may have done so as well, so until all have told there is no more than a share.
fn set_redis_health(
    problem: Option<String>,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) -> (RedisTransition, bool) {
    let changed = Fleet::update(moment.store, |fleet| {
        if fleet.away == problem.is_some() {
            return None;
        }
        if problem.is_some() {
            fleet.redis_down(moment.now);
            return Some(false);
        }
        let has_missed = fleet.redis_up(moment.now);
        if has_missed {
            fleet.lost_minute = minute_of(moment.now);
        }
        Some(has_missed)
    });
    states.look_at_fleet(moment.now, moment.store);
    match (changed, problem) {
        (None, _) => (RedisTransition::None, false),
        (Some(_), Some(problem)) => (RedisTransition::Away(problem), false),
        (Some((_, has_missed)), None) => (RedisTransition::Back, has_missed),
    }
}

fn minute_of(now: Duration) -> u32 {
    u32::try_from(now.as_secs() / 60).unwrap_or(u32::MAX)
}

/// The first thing that Redis refused, QUIT included.
fn first_error(replies: &[Value]) -> Option<String> {
    let error = replies.iter().find_map(|reply| match reply {
        Value::Error(error) => Some(error.clone()),
        _ => None,
    });
    let is_whole = replies.last() == Some(&Value::Simple("OK".to_owned()));
    error.or_else(|| (!is_whole).then(|| "a truncated reply".to_owned()))
}

/// What came of one reply.
enum ReplyEffect {
    /// A lease, or what is needed for one.
    Granted,
    /// The epoch of a Redis that has forgotten what was taken of this minute, and can now be told.
    Learned,
    /// Redis does not know what was taken before.
    Unknown,
    /// Something else.
    Word,
}

/// What one reply changes here. One that is not of its form changes nothing.
fn apply_part(
    part: Part,
    reply: &Value,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) -> Option<ReplyEffect> {
    let items = reply.items();
    let integer = |at: usize| -> Option<u64> {
        items?.get(at)?.integer().and_then(|number| u64::try_from(number).ok())
    };
    match part {
        Part::Auth | Part::Goodbye => {}
        Part::Presence => {
            let (epoch, live, missing) = (integer(0)?, integer(1)?, integer(2)?);
            if live.max(missing) > MOST_INSTANCES {
                return None;
            }
            let minute = minute_of(moment.now);
            let mut is_learned = false;
            Fleet::update(moment.store, |fleet| {
                is_learned = fleet.epoch == 0 && fleet.lost_minute == minute;
                if fleet.epoch != 0 && fleet.epoch != epoch {
                    fleet.lost_minute = minute;
                }
                fleet.epoch = epoch;
                let live = u32::try_from(live).unwrap_or(u32::MAX).max(1);
                // Those that Redis has forgotten come back within a second, and may have taken much.
                let missing = u32::try_from(missing).unwrap_or(u32::MAX);
                let before = fleet.live.saturating_add(fleet.missing).saturating_sub(missing);
                fleet.live = if fleet.lost_minute == minute { live.max(before) } else { live };
                fleet.missing = missing;
                Some(())
            });
            return Some(if is_learned { ReplyEffect::Learned } else { ReplyEffect::Granted });
        }
        Part::Lease { index, minute, is_wanted } => {
            let granted = (integer(0)?, integer(1)?, integer(2)?, integer(3)?);
            let (state, unused_elsewhere) = (integer(4)?, integer(5)? == 1);
            if state == 1 {
                Fleet::update(moment.store, |fleet| {
                    fleet.epoch = 0;
                    fleet.lost_minute = minute;
                    Some(())
                });
            }
            if state != 0 {
                return Some(ReplyEffect::Unknown);
            }
            states.change(index, moment.now, moment.store, |record, _| {
                // The minute may have turned since it was asked for.
                if record.lease.minute != minute {
                    return None;
                }
                let lease = &mut record.lease;
                lease.requests = lease.requests.saturating_add(granted.0);
                lease.tokens = lease.tokens.saturating_add(granted.1);
                (lease.left_requests, lease.left_tokens) = (granted.2, granted.3);
                if is_wanted {
                    lease.unused_elsewhere = unused_elsewhere;
                    lease.told = milliseconds(moment.now);
                }
                Some(())
            });
            if granted.0 > 0 || granted.1 > 0 {
                states.note_freed(index, moment.now, moment.store);
            }
            return Some(if granted.0 > 0 || granted.1 > 0 {
                ReplyEffect::Granted
            } else {
                ReplyEffect::Word
            });
        }
        Part::Exchange { index } => {
            let elsewhere = u32::try_from(integer(0)?).unwrap_or(u32::MAX);
            let (from, until) = (integer(1)?, integer(2)?);
            let newest = [Metric::First, Metric::Each, Metric::Whole].map(|metric| {
                let place: usize = match metric {
                    Metric::First => 3,
                    Metric::Each => 4,
                    Metric::Whole => 5,
                };
                (metric, items.and_then(|items| told_estimate(items.get(place)?)))
            });
            states.change(index, moment.now, moment.store, |record, _| {
                let before = record.clone();
                record.elsewhere = RemoteInFlight { count: elsewhere, at: seconds(moment.now) };
                if until > record.cooldown.until {
                    (record.cooldown.from, record.cooldown.until) = (from, until);
                }
                for (metric, estimate) in newest {
                    let own = record.latency.of_mut(metric);
                    if let Some(estimate) = estimate.filter(|estimate| estimate.at > own.at) {
                        *own = estimate;
                    }
                }
                // A deployment that nobody uses is not written every second.
                let is_news = *record != Record { elsewhere: record.elsewhere, ..before.clone() }
                    || record.elsewhere.count != before.elsewhere.count
                    || elsewhere != 0;
                is_news.then_some(())
            });
        }
    }
    Some(ReplyEffect::Word)
}

/// `<at> <ms> <load> <best>`, or nothing.
fn estimate(estimate: &Estimate) -> Vec<u8> {
    match estimate.at {
        0 => Vec::new(),
        at => format!("{at} {} {} {}", estimate.ms, estimate.load, estimate.best).into_bytes(),
    }
}

fn told_estimate(value: &Value) -> Option<Estimate> {
    let Value::Bulk(bytes) = value else { return None };
    let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
    let at = words.next()?.parse().ok()?;
    let mut float = || words.next()?.parse().ok().filter(|value: &f32| value.is_finite() && *value >= 0.0);
    Some(Estimate { at, ms: float()?, load: float()?, best: float()?, ..Estimate::default() })
}
