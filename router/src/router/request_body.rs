//! A request is complete: which group serves it, the requested one or a fallback, and which
//! deployment of that.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::Deployment;

use super::upstream_request::{Selected, sending};
use super::{NeedsLease, Router, Step, local_reply, response_headers};
use crate::attempt::{LeaseRequests, RequestedModel, RetryState, SelectionInfo};
use crate::failure::fallback::{self, FailedGroup};
use crate::failure::{AttemptError, ErrorClass};
use crate::http::reply::Reply;
use crate::models::groups::Resolved;
use crate::request::mock::Mock;
use crate::request::parse::{ParsedRequest, Request};
use crate::request::refusal::Refusal;
use crate::request::refusal::Unresolved;
use crate::request::token_estimate::TokenEstimate;
use crate::select::{NoDeployment, SelectionRequest, select};
use crate::state::store::Moment;
use crate::telemetry::access_log::AccessLogEntry;
use crate::telemetry::explain::{self, explain};

/// A request waits for leases that other requests use up for at least so long, ..
const MIN_LEASE_WAIT: Duration = Duration::from_millis(50);
/// .. and at least so often: on a busy machine, time passes without a reply of Redis being late.
const MIN_LEASE_REQUESTS: u32 = 4;

/// What came of one group.
enum GroupResult {
    /// The request goes on.
    Step(Step),
    /// The request ends with this reply.
    Reply(Reply),
    /// The request goes to the fallback that its state names now.
    FallBack,
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
}

/// See [`Router::on_request_body`].
pub(super) fn on_request_body(
    router: &Router,
    request: &Request,
    body: &[u8],
    mut retry_state: RetryState,
    moment: &mut Moment<'_>,
) -> Step {
    retry_state.started_at.get_or_insert(moment.now);
    loop {
        // A chain of fallbacks has no target twice, so this ends.
        match try_group(router, request, body, &mut retry_state, moment) {
            Ok(GroupResult::Step(step)) => return step,
            Ok(GroupResult::FallBack) => {}
            Ok(GroupResult::Reply(reply)) => {
                let entry = ended(retry_state, reply.status);
                return Step::Reply(reply, Box::new(entry));
            }
            Err(refusal) => {
                let reply = refusal.reply();
                let entry = AccessLogEntry::refused(retry_state, refusal.reason(), reply.status);
                return Step::Reply(reply, Box::new(entry));
            }
        }
    }
}

/// A request that was refused, or whose last attempt could not answer the client.
fn ended(retry_state: RetryState, status: u16) -> AccessLogEntry {
    match (retry_state.undelivered, retry_state.refusal_reason) {
        (Some((failure, _)), _) => AccessLogEntry::new(retry_state, failure.outcome(), status),
        (None, reason) => {
            AccessLogEntry::refused(retry_state, reason.unwrap_or("upstream_unavailable"), status)
        }
    }
}

fn try_group(
    router: &Router,
    request: &Request,
    body: &[u8],
    retry_state: &mut RetryState,
    moment: &mut Moment<'_>,
) -> Result<GroupResult, Refusal> {
    let merged = retry_state.target.as_ref().and_then(|target| fallback::merged(body, target));
    let body = merged.as_deref().unwrap_or(body);
    let mut parsed = request.parsed(body)?;
    if let Some(target) = &retry_state.target {
        parsed.model = Cow::Owned(target.model.to_string());
    }
    if let Some((failure, timeout)) = retry_state.undelivered {
        let reply = local_reply::undelivered(router, &parsed.model, retry_state, failure, timeout);
        return Ok(GroupResult::Reply(reply));
    }
    GroupRequest { router, request, body, is_merged: merged.is_some(), parsed }.send(retry_state, moment)
}

