//! The best of a large group, found by a look at all of them now and then.
//!
//! A strategy that looks at a thousand deployments for every request spends more on that than on everything else. What makes one of
//! them the best changes with single requests, so whoever was among the best a moment ago still is; the shortlist is looked at
//! afresh for every request, and made anew after as many requests as keep the cost of a group from growing with its size.

use std::collections::HashMap;

use crate::models::groups::Pool;
use crate::random::Random;

/// Groups up to this size are looked at whole every time.
pub const LARGE: usize = 64;
/// Deployments on a shortlist.
const LISTED: usize = 32;

/// The shortlists of one worker, by group and by whether answers are streamed.
#[derive(Debug, Default)]
pub struct Shortlists(HashMap<(usize, bool), Shortlist>);

#[derive(Debug)]
struct Shortlist {
    members: Vec<usize>,
    /// Requests that it still serves.
    uses: usize,
}

/// Pools live as long as the configuration, so their addresses tell them apart.
fn key(pool: &Pool, stream: bool) -> (usize, bool) {
    (std::ptr::from_ref(pool) as usize, stream)
}

impl Shortlists {
    /// The deployments that were best lately, if there is a list that is not worn out.
    pub fn take(&mut self, pool: &Pool, stream: bool) -> Option<Vec<usize>> {
        let list = self.0.get_mut(&key(pool, stream))?;
        list.uses = list.uses.checked_sub(1)?;
        Some(list.members.clone())
    }

    /// Makes a list of the best of these, each with its score; lower is better, and of equals any.
    pub fn put(&mut self, pool: &Pool, stream: bool, mut scored: Vec<(f64, usize)>, random: &mut dyn Random) {
        let turn = random.below(scored.len());
        scored.rotate_left(turn);
        if scored.len() > LISTED {
            scored.select_nth_unstable_by(LISTED, |(one, _), (other, _)| one.total_cmp(other));
        }
        let members = scored.into_iter().take(LISTED).map(|(_, index)| index).collect();
        let uses = pool.members.len().checked_div(LARGE).unwrap_or_default();
        self.0.insert(key(pool, stream), Shortlist { members, uses });
    }
}
