//! An attempt is over: what is remembered of it, and what happens next.

use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{Deployment, Strategy};

use crate::attempt::{Attempt, AttemptResult, RetryState};
use crate::failure::cooldown::CooldownPolicy;
use crate::failure::fallback::Names;
use crate::failure::retry;
use crate::failure::{Added, AttemptError, ErrorBody, ErrorClass, ProviderError, RetryScope, classify};
use crate::http::reply::Reply;
use crate::outcome::{Failure, Outcome};
use crate::request::refusal::Refusal;
use crate::router::response_headers as answer;
use crate::router::{Router, Verdict};
use crate::select::SelectionRequest;
use crate::select::eligible::eligible;
use crate::select::fallback_room::has_fallback_with_room;
use crate::state::deployment_states::DeploymentStates;
use crate::state::latency::{Estimate as Estimated, Metric};
use crate::state::record::{Cooled, Record};
use crate::state::store::Moment;
use crate::telemetry::access_log::AccessLogEntry;
use crate::telemetry::explain;
use crate::upstream::redirect;
use crate::upstream::usage::Usage;

/// What a provider said when it failed, read only where somebody wants to know.
#[derive(Clone, Debug, Default)]
pub struct ErrorResponse {
    /// content-type.
    pub content_type: Option<String>,
    /// x-amzn-errortype.
    pub error_type: Option<String>,
    /// As much of the body as was read.
    pub body: Vec<u8>,
    /// The status that it was said with, where that is not the one of the failure: then it cannot be passed on as it stands.
    pub received_status: Option<u16>,
}

/// How an answer ended that the provider had begun.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseSummary {
    /// The status that the client got; 0 stands for 200.
    pub status: u16,
    /// When its first byte came, since the Unix epoch.
    pub first_byte: Option<Duration>,
    /// What it says it took.
    pub usage: Option<Usage>,
    /// Whether it is all there, and if not, why.
    pub end: StreamEnd,
}

/// The end of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamEnd {
    /// It is all there.
    #[default]
    Complete,
    /// The client did not wait for it.
    ClientDisconnected,
    /// It broke off on the provider's side.
    Interrupted,
    /// A time limit passed before it was all there.
    TimedOut,
}

impl Router {
    /// Judges a failed attempt. `said` is read once, where the provider answered.
    pub fn on_attempt_failed(
        &self,
        attempt: Attempt,
        failure: Failure,
        said: &dyn Fn() -> ErrorResponse,
        moment: &mut Moment<'_>,
    ) -> Verdict {
        let Some(deployment) = self.deployment(attempt.deployment) else {
            let entry = AccessLogEntry::new(attempt.retry_state, failure.outcome(), failure.status());
            return Verdict::Relay(Vec::new(), Box::new(entry));
        };
        let (failure, said) = match failure {
            Failure::Provider { status: 300..600, .. } => (failure, said()),
            Failure::Provider { status, retry_after } => no_status(status, retry_after),
            _ => (failure, ErrorResponse::default()),
        };
        let class = class(&attempt, deployment, &failure, &said);
        let fault = AttemptError { failure: failure.with_hint_of(class, &said.body), class };
        if let Some(verdict) = self.resent(&attempt, deployment, &fault, moment) {
            return verdict;
        }
        self.remember_failure(&attempt, deployment, &fault, moment);
        let mut retry_state = attempt.retry_state.clone();
        self.past(&attempt, &mut retry_state, (&fault).into(), moment.now);
        retry_state.tried.push(Arc::clone(&deployment.id));
        if fault.retry_scope() == RetryScope::OtherDeployments {
            retry_state.permanently_failed.push(Arc::clone(&deployment.id));
        }
        let allowance = self.allowance(deployment, attempt.overrides.num_retries, Some(&fault));
        retry_state.max_retries = allowance.retries;
        if self.single_hop || self.is_last_attempt(&retry_state) {
            return self.final_answer(attempt, deployment, retry_state, fault, said, moment);
        }
        let options = self.options(&attempt, &retry_state, moment);
        let scope = fault.retry_scope();
        let may_step_up = options.next_order && scope != RetryScope::FallbacksOnly;
        // A level that is down is left when each of its deployments has been tried: there is somewhere else to go.
        let may_retry = options.untried || (options.anybody && !may_step_up);
        if may_retry
            && !self.must_move_on(&attempt, deployment, &retry_state, fault.class)
            && retry::worth_another_attempt(allowance, retry_state.retries, scope, options.useful)
            && (options.untried || !self.prefers_fallback(&attempt, deployment, &retry_state, &fault, moment))
        {
            let has_other_ways = options.untried
                || self.has_fallback_with_room(&attempt, deployment, &retry_state, fault.class, moment);
            let wait = match has_other_ways {
                true => Duration::ZERO,
                false => retry::wait(
                    fault.retry_after(),
                    retry_state.retries,
                    self.config.router.retry_after,
                    moment.random,
                ),
            };
            retry_state.retries = retry_state.retries.saturating_add(1);
            return Verdict::Retry(Box::new(retry_state), wait);
        }
        if may_step_up {
            retry_state.step_above(attempt.pool.priority_of(attempt.deployment));
            return Verdict::Retry(Box::new(retry_state), Duration::ZERO);
        }
        self.fall_back(attempt, deployment, retry_state, fault, said, moment)
    }

