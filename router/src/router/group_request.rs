//! A request as one group gets it: whether the group serves it, and by which deployment.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{Deployment, Wire};

use super::context_window::large_enough;
use super::{Router, local_reply, origins, response_headers};
use crate::affinity::Preference;
use crate::affinity::key::{AffinityGroup, BodyAffinity, preference};
use crate::attempt::{AffinityInfo, LeaseRequests, RequestedModel, RetryState, SelectionInfo};
use crate::failure::{AttemptError, ErrorClass};
use crate::http::reply::{RETRY_AFTER, Reply};
use crate::http::route::{COUNT_TOKENS, INPUT_TOKENS, MESSAGES};
use crate::models::groups::Resolved;
use crate::models::pool::Pool;
use crate::request::mock::Mock;
use crate::request::parse::{ParsedRequest, Request};
use crate::request::references::Reference;
use crate::request::refusal::Refusal;
use crate::request::token_estimate::TokenEstimate;
use crate::request::unresolved::Unresolved;
use crate::select::preferred::affinity_info;
use crate::select::{NoDeployment, Selection, SelectionRequest, select};
use crate::state::store::{Moment, Store};
use crate::telemetry::explain::{self, explain};

/// A request waits for leases that other requests use up for at least so long, ..
const MIN_LEASE_WAIT: Duration = Duration::from_millis(50);
/// .. and at least so often: on a busy machine, time passes without a reply of Redis being late.
const MIN_LEASE_REQUESTS: u32 = 4;

/// What came of one group.
pub(super) enum GroupResult<'a> {
    /// A deployment has admitted the request.
    Selected(Box<Selected<'a>>),
    /// The request waits for a lease: the deployment, and the tokens that it needs there.
    NeedsLease((usize, u64)),
    /// The request waits for Redis to say where this was made.
    NeedsOrigin(Vec<Reference>),
    /// The request ends with this reply.
    Reply(Reply),
    /// The request goes to the fallback that its state names now.
    FallBack,
}

/// A deployment that was selected.
pub(super) struct Selected<'a> {
    pub resolved: Resolved<'a>,
    pub selection: Selection,
    pub deployment: &'a Deployment,
    pub info: SelectionInfo,
    pub estimate: TokenEstimate,
}

/// A request as one group gets it.
pub(super) struct GroupRequest<'a> {
    pub router: &'a Router,
    pub request: &'a Request,
    /// The client's body, or that with the parameters of a fallback.
    pub body: &'a [u8],
    /// Whether it has the parameters of a fallback.
    pub is_merged: bool,
    pub parsed: ParsedRequest<'a>,
    /// What is read of the body where it is needed, once for all groups.
    estimate: OnceCell<TokenEstimate>,
    affinity: BodyAffinity,
}

impl<'a> GroupRequest<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// See [`Request::parsed`].
    pub fn new(
        router: &'a Router,
        request: &'a Request,
        body: &'a [u8],
        is_merged: bool,
    ) -> Result<Self, Refusal> {
        let parsed = request.parsed(body)?;
        let (estimate, affinity) = (OnceCell::new(), BodyAffinity::default());
        Ok(Self { router, request, body, is_merged, parsed, estimate, affinity })
    }
}

