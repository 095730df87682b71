//! Who serves: those of the group who may, minus those who were tried, by the group's strategy; and admitted by the states.

pub mod fallback_room;
pub mod oversized;
pub mod shortlist;
pub mod tags;

use std::time::Duration;

use llm_balancer_config::{Deployment, Strategy};

use crate::attempt::RetryState;
use crate::models::groups::Pool;
use crate::request::token_estimate::Estimate;
use crate::router::Router;
use crate::select::shortlist::LARGE;
use crate::state::deployment_states::{DeploymentStates, Ticket};
use crate::state::eligibility::{self, Excluded};
use crate::state::lease::QuotaMode;
use crate::state::snapshot::Instant;
use crate::state::store::{Moment, Store};
use crate::strategy::{
    Candidate, least_busy, lowest_cost, lowest_latency,
    simple_shuffle::{SimpleShuffle, Weights},
    usage_based,
};

use crate::state::limits::AdmissionRequest;

/// What a request asks of whoever serves it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SelectionRequest<'a> {
    /// Who answers to the name.
    pub pool: &'a Pool,
    /// What the request has been through.
    pub retry_state: &'a RetryState,
    /// What it is going to take.
    pub estimate: Estimate,
    /// Its tags, where they matter.
    pub tags: &'a [String],
    /// Whether its answer is streamed.
    pub stream: bool,
    /// Whether limits are shared with other instances.
    pub quota_mode: QuotaMode,
    /// Whether those may be picked that need a lease first.
    pub allow_unleased: bool,
    /// Whether no deployment is large enough for it, so that it may take a whole minute of one.
    pub is_oversized: bool,
}

/// Who serves.
#[derive(Debug)]
pub(crate) struct Selection {
    /// The deployment.
    pub index: usize,
    /// That it has admitted the request.
    pub ticket: Ticket,
    /// How many could have served, where all were looked at.
    pub eligible: Option<usize>,
}

/// SelectionInfo nobody serves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoDeployment {
    /// NoDeployment has these tags.
    Tags,
    /// Each for a reason of its own, by the index of the deployment.
    Excluded(Vec<(usize, Excluded)>),
    /// This one would, if Redis leases this instance more: with the tokens that the request needs there.
    Unleased((usize, u64)),
}

/// Copies that are renewed before a choice that depends on what other workers do.
const REFRESH: usize = 2;
/// Picks that others may fill before all copies of a group are renewed.
const PICKS: usize = 8;
/// How often they are, for one request. Each time others have filled [`PICKS`] deployments between a read and a swap.
const ROUNDS: usize = 16;

impl Router {
    /// Finds whoever serves, and admits the request there.
    pub(crate) fn choose(
        &self,
        search: &SelectionRequest<'_>,
        moment: &mut Moment<'_>,
    ) -> Result<Selection, NoDeployment> {
        let mut states = self.states.borrow_mut();
        states.join(moment.now, moment.store);
        let mut search =
            SelectionRequest { quota_mode: states.quota_mode(moment.now, moment.store), ..*search };
        search.is_oversized = self.is_oversized(&search, &states, moment.now);
        let search = &mut search;
        if let Some(found) = self.at_the_same(search, &mut states, moment) {
            return Ok(found);
        }
        if let Some(found) = self.at_first_draw(search, &mut states, moment) {
            return Ok(found);
        }
        if let Some(found) = self.on_the_shortlist(search, &mut states, moment) {
            return Ok(found);
        }
        let mut excluded = Vec::new();
        for _ in 0..ROUNDS {
            let left = match self.eligible(search, &mut states, moment.now, moment.store) {
                Ok(left) => self.untried_first(left, search.retry_state),
                // A new look may have shown that those which are large enough cool down.
                Err(_) if !search.is_oversized && self.is_oversized(search, &states, moment.now) => {
                    search.is_oversized = true;
                    continue;
                }
                Err(nobody) => return Err(nobody),
            };
            if self.has_shortlist(search) {
                self.make_shortlist(&left, search, &states, moment);
            }
            match self.admit_one_of(left, search, &mut states, moment) {
                Ok(chosen) => return Ok(chosen),
                Err(NoDeployment::Excluded(full)) => excluded = full,
                Err(nobody) => return Err(nobody),
            }
        }
        Err(NoDeployment::Excluded(excluded))
    }

