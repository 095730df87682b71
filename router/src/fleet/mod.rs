//! The calls to Redis, through which instances share limits, cooldowns and latencies.
//!
//! A call is one pipeline of scripts that ends in QUIT, whose `+OK` shows that the reply is
//! complete. Each script runs once and replies by itself, so the parts of a pipeline need not
//! belong together. A lost reply costs what it granted: such a lease stays taken until the minute
//! ends, so the fleet admits less, and never more.

mod call;
mod effect;
mod exchange_call;
mod health;
mod lease_call;
mod origin_call;
mod presence_call;
mod reply;
pub mod resp;

use std::cell::RefMut;

use crate::request::references::Reference;
use crate::state::deployment_states::DeploymentStates;
use crate::state::lease::Shortfall;
use crate::state::membership::Membership;
use crate::state::store::Moment;
pub(crate) use call::FleetSettings;
use call::Pipeline;
use lease_call::LeaseCall;

pub use call::Call;
pub use health::RedisTransition;
pub use reply::CallResult;
pub(crate) use reply::apply_reply;

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

    /// Deployments whose cooldown began or got longer since this was last called.
    pub fn begun_cooldowns(&mut self) -> Vec<usize> {
        self.states.take_begun_cooldowns()
    }

    /// Asks for leases that cover these shortfalls, by deployment; `None` while Redis is down.
    pub fn acquire(&mut self, shortfall: &[(usize, Shortfall)], moment: &mut Moment<'_>) -> Option<Call> {
        let membership = self.states.read_membership(moment.now, moment.store);
        if membership.is_redis_down || membership.is_deregistered {
            return None;
        }
        let mut pipeline = Pipeline::new(self.settings, membership);
        if membership.epoch == 0 {
            // A lease is valid for one epoch, which the reply to this has.
            let instance = Membership::register(moment.store, moment.random);
            presence_call::add(&mut pipeline, instance, moment.random);
            return pipeline.finish();
        }
        for (index, shortfall) in shortfall.iter().take(MAX_DEPLOYMENTS) {
            let call = LeaseCall::Acquire(*shortfall);
            lease_call::add(&mut pipeline, *index, call, &mut self.states, moment);
        }
        pipeline.finish()
    }

    /// Returns the unused part of these deployments' leases; drops those that ended from the list.
    pub fn release_unused(&mut self, held: &mut Vec<usize>, moment: &mut Moment<'_>) -> Option<Call> {
        let states = &mut *self.states;
        let may_return = |index: usize, states: &DeploymentStates| {
            let Some((record, _)) = states.record(index) else { return true };
            record.lease.may_be_unused(&record.window.at(moment.now), moment.now)
        };
        if !held.iter().any(|index| may_return(*index, states)) {
            return None;
        }
        let membership = states.read_membership(moment.now, moment.store);
        let mut pipeline = Pipeline::new(self.settings, membership);
        let mut returned: usize = 0;
        held.retain(|index| {
            if !may_return(*index, states) {
                return true;
            }
            states.read(*index, moment.store);
            let Some((record, _)) = states.record(*index) else { return false };
            let window = record.window.at(moment.now);
            let mut lease = record.lease;
            let is_idle = lease.release_unused(&window, moment.now).is_some();
            if is_idle && !membership.is_redis_down && returned < MAX_DEPLOYMENTS {
                returned = returned.saturating_add(1);
                lease_call::add(&mut pipeline, *index, LeaseCall::Return, states, moment);
            }
            // An answer may still take fewer tokens than it reserved, so the lease is kept in the
            // list for a while.
            let may_return_later = membership.is_redis_down || is_idle || !lease.is_forgotten(moment.now);
            lease.minute == window.minute && may_return_later
        });
        pipeline.finish()
    }

    /// The exchange with the other instances, once a second by the worker that takes the turn.
    pub fn exchange(&mut self, moment: &mut Moment<'_>) -> Vec<Call> {
        // Before the turn is taken, whose result contains the number.
        let instance = Membership::register(moment.store, moment.random);
        let count = self.states.count();
        // All deployments every second, unless there are very many.
        let asked = count.min(MAX_DEPLOYMENTS.saturating_mul(4));
        let Some((membership, first)) = Membership::take_turn(moment.store, moment.now, asked, count) else {
            return Vec::new();
        };
        let mut pipeline = Pipeline::new(self.settings, membership);
        presence_call::add(&mut pipeline, instance, moment.random);
        let mut calls: Vec<_> = pipeline.finish().into_iter().collect();
        if !membership.is_redis_down {
            let turn: Vec<usize> = (0..count).cycle().skip(first).take(asked).collect();
            calls.extend(self.call_for_each(&turn, membership, |pipeline, index, states| {
                exchange_call::add(pipeline, index, states, moment);
            }));
        }
        calls
    }

    /// Reports to Redis what this instance has taken of the minute, after Redis has lost it.
    pub fn resync(&mut self, moment: &mut Moment<'_>) -> Vec<Call> {
        let membership = self.states.read_membership(moment.now, moment.store);
        let all: Vec<usize> = (0..self.states.count()).collect();
        // Nothing taken is reported as well: without all reports, each instance has only its share.
        self.call_for_each(&all, membership, |pipeline, index, states| {
            lease_call::add(pipeline, index, LeaseCall::Report, states, moment);
        })
    }

    fn call_for_each(
        &mut self,
        deployments: &[usize],
        membership: Membership,
        add: impl Fn(&mut Pipeline<'_>, usize, &mut DeploymentStates),
    ) -> Vec<Call> {
        let pipelines = deployments.chunks(MAX_DEPLOYMENTS).filter_map(|some| {
            let mut pipeline = Pipeline::new(self.settings, membership);
            some.iter().for_each(|index| add(&mut pipeline, *index, &mut self.states));
            pipeline.finish()
        });
        pipelines.collect()
    }

    /// Publishes a deployment's cooldown before the next exchange; `None` while Redis is down.
    pub fn publish(&mut self, index: usize, moment: &mut Moment<'_>) -> Option<Call> {
        let membership = self.states.read_membership(moment.now, moment.store);
        if membership.is_redis_down {
            return None;
        }
        let mut pipeline = Pipeline::new(self.settings, membership);
        exchange_call::add(&mut pipeline, index, &mut self.states, moment);
        pipeline.finish()
    }

    /// Publishes origins that became known; `None` if there are none, or while Redis is down.
    pub fn publish_origins(&mut self, moment: &mut Moment<'_>) -> Option<Call> {
        let new = self.states.take_new_origins();
        if new.is_empty() {
            return None;
        }
        let membership = self.states.read_membership(moment.now, moment.store);
        let mut pipeline = Pipeline::new(self.settings, membership);
        for (reference, index) in new.into_iter().filter(|_| !membership.is_redis_down) {
            match index.map(|index| self.settings.deployment_ids.get(index)) {
                Some(Some(id)) => origin_call::publish(&mut pipeline, reference, id),
                Some(None) => {}
                None => origin_call::remove(&mut pipeline, reference),
            }
        }
        pipeline.finish()
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

    /// Removes this instance from Redis, so that the others keep no share for it. To be called
    /// after [`Membership::deregister`], when the calls under way have ended; `None` if the
    /// instance has no number.
    pub fn deregister(&mut self, moment: &mut Moment<'_>) -> Option<Call> {
        let membership = Membership::read(moment.store);
        let mut pipeline = Pipeline::new(self.settings, membership);
        presence_call::remove(&mut pipeline, membership.instance);
        pipeline.finish()
    }

    /// Treats Redis as down: a call takes longer than a request may wait. Its reply is still
    /// applied if it comes.
    pub fn timed_out(&mut self, moment: &mut Moment<'_>) -> RedisTransition {
        health::set(Some("no reply in time".to_owned()), &mut self.states, moment).0
    }
}
