//! The account of a request that has ended: one line of JSON for the access log.
//!
//! Its members are listed in docs/metrics.md. Nothing in it comes from a body: names, paths and numbers only.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use llm_balancer_config::{Strategy, names};

use crate::attempt::RetryState;
use crate::failure::{AttemptError, ErrorClass};
use crate::http::headers::Headers;
use crate::http::json::quoted;
use crate::outcome::Outcome;
use crate::request::refusal::Refusal;
use crate::state::record::milliseconds;
use crate::upstream::usage::Usage;

/// A path or a model's name is logged up to here, in characters.
const MOST: usize = 512;

/// An attempt that is over.
#[derive(Clone, Debug)]
pub struct AttemptLog {
    /// Id of the deployment.
    pub deployment: Arc<str>,
    /// How it ended.
    pub ending: Ending,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// What Envoy says about a connection that failed.
    pub detail: Option<String>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// In general.
    pub outcome: Outcome,
    /// The provider's status; 0 where there was none.
    pub status: u16,
    /// Whose fault it was, where it failed.
    pub class: Option<ErrorClass>,
}

/// SelectionInfo the last deployment was picked.
#[derive(Clone, Copy, Debug)]
pub struct SelectionInfo {
    /// By this strategy,
    pub strategy: Strategy,
    /// from so many that could have served, as far as this worker knew; `None` where the strategy did not look at all of them,
    pub eligible: Option<usize>,
    /// of so many that answer to the name,
    pub of: usize,
    /// and only to find out how fast it is.
    pub probe: bool,
}

/// A request that has ended.
#[derive(Debug)]
#[must_use = "every request is counted and logged once"]
pub struct AccessLogEntry {
    /// The model as the client named it.
    pub model: Option<String>,
    /// The group that this stands for, as the file names it.
    pub group: Option<Arc<str>>,
    /// All attempts, in order.
    pub attempts: Vec<AttemptLog>,
    /// Attempts beyond the first in the group that ended it.
    pub retries: u32,
    /// Groups beyond the first.
    pub fallbacks: u32,
    /// SelectionInfo the last deployment was picked.
    pub why: Option<SelectionInfo>,
    /// How it ended.
    pub outcome: Outcome,
    /// What the client was told; 0 where it did not wait for that.
    pub status: u16,
    /// SelectionInfo it was refused.
    pub reason: Option<&'static str>,
    /// Whether the answer was to be streamed.
    pub stream: bool,
    /// What the answer says it took.
    pub usage: Option<Usage>,
    /// When its body was all there, since the Unix epoch.
    pub began: Option<Duration>,
    /// From then to the first byte of the answer, in milliseconds.
    pub first_byte: Option<u64>,
}

impl AccessLogEntry {
    /// A request that ended in this state. `status` is the client's; 0 where it did not wait for an answer.
    pub fn new(retry_state: RetryState, outcome: Outcome, status: u16) -> Self {
        let fallbacks = retry_state.fallbacks();
        let (model, group) = retry_state.requested.unzip();
        Self {
            model,
            group: group.flatten(),
            attempts: retry_state.attempts,
            retries: retry_state.retries,
            fallbacks,
            why: retry_state.selection,
            outcome,
            status,
            reason: None,
            stream: retry_state.stream,
            usage: None,
            began: retry_state.started_at,
            first_byte: None,
        }
    }

    /// A request that was refused, for a reason of [`Refusal::reason`].
    pub fn refused(retry_state: RetryState, reason: &'static str, status: u16) -> Self {
        Self { reason: Some(reason), ..Self::new(retry_state, Outcome::Refused, status) }
    }

    /// A request that was refused before its first attempt.
    pub fn of_refusal(refusal: &Refusal) -> Self {
        Self::refused(RetryState::default(), refusal.reason(), refusal.reply().status)
    }

    /// A request whose client went away between two attempts, or before the first.
    pub fn client_disconnected(retry_state: RetryState) -> Self {
        Self::new(retry_state, Outcome::ClientDisconnected, 0)
    }

