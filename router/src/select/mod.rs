//! Which deployment serves a request: one that is eligible, by the strategy of its pool; admitted
//! by its record.

pub(crate) mod eligible;
pub(crate) mod fallback_room;
mod oversized;
mod pick;
mod shortcuts;
pub(crate) mod tags;

pub(crate) use shortcuts::Shortlists;

use std::cell::RefMut;

use llm_balancer_config::{Config, Deployment};

use crate::attempt::RetryState;
use crate::models::pool::Pool;
use crate::request::token_estimate::TokenEstimate;
use crate::select::eligible::{find_eligible, untried_first};
use crate::select::oversized::is_oversized;
use crate::select::pick::pick;
use crate::state::deployment_states::{DeploymentStates, Ticket};
use crate::state::eligibility::Excluded;
use crate::state::lease::QuotaMode;
use crate::state::limits::AdmissionRequest;
use crate::state::store::Moment;

/// What a selection reads and changes.
#[derive(Debug)]
pub(crate) struct SelectionContext<'a> {
    pub config: &'a Config,
    pub states: RefMut<'a, DeploymentStates>,
    pub shortlists: RefMut<'a, Shortlists>,
}

impl SelectionContext<'_> {
    fn deployment(&self, index: usize) -> Option<&Deployment> {
        self.config.deployments.get(index)
    }
}

/// A request that needs a deployment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SelectionRequest<'a> {
    /// The deployments to select from.
    pub pool: &'a Pool,
    /// The attempts so far.
    pub retry_state: &'a RetryState,
    /// The tokens that the request is expected to take.
    pub estimate: TokenEstimate,
    /// Its tags; only pools with tag filtering read them.
    pub tags: &'a [String],
    /// Whether its answer is streamed.
    pub stream: bool,
    /// Whether a deployment may be selected that needs a lease first.
    pub allow_unleased: bool,
    /// Whether limits are shared with other instances.
    quota_mode: QuotaMode,
    /// Whether no deployment is large enough for the request, so that it may take a whole minute of
    /// one.
    is_oversized: bool,
}

impl<'a> SelectionRequest<'a> {
    pub fn new(
        pool: &'a Pool,
        retry_state: &'a RetryState,
        estimate: TokenEstimate,
        tags: &'a [String],
        stream: bool,
    ) -> Self {
        Self {
            pool,
            retry_state,
            estimate,
            tags,
            stream,
            allow_unleased: true,
            quota_mode: QuotaMode::Local,
            is_oversized: false,
        }
    }

    /// The same request, with what is true of the instance and of the pool at this moment.
    pub fn updated(mut self, context: &mut SelectionContext<'_>, moment: &Moment<'_>) -> Self {
        self.quota_mode = context.states.quota_mode(moment.now, moment.store);
        self.is_oversized = is_oversized(context, &self, moment.now);
        self
    }

    /// What the request asks of one deployment.
    fn admission(&self, index: usize, states: &DeploymentStates, probe: bool) -> AdmissionRequest {
        AdmissionRequest {
            index,
            tokens: states.tokens(index, &self.estimate, self.is_oversized),
            estimate: self.estimate,
            is_oversized: self.is_oversized,
            by_id: self.pool.by_id,
            probe,
            quota_mode: self.quota_mode,
        }
    }
}

/// The deployment that serves a request.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Its index in the configuration.
    pub index: usize,
    /// Its admission of the request.
    pub ticket: Ticket,
    /// How many deployments were eligible; `None` if the others were not checked.
    pub eligible: Option<usize>,
}

/// Why no deployment serves a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoDeployment {
    /// The request's tags admit no deployment.
    Tags,
    /// Why each is excluded, by its index.
    Excluded(Vec<(usize, Excluded)>),
    /// The index of the deployment that could serve it after Redis has leased this instance more,
    /// and the tokens that the request needs there.
    Unleased((usize, u64)),
}

/// Picks that fail their admission before all copies of the pool's records are read again.
const PICKS: usize = 8;
/// How often that happens at most for one request. Each time, other workers have filled [`PICKS`]
/// deployments between a read and a swap.
const ROUNDS: usize = 16;

/// Selects a deployment, which has admitted the request.
///
/// # Errors
/// [`NoDeployment`] if none of the pool may serve it.
pub(crate) fn select(
    context: &mut SelectionContext<'_>,
    request: &SelectionRequest<'_>,
    moment: &mut Moment<'_>,
) -> Result<Selection, NoDeployment> {
    context.states.join(moment.now, moment.store);
    let mut request = request.updated(context, moment);
    if let Some(selection) = same_again(context, &request, moment) {
        return Ok(selection);
    }
    if let Some(selection) = shortcuts::select(context, &request, moment) {
        return Ok(selection);
    }
    let mut excluded = Vec::new();
    for _ in 0..ROUNDS {
        let eligible = match find_eligible(context, &request, moment) {
            Ok(eligible) => untried_first(context, eligible, request.retry_state),
            // Records that were read since may show that all large enough deployments cool down.
            Err(_) if !request.is_oversized && is_oversized(context, &request, moment.now) => {
                request.is_oversized = true;
                continue;
            }
            Err(none) => return Err(none),
        };
        shortcuts::renew_shortlist(context, &eligible, &request, moment);
        match admit_one_of(context, eligible, &request, moment) {
            Err(NoDeployment::Excluded(full)) => excluded = full,
            result => return result,
        }
    }
    Err(NoDeployment::Excluded(excluded))
}

/// Admits the request at the strategy's pick, or at the next one if another worker has filled that
/// one meanwhile. After [`PICKS`] of those all copies are old, and are read again for the next
/// round.
fn admit_one_of(
    context: &mut SelectionContext<'_>,
    mut candidates: Vec<usize>,
    request: &SelectionRequest<'_>,
    moment: &mut Moment<'_>,
) -> Result<Selection, NoDeployment> {
    let eligible = Some(candidates.len());
    let mut full = Vec::new();
    while full.len() < PICKS
        && let Some((index, probe)) = pick(context, &candidates, request, moment)
    {
        match admit(context, index, probe, request, moment) {
            Ok(ticket) => return Ok(Selection { index, ticket, eligible }),
            // A deployment that happens to have a lease is not the one that the strategy picks.
            Err(Excluded::Unleased) if request.allow_unleased => {
                let tokens = context.states.tokens(index, &request.estimate, request.is_oversized);
                return Err(NoDeployment::Unleased((index, tokens)));
            }
            Err(why) => full.push((index, why)),
        }
        candidates.retain(|other| *other != index);
    }
    for index in candidates {
        context.states.read(index, moment.store);
    }
    Err(NoDeployment::Excluded(full))
}

fn admit(
    context: &mut SelectionContext<'_>,
    index: usize,
    probe: bool,
    request: &SelectionRequest<'_>,
    moment: &Moment<'_>,
) -> Result<Ticket, Excluded> {
    let admission = request.admission(index, &context.states, probe);
    context.states.admit(admission, moment.now, moment.store)
}

/// An uncounted resend goes to the same deployment, if that still has room.
fn same_again(
    context: &mut SelectionContext<'_>,
    request: &SelectionRequest<'_>,
    moment: &Moment<'_>,
) -> Option<Selection> {
    let id = request.retry_state.bound_for()?;
    let is_same = |index: &&usize| context.deployment(**index).is_some_and(|own| own.id == *id);
    let index = *request.pool.members.iter().find(is_same)?;
    let ticket = admit(context, index, false, request, moment).ok()?;
    let eligible = request.retry_state.selection.and_then(|why| why.eligible);
    Some(Selection { index, ticket, eligible })
}