    /// The group has failed: on to a fallback, or back to the client.
    fn fall_back(
        &self,
        attempt: Attempt,
        deployment: &Deployment,
        mut retry_state: RetryState,
        fault: AttemptError,
        said: ErrorResponse,
        moment: &Moment<'_>,
    ) -> Verdict {
        let names = names(&attempt, deployment);
        let target =
            retry_state.fallback_chain.next(&self.config.router, &attempt.routing, names, fault.class);
        if let Some(target) = target {
            if retry_state.first_group_reply.is_none() {
                let reply = match is_provider(&fault.failure) {
                    true => provider_reply(&fault.failure, said),
                    false => no_answer(&attempt, deployment, &retry_state, fault.failure),
                };
                retry_state.first_group_reply = Some(Box::new(reply));
            }
            self.metrics.borrow_mut().fallback(Some(&attempt.pool.label), self.label(&target.model).as_ref());
            retry_state.go_to(target);
            return Verdict::Retry(Box::new(retry_state), Duration::ZERO);
        }
        self.final_answer(attempt, deployment, retry_state, fault, said, moment)
    }

    /// Nothing is left to be tried: the client is told.
    fn final_answer(
        &self,
        attempt: Attempt,
        deployment: &Deployment,
        mut retry_state: RetryState,
        fault: AttemptError,
        said: ErrorResponse,
        moment: &Moment<'_>,
    ) -> Verdict {
        let failure = fault.failure;
        let mut headers = answer::owned(answer::names(deployment, &attempt.model, &retry_state));
        let limits = self.states.borrow_mut().rate_limits(attempt.deployment, moment.now, Some(moment.store));
        headers.extend(answer::owned(answer::limits(limits)));
        headers.extend(retry_state.explanation.take().map(|text| (explain::HEADER, text)));
        let reply = match retry_state.first_group_reply.take() {
            Some(original) => Some(*original),
            None if is_provider(&failure) => provider_reply_unless_relayed(&failure, said),
            None => Some(no_answer(&attempt, deployment, &retry_state, failure)),
        };
        let status = reply.as_ref().map_or(failure.status(), |reply| reply.status);
        let entry = AccessLogEntry::new(retry_state, fault.outcome(), status);
        let entry = Box::new(AccessLogEntry { selection: Some(attempt.selection), ..entry });
        match reply {
            None => Verdict::Relay(headers, entry),
            Some(mut reply) => {
                reply.replace_headers(headers);
                Verdict::Reply(reply, entry)
            }
        }
    }

    /// Where a redirect leads, to be kept as the detail of the attempt that it answered.
    pub fn redirected(&self, attempt: &Attempt, location: &str) -> Option<String> {
        redirect::shown(location, &self.deployment(attempt.deployment)?.endpoint)
    }

    /// What the next attempt has to know after the connection of this one broke before the answer began, which the
    /// edge answers with another attempt in any case: to go on, or to tell the client.
    pub fn on_reset(&self, attempt: Attempt, failure: Failure, moment: &mut Moment<'_>) -> RetryState {
        let (limit, before) = (attempt.timeout, attempt.retry_state.clone());
        let id = self.deployment(attempt.deployment).map(|deployment| Arc::clone(&deployment.id));
        match self.on_attempt_failed(attempt, failure, &ErrorResponse::default, moment) {
            Verdict::Retry(retry_state, _) => *retry_state,
            Verdict::Relay(_, entry) | Verdict::Reply(_, entry) => {
                let mut retry_state = before;
                // It has not ended before the client has been told.
                retry_state.attempts = entry.attempts;
                retry_state.tried.extend(id);
                retry_state.undelivered = Some((failure, limit));
                retry_state
            }
        }
    }

    /// The provider has answered, and the answer has ended.
    pub fn on_response_end(
        &self,
        attempt: Attempt,
        ended: ResponseSummary,
        moment: &Moment<'_>,
    ) -> AccessLogEntry {
        self.settle_answer(&attempt, &ended, moment);
        self.served(attempt, &ended, moment.now)
    }

