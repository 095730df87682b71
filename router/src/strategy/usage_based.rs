//! usage-based-routing and usage-based-routing-v2: the fewest tokens used in this minute (BEHAVIOUR
//! 3.4, 3.5).

use std::time::Duration;

use super::{Candidate, lowest};
use crate::random::Random;

/// The place of the pick. Reserved tokens count as used, so that a burst spreads before its first
/// answer. Equal numbers of tokens, as of providers that report none, are compared by the number of
/// requests.
pub fn pick(candidates: &[Candidate<'_>], now: Duration, random: &mut dyn Random) -> Option<usize> {
    lowest(candidates, |candidate| score(candidate, now), random)
}

/// Tokens of this minute, with its requests as a fraction.
pub fn score(candidate: &Candidate<'_>, now: Duration) -> f64 {
    let window = candidate.snapshot.window.at(now);
    // There are far fewer than 2^20 requests per minute.
    window.tokens as f64 + f64::from(window.requests) / 1_048_576.0
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::super::tests::{candidates, group, shares, snapshots};
    use super::*;
    use crate::state::record::Record;
    use crate::state::time::Minute;
    use crate::state::window::Window;

    const NOON: Duration = Duration::from_secs(29_000_000 * 60);

    fn used(requests: u32, tokens: u64) -> Record {
        let window = Window { minute: Minute(29_000_000), requests, tokens, reserved: 0 };
        Record { window, ..Record::default() }
    }

    #[test]
    fn fewest_tokens_first_and_then_fewest_requests() {
        let config = group(&["", "", ""]);
        for (records, expected) in [
            ([used(1, 900), used(50, 800), used(1, 801)], [0.0, 100.0, 0.0]),
            ([used(2, 0), used(1, 0), used(1, 0)], [0.0, 50.0, 50.0]),
        ] {
            let snapshots = snapshots(&config, &records);
            let candidates = candidates(&snapshots);
            let shares = shares(3, |random| pick(&candidates, NOON, random));
            let near = shares.iter().zip(expected).all(|(share, expected)| (share - expected).abs() < 4.0);
            assert!(near, "{shares:?}");
        }
        let minute_ago = [used(9, 9000), used(0, 0), used(0, 0)];
        let later = NOON + Duration::from_secs(60);
        let shares = shares(3, |random| pick(&candidates(&snapshots(&config, &minute_ago)), later, random));
        assert!(shares[0] > 25.0, "the last minute is over: {shares:?}");
    }
}