impl GroupRequest<'_> {
    /// Selects a deployment of the group, or determines what else is to be done.
    ///
    /// # Errors
    /// A [`Refusal`] of a model that does not exist.
    pub fn select(
        &self,
        retry_state: &mut RetryState,
        moment: &mut Moment<'_>,
    ) -> Result<GroupResult<'_>, Refusal> {
        let model = &*self.parsed.model;
        if self.request.stored.is_some() {
            return Ok(origins::select(self, retry_state, moment));
        }
        let resolved = self.router.groups.resolve(model);
        retry_state.stream = self.parsed.stream;
        retry_state.requested.get_or_insert_with(|| RequestedModel {
            model: model.to_owned(),
            group: resolved.as_ref().ok().map(|resolved| Arc::clone(&resolved.pool.label)),
        });
        let resolved = match resolved {
            Ok(resolved) => resolved,
            // Nothing follows a name that the file does not know, unless it is that of a fallback.
            Err(Unresolved::Unknown) if retry_state.target.is_none() => {
                return Err(self.unresolved(Unresolved::Unknown));
            }
            Err(why) => {
                return Ok(self.refuse(&self.unresolved(why), ErrorClass::Server, retry_state));
            }
        };
        let Some(pool) = resolved.pool.serving(self.request.route.suffix) else {
            let refusal = self.not_served(&resolved);
            return Ok(self.refuse(&refusal, ErrorClass::UnsupportedRoute, retry_state));
        };
        let resolved = Resolved { pool, ..resolved };
        match self.mock(&resolved, retry_state) {
            Some(result) => Ok(result),
            None => Ok(self.select_in_group(resolved, retry_state, moment)),
        }
    }

    pub(super) fn select_in_group<'a>(
        &'a self,
        mut resolved: Resolved<'a>,
        retry_state: &mut RetryState,
        moment: &mut Moment<'_>,
    ) -> GroupResult<'a> {
        let unknown = origins::find(self, retry_state, moment);
        if !unknown.is_empty() {
            return GroupResult::NeedsOrigin(unknown);
        }
        if let Some(view) = origins::view(self, &resolved.pool, retry_state) {
            resolved.pool = view;
        }
        let estimate = self.estimate();
        match large_enough(self.router, &resolved.pool, &self.parsed.model, estimate) {
            Ok(Some(large_enough)) => resolved.pool = large_enough,
            Ok(None) => {}
            Err(refusal) => {
                return self.refuse(&refusal, ErrorClass::ContextWindow, retry_state);
            }
        }
        let selected = self.select_deployment(&resolved, estimate, retry_state, moment);
        let deployment = |selection: &Selection| self.router.deployment(selection.index);
        match selected.map(|(selection, info)| (deployment(&selection), selection, info)) {
            Ok((Some(deployment), selection, info)) => {
                let selected = Selected { resolved, selection, deployment, info, estimate };
                GroupResult::Selected(Box::new(selected))
            }
            Ok((None, ..)) => {
                let none = NoDeployment::Excluded(Vec::new());
                self.no_deployment(none, &resolved, estimate, retry_state, moment)
            }
            Err(NoDeployment::Unleased(shortfall)) => GroupResult::NeedsLease(shortfall),
            Err(none) => self.no_deployment(none, &resolved, estimate, retry_state, moment),
        }
    }

    fn estimate(&self) -> TokenEstimate {
        // Stored responses take no tokens.
        if !self.router.groups.count_tokens() || self.request.stored.is_some() {
            return TokenEstimate::default();
        }
        *self.estimate.get_or_init(|| TokenEstimate::of(&self.parsed, self.request.route))
    }

    /// Selects a deployment, and explains the selection if the client asked for that.
    /// [`NoDeployment::Unleased`] means that the request is to wait for the lease.
    fn select_deployment(
        &self,
        resolved: &Resolved<'_>,
        estimate: TokenEstimate,
        retry_state: &mut RetryState,
        moment: &mut Moment<'_>,
    ) -> Result<(Selection, SelectionInfo), NoDeployment> {
        let (router, pool) = (self.router, &resolved.pool);
        let tags = &self.parsed.routing.tags;
        let preference = self.preference(pool, retry_state, moment.store);
        let mut selecting = SelectionRequest::new(pool, retry_state, estimate, tags, self.parsed.stream);
        selecting.preference = preference;
        let mut selection = select(&mut router.selection(), &selecting, moment);
        selecting.allow_unleased = false;
        if let Err(NoDeployment::Unleased(shortfall)) = selection {
            if let Some(lease_requests) = next_lease_request(retry_state, moment.now) {
                retry_state.lease_requests = Some(lease_requests);
                return Err(NoDeployment::Unleased(shortfall));
            }
            selection = select(&mut router.selection(), &selecting, moment);
        }
        let info = SelectionInfo {
            strategy: pool.strategy,
            eligible: selection.as_ref().map_or(Some(0), |selection| selection.eligible),
            total: pool.members.len(),
            probe: selection.as_ref().is_ok_and(|selection| selection.ticket.probe),
            affinity: selection.as_ref().ok().and_then(|own| self.affinity(&selecting, own.index, moment)),
        };
        if self.request.explain {
            let selected = selection.as_ref().map(|selection| selection.index);
            let explanation = explain(&mut router.selection(), &selecting, selected, info, moment);
            retry_state.explanation = Some(explanation);
        }
        selection.map(|selection| (selection, info))
    }

    /// The deployment that the request prefers. The partition counts the request, once.
    fn preference(&self, pool: &Pool, retry_state: &mut RetryState, store: &dyn Store) -> Preference {
        if let Some(index) = origins::maker(self, retry_state) {
            return Preference::Pinned(index);
        }
        if !pool.affinity.is_ranked() {
            return Preference::None;
        }
        let router = self.router;
        let group = AffinityGroup {
            affinity: pool.affinity,
            partition: (!pool.is_view).then(|| (&*pool.partition, pool.members.len())),
            at: &|point| router.rendezvous.at(point, pool.first_level()),
            is_counted: retry_state.partition.as_ref() == Some(&pool.partition),
        };
        let preference =
            preference(&group, self.request, (&self.parsed, &self.affinity), &router.popularity, store);
        retry_state.partition = Some(Arc::clone(&pool.partition));
        preference
    }

    /// What became of the request's preference, counted; `None` for a group without affinity.
    fn affinity(
        &self,
        request: &SelectionRequest<'_>,
        selected: usize,
        moment: &Moment<'_>,
    ) -> Option<AffinityInfo> {
        let mut context = self.router.selection();
        let request = request.at(&mut context, moment);
        let info = affinity_info(&context, &request, selected, moment)?;
        self.router.metrics.borrow_mut().affinity(&request.pool.label, info.result);
        Some(info)
    }

    /// An error that the request asks for, in place of its first attempt or its first group
    /// (BEHAVIOUR 6).
    fn mock(&self, resolved: &Resolved<'_>, retry_state: &mut RetryState) -> Option<GroupResult<'_>> {
        let mock = self.parsed.routing.mock.filter(|_| !retry_state.is_mocked)?;
        retry_state.is_mocked = true;
        let error = AttemptError::of_mock(mock);
        if mock == Mock::RateLimit {
            let client = self.parsed.overrides.num_retries;
            let model = &self.parsed.model;
            let allowance = self
                .first_member(resolved)
                .map(|first| self.router.allowance(model, first, client, Some(&error)));
            let retries = allowance.map_or(0, |allowance| allowance.retries);
            if retries > 0 {
                // The retry starts at once.
                (retry_state.retries, retry_state.max_retries) = (1, retries);
                return None;
            }
        }
        let may_step_up = error.class.may_step_up() && !self.parsed.routing.disable_fallbacks;
        if let Some(first) = resolved.pool.first_of_levels().filter(|_| may_step_up) {
            retry_state.step_above(first);
            return None;
        }
        let reply = self.reply(&Refusal::Mock(mock, self.parsed.model.to_string()), retry_state);
        Some(self.fall_back_or(reply, error.class, retry_state))
    }

    fn no_deployment(
        &self,
        none: NoDeployment,
        resolved: &Resolved<'_>,
        estimate: TokenEstimate,
        retry_state: &mut RetryState,
        moment: &Moment<'_>,
    ) -> GroupResult<'_> {
        let refusal = local_reply::no_deployment(self.router, &self.parsed, estimate, none, moment.now);
        if let Refusal::Unavailable(group) = &refusal
            && retry_state.first_group_reply.is_none()
        {
            retry_state.limits = group.limits.iter().map(|(name, _)| *name).collect();
        }
        let mut reply = self.reply(&refusal, retry_state);
        let first = resolved.pool.members.first();
        let limits = first.and_then(|index| self.router.group_limits(*index, &|| moment.now, moment.store));
        reply.headers.extend(response_headers::rate_limits(limits));
        self.fall_back_or(reply, ErrorClass::Server, retry_state)
    }

    fn refuse(&self, refusal: &Refusal, class: ErrorClass, retry_state: &mut RetryState) -> GroupResult<'_> {
        let reply = self.reply(refusal, retry_state);
        self.fall_back_or(reply, class, retry_state)
    }

    /// Goes on to the next fallback. Where there is none, the request ends with this reply, or with
    /// that of the first group.
    fn fall_back_or(&self, reply: Reply, class: ErrorClass, retry_state: &mut RetryState) -> GroupResult<'_> {
        let mut reply = match retry_state.last_error.take() {
            Some(error) => {
                retry_state.refusal_reason = None;
                instead(*error, reply)
            }
            None => reply,
        };
        // A name that leads nowhere has no group.
        if retry_state.group().is_some() || retry_state.target.is_some() {
            reply.replace_headers(response_headers::of_group(&self.parsed.model, retry_state));
        }
        let failed = self.router.failed_group(&self.parsed.model, None);
        let next = self.router.next_fallback(retry_state, &self.parsed.routing, &failed, class);
        if let Some(first) = &mut retry_state.first_group_reply {
            first.retry_sooner(reply.retry_after());
        }
        if let Some(target) = next {
            retry_state.first_group_reply.get_or_insert_with(|| Box::new(reply));
            retry_state.go_to(target);
            return GroupResult::FallBack;
        }
        let Some(mut first) = retry_state.first_group_reply.take() else { return GroupResult::Reply(reply) };
        let mut headers = response_headers::of_group(&self.parsed.model, retry_state);
        headers.extend(retry_state.explanation.take().map(|text| (explain::HEADER, text)));
        first.replace_headers(headers);
        GroupResult::Reply(*first)
    }

    fn unresolved(&self, why: Unresolved) -> Refusal {
        let model = self.parsed.model.to_string();
        match self.router.groups.why_skipped(&model).filter(|_| why == Unresolved::Skipped) {
            Some(reason) => Refusal::Skipped(model, reason.to_owned()),
            None => Refusal::Unresolved(Some(model), why, self.request.route.suffix),
        }
    }

    /// No deployment of the group has the route, or none its API.
    fn not_served(&self, resolved: &Resolved<'_>) -> Refusal {
        let wire = self.request.route.wire();
        let mut members = resolved.pool.members.iter().filter_map(|index| self.router.deployment(*index));
        if !members.any(|member| member.endpoint.layout.speaks(wire)) {
            let is_served = |route: &&str| resolved.pool.serving(route).is_some();
            let [counts, answers] = match wire {
                Wire::Anthropic => [INPUT_TOKENS, "/chat/completions"],
                Wire::OpenAi => [COUNT_TOKENS, MESSAGES],
            };
            let counting = Some(counts).filter(|_| self.request.route.only_counts()).filter(is_served);
            let instead = counting.unwrap_or(answers);
            return Refusal::OtherWire(self.parsed.model.to_string(), wire, instead);
        }
        let first = self.first_member(resolved);
        let deployment = first.map(|first| (Arc::clone(&first.id), first.provider.clone()));
        Refusal::NotServed {
            model: self.parsed.model.to_string(),
            route: self.request.route.suffix,
            deployment: deployment.unwrap_or_else(|| (Arc::from(""), String::new())),
        }
    }

    /// The reply to a request that ends here, unless there is a fallback.
    pub(super) fn reply(&self, refusal: &Refusal, retry_state: &mut RetryState) -> Reply {
        // Behind a fallback, the client gets the error of the first group.
        if retry_state.first_group_reply.is_none() {
            retry_state.refusal_reason = Some(refusal.reason());
        }
        let mut reply = refusal.reply(self.request.route.wire());
        reply.headers.extend(retry_state.explanation.clone().map(|text| (explain::HEADER, text)));
        reply
    }

    fn first_member(&self, resolved: &Resolved<'_>) -> Option<&Deployment> {
        resolved.pool.members.first().and_then(|index| self.router.deployment(*index))
    }
}

/// The error of the last attempt in place of a refusal, with what that says of the group.
fn instead(mut error: Reply, mut refusal: Reply) -> Reply {
    error.retry_sooner(refusal.retry_after());
    refusal.headers.retain(|(name, _)| *name != RETRY_AFTER);
    error.replace_headers(refusal.headers);
    error
}

/// The count of lease requests with one more; `None` if the request has waited long enough.
fn next_lease_request(retry_state: &RetryState, now: Duration) -> Option<LeaseRequests> {
    let first = LeaseRequests { since: now, count: 0 };
    let LeaseRequests { since, count } = retry_state.lease_requests.unwrap_or(first);
    let may_wait = now.abs_diff(since) < MIN_LEASE_WAIT || count < MIN_LEASE_REQUESTS;
    may_wait.then_some(LeaseRequests { since, count: count.saturating_add(1) })
}
