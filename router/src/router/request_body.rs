//! A request is all there: where it goes, and in what form.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{Deployment, Strategy};

use crate::attempt::{Attempt, LeaseRequests, RequestedModel, RetryState, SelectionInfo};
use crate::failure::fallback::{self, Names};
use crate::failure::{AttemptError, ErrorClass};
use crate::http::new_body::NewBody;
use crate::http::reply::Reply;
use crate::models::groups::Resolved;
use crate::models::wildcard;
use crate::request::mock::Mock;
use crate::request::parse::{ParsedRequest, Request};
use crate::request::refusal::{Refusal, Unavailable, Unresolved};
use crate::request::token_estimate::TokenEstimate;
use crate::router::response_headers as answer;
use crate::router::{NeedsLease, Router, Sending, Step};
use crate::select::{NoDeployment, Selection, SelectionRequest, select};
use crate::state::eligibility::Excluded;
use crate::state::store::Moment;
use crate::telemetry::access_log::AccessLogEntry;
use crate::telemetry::explain;
use crate::upstream::body;
use crate::upstream::headers as rewrite;
use crate::upstream::headers::Limit;
use crate::upstream::single_hop;
use crate::upstream::stream_options;

/// What came of one group.
enum Tried {
    /// This is to be done.
    Done(Step),
    /// The request ends here, with this answer.
    Refused(Reply),
    /// The request goes on to the target that its retry_state names now.
    NextGroup,
}

/// How long a request may ask for leases that others then use up, and how often in any case: on a busy machine, time goes by
/// without an answer being late.
const MOST_ASKING: (Duration, u32) = (Duration::from_millis(50), 4);

fn ask_again(retry_state: &RetryState, now: Duration) -> Option<LeaseRequests> {
    let LeaseRequests { since, count } =
        retry_state.lease_requests.unwrap_or(LeaseRequests { since: now, count: 0 });
    let may = now.abs_diff(since) < MOST_ASKING.0 || count < MOST_ASKING.1;
    may.then_some(LeaseRequests { since, count: count.saturating_add(1) })
}

impl Router {
    /// Decides where a request goes. `retry_state` is what it has been through, on any attempt but the first.
    pub fn on_request_body(
        &self,
        request: &Request,
        body: &[u8],
        retry_state: Option<RetryState>,
        moment: &mut Moment<'_>,
    ) -> Step {
        let mut retry_state = retry_state.unwrap_or_default();
        retry_state.started_at.get_or_insert(moment.now);
        loop {
            // Every target of a trail is another one, so this ends.
            match self.try_group(request, body, &mut retry_state, moment) {
                Ok(Tried::Done(step)) => return step,
                Ok(Tried::Refused(reply)) => {
                    let entry = not_sent(retry_state, reply.status);
                    return Step::Reply(reply, Box::new(entry));
                }
                Ok(Tried::NextGroup) => {}
                Err(refusal) => {
                    let reply = refusal.reply();
                    let entry = AccessLogEntry::refused(retry_state, refusal.reason(), reply.status);
                    return Step::Reply(reply, Box::new(entry));
                }
            }
        }
    }