    /// Admits the request at the strategy's pick among these, or at the next one where others were faster. After a few of those all
    /// copies are old, and are renewed for the next round.
    fn admit_one_of(
        &self,
        mut left: Vec<usize>,
        search: &SelectionRequest<'_>,
        states: &mut DeploymentStates,
        moment: &mut Moment<'_>,
    ) -> Result<Selection, NoDeployment> {
        let eligible = left.len();
        let mut full = Vec::new();
        while full.len() < PICKS
            && let Some((index, probe)) = self.pick(&left, search, states, moment)
        {
            let demand = self.demand(index, search, states, probe);
            match states.admit(demand, moment.now, moment.store) {
                Ok(ticket) => return Ok(Selection { index, ticket, eligible: Some(eligible) }),
                // Going elsewhere, because another worker happens to hold a lease, would not be what the strategy says.
                Err(Excluded::Unleased) if search.allow_unleased => {
                    let tokens = states.tokens(index, &search.estimate, search.is_oversized);
                    return Err(NoDeployment::Unleased((index, tokens)));
                }
                Err(why) => full.push((index, why)),
            }
            left.retain(|other| *other != index);
        }
        left.iter().for_each(|index| {
            states.read(*index, moment.store);
        });
        Err(NoDeployment::Excluded(full))
    }

    /// An attempt that does not count is made again where it was, if there is room still.
    fn at_the_same(
        &self,
        search: &SelectionRequest<'_>,
        states: &mut DeploymentStates,
        moment: &mut Moment<'_>,
    ) -> Option<Selection> {
        let index = self.index_of(search.retry_state.bound_for()?)?;
        if !search.pool.members.contains(&index) {
            return None;
        }
        let demand = self.demand(index, search, states, false);
        let ticket = states.admit(demand, moment.now, moment.store).ok()?;
        let eligible = search.retry_state.why.and_then(|why| why.eligible);
        Some(Selection { index, ticket, eligible })
    }

    /// simple-shuffle among equals draws from all of them, and mostly the draw may serve: nobody else need be looked at.
    fn at_first_draw(
        &self,
        search: &SelectionRequest<'_>,
        states: &mut DeploymentStates,
        moment: &mut Moment<'_>,
    ) -> Option<Selection> {
        let SelectionRequest { pool, retry_state, .. } = search;
        let is_plain = pool.strategy == Strategy::SimpleShuffle && pool.priorities.is_none();
        if !is_plain || self.filters_tags(pool) || !retry_state.tried.is_empty() {
            return None;
        }
        let place = pool.shuffle.pick(moment.random)?;
        let index = pool.members.get(place).copied()?;
        let demand = self.demand(index, search, states, false);
        let ticket = states.admit(demand, moment.now, moment.store).ok()?;
        let eligible = (pool.members.len() == 1).then_some(1);
        Some(Selection { index, ticket, eligible })
    }

    /// Whether a group is too large to be looked at for every request.
    fn has_shortlist(&self, search: &SelectionRequest<'_>) -> bool {
        let SelectionRequest { pool, retry_state, .. } = search;
        pool.members.len() > LARGE
            && pool.strategy != Strategy::SimpleShuffle
            && pool.priorities.is_none()
            && !self.filters_tags(pool)
            && retry_state.tried.is_empty()
    }

    /// Of a large group, one of those that were best lately, if enough of them may serve.
    fn on_the_shortlist(
        &self,
        search: &SelectionRequest<'_>,
        states: &mut DeploymentStates,
        moment: &mut Moment<'_>,
    ) -> Option<Selection> {
        if !self.has_shortlist(search) {
            return None;
        }
        let listed = self.shortlists.borrow_mut().take(search.pool, search.stream)?;
        let at = Instant::new(moment.now);
        let count = listed.len();
        let left: Vec<usize> = listed
            .into_iter()
            .filter(|index| self.exclusion(*index, search, states, &at).is_none())
            .collect();
        if left.len().saturating_mul(2) < count {
            return None;
        }
        let (index, probe) = self.pick(&left, search, states, moment)?;
        let demand = self.demand(index, search, states, probe);
        let ticket = states.admit(demand, moment.now, moment.store).ok()?;
        Some(Selection { index, ticket, eligible: None })
    }

    fn make_shortlist(
        &self,
        members: &[usize],
        search: &SelectionRequest<'_>,
        states: &DeploymentStates,
        moment: &mut Moment<'_>,
    ) {
        let SelectionRequest { pool, stream, .. } = search;
        let candidates = candidates(members, states);
        let scored = |score: &dyn Fn(&Candidate<'_>) -> f64| -> Vec<(f64, usize)> {
            candidates.iter().map(|candidate| (score(candidate), candidate.index)).collect()
        };
        let scored = match pool.strategy {
            Strategy::LeastBusy => scored(&|candidate| least_busy::score(candidate, moment.now)),
            Strategy::UsageBased => scored(&|candidate| usage_based::score(candidate, moment.now)),
            Strategy::LowestLatency => {
                scored(&lowest_latency::ranking(&candidates, &pool.args, *stream, moment.now))
            }
            Strategy::LowestCost | Strategy::SimpleShuffle => scored(&|candidate| candidate.seen.price),
        };
        self.shortlists.borrow_mut().put(pool, *stream, scored, moment.random);
    }

