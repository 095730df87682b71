//! What is told about attempts and requests that have ended: to the metrics at once, and to the access log when all is over.

use std::sync::Arc;
use std::time::Duration;

use crate::attempt::{Attempt, AttemptLog, AttemptResult, RetryState};
use crate::http::headers::Headers;
use crate::outcome::Outcome;
use crate::router::Router;
use crate::router::finish::{ResponseSummary, StreamEnd};
use crate::state::record::milliseconds;
use crate::state::store::Store;
use crate::telemetry::access_log::AccessLogEntry;
use crate::telemetry::metrics::Change;

impl Router {
    /// Counts a request that has ended. Returns its line for the access log, if there is one. `headers` are those of the
    /// request as the client sent it.
    pub fn record_request(&self, entry: AccessLogEntry, headers: &Headers, now: Duration) -> Option<String> {
        let mut metrics = self.metrics.borrow_mut();
        if entry.outcome == Outcome::Refused || entry.started_at.is_some() {
            metrics.request(entry.group.as_ref(), entry.outcome, entry.status);
        }
        if let Some(reason) = entry.reason {
            metrics.refusal(entry.group.as_ref(), reason);
        }
        self.config.server.access_log.then(|| entry.line(headers, now))
    }

    /// Hands in what has been counted since the last time; to be called once a second.
    pub fn flush(&self, now: Duration, store: &dyn Store, sink: &mut dyn FnMut(&str, Change)) {
        let mut metrics = self.metrics.borrow_mut();
        self.watch.borrow_mut().show(&self.config, &mut self.states.borrow_mut(), &mut metrics, now, store);
        metrics.flush(&self.config, sink);
    }

    /// Hands in the rest, when this configuration has served its last request here.
    pub fn close(&self, store: &dyn Store, sink: &mut dyn FnMut(&str, Change)) {
        let (mut watch, mut metrics) = (self.watch.borrow_mut(), self.metrics.borrow_mut());
        let has_led = watch.close(&self.config, &mut metrics);
        metrics.flush(&self.config, sink);
        if has_led {
            watch.resign(store);
        }
    }

    /// Says which configuration this is, by its number or else by its fingerprint, and which worker this is, before there is
    /// traffic. Returns the configuration's generation.
    pub fn announce(&self, number: Option<u32>, fingerprint: u64, own: u64, store: &dyn Store) -> u32 {
        self.watch.borrow_mut().open(number, fingerprint, own, store)
    }

    /// An attempt has ended.
    pub(crate) fn past(
        &self,
        attempt: &Attempt,
        retry_state: &mut RetryState,
        result: AttemptResult,
        now: Duration,
    ) {
        self.metrics.borrow_mut().attempt(attempt.deployment, result);
        let Some(deployment) = self.deployment(attempt.deployment) else { return };
        retry_state.attempts.push(AttemptLog {
            deployment: Arc::clone(&deployment.id),
            result,
            milliseconds: milliseconds(now.saturating_sub(attempt.ticket.at)),
            detail: attempt.detail.clone(),
        });
    }

    /// An answer has ended, and with it the request.
    pub(crate) fn served(
        &self,
        mut attempt: Attempt,
        ended: &ResponseSummary,
        now: Duration,
    ) -> AccessLogEntry {
        let outcome = ended.end.outcome();
        let mut retry_state = std::mem::take(&mut attempt.retry_state);
        let class = ended.end.fault(&attempt).map(|fault| fault.class);
        self.past(&attempt, &mut retry_state, AttemptResult { outcome, status: ended.status, class }, now);
        let since = |start: Duration| ended.first_byte.map(|at| milliseconds(at.saturating_sub(start)));
        let mut metrics = self.metrics.borrow_mut();
        if let Some(milliseconds) = since(attempt.ticket.at) {
            metrics.first_byte(attempt.deployment, milliseconds);
        }
        if let Some(usage) = ended.usage {
            metrics.tokens(attempt.deployment, usage);
        }
        if let (Outcome::Success, Some(began)) = (outcome, retry_state.started_at) {
            metrics.duration(attempt.deployment, milliseconds(now.saturating_sub(began)));
        }
        AccessLogEntry {
            selection: Some(attempt.selection),
            usage: ended.usage,
            first_byte: retry_state.started_at.and_then(since),
            ..AccessLogEntry::new(retry_state, outcome, ended.status)
        }
    }

    /// The group that a name stands for, in the words of the file.
    pub(crate) fn label(&self, model: &str) -> Option<Arc<str>> {
        self.groups.resolve(model).ok().map(|resolved| Arc::clone(&resolved.pool.label))
    }
}

impl StreamEnd {
    /// In the words of metrics and logs.
    fn outcome(self) -> Outcome {
        match self {
            Self::Complete => Outcome::Success,
            Self::ClientDisconnected => Outcome::ClientDisconnected,
            Self::Interrupted => Outcome::Interrupted,
            Self::TimedOut => Outcome::Timeout,
        }
    }
}