    fn try_group(
        &self,
        request: &Request,
        body: &[u8],
        retry_state: &mut RetryState,
        moment: &mut Moment<'_>,
    ) -> Result<Tried, Refusal> {
        let merged = retry_state.target.as_ref().and_then(|target| fallback::merged(body, target));
        let body = merged.as_deref().unwrap_or(body);
        let mut parsed = request.parsed(body)?;
        if let Some(target) = &retry_state.target {
            parsed.model = Cow::Owned(target.model.to_string());
        }
        if let Some((failure, limit)) = retry_state.undelivered {
            return Ok(Tried::Refused(self.told_late(&parsed, retry_state, failure, limit)));
        }
        let unresolved =
            |why| match self.groups.why_skipped(&parsed.model).filter(|_| why == Unresolved::Skipped) {
                Some(reason) => Refusal::Skipped(parsed.model.to_string(), reason.to_owned()),
                None => Refusal::Unresolved(Some(parsed.model.to_string()), why, request.route.suffix),
            };
        let resolved = self.groups.resolve(&parsed.model);
        retry_state.stream = parsed.stream;
        if retry_state.requested.is_none() {
            let label = resolved.as_ref().ok().map(|resolved| Arc::clone(&resolved.pool.label));
            retry_state.requested = Some(RequestedModel { model: parsed.model.to_string(), group: label });
        }
        let resolved = match resolved {
            Ok(resolved) => resolved,
            // A request may name a fallback that nobody answers to; that is no reason to give up the others.
            Err(why) if retry_state.target.is_some() => {
                let reply = self.refusing(retry_state, &unresolved(why));
                return Ok(self.elsewhere_or(reply, &parsed, &parsed.model, retry_state, ErrorClass::Server));
            }
            Err(why) => return Err(unresolved(why)),
        };
        let Some(pool) = resolved.pool.serving(request.route.suffix) else {
            let reply = self.refusing(retry_state, &self.not_served(&parsed, request, &resolved));
            return Ok(self.elsewhere_or(
                reply,
                &parsed,
                resolved.name,
                retry_state,
                ErrorClass::UnsupportedRoute,
            ));
        };
        let resolved = Resolved { pool, ..resolved };
        if let Some(mock) = parsed.routing.mock.filter(|_| !retry_state.is_mocked)
            && let Some(tried) = self.mock(mock, &parsed, &resolved, retry_state)
        {
            return Ok(tried);
        }
        let counts_tokens = self.groups.count_tokens();
        let estimate =
            if counts_tokens { TokenEstimate::of(&parsed, request.route) } else { TokenEstimate::default() };
        let tags = &parsed.routing.tags;
        let mut selecting = SelectionRequest::new(&resolved.pool, retry_state, estimate, tags, parsed.stream);
        let mut found = select(&mut self.selection(), &selecting, moment);
        selecting.allow_unleased = false;
        if let Err(NoDeployment::Unleased(shortfall)) = found {
            if let Some(asked) = ask_again(retry_state, moment.now) {
                retry_state.lease_requests = Some(asked);
                let asking =
                    NeedsLease { retry_state: std::mem::take(retry_state), shortfall: vec![shortfall] };
                return Ok(Tried::Done(Step::AcquireLease(Box::new(asking))));
            }
            // It has asked for long enough: whoever holds a lease will do.
            found = select(&mut self.selection(), &selecting, moment);
        }
        let pool = &resolved.pool;
        let why = SelectionInfo {
            strategy: pool.strategy,
            eligible: found.as_ref().map_or(Some(0), |chosen| chosen.eligible),
            total: pool.members.len(),
            probe: found.as_ref().is_ok_and(|chosen| chosen.ticket.probe),
        };
        if request.explain {
            let picked = found.as_ref().map(|chosen| chosen.index);
            retry_state.explanation =
                Some(explain::explain(&mut self.selection(), &selecting, picked, why, moment));
        }
        match found {
            Ok(chosen) => {
                let deployment =
                    self.deployment(chosen.index).ok_or_else(|| unresolved(Unresolved::NoMatch))?;
                let merged = merged.is_some();
                self.sending(
                    request,
                    body,
                    &parsed,
                    &resolved,
                    retry_state,
                    (chosen, deployment, why),
                    estimate,
                    merged,
                )
                .map(|sending| Tried::Done(Step::Send(Box::new(sending))))
            }
            Err(nobody) => {
                let refusal = self.unavailable(&parsed, estimate, nobody, moment.now);
                let reply = self.refusing(retry_state, &refusal);
                let reply = self.about_the_group(reply, &parsed, &resolved, retry_state, moment);
                Ok(self.elsewhere_or(reply, &parsed, resolved.name, retry_state, ErrorClass::Server))
            }
        }
    }

