//! The calls to Redis, through which instances share limits, cooldowns and latencies.
//!
//! A call is one pipeline of scripts that ends in QUIT, whose `+OK` shows that the reply is
//! complete. Each script runs once and replies by itself, so the commands of a pipeline need not
//! belong together. A lost reply costs what it granted: such a lease stays taken until the minute
//! ends, so the fleet admits less, and never more.
//!
//! One call stays open ([`wait_call`]): through it, other instances ask for what this one holds and
//! does not use.

mod call;
mod exchange_call;
mod health;
mod lease_call;
mod origin_call;
mod presence_call;
mod reply;
mod reply_effect;
pub mod resp;
mod script;
mod wait_call;

use std::cell::RefMut;

use crate::request::references::Reference;
use crate::state::amount::Amount;
use crate::state::deployment_states::DeploymentStates;
use crate::state::membership::Membership;
use crate::state::store::Moment;
use crate::state::time::UnixMillis;
pub(crate) use call::FleetSettings;
use call::Pipeline;
use lease_call::LeaseCall;

#[cfg(feature = "testing")]
pub use script::script_name;

pub use call::Call;
pub use health::RedisTransition;
pub(crate) use reply::apply_reply;
pub use reply::{CallResult, FollowUp};
pub use wait_call::Recall;
pub use wait_call::SECONDS as WAIT_SECONDS;

/// Deployments in one pipeline, at most: the reply stays far below 64 KB, the most that is
/// buffered.
const MAX_DEPLOYMENTS: usize = 128;

/// Makes the calls of one worker. The filter sends them and passes each reply to
/// [`Router::apply_reply`](crate::Router::apply_reply).
#[derive(Debug)]
pub struct FleetClient<'a> {
    settings: &'a FleetSettings,
    states: RefMut<'a, DeploymentStates>,
}

impl<'a> FleetClient<'a> {
    pub(crate) fn new(settings: &'a FleetSettings, states: RefMut<'a, DeploymentStates>) -> Self {
        Self { settings, states }
    }

    /// Asks for leases that cover these shortfalls, by deployment; `None` while Redis is down.
    pub fn acquire(&mut self, shortfall: &[(usize, Amount)], moment: &mut Moment<'_>) -> Option<Call> {
        let membership = self.states.read_membership(moment.now, moment.store);
        if membership.is_redis_down || membership.is_deregistered {
            return None;
        }
        if membership.epoch == 0 {
            // A lease is valid for one epoch, which the reply to this has.
            Membership::register(moment.store, moment.random);
            let membership = self.states.read_membership(moment.now, moment.store);
            let mut pipeline = Pipeline::new(self.settings, membership);
            presence_call::add(&mut pipeline, moment);
            return pipeline.finish();
        }
        let mut pipeline = Pipeline::new(self.settings, membership);
        for (index, shortfall) in shortfall.iter().take(MAX_DEPLOYMENTS) {
            let call = LeaseCall::Acquire(*shortfall);
            lease_call::add(&mut pipeline, *index, call, &mut self.states, moment);
        }
        pipeline.finish()
    }

    /// The exchange with the other instances, once a second by the worker that takes the turn.
    pub fn exchange(&mut self, moment: &mut Moment<'_>) -> Vec<Call> {
        // Before the turn is taken, whose result contains the number.
        Membership::register(moment.store, moment.random);
        let count = self.states.count();
        // All deployments every second, unless there are very many.
        let asked = count.min(MAX_DEPLOYMENTS.saturating_mul(4));
        let admitted = self.states.admitted(moment.now);
        let turn = Membership::take_turn(moment.store, moment.now, asked, count, admitted);
        let Some((membership, first)) = turn else { return Vec::new() };
        let mut pipeline = Pipeline::new(self.settings, membership);
        presence_call::add(&mut pipeline, moment);
        let mut calls = Vec::new();
        if !membership.is_redis_down {
            let deployments = (0..count).cycle().skip(first).take(asked).collect();
            self.add_exchanges(deployments, &mut pipeline, &mut calls, moment);
        }
        calls.extend(pipeline.finish());
        calls.extend(self.wait(false, moment));
        calls
    }

    /// Adds the exchanges about these deployments. A pipeline that is full becomes one of the calls.
    fn add_exchanges(
        &mut self,
        deployments: Vec<usize>,
        pipeline: &mut Pipeline<'a>,
        calls: &mut Vec<Call>,
        moment: &Moment<'_>,
    ) {
        for (nth, index) in deployments.into_iter().enumerate() {
            if nth > 0 && nth.is_multiple_of(MAX_DEPLOYMENTS) {
                let next = Pipeline::new(self.settings, pipeline.membership);
                calls.extend(std::mem::replace(pipeline, next).finish());
            }
            exchange_call::add(pipeline, index, &mut self.states, moment);
        }
    }

