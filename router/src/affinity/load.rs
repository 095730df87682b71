//! Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016): a deployment
//! that has more than its share of what is in flight takes no more, however popular its keys are.
//!
//! A deployment that has had no more than its share lately may have more in flight for a while. That
//! is chance, and a request that goes elsewhere costs the work that a cache would have saved
//! (docs/decisions/affinity-bound.md).
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
/// Up to this many times its fair share of recent requests, a deployment has no more than others,
const USUAL: f64 = 1.15;
/// and may have this many times its fair share of the requests in flight,
const BURST: f64 = 2.0;
/// and so many more.
const BURST_FREE: f64 = 2.0;
/// Recent requests are halved at so many for each deployment, so that new ones count more.
const WINDOW: f64 = 256.0;

/// The requests of this worker, by the deployment's index. Empty where nothing depends on them.
#[derive(Debug, Default)]
pub(crate) struct WorkerLoad(Vec<Cell<Requests>>);

/// The requests to a deployment.
#[derive(Clone, Copy, Debug, Default)]
struct Requests {
    in_flight: u32,
    recent: u32,
}

impl WorkerLoad {
    /// Without any requests.
    pub fn new(config: &Config) -> Self {
        let is_needed = config.deployments.iter().any(|deployment| deployment.affinity.is_bounded());
        Self(vec![Cell::default(); if is_needed { config.deployments.len() } else { 0 }])
    }

    /// An attempt begins.
    pub fn inc(&self, deployment: usize) {
        self.change(deployment, |requests| Requests {
            in_flight: requests.in_flight.saturating_add(1),
            recent: requests.recent.saturating_add(1),
        });
    }

    /// An attempt has ended.
    pub fn dec(&self, deployment: usize) {
        self.change(deployment, |requests| Requests {
            in_flight: requests.in_flight.saturating_sub(1),
            ..requests
        });
    }

    fn change(&self, deployment: usize, change: impl Fn(Requests) -> Requests) {
        if let Some(requests) = self.0.get(deployment) {
            requests.set(change(requests.get()));
        }
    }

    fn of(&self, deployment: usize) -> Requests {
        self.0.get(deployment).map_or(Requests::default(), Cell::get)
    }

    /// The bound for one more request to these deployments.
    pub fn bound<'a>(
        &'a self,
        rendezvous: &'a Rendezvous,
        among: impl Iterator<Item = usize> + Clone,
    ) -> LoadBound<'a> {
        let (mut in_flight, mut recent, mut weights, mut count) = (1.0, 0.0, 0.0, 0.0);
        for index in among.clone() {
            let requests = self.of(index);
            in_flight += f64::from(requests.in_flight);
            recent += f64::from(requests.recent);
            weights += rendezvous.weight(index);
            count += 1.0;
        }
        if recent > WINDOW * count {
            recent /= 2.0;
            among.for_each(|index| {
                self.change(index, |requests| Requests { recent: requests.recent / 2, ..requests });
            });
        }
        LoadBound { load: self, rendezvous, in_flight: in_flight / weights, recent: recent / weights }
    }
}

/// How many requests a deployment may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadBound<'a> {
    load: &'a WorkerLoad,
    rendezvous: &'a Rendezvous,
    /// The fair share of what is in flight, and of recent requests, for a deployment of weight 1.
    in_flight: f64,
    recent: f64,
}

impl LoadBound<'_> {
    /// Whether a deployment may have one request more.
    pub fn admits(&self, index: usize) -> bool {
        let weight = self.rendezvous.weight(index);
        let share = self.in_flight * weight;
        let requests = self.load.of(index);
        let (in_flight, recent) = (f64::from(requests.in_flight), f64::from(requests.recent));
        // Not rounded up: many workers with few requests each would exceed the bound together. At
        // two requests for each deployment and more, the rounded bounds have room for all.
        in_flight < (share * EXCESS).round().max(FREE)
            || recent < self.recent * weight * USUAL && in_flight < share * BURST + BURST_FREE
    }
}
