//! least-busy: the fewest requests in flight, from all workers and instances (BEHAVIOUR 3.3).

use std::time::Duration;

use super::{Candidate, lowest};
use crate::random::Random;

/// The place of the pick.
pub fn pick(candidates: &[Candidate<'_>], now: Duration, random: &mut dyn Random) -> Option<usize> {
    lowest(candidates, |candidate| score(candidate, now), random)
}

/// Requests in flight.
pub fn score(candidate: &Candidate<'_>, now: Duration) -> f64 {
    f64::from(candidate.snapshot.total_in_flight(now))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{candidates, group, shares, snapshots};
    use super::*;
    use crate::state::record::{InFlight, Record};

    fn serving(cells: &[(u32, u32)]) -> Record {
        let in_flight = cells.iter().map(|(vm, count)| InFlight { vm: *vm, count: *count }).collect();
        Record { in_flight, ..Record::default() }
    }

    #[test]
    fn requests_of_all_workers_count() {
        let config = group(&["", "", ""]);
        let records = [serving(&[(1, 2)]), serving(&[(1, 1), (2, 2)]), serving(&[(2, 1)])];
        let shares = shares(3, |random| {
            pick(&candidates(&snapshots(&config, &records)), Duration::from_secs(1_740_000_000), random)
        });
        assert!((shares[2] - 100.0).abs() < 0.01, "{shares:?}");
    }
}
