//! usage-based-routing and usage-based-routing-v2: whoever has used the fewest tokens of this minute (BEHAVIOUR 3.4, 3.5).

use std::time::Duration;

use super::{Candidate, lowest};
use crate::random::Random;

/// The place of the pick. Reserved tokens count as used, so a burst spreads before the first of it is answered; where
/// nobody reports tokens, the number of requests decides.
pub fn pick(candidates: &[Candidate<'_>], now: Duration, random: &mut dyn Random) -> Option<usize> {
    lowest(candidates, |candidate| score(candidate, now), random)
}

/// Tokens of this minute.
pub fn score(candidate: &Candidate<'_>, now: Duration) -> f64 {
    let window = candidate.seen.window.at(now);
    // Requests are far fewer than 2^20 a minute, and only told apart where the tokens are equal.
    window.tokens as f64 + f64::from(window.requests) / 1_048_576.0
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::super::tests::{candidates, group, seen, shares};
    use super::*;
    use crate::state::record::Record;
    use crate::state::time::Minute;
    use crate::state::window::Window;

    const NOON: Duration = Duration::from_secs(29_000_000 * 60);

    fn used(requests: u32, tokens: u64) -> Record {
        Record { window: Window { minute: Minute(29_000_000), requests, tokens }, ..Record::default() }
    }

    #[test]
    fn fewest_tokens_first_and_then_fewest_requests() {
        let config = group(&["", "", ""]);
        for (records, expected) in [
            ([used(1, 900), used(50, 800), used(1, 801)], [0.0, 100.0, 0.0]),
            ([used(2, 0), used(1, 0), used(1, 0)], [0.0, 50.0, 50.0]),
        ] {
            let seen = seen(&config, &records);
            let candidates = candidates(&seen);
            let shares = shares(3, |random| pick(&candidates, NOON, random));
            let near = shares.iter().zip(expected).all(|(share, expected)| (share - expected).abs() < 4.0);
            assert!(near, "{shares:?}");
        }
        let minute_ago = [used(9, 9000), used(0, 0), used(0, 0)];
        let later = NOON + Duration::from_secs(60);
        let shares = shares(3, |random| pick(&candidates(&seen(&config, &minute_ago)), later, random));
        assert!(shares[0] > 25.0, "the last minute is over: {shares:?}");
    }
}
