//! Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016): a deployment
//! that has more than its share of what is in flight takes no more, however popular its keys are.
//!
//! Each worker counts its own requests and spreads them. If each keeps the bound, all of them do,
//! and so do all instances, without a look at each other.

use std::cell::Cell;

use llm_balancer_config::Config;

use crate::affinity::rendezvous::Rendezvous;

/// A deployment may have this many times its fair share of the requests in flight.
const EXCESS: f64 = 1.25;
/// Up to so many requests in flight are never too many: a share of a handful says nothing.
const FREE: f64 = 2.0;

/// The requests of this worker that are in flight, by the deployment's index. Empty where nothing
/// depends on them.
#[derive(Debug, Default)]
pub(crate) struct WorkerLoad(Vec<Cell<u32>>);

impl WorkerLoad {
    /// Without any requests.
    pub fn new(config: &Config) -> Self {
        let is_needed = config.deployments.iter().any(|deployment| deployment.affinity.is_bounded());
        Self(vec![Cell::default(); if is_needed { config.deployments.len() } else { 0 }])
    }

    /// An attempt begins.
    pub fn inc(&self, deployment: usize) {
        self.change(deployment, |count| count.saturating_add(1));
    }

    /// An attempt has ended.
    pub fn dec(&self, deployment: usize) {
        self.change(deployment, |count| count.saturating_sub(1));
    }

    fn change(&self, deployment: usize, change: impl Fn(u32) -> u32) {
        if let Some(count) = self.0.get(deployment) {
            count.set(change(count.get()));
        }
    }

    fn of(&self, deployment: usize) -> f64 {
        self.0.get(deployment).map_or(0.0, |count| f64::from(count.get()))
    }

    /// The bound for one more request to these deployments.
    pub fn bound<'a>(
        &'a self,
        rendezvous: &'a Rendezvous,
        among: impl Iterator<Item = usize>,
    ) -> LoadBound<'a> {
        let (mut in_flight, mut weights) = (1.0, 0.0);
        for index in among {
            in_flight += self.of(index);
            weights += rendezvous.weight(index);
        }
        LoadBound { load: self, rendezvous, most: EXCESS * in_flight / weights }
    }
}

/// How many requests a deployment may have in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadBound<'a> {
    load: &'a WorkerLoad,
    rendezvous: &'a Rendezvous,
    /// For a deployment of weight 1.
    most: f64,
}

impl LoadBound<'_> {
    /// Whether a deployment may have one request more.
    pub fn admits(&self, index: usize) -> bool {
        // Not rounded up: many workers with few requests each would exceed the bound together. At
        // two requests for each deployment and more, the rounded bounds have room for all.
        let most = (self.most * self.rendezvous.weight(index)).round().max(FREE);
        self.load.of(index) < most
    }
}
