//! cost-based-routing: the lowest price of a prompt token and a completion token together
//! (BEHAVIOUR 3.7).

use super::{Candidate, lowest};
use crate::random::Random;

/// The place of the pick. A price of zero is a price.
pub fn pick(candidates: &[Candidate<'_>], random: &mut dyn Random) -> Option<usize> {
    lowest(candidates, |candidate| candidate.snapshot.price, random)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{candidates, group, shares, snapshots};
    use super::*;
    use crate::state::record::Record;

    #[test]
    fn the_cheapest_is_picked_and_what_costs_nothing_is_cheapest() {
        let prices = [
            ", input_cost_per_token: 0.000001, output_cost_per_token: 0.000002",
            ", input_cost_per_token: 0, output_cost_per_token: 0",
            "",
        ];
        let records = vec![Record::default(); 3];
        for (params, expected) in [(&prices[..], 1), (&[prices[0], prices[2]], 0)] {
            let config = group(params);
            let snapshots = snapshots(&config, &records);
            let candidates = candidates(&snapshots);
            let shares = shares(params.len(), |random| pick(&candidates, random));
            assert!((shares[expected] - 100.0).abs() < 0.01, "{shares:?}");
        }
    }
}
