//! A response has ended, or its client has disconnected: what the deployment's record and the
//! metrics keep of that.

use std::time::Duration;

use llm_balancer_config::{Deployment, Strategy};

use super::{ResponseSummary, Router, StreamEnd, origins};
use crate::attempt::{Attempt, AttemptResult, Referral};
use crate::failure::cooldown::CooldownPolicy;
use crate::failure::{AttemptError, ErrorClass};
use crate::outcome::{Failure, Outcome};
use crate::state::deployment_states::DeploymentStates;
use crate::state::latency::{self, Metric};
use crate::state::record::Record;
use crate::state::store::Moment;
use crate::state::time::millis;
use crate::telemetry::access_log::AccessLogEntry;
use crate::upstream::final_event::FinalEvent;

/// Bytes of an answer from which its silence may be the client's. A client that does not read
/// fills Envoy's buffer towards it, and then Envoy reads no more of the provider, which the filter
/// cannot tell from a provider that is silent. Envoy's documentation recommends 32 KiB for an edge;
/// the defaults are 64 KiB per stream of HTTP/2 and 1 MiB per connection.
const SMALLEST_BUFFER: u64 = 32 * 1024;

/// The detail of an attempt whose response lacks its end.
const CUT: &str = "the response ends in the middle of the answer";

/// See [`Router::on_response_end`].
pub(super) fn on_response_end(
    router: &Router,
    mut attempt: Attempt,
    mut summary: ResponseSummary,
    moment: &Moment<'_>,
) -> AccessLogEntry {
    if summary.is_cut() {
        attempt.detail = Some(CUT.to_owned());
    }
    summary.end = summary.end_of_answer();
    let ended_at = summary.ended_at(moment.now);
    let error = attempt.response_error.or_else(|| summary.end.error(attempt.is_client_timeout));
    if attempt.response_error.is_some() {
        // Nothing follows an error, and clients disconnect at one.
        summary.end = StreamEnd::Interrupted;
    }
    if matches!(attempt.referral, Referral::Stored { .. }) {
        // The tokens of a stored response were counted when it was made.
        summary.usage = None;
        if error.is_none() {
            origins::on_stored_response(router, &attempt, moment);
        }
    } else {
        settle(router, &attempt, &summary, error.as_ref(), moment);
    }
    let outcome = summary.end.outcome();
    let result = AttemptResult { outcome, status: summary.status, class: error.map(|error| error.class) };
    let mut retry_state = std::mem::take(&mut attempt.retry_state);
    router.end_attempt(&attempt, &mut retry_state, result, ended_at);
    count(router, &attempt, &summary, retry_state.started_at, ended_at);
    AccessLogEntry {
        usage: summary.usage,
        ended_at: Some(ended_at),
        first_byte: retry_state.started_at.and_then(|start| summary.first_byte_after(start)),
        ..AccessLogEntry::new(retry_state, outcome, summary.status)
    }
}

/// See [`Router::on_client_disconnect`].
pub(super) fn on_client_disconnect(router: &Router, attempt: Attempt, moment: &Moment<'_>) -> AccessLogEntry {
    abandon(router, attempt, (Outcome::ClientDisconnected, 0), moment)
}

/// See [`Router::on_fault`].
pub(super) fn on_fault(router: &Router, attempt: Attempt, moment: &Moment<'_>) -> AccessLogEntry {
    abandon(router, attempt, AccessLogEntry::FAULT, moment)
}

/// Settles an attempt that says nothing about its deployment.
fn abandon(
    router: &Router,
    mut attempt: Attempt,
    (outcome, status): (Outcome, u16),
    moment: &Moment<'_>,
) -> AccessLogEntry {
    let mut states = router.states.borrow_mut();
    if states.is_tracked(attempt.deployment) {
        states.settle(attempt.deployment, &attempt.ticket, None, moment.now, moment.store, |_| ());
    }
    let result = AttemptResult { outcome, status: 0, class: None };
    let mut retry_state = std::mem::take(&mut attempt.retry_state);
    router.end_attempt(&attempt, &mut retry_state, result, moment.now);
    AccessLogEntry::new(retry_state, outcome, status)
}

fn settle(
    router: &Router,
    attempt: &Attempt,
    summary: &ResponseSummary,
    error: Option<&AttemptError>,
    moment: &Moment<'_>,
) {
    let index = attempt.deployment;
    let Some(deployment) = router.deployment(index) else { return };
    let mut states = router.states.borrow_mut();
    if !states.is_tracked(index) && error.is_none() {
        if summary.end == StreamEnd::Complete {
            states.succeed(index, moment.now, moment.store);
        }
        return;
    }
    let policy = cooldown_policy(router, &states, deployment, index, false);
    let is_complete = summary.end == StreamEnd::Complete;
    let used = tokens_used(attempt, summary, is_complete);
    let mut cooled = None;
    states.settle(index, &attempt.ticket, used, moment.now, moment.store, |record| {
        match error {
            Some(error) => cooled = policy.record_failure(error, record, moment.now),
            None if is_complete => {
                record.outcomes.successes = record.outcomes.successes.saturating_add(1);
            }
            None => {}
        }
        if let Some(usage) = summary.usage.filter(|_| is_complete) {
            let answers = attempt.estimate.answers;
            record.completions.record(usage.completion.checked_div(answers).unwrap_or_default());
        }
        if attempt.pool.strategy == Strategy::LowestLatency {
            measure(record, attempt, *summary, moment.now, latency::LatencyEstimate::measured);
        }
    });
    drop(states);
    router.note_cooldown(index, cooled);
}

