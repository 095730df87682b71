//! The access log: one line of JSON per request. docs/metrics.md lists its members.
//!
//! No member comes from a body: an entry holds names, paths and numbers.

use std::time::{Duration, SystemTime};

use llm_balancer_config::names;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::attempt::{RetryState, serialize_some};
use crate::http::headers::Headers;
use crate::http::text::shortened;
use crate::outcome::Outcome;
use crate::request::refusal::Refusal;
use crate::state::time::millis;
use crate::upstream::usage::Usage;

/// Length of a logged path or model, in characters. What follows is cut off.
const MAX_CHARS: usize = 512;

/// Room for most lines, in bytes.
const USUAL_LENGTH: usize = 768;

/// A request that has ended.
#[derive(Debug)]
#[must_use = "every request is counted and logged once"]
pub struct AccessLogEntry {
    /// The state in which the request ended.
    pub(crate) retry_state: RetryState,
    /// How the request ended.
    pub(crate) outcome: Outcome,
    /// The status that the client got; 0 where it did not wait for an answer.
    pub(crate) status: u16,
    /// Why the request was refused.
    pub(crate) reason: Option<&'static str>,
    /// The tokens that the answer reports.
    pub(crate) usage: Option<Usage>,
    /// From the arrival of the complete request to the first byte of the answer, in milliseconds.
    pub(crate) first_byte: Option<u64>,
    /// When the answer ended, where that is not now.
    pub(crate) ended_at: Option<Duration>,
}

impl AccessLogEntry {
    /// A request that ended in this state. `status` is the client's; 0 where it did not wait for an
    /// answer.
    pub fn new(retry_state: RetryState, outcome: Outcome, status: u16) -> Self {
        Self { retry_state, outcome, status, reason: None, usage: None, first_byte: None, ended_at: None }
    }

    /// A request that was refused, for a reason of [`Refusal::reason`].
    pub fn refused(retry_state: RetryState, reason: &'static str, status: u16) -> Self {
        Self { reason: Some(reason), ..Self::new(retry_state, Outcome::Refused, status) }
    }

    /// A request that was refused before its first attempt.
    pub fn of_refusal(refusal: &Refusal) -> Self {
        Self::refused(RetryState::default(), refusal.reason(), refusal.status())
    }

    /// A request that Envoy has answered by itself before one was sent; `entry` is that of its
    /// refusal, which the client did not get.
    pub fn of_local_reply(entry: Option<Self>, retry_state: RetryState, status: u16) -> Self {
        let reason = if status < 500 { "incomplete_request" } else { "upstream_unavailable" };
        let refused = || Self::refused(retry_state, reason, status);
        let refusal = entry.filter(|entry| entry.outcome == Outcome::Refused);
        Self { status, ..refusal.unwrap_or_else(refused) }
    }

    /// A request whose client disconnected between two attempts, or before the first.
    pub fn client_disconnected(retry_state: RetryState) -> Self {
        Self::new(retry_state, Outcome::ClientDisconnected, 0)
    }

    /// Outcome and status of a request that a fault of the filter ended.
    pub(crate) const FAULT: (Outcome, u16) = (Outcome::ServerError, 500);

    /// A request that a fault of the filter ended between two attempts, or before the first.
    pub fn of_fault(retry_state: RetryState) -> Self {
        let (outcome, status) = Self::FAULT;
        Self::new(retry_state, outcome, status)
    }

    /// The line of the log, for a request with these headers that ended now.
    pub fn line(&self, headers: &Headers, now: Duration) -> String {
        let mut line = Vec::with_capacity(USUAL_LENGTH);
        // Writing into memory cannot fail.
        let _ = serde_json::to_writer(&mut line, &Line { entry: self, headers, now });
        line.push(b'\n');
        String::from_utf8(line).unwrap_or_default()
    }
}