impl GroupRequest<'_> {
    fn send(&self, retry_state: &mut RetryState, moment: &mut Moment<'_>) -> Result<GroupResult, Refusal> {
        let model = &*self.parsed.model;
        let resolved = self.router.groups.resolve(model);
        retry_state.stream = self.parsed.stream;
        retry_state.requested.get_or_insert_with(|| RequestedModel {
            model: model.to_owned(),
            group: resolved.as_ref().ok().map(|resolved| Arc::clone(&resolved.pool.label)),
        });
        let resolved = match resolved {
            Ok(resolved) => resolved,
            // A request may name a fallback that does not exist. Others may follow it.
            Err(why) if retry_state.target.is_some() => {
                return Ok(self.refuse(&self.unresolved(why), model, ErrorClass::Server, retry_state));
            }
            Err(why) => return Err(self.unresolved(why)),
        };
        let Some(pool) = resolved.pool.serving(self.request.route.suffix) else {
            let refusal = self.not_served(&resolved);
            return Ok(self.refuse(&refusal, resolved.name, ErrorClass::UnsupportedRoute, retry_state));
        };
        let resolved = Resolved { pool, ..resolved };
        match self.mock(&resolved, retry_state) {
            Some(result) => Ok(result),
            None => self.send_to_group(&resolved, retry_state, moment),
        }
    }

    fn send_to_group(
        &self,
        resolved: &Resolved<'_>,
        retry_state: &mut RetryState,
        moment: &mut Moment<'_>,
    ) -> Result<GroupResult, Refusal> {
        let estimate = match self.router.groups.count_tokens() {
            true => TokenEstimate::of(&self.parsed, self.request.route),
            false => TokenEstimate::default(),
        };
        match self.select(resolved, estimate, retry_state, moment) {
            Ok(selected) => {
                let sending = sending(self, resolved, selected, std::mem::take(retry_state));
                Ok(GroupResult::Step(Step::Send(Box::new(sending))))
            }
            Err(NoDeployment::Unleased(shortfall)) => {
                let retry_state = std::mem::take(retry_state);
                let needs = NeedsLease { retry_state, shortfall: vec![shortfall] };
                Ok(GroupResult::Step(Step::AcquireLease(Box::new(needs))))
            }
            Err(none) => Ok(self.no_deployment(none, resolved, estimate, retry_state, moment)),
        }
    }

    /// Selects a deployment, and explains the selection if the client asked for that.
    /// [`NoDeployment::Unleased`] means that the request is to wait for the lease.
    fn select(
        &self,
        resolved: &Resolved<'_>,
        estimate: TokenEstimate,
        retry_state: &mut RetryState,
        moment: &mut Moment<'_>,
    ) -> Result<Selected<'_>, NoDeployment> {
        let (router, pool) = (self.router, &resolved.pool);
        let tags = &self.parsed.routing.tags;
        let mut selecting = SelectionRequest::new(pool, retry_state, estimate, tags, self.parsed.stream);
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
        };
        if self.request.explain {
            let selected = selection.as_ref().map(|selection| selection.index);
            let explanation = explain(&mut router.selection(), &selecting, selected, info, moment);
            retry_state.explanation = Some(explanation);
        }
        let selection = selection?;
        let deployment = router.deployment(selection.index).ok_or(NoDeployment::Excluded(Vec::new()))?;
        Ok(Selected { selection, deployment, info, estimate })
    }

    /// An error that the request asks for, in place of its first attempt or its first group
    /// (BEHAVIOUR 6).
    fn mock(&self, resolved: &Resolved<'_>, retry_state: &mut RetryState) -> Option<GroupResult> {
        let mock = self.parsed.routing.mock.filter(|_| !retry_state.is_mocked)?;
        retry_state.is_mocked = true;
        let error = AttemptError::of_mock(mock);
        if mock == Mock::RateLimit {
            let client = self.parsed.overrides.num_retries;
            let allowance =
                self.first_member(resolved).map(|first| self.router.allowance(first, client, Some(&error)));
            let retries = allowance.map_or(0, |allowance| allowance.retries);
            if retries > 0 {
                // The retry starts at once.
                (retry_state.retries, retry_state.max_retries) = (1, retries);
                return None;
            }
        }
        let mut reply = reply(&Refusal::Mock(mock, self.parsed.model.to_string()), retry_state);
        reply.headers.extend(response_headers::of_group(&self.parsed.model, retry_state));
        Some(self.fall_back_or(reply, resolved.name, error.class, retry_state))
    }

    fn no_deployment(
        &self,
        none: NoDeployment,
        resolved: &Resolved<'_>,
        estimate: TokenEstimate,
        retry_state: &mut RetryState,
        moment: &Moment<'_>,
    ) -> GroupResult {
        let refusal = local_reply::no_deployment(self.router, &self.parsed, estimate, none, moment.now);
        let mut reply = reply(&refusal, retry_state);
        reply.headers.extend(response_headers::of_group(&self.parsed.model, retry_state));
        let first = resolved.pool.members.first();
        let limits = first.and_then(|index| self.router.group_limits(*index, moment));
        reply.headers.extend(response_headers::owned(response_headers::rate_limits(limits)));
        self.fall_back_or(reply, resolved.name, ErrorClass::Server, retry_state)
    }

    fn refuse(
        &self,
        refusal: &Refusal,
        group: &str,
        class: ErrorClass,
        retry_state: &mut RetryState,
    ) -> GroupResult {
        let reply = reply(refusal, retry_state);
        self.fall_back_or(reply, group, class, retry_state)
    }

    /// Goes on to the next fallback. Where there is none, the request ends with this reply, or with
    /// that of the first group.
    fn fall_back_or(
        &self,
        reply: Reply,
        group: &str,
        class: ErrorClass,
        retry_state: &mut RetryState,
    ) -> GroupResult {
        let router = self.router;
        let failed = FailedGroup { requested: &self.parsed.model, group };
        let next =
            retry_state.fallback_chain.next(&router.config.router, &self.parsed.routing, failed, class);
        if let Some(target) = next {
            retry_state.first_group_reply.get_or_insert_with(|| Box::new(reply));
            let from = router.label(group);
            router.metrics.borrow_mut().fallback(from.as_ref(), router.label(&target.model).as_ref());
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

    /// No deployment of the group has the route.
    fn not_served(&self, resolved: &Resolved<'_>) -> Refusal {
        let first = self.first_member(resolved);
        let deployment = first.map(|first| (Arc::clone(&first.id), first.provider.clone()));
        Refusal::NotServed {
            model: self.parsed.model.to_string(),
            route: self.request.route.suffix,
            deployment: deployment.unwrap_or_else(|| (Arc::from(""), String::new())),
        }
    }

    fn first_member(&self, resolved: &Resolved<'_>) -> Option<&Deployment> {
        resolved.pool.members.first().and_then(|index| self.router.deployment(*index))
    }
}

/// The reply to a request that ends here, unless there is a fallback.
fn reply(refusal: &Refusal, retry_state: &mut RetryState) -> Reply {
    retry_state.refusal_reason = Some(refusal.reason());
    let mut reply = refusal.reply();
    reply.headers.extend(retry_state.explanation.clone().map(|text| (explain::HEADER, text)));
    reply
}

/// The count of lease requests with one more; `None` if the request has waited long enough.
fn next_lease_request(retry_state: &RetryState, now: Duration) -> Option<LeaseRequests> {
    let first = LeaseRequests { since: now, count: 0 };
    let LeaseRequests { since, count } = retry_state.lease_requests.unwrap_or(first);
    let may_wait = now.abs_diff(since) < MIN_LEASE_WAIT || count < MIN_LEASE_REQUESTS;
    may_wait.then_some(LeaseRequests { since, count: count.saturating_add(1) })
}