    fn settle_answer(&self, attempt: &Attempt, ended: &ResponseSummary, moment: &Moment<'_>) {
        let Attempt { deployment: index, ticket, .. } = attempt;
        let mut states = self.states.borrow_mut();
        let Some(deployment) = self.deployment(*index) else { return };
        let fault = ended.end.fault(attempt);
        if !states.is_counted(*index) && fault.is_none_or(|fault| !fault.class.is_counted()) {
            if ended.end == StreamEnd::Complete {
                states.succeed(*index, moment.now, moment.store);
            }
            return;
        }
        let case = CooldownPolicy {
            settings: &self.config.router,
            deployment,
            only_member: states.only_member(*index),
            has_fallbacks: false,
            successes: states.known_successes(*index),
        };
        let used = ended.usage.map(|usage| usage.total);
        let mut cooled = None;
        states.settle(*index, ticket, used, moment.now, moment.store, |record| {
            match (ended.end, &fault) {
                (StreamEnd::Complete, _) => {
                    record.outcomes.successes = record.outcomes.successes.saturating_add(1)
                }
                (_, Some(fault)) => cooled = case.failed(fault, record, moment.now),
                (_, None) => {}
            }
            if let Some(usage) = ended.usage {
                let answers = attempt.estimate.answers;
                record.completions.record(usage.completion.checked_div(answers).unwrap_or_default());
            }
            if attempt.pool.strategy == Strategy::LowestLatency {
                measure(record, attempt, *ended, moment.now, Estimated::measured);
            }
        });
        self.cools(*index, cooled, &mut states);
    }

    /// NoDeployment waits for the answer any more, and nobody knows how it would have been.
    pub fn on_client_disconnect(&self, mut attempt: Attempt, moment: &Moment<'_>) -> AccessLogEntry {
        let mut states = self.states.borrow_mut();
        if states.is_counted(attempt.deployment) {
            states.settle(attempt.deployment, &attempt.ticket, None, moment.now, moment.store, |_| ());
        }
        let mut retry_state = std::mem::take(&mut attempt.retry_state);
        let outcome = Outcome::ClientDisconnected;
        self.past(&attempt, &mut retry_state, AttemptResult { outcome, status: 0, class: None }, moment.now);
        AccessLogEntry { selection: Some(attempt.selection), ..AccessLogEntry::new(retry_state, outcome, 0) }
    }

    fn remember_failure(
        &self,
        attempt: &Attempt,
        deployment: &Deployment,
        fault: &AttemptError,
        moment: &Moment<'_>,
    ) {
        let has_fallbacks = self.has_fallback(attempt, deployment, &attempt.retry_state, fault.class);
        let mut cooled = None;
        let mut states = self.states.borrow_mut();
        let only_member = states.only_member(attempt.deployment);
        let successes = states.known_successes(attempt.deployment);
        let case = CooldownPolicy {
            settings: &self.config.router,
            deployment,
            only_member,
            has_fallbacks,
            successes,
        };
        // Providers charge nothing for an error; what a request without an answer has cost, nobody knows.
        let used = match fault.failure {
            Failure::Provider { .. } | Failure::NoConnection => Some(0),
            Failure::TimedOut | Failure::Broken => None,
        };
        states.settle(attempt.deployment, &attempt.ticket, used, moment.now, moment.store, |record| {
            cooled = case.failed(fault, record, moment.now);
            let is_slow = fault.failure == Failure::TimedOut && fault.class == ErrorClass::Server;
            if is_slow && attempt.pool.strategy == Strategy::LowestLatency {
                // It would have taken at least as long. A client's limit may be shorter than any answer takes.
                let ended = ResponseSummary { first_byte: Some(moment.now), ..ResponseSummary::default() };
                measure(record, attempt, ended, moment.now, Estimated::timed_out);
            }
        });
        self.cools(attempt.deployment, cooled, &mut states);
    }

    /// Counts a cooldown that begins. Other instances learn of that, and of one that got longer, at once.
    fn cools(&self, index: usize, cooled: Option<Cooled>, states: &mut DeploymentStates) {
        let Some(cooled) = cooled.filter(|cooled| *cooled != Cooled::Already) else { return };
        if cooled == Cooled::Begins {
            self.metrics.borrow_mut().cooldown(index);
        }
        states.note_cooldown(index);
    }

    /// Whether the edge would not send the request again: one more time at most, which is kept for a client that could not be
    /// answered in the last attempt.
    pub(crate) fn is_last_attempt(&self, retry_state: &RetryState) -> bool {
        retry_state.edge_attempts >= self.ceiling
    }