    /// The request as the deployment gets it.
    #[expect(clippy::too_many_arguments, reason = "everything there is to know about one send, used once")]
    fn sending(
        &self,
        request: &Request,
        body: &[u8],
        parsed: &ParsedRequest<'_>,
        resolved: &Resolved<'_>,
        retry_state: &mut RetryState,
        (chosen, deployment, why): (Selection, &Deployment, SelectionInfo),
        estimate: TokenEstimate,
        merged: bool,
    ) -> Result<Sending, Refusal> {
        // The next attempt asks for itself.
        retry_state.lease_requests = None;
        let model = match resolved.captures.is_empty() {
            true => Cow::Borrowed(deployment.model.as_str()),
            false => Cow::Owned(wildcard::fill(&deployment.model, &resolved.captures, resolved.name)),
        };
        let is_bare = retry_state.resend.as_ref().is_some_and(|resend| resend.is_bare)
            || self.usage_refusals.borrow().has(chosen.index, chosen.ticket.at);
        let counts_tokens = !is_bare && self.counts_tokens(deployment, resolved.pool.strategy);
        let include_usage = counts_tokens && stream_options::injects_usage(parsed, request.route, deployment);
        let rewritten = body::rewritten(body, parsed, request.route, deployment, &model, include_usage);
        // What a fallback's parameters were merged into lies here, and not where the client's body does.
        let new_body = match (rewritten, merged) {
            (Some(new), true) => Some(NewBody::from(new.joined(body))),
            (None, true) => Some(NewBody::from(body.to_vec())),
            (new, false) => new,
        };
        let length = new_body.as_ref().map_or(body.len(), NewBody::length);
        let content_type = parsed.payload.content_type();
        let framing = (&*content_type, length);
        let (limit, is_client_timeout) = self.limit(parsed, deployment);
        if retry_state.retries == 0 {
            retry_state.max_retries = self.allowance(deployment, parsed.overrides.num_retries, None).retries;
        }
        let mut headers;
        if self.single_hop {
            let all = single_hop::for_all(limit, retry_state.max_retries);
            headers = rewrite::headers(request, deployment, &model, all, framing);
            single_hop::controls(&mut headers, retry_state.max_retries, limit);
        } else {
            headers = rewrite::headers(request, deployment, &model, limit, framing);
        }
        {
            let mut metrics = self.metrics.borrow_mut();
            metrics.inc_in_flight(chosen.index);
            let is_retry = retry_state.retries > 0 && retry_state.resend.is_none();
            let failed = retry_state.tried.last().filter(|_| is_retry);
            if let Some(failed) = failed.and_then(|id| self.index_of(id)) {
                metrics.retry(failed);
            }
        }
        retry_state.selection = Some(why);
        retry_state.resend = None;
        let attempt = Attempt {
            deployment: chosen.index,
            model: parsed.model.to_string(),
            pool: Arc::clone(&resolved.pool),
            route: request.route.suffix,
            overrides: parsed.overrides,
            routing: parsed.routing.clone(),
            timeout: match limit {
                Limit::Whole(limit) | Limit::Gaps(limit) => limit,
            },
            is_client_timeout,
            estimate,
            stream: parsed.stream,
            filters_usage_event: include_usage,
            adds_stream_options: include_usage && !stream_options::are_the_clients(parsed),
            ticket: chosen.ticket,
            selection: why,
            detail: None,
            is_on_reused_connection: false,
            retry_state: std::mem::take(retry_state),
        };
        Ok(Sending { headers, body: new_body, attempt })
    }

    /// Whether somebody depends on how many tokens an answer took.
    fn counts_tokens(&self, deployment: &Deployment, strategy: Strategy) -> bool {
        let is_limited = deployment.tpm.is_some() && !self.config.router.soft_limits;
        is_limited || matches!(strategy, Strategy::UsageBased | Strategy::LowestLatency)
    }