    /// The line, for a request with these headers that ended now.
    pub fn line(&self, headers: &Headers, now: Duration) -> String {
        let mut line = Line(String::with_capacity(768));
        line.text("time", &rfc3339(now));
        line.text("request_id", headers.get(names::STREAM_ID).unwrap_or_default());
        line.text("client", headers.get(names::CLIENT).unwrap_or_default());
        line.text("method", headers.get(":method").unwrap_or_default());
        // A query may hold a key.
        let path = headers.get(":path").unwrap_or_default();
        line.text("path", &shown(path.split('?').next().unwrap_or_default()));
        line.number("status", u64::from(self.status));
        line.text("outcome", self.outcome.name());
        line.option("reason", self.reason.map(quoted));
        line.option("model", self.model.as_deref().map(|model| quoted(&shown(model))));
        line.option("group", self.group.as_deref().map(quoted));
        line.option("deployment", self.attempts.last().map(|last| quoted(&last.deployment)));
        line.option("routing", self.why.map(|why| why.json()));
        if self.began.is_some() {
            line.raw("stream", if self.stream { "true" } else { "false" });
            line.number("retries", u64::from(self.retries));
            line.number("fallbacks", u64::from(self.fallbacks));
            let attempts: Vec<String> = self.attempts.iter().map(AttemptLog::json).collect();
            line.raw("attempts", &format!("[{}]", attempts.join(",")));
        }
        let tokens =
            |usage: Usage| format!(r#"{{"prompt":{},"completion":{}}}"#, usage.prompt, usage.completion);
        line.option("tokens", self.usage.map(tokens));
        line.option("first_byte_ms", self.first_byte.map(|ms| ms.to_string()));
        line.option(
            "duration_ms",
            self.began.map(|began| milliseconds(now.saturating_sub(began)).to_string()),
        );
        line.0.push_str("}\n");
        line.0
    }
}

impl Ending {
    /// Of an attempt that failed.
    pub fn of(fault: &AttemptError) -> Self {
        let status = fault.failure.provider_status().unwrap_or_default();
        Self { outcome: fault.outcome(), status, class: Some(fault.class) }
    }
}

impl AttemptLog {
    /// As a JSON object.
    pub fn json(&self) -> String {
        let mut line = Line(String::with_capacity(128));
        line.text("deployment", &self.deployment);
        let Ending { outcome, status, class } = self.ending;
        line.text("outcome", outcome.name());
        line.option("class", class.map(|class| quoted(class.name())));
        line.option("status", (status > 0).then(|| status.to_string()));
        line.option("detail", self.detail.as_deref().map(quoted));
        line.number("ms", self.milliseconds);
        line.0.push('}');
        line.0
    }
}

impl SelectionInfo {
    /// As a JSON object.
    pub fn json(&self) -> String {
        let mut line = Line(String::with_capacity(64));
        line.text("strategy", self.strategy.name());
        line.option("eligible", self.eligible.map(|count| count.to_string()));
        line.number("candidates", self.of as u64);
        line.option("probe", self.probe.then(|| "true".to_owned()));
        line.0.push('}');
        line.0
    }
}

/// A JSON object that is being written.
struct Line(String);

impl Line {
    fn raw(&mut self, name: &str, value: &str) {
        self.0.push_str(if self.0.is_empty() { "{\"" } else { ",\"" });
        self.0.push_str(name);
        self.0.push_str("\":");
        self.0.push_str(value);
    }

    fn text(&mut self, name: &str, value: &str) {
        self.raw(name, &quoted(value));
    }

    fn number(&mut self, name: &str, value: u64) {
        self.raw(name, &value.to_string());
    }

    /// What is not known is left out.
    fn option(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.raw(name, &value);
        }
    }
}

fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
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

    #[test]
    fn a_line_is_one_json_object_whatever_the_client_sent() {
        let headers: Headers =
            [(":method", "POST"), (":path", "/v1/\"x\"\\?key=secret"), ("x-request-id", "7")]
                .into_iter()
                .collect();
        let mut account = AccessLogEntry::new(RetryState::default(), Outcome::RateLimited, 429);
        account.model = Some(format!("a\"\n{}", "m".repeat(2000)));
        account.began = Some(Duration::from_millis(1_740_000_000_000));
        account.attempts.push(AttemptLog {
            deployment: "d".into(),
            ending: Ending { outcome: Outcome::RateLimited, status: 429, class: Some(ErrorClass::RateLimit) },
            milliseconds: 12,
            detail: None,
        });
        let line = account.line(&headers, Duration::from_millis(1_740_000_000_123));
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
}
