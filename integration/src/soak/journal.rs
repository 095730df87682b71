//! What the provider did: the attempts of each request, and what limited deployments received in
//! each minute.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::plan::{self, Limit};
use super::weather::{Act, COMPLETION_TOKENS, Effect, PROMPT_TOKENS};
use super::{MINUTE, fork};
use crate::{Answer, Received};

/// Milliseconds within which an attempt that was admitted arrives at the provider.
const TRANSIT: u64 = 1_000;

/// One attempt, as the provider saw it.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) deployment: String,
    pub(super) act: Act,
}

impl fmt::Display for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?}", self.deployment, self.act)
    }
}

/// What one attempt takes of a limit.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// Milliseconds since 1970.
    at: u64,
    requests: u64,
    tokens: u64,
}

/// Shared by the provider and the clients.
#[derive(Debug)]
pub(super) struct Journal {
    seed: u64,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    attempts: HashMap<String, Vec<Attempt>>,
    taken: BTreeMap<String, Vec<Taken>>,
    arrivals: u64,
}

impl Journal {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, pages: Mutex::default() }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the provider does with this request: it follows from the seed, the request's nonce and
    /// the number of its attempts so far.
    pub(super) fn decide(&self, request: &Received) -> Answer {
        let nonce = request.json()["user"].as_str().unwrap_or_default().to_owned();
        let mut pages = self.pages();
        pages.arrivals += 1;
        let attempts = pages.attempts.entry(nonce.clone()).or_default();
        let mut random = fork(self.seed, &format!("{nonce}/{}", attempts.len()));
        let act = Act::draw(plan::climate(&request.name), &mut random);
        attempts.push(Attempt { deployment: request.name.clone(), act: act.clone() });
        if plan::limit(&request.name).is_reached() {
            let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let taken = Taken::new(u64::try_from(at).unwrap_or_default(), &act);
            pages.taken.entry(request.name.clone()).or_default().push(taken);
        }
        drop(pages);
        act.answer(request, &nonce)
    }

    /// The attempts of a request that is over, which are then forgotten.
    pub(super) fn take(&self, nonce: &str) -> Vec<Attempt> {
        self.pages().attempts.remove(nonce).unwrap_or_default()
    }

    /// Forgets the attempts of all requests, the clients of which have gone.
    pub(super) fn forget(&self) {
        self.pages().attempts.clear();
    }

    /// Attempts that arrived.
    pub(super) fn arrivals(&self) -> u64 {
        self.pages().arrivals
    }

    /// Of each limited deployment: the fullest minute in percent of the limit, and the minutes
    /// above it.
    pub(super) fn fullest_minutes(&self) -> Vec<(String, u64, usize)> {
        let pages = self.pages();
        let of = |(name, taken): (&String, &Vec<Taken>)| {
            let limit = plan::limit(name);
            let shares: Vec<u64> = minutes(taken, limit).iter().map(|used| used.percent(limit)).collect();
            let above = shares.iter().filter(|share| **share > 100).count();
            (name.clone(), shares.into_iter().max().unwrap_or_default(), above)
        };
        pages.taken.iter().map(of).collect()
    }
}

impl Taken {
    fn new(at: u64, act: &Act) -> Self {
        let tokens = if act.effect() == Effect::Serves { PROMPT_TOKENS + COMPLETION_TOKENS } else { 0 };
        // On a reused connection it is sent again and not counted; the provider cannot know.
        let requests = u64::from(!act.ends_at_once());
        Self { at, requests, tokens }
    }

    fn plus(self, other: Self) -> Self {
        Self { at: self.at, requests: self.requests + other.requests, tokens: self.tokens + other.tokens }
    }

    /// Of the limit, rounded up.
    fn percent(self, limit: Limit) -> u64 {
        match limit {
            Limit::Requests(limit) => (self.requests * 100).div_ceil(limit),
            Limit::Tokens(limit) => (self.tokens * 100).div_ceil(limit),
            Limit::None | Limit::Slots(_) => 0,
        }
    }
}

/// What each minute took, in order. An attempt that arrived in the first moment of a minute counts
/// for the one before if that has room, since it may have been admitted then.
fn minutes(taken: &[Taken], limit: Limit) -> Vec<Taken> {
    let mut minutes: BTreeMap<u64, Taken> = BTreeMap::new();
    let mut sorted = taken.to_vec();
    sorted.sort_by_key(|taken| taken.at);
    for one in sorted {
        let minute = one.at / MINUTE;
        let mut add = |minute: u64| {
            let used = minutes.entry(minute).or_insert(Taken { at: minute * MINUTE, requests: 0, tokens: 0 });
            let sum = used.plus(one);
            if minute < one.at / MINUTE && sum.percent(limit) > 100 {
                return false;
            }
            *used = sum;
            true
        };
        if one.at % MINUTE >= TRANSIT || !add(minute - 1) {
            add(minute);
        }
    }
    minutes.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::{Limit, MINUTE, TRANSIT, Taken, minutes};

    const LIMIT: Limit = Limit::Requests(3);

    fn used(times: &[u64]) -> Vec<u64> {
        let taken: Vec<_> =
            times.iter().map(|at| Taken { at: MINUTE + at, requests: 1, tokens: 5 }).collect();
        minutes(&taken, LIMIT).iter().map(|used| used.requests).collect()
    }

    #[test]
    fn what_arrives_early_in_a_minute_may_belong_to_the_one_before() {
        let late = MINUTE - 1;
        assert_eq!(used(&[TRANSIT, 2000, late, MINUTE + TRANSIT]), [3, 1]);
        assert_eq!(used(&[TRANSIT, 2000, MINUTE, MINUTE + 1, MINUTE + 2]), [3, 2]);
    }

    #[test]
    fn one_more_than_the_limit_is_found_wherever_it_arrives() {
        assert_eq!(used(&[TRANSIT, 2000, 3000, 4000]), [4]);
        assert_eq!(used(&[TRANSIT, 2000, 3000, MINUTE, MINUTE + 1, MINUTE + 2, MINUTE + 3000]), [3, 4]);
    }
}