    fn filters_tags(&self, pool: &Pool) -> bool {
        pool.tag_filtering && !pool.by_id
    }

    fn demand(
        &self,
        index: usize,
        search: &SelectionRequest<'_>,
        states: &DeploymentStates,
        probe: bool,
    ) -> AdmissionRequest {
        let SelectionRequest { estimate, is_oversized, quota_mode, .. } = *search;
        let tokens = states.tokens(index, &estimate, is_oversized);
        AdmissionRequest {
            index,
            tokens,
            estimate,
            is_oversized,
            by_id: search.pool.by_id,
            probe,
            quota_mode,
        }
    }

    /// The deployments that may serve: by tag, by what they have room for, and of those the ones of the first order.
    pub(crate) fn eligible(
        &self,
        search: &SelectionRequest<'_>,
        states: &mut DeploymentStates,
        now: Duration,
        store: &dyn Store,
    ) -> Result<Vec<usize>, NoDeployment> {
        let members = self.tagged(search)?;
        let mut left = Vec::with_capacity(search.pool.members.len());
        let mut excluded = Vec::new();
        let at = Instant::new(now);
        let mut sort = |place: usize, index: usize| match self.exclusion(index, search, states, &at) {
            None => left.push(place),
            Some(why) => excluded.push((place, why)),
        };
        match members {
            None => search.pool.members.iter().enumerate().for_each(|(place, index)| sort(place, *index)),
            Some(members) => members.into_iter().for_each(|place| {
                if let Some(index) = search.pool.members.get(place) {
                    sort(place, *index);
                }
            }),
        }
        self.refresh_stale(&mut left, &mut excluded, search, states, now, store);
        let left = of_first_order(left, search);
        if left.is_empty() {
            let by_index = |(place, why): (usize, Excluded)| Some((*search.pool.members.get(place)?, why));
            return Err(NoDeployment::Excluded(excluded.into_iter().filter_map(by_index).collect()));
        }
        Ok(left)
    }

    /// No deployment stays full on the strength of an old copy: what was given back is looked for with every request, and in all
    /// groups before a request is refused, or sent where it has failed already.
    fn refresh_stale(
        &self,
        left: &mut Vec<usize>,
        excluded: &mut [(usize, Excluded)],
        search: &SelectionRequest<'_>,
        states: &mut DeploymentStates,
        now: Duration,
        store: &dyn Store,
    ) {
        let member = |place: usize| search.pool.members.get(place).copied();
        let is_untried = |place: &usize| {
            let deployment = member(*place).and_then(|index| self.deployment(index));
            deployment.is_some_and(|deployment| !search.retry_state.tried.contains(&deployment.id))
        };
        let early: Vec<_> = excluded.iter_mut().filter(|(_, why)| why.may_end_early()).collect();
        let has_untried = left.iter().any(is_untried);
        if early.is_empty() || (has_untried && states.is_alone()) {
            return;
        }
        let mut groups: Vec<usize> =
            early.iter().filter_map(|(place, _)| states.group(member(*place)?)).collect();
        groups.sort_unstable();
        groups.dedup();
        if has_untried && groups.len() > REFRESH {
            // Least recently first: which of them are left out varies, so no cursor would meet all of them.
            groups.sort_by_key(|group| states.caught_up(*group));
            groups.truncate(REFRESH);
        }
        let renewed = groups.into_iter().filter(|group| states.catch_up(*group, store)).count();
        if renewed == 0 {
            return;
        }
        for (place, why) in early {
            let Some(index) = member(*place) else { continue };
            match self.exclusion(index, search, states, &Instant::new(now)) {
                None => left.push(*place),
                Some(still) => *why = still,
            }
        }
    }

    pub(crate) fn exclusion(
        &self,
        index: usize,
        search: &SelectionRequest<'_>,
        states: &DeploymentStates,
        at: &Instant,
    ) -> Option<Excluded> {
        if states.snapshot(index)?.is_surely_free(&search.estimate, at) {
            return None;
        }
        let (record, terms) = states.seen(index)?;
        let demand = self.demand(index, search, states, false);
        let why = eligibility::excluded(record, terms, &demand, at.now);
        why.filter(|why| !(search.allow_unleased && *why == Excluded::Unleased))
    }