    /// Whether the attempts that are left are needed for the fallbacks ahead, one for each.
    fn must_move_on(
        &self,
        attempt: &Attempt,
        deployment: &Deployment,
        retry_state: &RetryState,
        class: ErrorClass,
    ) -> bool {
        let left = self.ceiling.saturating_sub(retry_state.edge_attempts);
        // Few requests use up half of what the edge allows.
        if left > self.ceiling / 2 {
            return false;
        }
        let mut trail = retry_state.fallback_chain.clone();
        let mut failed = (attempt.model.clone(), deployment.group.to_string());
        for _ in 0..left {
            let names = Names { asked: &failed.0, group: &failed.1 };
            match trail.next(&self.config.router, &attempt.routing, names, class) {
                Some(target) => failed = (target.model.to_string(), target.model.to_string()),
                None => return false,
            }
        }
        true
    }

    /// Who could take the next attempt.
    fn options(&self, attempt: &Attempt, retry_state: &RetryState, moment: &Moment<'_>) -> RetryOptions {
        let Attempt { pool, estimate, routing, stream, .. } = attempt;
        let mut request = SelectionRequest::new(pool, retry_state, *estimate, &routing.tags, *stream);
        let mut context = self.selection();
        let own = pool.priority_of(attempt.deployment);
        let left = eligible(&mut context, &request, moment).unwrap_or_default();
        // Those of a later order come into it when this one has had its retries.
        let left: Vec<usize> = left.into_iter().filter(|index| pool.priority_of(*index) == own).collect();
        let any = |known: &[Arc<str>]| {
            left.iter().any(|index| self.deployment(*index).is_some_and(|d| !known.contains(&d.id)))
        };
        let (untried, useful) = (any(&retry_state.tried), any(&retry_state.permanently_failed));
        let above = RetryState { above: Some(own), ..RetryState::default() };
        request.retry_state = &above;
        let next_order = pool.priorities.is_some() && eligible(&mut context, &request, moment).is_ok();
        RetryOptions { anybody: !left.is_empty(), untried, useful, next_order }
    }

    /// Whether a request that would have to go where it has failed already goes elsewhere at once: the provider asked for
    /// time, and there is somewhere else.
    fn prefers_fallback(
        &self,
        attempt: &Attempt,
        deployment: &Deployment,
        retry_state: &RetryState,
        fault: &AttemptError,
        moment: &Moment<'_>,
    ) -> bool {
        fault.asks_for_time()
            && self.has_fallback_with_room(attempt, deployment, retry_state, fault.class, moment)
    }

    fn has_fallback_with_room(
        &self,
        attempt: &Attempt,
        deployment: &Deployment,
        retry_state: &RetryState,
        class: ErrorClass,
        moment: &Moment<'_>,
    ) -> bool {
        let mut context = self.selection();
        has_fallback_with_room(&mut context, &self.groups, (attempt, deployment), retry_state, class, moment)
    }

    fn has_fallback(
        &self,
        attempt: &Attempt,
        deployment: &Deployment,
        retry_state: &RetryState,
        class: ErrorClass,
    ) -> bool {
        let mut trail = retry_state.fallback_chain.clone();
        let names = names(attempt, deployment);
        trail.next(&self.config.router, &attempt.routing, names, class).is_some()
    }
}

/// Whose fault a failed attempt is.
fn class(attempt: &Attempt, deployment: &Deployment, failure: &Failure, said: &ErrorResponse) -> ErrorClass {
    match *failure {
        Failure::TimedOut if attempt.is_client_timeout => ErrorClass::ClientTimeout,
        Failure::TimedOut | Failure::NoConnection | Failure::Broken => ErrorClass::Server,
        Failure::Provider { status, retry_after } => classify(&ProviderError {
            // An error under status 200 is classified by its own words.
            status: said.received_status.filter(|under| *under < 300).unwrap_or(status),
            body: &said.body,
            error_type: said.error_type.as_deref(),
            has_retry_after: retry_after.is_some_and(|wait| !wait.is_zero()),
            is_wildcard: deployment.model.contains('*'),
            model: &attempt.model,
            added: Added { stream_options: attempt.filters_usage_event },
        }),
    }
}

impl Failure {
    /// The same with the time to wait that only the body of a limit names, as Google's does.
    fn with_hint_of(self, class: ErrorClass, body: &[u8]) -> Self {
        match self {
            Self::Provider { status, retry_after: None } if class == ErrorClass::RateLimit => {
                Self::Provider { status, retry_after: ErrorBody::read(body).retry_after }
            }
            other => other,
        }
    }
}