/// The tokens that an answer counts; `None` for those that were reserved. Without a usage at its end,
/// each of its events counts as one token. Before the end, a usage may count the first tokens of the
/// answer alone, as in Anthropic's `message_start`.
fn tokens_used(attempt: &Attempt, summary: &ResponseSummary, is_complete: bool) -> Option<u64> {
    if let Some(usage) = summary.usage.filter(|_| is_complete) {
        return Some(usage.total);
    }
    let reported = summary.usage.map_or(0, |usage| usage.total);
    let seen = attempt.estimate.prompt.saturating_add(summary.events);
    Some(reported.max(seen)).filter(|used| *used > attempt.ticket.reserved)
}

fn count(
    router: &Router,
    attempt: &Attempt,
    summary: &ResponseSummary,
    started_at: Option<Duration>,
    now: Duration,
) {
    let mut metrics = router.metrics.borrow_mut();
    if let Some(milliseconds) = summary.first_byte_after(attempt.ticket.at) {
        metrics.first_byte(attempt.deployment, milliseconds);
    }
    if let Some(usage) = summary.usage {
        metrics.tokens(attempt.deployment, usage);
    }
    if let (StreamEnd::Complete, Some(started_at)) = (summary.end, started_at) {
        metrics.duration(attempt.deployment, millis(now.saturating_sub(started_at)));
    }
}

/// How failures of a deployment are judged now.
pub(super) fn cooldown_policy<'a>(
    router: &'a Router,
    states: &DeploymentStates,
    deployment: &'a Deployment,
    index: usize,
    has_fallbacks: bool,
) -> CooldownPolicy<'a> {
    CooldownPolicy {
        settings: &router.config.router,
        deployment,
        only_member: states.only_member(index),
        has_fallbacks,
        successes: states.written_successes(index),
    }
}

/// Records the latency of a response. An incomplete one shows its time to the first byte, and
/// nothing else.
pub(super) fn measure(
    record: &mut Record,
    attempt: &Attempt,
    summary: ResponseSummary,
    now: Duration,
    update: fn(&mut latency::LatencyEstimate, f32, f32, Duration, u32),
) {
    let size = attempt.pool.args.max_latency_list_size;
    let load = attempt.ticket.in_flight_at_admission as f32;
    let since_send = |time: Duration| time.saturating_sub(attempt.ticket.at).as_secs_f32() * 1000.0;
    let mut update = |metric, ms: f32| update(record.latency.of_mut(metric), ms, load, now, size);
    if let Some(first) = summary.first_byte.filter(|_| attempt.stream) {
        update(Metric::First, since_send(first));
    }
    if summary.end != StreamEnd::Complete {
        return;
    }
    match summary.usage.map(|usage| usage.completion).filter(|tokens| *tokens > 0) {
        Some(tokens) => update(Metric::Each, since_send(summary.ended_at(now)) / tokens as f32),
        None if attempt.stream => {}
        None => update(Metric::Whole, since_send(now)),
    }
}

impl ResponseSummary {
    /// Whether the provider ended it in good order, and in the middle of the answer.
    fn is_cut(&self) -> bool {
        (self.end, self.final_event) == (StreamEnd::Complete, FinalEvent::Missing)
    }

    /// How the answer ended: its final event comes before what happens to the connections.
    fn end_of_answer(&self) -> StreamEnd {
        match self.final_event {
            FinalEvent::At(_) => StreamEnd::Complete,
            _ if self.is_cut() => StreamEnd::Interrupted,
            _ => self.end,
        }
    }

    /// When the answer ended, by the time at which the connections did.
    fn ended_at(&self, now: Duration) -> Duration {
        if let FinalEvent::At(time) = self.final_event { time.min(now) } else { now }
    }

    /// Milliseconds from a time to the first byte.
    fn first_byte_after(&self, time: Duration) -> Option<u64> {
        self.first_byte.map(|first_byte| millis(first_byte.saturating_sub(time)))
    }
}

impl StreamEnd {
    /// The failure that ended the response.
    fn error(self, is_client_timeout: bool) -> Option<AttemptError> {
        match self {
            Self::Complete | Self::ClientDisconnected => None,
            Self::TimedOut { passed } => {
                Some(AttemptError::timed_out(is_client_timeout || passed >= SMALLEST_BUFFER))
            }
            Self::Interrupted => Some(AttemptError { failure: Failure::Broken, class: ErrorClass::Server }),
        }
    }

    /// The same for metrics and logs.
    fn outcome(self) -> Outcome {
        match self {
            Self::Complete => Outcome::Success,
            Self::ClientDisconnected => Outcome::ClientDisconnected,
            Self::Interrupted => Outcome::Interrupted,
            Self::TimedOut { .. } => Outcome::Timeout,
        }
    }
}
