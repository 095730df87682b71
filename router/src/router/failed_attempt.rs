//! A failed attempt: the class of its error, what the deployment's record keeps of it, and the
//! answers to the client that it allows.

use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{Deployment, Strategy};

use super::response_end::{cooldown_policy, measure};
use super::{ErrorResponse, ResponseSummary, Router, Verdict, local_reply, origins, response_headers};
use crate::attempt::{Attempt, AttemptResult, Origin, Referral, RetryState};
use crate::failure::fallback::FailedGroup;
use crate::failure::retry::Allowance;
use crate::failure::{AttemptError, Classified, ErrorClass, ProviderError, RetryScope, classify};
use crate::http::json::Object;
use crate::http::reply::Reply;
use crate::http::retry_after::whole_seconds;
use crate::http::route::wire;
use crate::outcome::Failure;
use crate::request::refusal::Refusal;
use crate::select::fallback_room::has_fallback_with_room;
use crate::state::latency;
use crate::state::store::Moment;
use crate::telemetry::access_log::AccessLogEntry;
use crate::telemetry::explain;

/// An attempt that has failed.
pub(super) struct FailedAttempt<'a> {
    pub router: &'a Router,
    pub deployment: &'a Deployment,
    pub attempt: Attempt,
    /// The state of the request, this attempt included.
    pub retry_state: RetryState,
    pub error: AttemptError,
    /// What the provider sent, if it did.
    pub response: ErrorResponse,
    /// Whether its headers say when to try again. The body may say it, too.
    pub has_retry_after: bool,
}

impl<'a> FailedAttempt<'a> {
    /// Classifies a failure; `response` is called if the provider has sent one. `None` for a
    /// deployment that does not exist.
    pub fn new(
        router: &'a Router,
        mut attempt: Attempt,
        failure: Failure,
        response: &dyn Fn() -> ErrorResponse,
    ) -> Option<Self> {
        let deployment = router.deployment(attempt.deployment)?;
        let wire = wire(attempt.route);
        let has_retry_after = failure.retry_after().is_some();
        let (failure, response) = match failure {
            Failure::Provider { status: 300..600, .. } => (failure, response()),
            Failure::Provider { status, retry_after } => {
                local_reply::invalid_status(wire, status, retry_after)
            }
            _ => (failure, ErrorResponse::default()),
        };
        let error = classified(&attempt, deployment, failure, &response);
        let retry_state = std::mem::take(&mut attempt.retry_state);
        Some(Self { router, deployment, attempt, retry_state, error, response, has_retry_after })
    }

    /// Keeps the failure in the deployment's record and in the request's state.
    pub fn record(&mut self, moment: &Moment<'_>) {
        self.settle(moment);
        self.end_attempt((&self.error).into(), moment.now);
        if self.refers() {
            self.search_elsewhere();
        }
        let id = &self.deployment.id;
        self.retry_state.tried.push(Arc::clone(id));
        if self.error.retry_scope() == RetryScope::OtherDeployments {
            self.retry_state.permanently_failed.push(Arc::clone(id));
        }
    }

    /// Whether the request refers to what single deployments have made.
    pub fn refers(&self) -> bool {
        self.attempt.referral != Referral::None
    }

    /// Goes on to all other deployments if this one does not know what the request refers to. An
    /// earlier failure of another kind is the better answer: that one may have known it.
    fn search_elsewhere(&mut self) {
        match self.error.class {
            ErrorClass::UnknownReference => {
                // Asked again, it does not.
                if self.retry_state.refused_by.take_if(|by| *by == self.deployment.id).is_some() {
                    self.retry_state.first_group_reply = None;
                }
                origins::not_here(self.router, &mut self.attempt, &mut self.retry_state);
            }
            ErrorClass::Server | ErrorClass::RateLimit if self.is_first_of_search() => {
                let kept = self.response.clone();
                self.retry_state.first_group_reply = Some(Box::new(self.first_group_reply()));
                self.retry_state.refused_by = Some(Arc::clone(&self.deployment.id));
                self.response = kept;
            }
            _ => {}
        }
    }

    fn is_first_of_search(&self) -> bool {
        let state = &self.retry_state;
        state.first_group_reply.is_none() && !matches!(state.origin, Origin::Known(_))
    }

    /// The retries of a request that may visit every deployment, unless the client wants none.
    pub fn with_search(&self, allowance: Allowance, client: Option<u32>) -> Allowance {
        let is_search =
            self.refers() && self.error.class == ErrorClass::UnknownReference && client != Some(0);
        if is_search {
            Allowance { retries: self.router.ceiling.saturating_sub(1), ..allowance }
        } else {
            allowance
        }
    }