impl StreamEnd {
    /// The failure that an answer ended with after it had begun.
    pub(crate) fn fault(self, attempt: &Attempt) -> Option<AttemptError> {
        let (failure, class) = match self {
            Self::Complete | Self::ClientDisconnected => return None,
            Self::TimedOut if attempt.is_client_timeout => (Failure::TimedOut, ErrorClass::ClientTimeout),
            Self::TimedOut => (Failure::TimedOut, ErrorClass::Server),
            Self::Interrupted => (Failure::Broken, ErrorClass::Server),
        };
        Some(AttemptError { failure, class })
    }
}

/// Who could take the next attempt of a request, in the group that it is in.
struct RetryOptions {
    /// Somebody of this order.
    anybody: bool,
    /// Somebody among them who has not been tried.
    untried: bool,
    /// Somebody among them who has not refused for good.
    useful: bool,
    /// Somebody of a later order.
    next_order: bool,
}

fn names<'a>(attempt: &'a Attempt, deployment: &'a Deployment) -> Names<'a> {
    Names { asked: &attempt.model, group: &deployment.group }
}

/// Whether the provider has said something that the client can be told.
fn is_provider(failure: &Failure) -> bool {
    matches!(failure, Failure::Provider { status: 400.., .. })
}

/// Takes in how long an answer took. One that was not awaited tells how soon it began, and nothing else.
fn measure(
    record: &mut Record,
    attempt: &Attempt,
    ended: ResponseSummary,
    now: Duration,
    take_in: fn(&mut Estimated, f32, f32, Duration, u32),
) {
    let size = attempt.pool.args.max_latency_list_size;
    let load = attempt.ticket.load as f32;
    let since = |time: Duration| time.saturating_sub(attempt.ticket.at).as_secs_f32() * 1000.0;
    let mut take = |metric, ms: f32| take_in(record.latency.of_mut(metric), ms, load, now, size);
    if attempt.stream
        && let Some(first) = ended.first_byte
    {
        take(Metric::First, since(first));
    }
    if ended.end != StreamEnd::Complete {
        return;
    }
    match ended.usage.map(|usage| usage.completion).filter(|tokens| *tokens > 0) {
        Some(tokens) => take(Metric::Each, since(now) / tokens as f32),
        None if attempt.stream => {}
        None => take(Metric::Whole, since(now)),
    }
}

/// A status that HTTP does not have counts as a server error (RFC 9110, section 15). Clients' libraries choke on it.
fn no_status(status: u16, retry_after: Option<Duration>) -> (Failure, ErrorResponse) {
    const BAD_GATEWAY: u16 = 502;
    let refusal =
        Refusal::NoAnswer { status: BAD_GATEWAY, provider_status: status, body: "no valid HTTP status" };
    let said = ErrorResponse {
        body: refusal.reply().body.into_bytes(),
        received_status: Some(status),
        ..ErrorResponse::default()
    };
    (Failure::Provider { status: BAD_GATEWAY, retry_after }, said)
}

/// The answer where no provider gave one.
fn no_answer(
    attempt: &Attempt,
    deployment: &Deployment,
    retry_state: &RetryState,
    failure: Failure,
) -> Reply {
    let location = attempt.detail.clone();
    answer::failed(deployment, &attempt.model, retry_state, failure, attempt.timeout, location)
}

/// What a provider said, as an answer of ours; `None` where the client can get it as it is.
fn provider_reply_unless_relayed(failure: &Failure, said: ErrorResponse) -> Option<Reply> {
    let is_relayed = said.received_status.is_none() && !said.body.trim_ascii().is_empty();
    (!is_relayed).then(|| provider_reply(failure, said))
}

/// What a provider said, as an answer of ours.
fn provider_reply(failure: &Failure, said: ErrorResponse) -> Reply {
    let mut headers = Vec::new();
    if let Some(wait) = failure.retry_after() {
        // Whole seconds, and never so few that it would be in vain.
        let begun = u64::from(wait.subsec_nanos() > 0);
        headers.push(("retry-after", wait.as_secs().saturating_add(begun).to_string()));
    }
    let status = failure.status();
    if said.body.trim_ascii().is_empty() {
        let provider_status = said.received_status.unwrap_or(status);
        let mut reply = Refusal::NoAnswer { status, provider_status, body: "an empty body" }.reply();
        reply.headers.extend(headers);
        return reply;
    }
    let body = String::from_utf8_lossy(&said.body).into_owned();
    Reply { status, content_type: said.content_type, headers, body }
}
