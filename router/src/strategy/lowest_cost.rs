//! cost-based-routing: whoever asks the least for a prompt token and a completion token together (BEHAVIOUR 3.7).

use llm_balancer_config::Deployment;

use super::{Candidate, lowest};
use crate::random::Random;

/// US dollars for a token whose price nobody has told, as in LiteLLM: more than anybody asks.
const UNKNOWN: f64 = 5.0;

/// The place of the pick. A price of zero is a price.
pub fn pick(candidates: &[Candidate<'_>], random: &mut dyn Random) -> Option<usize> {
    lowest(candidates, |candidate| cost(candidate.deployment), random)
}

fn cost(deployment: &Deployment) -> f64 {
    let price = |price: Option<f64>| price.unwrap_or(UNKNOWN);
    price(deployment.input_cost_per_token) + price(deployment.output_cost_per_token)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{candidates, group, shares};
    use super::*;
    use crate::record::Record;

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
            let candidates = candidates(&config, &records);
            let shares = shares(params.len(), |random| pick(&candidates, random));
            assert!((shares[expected] - 100.0).abs() < 0.01, "{shares:?}");
        }
    }
}