    /// Counts the attempt, and adds it to those of the request.
    pub fn end_attempt(&mut self, result: AttemptResult, now: Duration) {
        self.router.end_attempt(&self.attempt, &mut self.retry_state, result, now);
    }

    fn settle(&self, moment: &Moment<'_>) {
        let Self { router, attempt, error, .. } = self;
        // A deployment may serve its models well without serving stored responses.
        if let Referral::Stored { .. } = attempt.referral {
            return;
        }
        let index = attempt.deployment;
        let has_fallbacks = self.has_fallback();
        let mut states = router.states.borrow_mut();
        let policy = cooldown_policy(router, &states, self.deployment, index, has_fallbacks);
        // Providers do not charge for an error. What a request without an answer has cost is
        // unknown.
        let used = match error.failure {
            Failure::Provider { .. } | Failure::NoConnection => Some(0),
            Failure::TimedOut | Failure::Broken => None,
        };
        let is_slow = error.failure == Failure::TimedOut && error.class == ErrorClass::Server;
        let mut cooled = None;
        states.settle(index, &attempt.ticket, used, moment.now, moment.store, |record| {
            cooled = policy.record_failure(error, record, moment.now);
            if is_slow && attempt.pool.strategy == Strategy::LowestLatency {
                // It would have taken at least as long. A client's timeout may be shorter than any
                // answer takes.
                let ended = ResponseSummary { first_byte: Some(moment.now), ..ResponseSummary::default() };
                measure(record, attempt, ended, moment.now, latency::LatencyEstimate::timed_out);
            }
        });
        drop(states);
        router.note_cooldown(index, cooled);
    }

    /// Whether a fallback is left that would admit the request now.
    pub fn has_fallback_with_room(&self, moment: &Moment<'_>) -> bool {
        let failed = (&self.attempt, self.deployment);
        let mut context = self.router.selection();
        let groups = &self.router.groups;
        has_fallback_with_room(&mut context, groups, failed, &self.retry_state, self.error.class, moment)
    }

    /// The names under which its group has fallbacks.
    pub fn group(&self) -> FailedGroup<'_> {
        self.router.failed_group(&self.attempt.model, Some(self.deployment))
    }

    /// Whether any fallback is left.
    pub fn has_fallback(&self) -> bool {
        has_fallback(self.router, &self.attempt, &self.retry_state, &self.group(), self.error.class)
    }

    /// Goes on to the next fallback, if there is one.
    pub fn fall_back(&mut self) -> bool {
        let Self { router, attempt, retry_state, error, .. } = self;
        let failed = router.failed_group(&attempt.model, Some(self.deployment));
        let next = router.next_fallback(retry_state, &attempt.routing, &failed, error.class);
        let Some(target) = next else { return false };
        match &mut self.retry_state.first_group_reply {
            Some(first) => first.retry_sooner(wait_of(&self.error)),
            None => self.retry_state.first_group_reply = Some(Box::new(self.first_group_reply())),
        }
        self.retry_state.go_to(target);
        true
    }

    /// Keeps the error for the client, who gets it if no deployment admits the next attempt in this
    /// group.
    pub fn keep_error(&mut self) {
        if self.retry_state.first_group_reply.is_none() {
            let mut reply = self.first_group_reply();
            reply.replace_headers(self.headers());
            self.retry_state.last_error = Some(Box::new(reply));
        }
    }

    fn first_group_reply(&mut self) -> Reply {
        let response = std::mem::take(&mut self.response);
        if is_from_provider(&self.error.failure) {
            return local_reply::of_provider(wire(self.attempt.route), &self.error.failure, response);
        }
        let mut reply = self.no_answer();
        reply.headers.extend(self.headers());
        reply
    }

    /// The answer to the client where nothing is left to be tried.
    pub fn final_answer(mut self, moment: &Moment<'_>) -> Verdict {
        let failure = self.error.failure;
        let mut headers = self.headers();
        let limits = self.router.group_limits(self.attempt.deployment, &|| moment.now, moment.store);
        headers.extend(response_headers::rate_limits(limits));
        headers.extend(self.retry_state.explanation.take().map(|text| (explain::HEADER, text)));
        let reply = match self.retry_state.first_group_reply.take() {
            Some(mut reply) => {
                reply.retry_sooner(wait_of(&self.error));
                Some(*reply)
            }
            None if !is_from_provider(&failure) => Some(self.no_answer()),
            None if let Some(reply) = self.no_such_response() => Some(reply),
            None if self.can_relay() => None,
            None => {
                let response = std::mem::take(&mut self.response);
                Some(local_reply::of_provider(wire(self.attempt.route), &failure, response))
            }
        };
        let status = reply.as_ref().map_or(failure.status(), |reply| reply.status);
        let has_retry_after = self.has_retry_after;
        let entry = self.into_entry(status);
        match reply {
            None => {
                // Clients read the header alone.
                let wait = failure.retry_after().filter(|_| !has_retry_after);
                headers.extend(wait.map(local_reply::retry_after));
                Verdict::Relay(headers, Box::new(entry))
            }
            Some(mut reply) => {
                reply.replace_headers(headers);
                Verdict::Reply(reply, Box::new(entry))
            }
        }
    }

    /// The line of a request that ends with this attempt, and with this status.
    pub fn into_entry(self, status: u16) -> AccessLogEntry {
        AccessLogEntry::new(self.retry_state, self.error.outcome(), status)
    }

    /// Whether the client can get the provider's response as it is.
    fn can_relay(&self) -> bool {
        self.response.received_status.is_none() && !self.response.body.trim_ascii().is_empty()
    }

    /// The answer where a server without stored responses has sent an error in a shape that no client
    /// of OpenAI's reads.
    fn no_such_response(&self) -> Option<Reply> {
        let Referral::Stored { id, .. } = &self.attempt.referral else { return None };
        let error = || Object::parse(&self.response.body).ok()?.present("error").map(str::to_owned);
        let is_unknown = self.error.class == ErrorClass::UnknownReference;
        let is_openais = || error().is_some_and(|error| error.starts_with('{'));
        let refusal = || Refusal::NoSuchResponse(id.clone());
        (is_unknown && !is_openais()).then(|| refusal().reply(wire(self.attempt.route)))
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let headers =
            response_headers::of_deployment(self.deployment, &self.attempt.model, &self.retry_state);
        response_headers::owned(headers)
    }

    fn no_answer(&self) -> Reply {
        let Attempt { route, timeout, detail, .. } = &self.attempt;
        local_reply::no_answer(wire(route), self.error.failure, *timeout, detail.clone())
    }
}