    /// An error that the request asks for, in place of the first attempt or the first group (BEHAVIOUR 6). `None`: go on.
    fn mock(
        &self,
        mock: Mock,
        parsed: &ParsedRequest<'_>,
        resolved: &Resolved<'_>,
        retry_state: &mut RetryState,
    ) -> Option<Tried> {
        retry_state.is_mocked = true;
        let fault = AttemptError::of_mock(mock);
        if mock == Mock::RateLimit {
            let first = resolved.pool.members.first().and_then(|index| self.deployment(*index));
            let retries = first.map_or(0, |deployment| {
                self.allowance(deployment, parsed.overrides.num_retries, Some(&fault)).retries
            });
            if retries > 0 {
                // The retry starts at once.
                retry_state.retries = 1;
                retry_state.max_retries = retries;
                return None;
            }
        }
        let mut reply = self.refusing(retry_state, &Refusal::Mock(mock, parsed.model.to_string()));
        reply.headers.extend(answer::of_group(&parsed.model, retry_state));
        Some(self.elsewhere_or(reply, parsed, resolved.name, retry_state, fault.class))
    }

    /// Sends the request on to the next fallback, or answers; with how the first group failed, if there was another.
    fn elsewhere_or(
        &self,
        reply: Reply,
        parsed: &ParsedRequest<'_>,
        group: &str,
        retry_state: &mut RetryState,
        class: ErrorClass,
    ) -> Tried {
        let failed = Names { asked: &parsed.model, group };
        match retry_state.fallback_chain.next(&self.config.router, &parsed.routing, failed, class) {
            Some(target) => {
                retry_state.first_group_reply.get_or_insert_with(|| Box::new(reply));
                let from = self.label(group);
                self.metrics.borrow_mut().fallback(from.as_ref(), self.label(&target.model).as_ref());
                retry_state.go_to(target);
                Tried::NextGroup
            }
            None => Tried::Refused(match retry_state.first_group_reply.take() {
                Some(mut original) => {
                    let mut headers = answer::of_group(&parsed.model, retry_state);
                    headers.extend(retry_state.explanation.take().map(|text| (explain::HEADER, text)));
                    original.replace_headers(headers);
                    *original
                }
                None => reply,
            }),
        }
    }

    /// The answer of a request that ends here, unless there is a fallback.
    fn refusing(&self, retry_state: &mut RetryState, refusal: &Refusal) -> Reply {
        retry_state.refusal_reason = Some(refusal.reason());
        let mut reply = refusal.reply();
        reply.headers.extend(retry_state.explanation.clone().map(|text| (explain::HEADER, text)));
        reply
    }

    /// That no deployment of a group has the route.
    fn not_served(&self, parsed: &ParsedRequest<'_>, request: &Request, resolved: &Resolved<'_>) -> Refusal {
        let first = resolved.pool.members.first().and_then(|index| self.deployment(*index));
        let deployment = first.map(|first| (Arc::clone(&first.id), first.provider.clone()));
        Refusal::NotServed {
            model: parsed.model.to_string(),
            route: request.route.suffix,
            deployment: deployment.unwrap_or_else(|| (Arc::from(""), String::new())),
        }
    }

    /// SelectionInfo nobody serves, in words.
    fn unavailable(
        &self,
        parsed: &ParsedRequest<'_>,
        estimate: TokenEstimate,
        nobody: NoDeployment,
        now: Duration,
    ) -> Refusal {
        let excluded = match nobody {
            NoDeployment::Tags => {
                return Refusal::Tags { model: parsed.model.to_string(), tags: parsed.routing.tags.clone() };
            }
            NoDeployment::Excluded(excluded) => excluded,
            NoDeployment::Unleased((index, _)) => vec![(index, Excluded::Unleased)],
        };
        // A busy deployment may be free at any moment, and one that is too small never is.
        let may_serve = excluded.iter().filter(|(_, why)| *why != Excluded::TooSmall);
        let end = |(index, why): &(usize, Excluded)| match why {
            Excluded::Unleased => self.end_of_used_up(*index, &estimate, now),
            _ => why.until(),
        };
        let soonest = may_serve.map(|one| end(one).unwrap_or(now)).min().unwrap_or(now);
        let is_cooling = |why: &Excluded| matches!(why, Excluded::CoolingDown(_));
        let all = !excluded.is_empty() && excluded.iter().all(|(_, why)| is_cooling(why));
        let cooling = excluded.iter().filter(|(_, why)| is_cooling(why));
        let cooling = cooling.filter_map(|(index, _)| Some(self.deployment(*index)?.id.clone())).collect();
        Refusal::Unavailable(Unavailable {
            model: parsed.model.to_string(),
            wait: soonest.saturating_sub(now),
            all_cooling: all,
            cooling,
        })
    }

