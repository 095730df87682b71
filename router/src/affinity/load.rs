//! Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016): a deployment
//! that has more than its share of what is in flight takes no more, however popular its keys are.

use std::time::Duration;

use crate::affinity::rendezvous::Rendezvous;
use crate::state::deployment_states::DeploymentStates;

/// A deployment may have this many times its fair share of the requests in flight.
const EXCESS: f64 = 1.25;
/// Up to so many requests in flight are never too many: a share of a handful says nothing.
const FREE: f64 = 2.0;

/// How many requests a deployment may have in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadBound {
    /// For a deployment of weight 1.
    most: f64,
    now: Duration,
}

impl LoadBound {
    /// The bound for one more request to these deployments, by this worker's copies of their records.
    pub fn new(
        rendezvous: &Rendezvous,
        states: &DeploymentStates,
        among: impl Iterator<Item = usize>,
        now: Duration,
    ) -> Self {
        let (mut in_flight, mut weights) = (1.0, 0.0);
        for index in among {
            in_flight += in_flight_at(states, index, now);
            weights += rendezvous.weight(index);
        }
        Self { most: EXCESS * in_flight / weights, now }
    }

    /// Whether a deployment may have one request more.
    pub fn admits(&self, rendezvous: &Rendezvous, states: &DeploymentStates, index: usize) -> bool {
        let most = (self.most * rendezvous.weight(index)).ceil().max(FREE);
        in_flight_at(states, index, self.now) < most
    }
}

fn in_flight_at(states: &DeploymentStates, index: usize, now: Duration) -> f64 {
    states.snapshot(index).map_or(0.0, |snapshot| f64::from(snapshot.total_in_flight(now)))
}