    /// Waits for other instances' requests, `again` or if it is time to.
    fn wait(&self, again: bool, moment: &Moment<'_>) -> Option<Call> {
        if !Membership::begin_wait(moment.store, moment.now, again) {
            return None;
        }
        let mut pipeline = Pipeline::new(self.settings, Membership::read(moment.store));
        wait_call::add(&mut pipeline, UnixMillis::of(moment.now));
        pipeline.finish()
    }

    /// The calls that follow from the reply to another one.
    pub fn follow_up(&mut self, follow_up: FollowUp, moment: &mut Moment<'_>) -> Vec<Call> {
        let membership = self.states.read_membership(moment.now, moment.store);
        let (leases, waits) = match follow_up {
            FollowUp::None => return Vec::new(),
            FollowUp::Balance if membership.is_redis_down || membership.is_deregistered => return Vec::new(),
            FollowUp::Balance => (self.for_all_limited(LeaseCall::Balance), false),
            // Nothing taken is reported as well: without all reports, there are no portions.
            FollowUp::Resync => (self.for_all_limited(LeaseCall::Report), false),
            FollowUp::GiveBack(recalls) => {
                let give_back = |recall: Recall| (recall.deployment, LeaseCall::GiveBack { all: recall.all });
                (recalls.into_iter().map(give_back).collect(), true)
            }
        };
        let mut calls = self.lease_calls(&leases, membership, moment);
        // The first reply has the epoch, without which there is no wait.
        calls.extend(self.wait(waits, moment));
        calls
    }

    fn for_all_limited(&self, call: LeaseCall) -> Vec<(usize, LeaseCall)> {
        let is_limited =
            |index: &usize| self.states.record(*index).is_some_and(|(_, limits)| limits.are_per_minute());
        (0..self.states.count()).filter(is_limited).map(|index| (index, call)).collect()
    }

    fn lease_calls(
        &mut self,
        leases: &[(usize, LeaseCall)],
        membership: Membership,
        moment: &Moment<'_>,
    ) -> Vec<Call> {
        let pipelines = leases.chunks(MAX_DEPLOYMENTS).filter_map(|some| {
            let mut pipeline = Pipeline::new(self.settings, membership);
            for (index, call) in some {
                lease_call::add(&mut pipeline, *index, *call, &mut self.states, moment);
            }
            pipeline.finish()
        });
        pipelines.collect()
    }

    /// Publishes before the next exchange: cooldowns that began or got longer, and origins that
    /// became known, since this was last called. Nothing while Redis is down.
    pub fn publish_news(&mut self, moment: &mut Moment<'_>) -> Vec<Call> {
        let (cooldowns, origins) = (self.states.take_begun_cooldowns(), self.states.take_new_origins());
        let mut calls = Vec::new();
        if cooldowns.is_empty() && origins.is_empty() {
            return calls;
        }
        let membership = self.states.read_membership(moment.now, moment.store);
        if membership.is_redis_down {
            return calls;
        }
        let mut pipeline = Pipeline::new(self.settings, membership);
        self.add_exchanges(cooldowns, &mut pipeline, &mut calls, moment);
        for (reference, index) in origins {
            match index.map(|index| self.settings.deployment_ids.get(index)) {
                Some(Some(id)) => origin_call::publish(&mut pipeline, reference, id),
                Some(None) => {}
                None => origin_call::remove(&mut pipeline, reference),
            }
        }
        calls.extend(pipeline.finish());
        calls
    }

    /// Asks where these were made; `None` while Redis is down.
    pub fn find_origins(&mut self, references: &[Reference], moment: &mut Moment<'_>) -> Option<Call> {
        let membership = self.states.read_membership(moment.now, moment.store);
        if membership.is_redis_down {
            return None;
        }
        let mut pipeline = Pipeline::new(self.settings, membership);
        references.iter().for_each(|reference| origin_call::find(&mut pipeline, *reference));
        pipeline.finish()
    }

    /// Gives back what this instance has not used of this minute, and removes it from Redis, so that
    /// its share is free as of the next one. To be called after [`Membership::deregister`], when the
    /// calls under way have ended; nothing if the instance has no number.
    pub fn deregister(&mut self, moment: &mut Moment<'_>) -> Vec<Call> {
        let membership = self.states.read_membership(moment.now, moment.store);
        let mut calls = Vec::new();
        if !membership.is_redis_down && membership.epoch != 0 {
            calls = self.lease_calls(&self.for_all_limited(LeaseCall::GiveUp), membership, moment);
        }
        let mut pipeline = Pipeline::new(self.settings, membership);
        presence_call::remove(&mut pipeline, moment.now);
        calls.extend(pipeline.finish());
        calls
    }

    /// Treats Redis as down: a call takes longer than a request may wait. Its reply is still
    /// applied if it comes.
    pub fn timed_out(&mut self, moment: &mut Moment<'_>) -> RedisTransition {
        health::set(Some("no reply in time".to_owned()), &mut self.states, moment)
    }
}