    /// The places of the members that the request's tags admit; `None` for all of them.
    pub(crate) fn tagged(&self, search: &SelectionRequest<'_>) -> Result<Option<Vec<usize>>, NoDeployment> {
        if !self.filters_tags(search.pool) {
            return Ok(None);
        }
        let members = search.pool.members.iter().enumerate();
        let with_tags =
            members.filter_map(|(place, index)| Some((place, self.deployment(*index)?.tags.as_slice())));
        let router = &self.config.router;
        let rules = tags::Rules { match_any: router.tags_match_any, prefix: &router.tag_prefix };
        let admitted = tags::admitted(with_tags, search.tags, rules);
        admitted.map(Some).map_err(|_| NoDeployment::Tags)
    }

    /// Among those that may serve, those that this request has not tried; else those that may have come to their senses.
    fn untried_first(&self, members: Vec<usize>, retry_state: &RetryState) -> Vec<usize> {
        if retry_state.tried.is_empty() {
            return members;
        }
        let last = retry_state.tried.last();
        let among = |stays: &dyn Fn(&Deployment) -> bool| -> Vec<usize> {
            let stays = |index: &usize| self.deployment(*index).is_some_and(stays);
            members.iter().copied().filter(stays).collect()
        };
        let useful = |deployment: &Deployment| !retry_state.permanently_failed.contains(&deployment.id);
        let tiers: [&dyn Fn(&Deployment) -> bool; 3] = [
            &|deployment| !retry_state.tried.contains(&deployment.id),
            &|deployment| useful(deployment) && Some(&deployment.id) != last,
            &useful,
        ];
        tiers.into_iter().map(among).find(|left| !left.is_empty()).unwrap_or(members)
    }

    /// The strategy's choice, and whether it is made to find something out.
    fn pick(
        &self,
        members: &[usize],
        search: &SelectionRequest<'_>,
        states: &mut DeploymentStates,
        moment: &mut Moment<'_>,
    ) -> Option<(usize, bool)> {
        if let [only] = members {
            return Some((*only, false));
        }
        let depends_on_others =
            !matches!(search.pool.strategy, Strategy::SimpleShuffle | Strategy::LowestCost);
        if !depends_on_others {
            return self.pick_by(members, search, states, moment);
        }
        // Before its first choice a worker does not know that there are others.
        states.join(moment.now, moment.store);
        states.refresh_next(&search.pool.members, &search.pool.looks, REFRESH, moment.store);
        let first = self.pick_by(members, search, states, moment)?;
        if states.is_alone() {
            return Some(first);
        }
        // Whoever looks best by an old copy is looked at again, and may not look best any more.
        states.read(first.0, moment.store);
        self.pick_by(members, search, states, moment)
    }

    fn pick_by(
        &self,
        members: &[usize],
        search: &SelectionRequest<'_>,
        states: &DeploymentStates,
        moment: &mut Moment<'_>,
    ) -> Option<(usize, bool)> {
        let SelectionRequest { pool, stream, .. } = search;
        let deployments = || members.iter().filter_map(|index| self.deployment(*index));
        if pool.strategy == Strategy::SimpleShuffle {
            let weights: Vec<Weights> = deployments().map(Weights::of).collect();
            let place = SimpleShuffle::new(&weights).pick(moment.random)?;
            return Some((*members.get(place)?, false));
        }
        let candidates = candidates(members, states);
        let mut probe = false;
        let place = match pool.strategy {
            Strategy::LeastBusy => least_busy::pick(&candidates, moment.now, moment.random),
            Strategy::UsageBased => usage_based::pick(&candidates, moment.now, moment.random),
            Strategy::LowestLatency => {
                let pick = lowest_latency::pick(&candidates, &pool.args, *stream, moment.now, moment.random)?;
                probe = pick.probe;
                Some(pick.place)
            }
            Strategy::LowestCost | Strategy::SimpleShuffle => lowest_cost::pick(&candidates, moment.random),
        };
        Some((candidates.get(place?)?.index, probe))
    }
}

fn candidates<'l>(members: &[usize], states: &'l DeploymentStates) -> Vec<Candidate<'l>> {
    let candidate = |index: &usize| Some(Candidate { index: *index, seen: states.snapshot(*index)? });
    members.iter().filter_map(candidate).collect()
}

/// From places in the pool to deployments: those of the lowest order that is left, above the one that has failed.
fn of_first_order(places: Vec<usize>, search: &SelectionRequest<'_>) -> Vec<usize> {
    let member = |place: &usize| search.pool.members.get(*place).copied();
    let Some(priorities) = &search.pool.priorities else { return places.iter().filter_map(member).collect() };
    let level = |place: &usize| priorities.get(*place).copied().unwrap_or(i64::MAX);
    let is_left = |place: &&usize| search.retry_state.above.is_none_or(|above| level(place) > above);
    let first = places.iter().filter(is_left).map(level).min();
    let is_first = |place: &&usize| is_left(place) && Some(level(place)) == first;
    places.iter().filter(is_first).filter_map(member).collect()
}