/// The seconds that the provider asks to wait.
fn wait_of(error: &AttemptError) -> Option<u64> {
    error.retry_after().map(whole_seconds)
}

/// Whether the provider has sent an error, and not only a redirect.
fn is_from_provider(failure: &Failure) -> bool {
    matches!(failure, Failure::Provider { status: 400.., .. })
}

/// Whether any fallback is left for an attempt that fails in this way.
pub(super) fn has_fallback(
    router: &Router,
    attempt: &Attempt,
    retry_state: &RetryState,
    failed: &FailedGroup<'_>,
    class: ErrorClass,
) -> bool {
    let mut chain = retry_state.fallback_chain.clone();
    chain.next(&router.config.router, &attempt.routing, failed, class).is_some()
}

/// The class of a failure, by what the provider has sent of it.
pub(super) fn classified(
    attempt: &Attempt,
    deployment: &Deployment,
    failure: Failure,
    response: &ErrorResponse,
) -> AttemptError {
    let (status, retry_after) = match failure {
        Failure::TimedOut => return AttemptError::timed_out(attempt.is_client_timeout),
        Failure::NoConnection | Failure::Broken => {
            return AttemptError { failure, class: ErrorClass::Server };
        }
        Failure::Provider { status, retry_after } => (status, retry_after),
    };
    let Classified { class, retry_after: in_body } = classify(&ProviderError {
        // An error under status 200 is classified by its body.
        status: response.received_status.filter(|received| *received < 300).unwrap_or(status),
        body: response.original.as_ref().unwrap_or(&response.body),
        error_type: response.error_type.as_deref(),
        has_retry_after: retry_after.is_some_and(|wait| !wait.is_zero()),
        is_wildcard: deployment.model.contains('*'),
        model: &attempt.model,
        adds_stream_options: attempt.injected_usage.is_some(),
    });
    // A 404 without a reason is about the response that the path names.
    let class = match (&attempt.referral, class, status) {
        (Referral::Stored { .. }, ErrorClass::UnsupportedRoute, 404) => ErrorClass::UnknownReference,
        _ => class,
    };
    let in_body = in_body.filter(|_| class == ErrorClass::RateLimit);
    AttemptError { failure: Failure::Provider { status, retry_after: retry_after.or(in_body) }, class }
}