    /// When the minute ends, where the fleet has used it up: asking Redis again before would be in vain.
    fn end_of_used_up(&self, index: usize, estimate: &TokenEstimate, now: Duration) -> Option<Duration> {
        let states = self.states.borrow();
        let tokens = states.tokens(index, estimate, true);
        let (record, terms) = states.seen(index)?;
        let window = record.window.at(now);
        record.lease.is_used_up(&window, terms.limits(), tokens).then(|| window.ends())
    }

    /// What a refusal says about the group that it is about.
    fn about_the_group(
        &self,
        mut reply: Reply,
        parsed: &ParsedRequest<'_>,
        resolved: &Resolved<'_>,
        retry_state: &RetryState,
        moment: &Moment<'_>,
    ) -> Reply {
        reply.headers.extend(answer::of_group(&parsed.model, retry_state));
        let first = resolved.pool.members.first();
        let limits = first
            .and_then(|index| self.states.borrow_mut().rate_limits(*index, moment.now, Some(moment.store)));
        reply.headers.extend(answer::owned(answer::limits(limits)));
        reply
    }

    /// The answer to a request whose last attempt could not tell the client how it ended.
    fn told_late(
        &self,
        parsed: &ParsedRequest<'_>,
        retry_state: &mut RetryState,
        failure: crate::outcome::Failure,
        limit: Duration,
    ) -> Reply {
        let last = retry_state
            .tried
            .last()
            .and_then(|id| self.index_of(id))
            .and_then(|index| self.deployment(index));
        let original = retry_state.first_group_reply.take();
        let mut reply = match (last, original) {
            (last, Some(mut original)) => {
                let names = last.map(|last| answer::owned(answer::names(last, &parsed.model, retry_state)));
                original.replace_headers(names.unwrap_or_default());
                *original
            }
            (Some(last), None) => answer::failed(last, &parsed.model, retry_state, failure, limit, None),
            (None, None) => Refusal::NoConnection.reply(),
        };
        let explanation = retry_state.explanation.take().map(|text| (explain::HEADER, text));
        reply.replace_headers(explanation.into_iter().collect());
        reply
    }

    /// How long an attempt may take (BEHAVIOUR 7), and whether that is the client's own limit.
    fn limit(&self, parsed: &ParsedRequest<'_>, deployment: &Deployment) -> (Limit, bool) {
        let settings = &self.config.router;
        let configured = deployment.timeout.unwrap_or(settings.timeout);
        let client = parsed.overrides.timeout;
        if !parsed.stream {
            return (Limit::Whole(client.unwrap_or(configured)), client.is_some());
        }
        let gaps = deployment.stream_timeout.or(settings.stream_timeout);
        match (parsed.overrides.stream_timeout, gaps) {
            (Some(gaps), _) => (Limit::Gaps(gaps), true),
            (None, Some(gaps)) => (Limit::Gaps(gaps), false),
            (None, None) => (Limit::Gaps(client.unwrap_or(configured)), client.is_some()),
        }
    }
}

/// A request has ended here: refused, or because its last attempt could not tell the client that it had.
fn not_sent(retry_state: RetryState, status: u16) -> AccessLogEntry {
    match (retry_state.undelivered, retry_state.refusal_reason) {
        (Some((failure, _)), _) => AccessLogEntry::new(retry_state, failure.outcome(), status),
        (None, reason) => {
            AccessLogEntry::refused(retry_state, reason.unwrap_or("upstream_unavailable"), status)
        }
    }
}
