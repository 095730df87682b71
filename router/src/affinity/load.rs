//! Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016): a deployment
//! that has more than its share of what is in flight takes no more, however popular its keys are.
//!
//! What is in flight at one deployment varies by chance. A request that is sent elsewhere for that
//! reason loses its prompt's cache for nothing, so a deployment whose average is within its share
//! may have more for a moment. docs/decisions/affinity.md has the figures.
//!
//! Each worker counts its own requests and spreads them. If each keeps the bound, all of them do,
//! and so do all instances, without a look at each other.

use std::cell::Cell;

use llm_balancer_config::Config;

use crate::affinity::rendezvous::Rendezvous;

/// A deployment may always have this many times its fair share of the requests in flight, ..
const EXCESS: f64 = 1.25;
/// .. and this many times ..
const AT_ONCE: f64 = 2.0;
/// .. and so many more, since a share of one or two varies by more than itself, ..
const BY_CHANCE: f64 = 2.0;
/// .. while its average is below this many times the average of all.
const ON_AVERAGE: f64 = 1.2;
/// Up to so many requests in flight are never too many: a share of a handful says nothing.
const FREE: f64 = 2.0;
/// The weight of the current number in the average, per request of the group: the average is that
/// of the last few hundred requests.
const SMOOTHING: f64 = 1.0 / 512.0;

/// The requests of this worker that are in flight, by the deployment's index. Empty where nothing
/// depends on them.
#[derive(Debug, Default)]
pub(crate) struct WorkerLoad(Vec<DeploymentLoad>);

#[derive(Clone, Debug, Default)]
struct DeploymentLoad {
    in_flight: Cell<u32>,
    average: Cell<f64>,
}

impl WorkerLoad {
    /// Without any requests.
    pub fn new(config: &Config) -> Self {
        let is_needed = config.deployments.iter().any(|deployment| deployment.affinity.is_bounded());
        let count = if is_needed { config.deployments.len() } else { 0 };
        Self(vec![DeploymentLoad::default(); count])
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
        if let Some(DeploymentLoad { in_flight, .. }) = self.0.get(deployment) {
            in_flight.set(change(in_flight.get()));
        }
    }

    /// The bound for one more request to these deployments.
    pub fn bound<'a>(
        &'a self,
        rendezvous: &'a Rendezvous,
        among: impl Iterator<Item = usize>,
    ) -> LoadBound<'a> {
        let (mut in_flight, mut averages, mut weights) = (1.0, 0.0, 0.0);
        for index in among {
            let Some(own) = self.0.get(index) else { continue };
            let (now, average) = (f64::from(own.in_flight.get()), own.average.get());
            let average = average + (now - average) * SMOOTHING;
            own.average.set(average);
            in_flight += now;
            averages += average;
            weights += rendezvous.weight(index);
        }
        LoadBound { load: self, rendezvous, share: in_flight / weights, average: averages / weights }
    }
}

/// How many requests a deployment may have in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadBound<'a> {
    load: &'a WorkerLoad,
    rendezvous: &'a Rendezvous,
    /// The fair share of a deployment of weight 1.
    share: f64,
    /// The same on average.
    average: f64,
}

impl LoadBound<'_> {
    /// Whether a deployment may have one request more.
    pub fn admits(&self, index: usize) -> bool {
        let Some(own) = self.load.0.get(index) else { return true };
        let weight = self.rendezvous.weight(index);
        let in_flight = f64::from(own.in_flight.get());
        // Not rounded up: many workers with few requests each would exceed the bound together. At
        // two requests for each deployment and more, the rounded bounds have room for all.
        let within = |bound: f64| in_flight < bound.round().max(FREE);
        let share = self.share * weight;
        let is_usual = own.average.get() < ON_AVERAGE * self.average * weight + 0.5;
        within(EXCESS * share) || (is_usual && within(AT_ONCE * share + BY_CHANCE))
    }
}
