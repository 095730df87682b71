//! The best deployments of large pools, as of the last full comparison.

use std::collections::HashMap;

use crate::models::pool::Pool;
use crate::random::Random;

/// Deployments on a shortlist.
const LISTED: usize = 32;

/// The shortlists of one worker, by pool and by whether answers are streamed.
#[derive(Debug, Default)]
pub(crate) struct Shortlists(HashMap<(usize, bool), Shortlist>);

#[derive(Debug)]
struct Shortlist {
    members: Vec<usize>,
    /// Requests until it is renewed.
    uses: usize,
}

/// Pools live as long as the configuration, so their addresses tell them apart.
fn key((pool, stream): (&Pool, bool)) -> (usize, bool) {
    (std::ptr::from_ref(pool) as usize, stream)
}

impl Shortlists {
    /// The members of a shortlist; `None` if there is none, or one that is due for renewal.
    pub(super) fn take(&mut self, of: (&Pool, bool)) -> Option<Vec<usize>> {
        let list = self.0.get_mut(&key(of))?;
        list.uses = list.uses.checked_sub(1)?;
        Some(list.members.clone())
    }

    /// Lists the deployments with the lowest scores, and of equals any, for so many requests.
    pub(super) fn put(
        &mut self,
        of: (&Pool, bool),
        mut scored: Vec<(f64, usize)>,
        uses: usize,
        random: &mut dyn Random,
    ) {
        let turn = random.below(scored.len());
        scored.rotate_left(turn);
        if scored.len() > LISTED {
            scored.select_nth_unstable_by(LISTED, |(one, _), (other, _)| one.total_cmp(other));
        }
        let members = scored.into_iter().take(LISTED).map(|(_, index)| index).collect();
        self.0.insert(key(of), Shortlist { members, uses });
    }
}
