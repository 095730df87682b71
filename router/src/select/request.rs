//! What goes into a selection, and what comes out of it.

use std::cell::RefMut;
use std::ops::Deref;

use llm_balancer_config::{Config, Deployment};

use crate::affinity::Preference;
use crate::affinity::load::WorkerLoad;
use crate::affinity::rendezvous::Rendezvous;
use crate::attempt::RetryState;
use crate::models::pool::Pool;
use crate::request::token_estimate::TokenEstimate;
use crate::select::oversized::is_oversized;
use crate::select::shortlists::Shortlists;
use crate::state::deployment_states::{DeploymentStates, Ticket};
use crate::state::eligibility::{AdmissionRequest, Excluded};
use crate::state::quota::QuotaMode;
use crate::state::store::Moment;

/// What a selection reads and changes.
#[derive(Debug)]
pub(crate) struct SelectionContext<'a> {
    pub config: &'a Config,
    pub states: RefMut<'a, DeploymentStates>,
    pub shortlists: RefMut<'a, Shortlists>,
    pub rendezvous: &'a Rendezvous,
    pub load: &'a WorkerLoad,
}

impl SelectionContext<'_> {
    pub fn deployment(&self, index: usize) -> Option<&Deployment> {
        self.config.deployments.get(index)
    }

    /// Admits the request at one deployment.
    pub fn admit(
        &mut self,
        index: usize,
        probe: bool,
        request: &CurrentRequest<'_>,
        moment: &Moment<'_>,
    ) -> Result<Ticket, Excluded> {
        self.states.admit(index, &request.admission(probe), moment.now, moment.store)
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
    /// The deployment that should serve it.
    pub preference: Preference,
    /// Whether a deployment may be selected that needs a lease first.
    pub allow_unleased: bool,
}

/// The same, with what is true of this instance and of the pool at the moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CurrentRequest<'a> {
    request: SelectionRequest<'a>,
    /// Whether limits are shared with other instances.
    quota_mode: QuotaMode,
    /// Whether no deployment is large enough for the request, so that it may take a whole minute of
    /// one.
    pub(super) is_oversized: bool,
}

impl<'a> Deref for CurrentRequest<'a> {
    type Target = SelectionRequest<'a>;

    fn deref(&self) -> &Self::Target {
        &self.request
    }
}

impl<'a> SelectionRequest<'a> {
    pub fn new(
        pool: &'a Pool,
        retry_state: &'a RetryState,
        estimate: TokenEstimate,
        tags: &'a [String],
        stream: bool,
    ) -> Self {
        Self { pool, retry_state, estimate, tags, stream, preference: Preference::None, allow_unleased: true }
    }

    /// What is true of it at the moment.
    pub fn at(&self, context: &mut SelectionContext<'_>, moment: &Moment<'_>) -> CurrentRequest<'a> {
        let quota_mode = context.states.quota_mode(moment.now, moment.store);
        CurrentRequest { request: *self, quota_mode, is_oversized: is_oversized(context, self, moment.now) }
    }
}

impl CurrentRequest<'_> {
    /// What the request asks of a deployment.
    pub(super) fn admission(&self, probe: bool) -> AdmissionRequest {
        AdmissionRequest {
            estimate: self.estimate,
            is_oversized: self.is_oversized,
            by_id: self.pool.by_id,
            is_uncounted: self.pool.is_uncounted,
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