/// An entry with what the request's headers and the time add.
struct Line<'a> {
    entry: &'a AccessLogEntry,
    headers: &'a Headers,
    now: Duration,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { entry, headers, now } = self;
        let state = &entry.retry_state;
        let (model, group) =
            state.requested.as_ref().map(|requested| (&*requested.model, requested.group.as_deref())).unzip();
        let header = |name| headers.get(name).unwrap_or_default();
        // A query may hold a key.
        let path = header(":path").split('?').next().unwrap_or_default();
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("time", &rfc3339(*now))?;
        line.serialize_entry("request_id", header(names::STREAM_ID))?;
        line.serialize_entry("client", header(names::CLIENT))?;
        line.serialize_entry("method", header(":method"))?;
        line.serialize_entry("path", &shortened(path, MAX_CHARS))?;
        line.serialize_entry("status", &entry.status)?;
        line.serialize_entry("outcome", entry.outcome.name())?;
        serialize_some(&mut line, "reason", entry.reason)?;
        let limits = Some(&state.limits).filter(|limits| entry.reason.is_some() && !limits.is_empty());
        serialize_some(&mut line, "limits", limits)?;
        serialize_some(&mut line, "model", model.map(|model| shortened(model, MAX_CHARS)))?;
        serialize_some(&mut line, "group", group.flatten())?;
        serialize_some(&mut line, "deployment", state.attempts.last().map(|last| &*last.deployment))?;
        serialize_some(&mut line, "routing", state.selection)?;
        if state.started_at.is_some() {
            line.serialize_entry("stream", &state.stream)?;
            line.serialize_entry("retries", &state.retries)?;
            line.serialize_entry("fallbacks", &state.fallbacks())?;
            line.serialize_entry("attempts", &state.attempts)?;
        }
        serialize_some(&mut line, "tokens", entry.usage.map(Tokens))?;
        serialize_some(&mut line, "first_byte_ms", entry.first_byte)?;
        let ended_at = entry.ended_at.unwrap_or(*now);
        let duration = state.started_at.map(|started_at| millis(ended_at.saturating_sub(started_at)));
        serialize_some(&mut line, "duration_ms", duration)?;
        line.end()
    }
}

struct Tokens(Usage);

impl Serialize for Tokens {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([("prompt", self.0.prompt), ("completion", self.0.completion)])
    }
}

/// A time since the Unix epoch, in UTC with milliseconds.
fn rfc3339(time: Duration) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(time).unwrap_or(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::{AttemptLog, AttemptResult, RequestedModel};
    use crate::failure::ErrorClass;

    #[test]
    fn a_line_is_one_json_object_whatever_the_client_sent() {
        let headers: Headers =
            [(":method", "POST"), (":path", "/v1/\"x\"\\?key=secret"), ("x-request-id", "7")]
                .into_iter()
                .collect();
        let mut state = RetryState::default();
        let model = format!("a\"\n{}", "m".repeat(2000));
        state.requested = Some(RequestedModel { model, group: None });
        state.started_at = Some(Duration::from_millis(1_740_000_000_000));
        state.attempts.push(AttemptLog {
            deployment: "d".into(),
            result: AttemptResult {
                outcome: Outcome::RateLimited,
                status: 429,
                class: Some(ErrorClass::RateLimit),
            },
            milliseconds: 12,
            detail: None,
        });
        let entry = AccessLogEntry::new(state, Outcome::RateLimited, 429);
        let line = entry.line(&headers, Duration::from_millis(1_740_000_000_123));
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains("secret"), "{line}");
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["time"], "2025-02-19T21:20:00.123Z");
        assert_eq!(json["path"], "/v1/\"x\"\\");
        assert_eq!(json["duration_ms"], 123);
        assert_eq!(json["attempts"][0]["status"], 429);
        assert_eq!(json["attempts"][0]["class"], "rate_limit");
        assert!(line.len() < 1500, "{} bytes", line.len());
    }
    #[test]
    fn what_envoy_answers_during_a_wait_for_redis_has_a_line_with_its_model_and_group() {
        let requested = RequestedModel { model: "alias".into(), group: Some("g".into()) };
        let waiting = RetryState { requested: Some(requested), ..RetryState::default() };
        let entry = AccessLogEntry::of_local_reply(None, waiting, 504);
        let line = entry.line(&Headers::default(), Duration::ZERO);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&json["model"], &json["group"]), (&"alias".into(), &"g".into()), "{line}");
    }
}
