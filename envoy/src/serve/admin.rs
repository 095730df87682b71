//! Envoy's admin port: its statistics, and the few commands that `serve` sends.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::Agent;

use super::signals::StopRequest;
use crate::render::{Runtime, admin_paths};
use crate::support::http_client::agent;

/// Envoy's main thread answers, which ten thousand new clusters keep busy for seconds. Who asks asks
/// again: a stop signal has to wait for the answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The same from the first stop signal on, when each wait takes time of the requests in flight.
const STOPPING_TIMEOUT: Duration = Duration::from_millis(500);

/// A kind of Envoy's statistics.
#[derive(Clone, Copy, Debug)]
pub(super) enum StatKind {
    Counter,
    Gauge,
    /// `version_text`
    Text,
}

impl StatKind {
    /// Envoy's name in `/stats?type=`.
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "Counters",
            Self::Gauge => "Gauges",
            Self::Text => "TextReadouts",
        }
    }
}

/// A client of one admin port. Every failure is `None`: Envoy may not have started, or may have
/// ended.
#[derive(Debug)]
pub(crate) struct Admin {
    agent: Agent,
    address: SocketAddr,
    /// Names the filter's metrics.
    runtime: Runtime,
    pub(super) stop: StopRequest,
}

impl Admin {
    /// On this port of loopback.
    pub(crate) fn new(port: u16, runtime: Runtime, stop: StopRequest) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { agent: agent(TIMEOUT), address, runtime, stop }
    }

    /// `None` if there is no time to ask.
    fn timeout(&self) -> Option<Duration> {
        if self.stop.is_at_once() {
            return None;
        }
        Some(if self.stop.is_requested() { STOPPING_TIMEOUT } else { TIMEOUT })
    }

    /// Whether nothing listens on the port any more: Envoy has ended.
    pub(super) fn is_gone(&self) -> bool {
        TcpStream::connect_timeout(&self.address, TIMEOUT)
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    }

    /// Whether Envoy has initialized its listeners.
    pub(super) fn is_ready(&self) -> bool {
        self.get("/ready").is_some()
    }

    /// Statistics of one kind whose names match this regular expression, with their values. Envoy's
    /// main thread looks at all of that kind: with ten thousand deployments, a question about
    /// gauges takes it 25 ms, one about texts or counters 10 ms.
    pub(super) fn stats(&self, kind: StatKind, pattern: &str) -> Option<BTreeMap<String, String>> {
        let (kind, pattern) = (kind.name(), utf8_percent_encode(pattern, NON_ALPHANUMERIC));
        let text = self.get(&format!("/stats?type={kind}&filter={pattern}"))?;
        let pair = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.trim_matches('"').to_owned()))
        };
        Some(text.lines().filter_map(pair).collect())
    }

    /// One counter or gauge, by its whole name; 0 before it is first counted.
    pub(super) fn number(&self, kind: StatKind, name: &str) -> Option<u64> {
        let pattern = format!("^{}$", name.replace('.', "\\."));
        self.stats(kind, &pattern)?.get(name).map_or(Some(0), |number| number.parse().ok())
    }

    /// One of the filter's counters without labels.
    pub(super) fn filter_counter(&self, name: &str) -> Option<u64> {
        self.number(StatKind::Counter, &self.runtime.metric(name))
    }

    /// Why Envoy rejected a listener, if it rejected one.
    pub(super) fn rejected_listener(&self) -> Option<String> {
        let dump = self.get(admin_paths::REJECTED_LISTENERS)?;
        let dump: Value = serde_json::from_str(&dump).ok()?;
        let details =
            |listener: &Value| listener.pointer("/error_state/details")?.as_str().map(str::to_owned);
        dump.get("configs")?.as_array()?.iter().find_map(details)
    }

    /// Sends a command. Returns whether Envoy has answered.
    pub(super) fn post(&self, path: &str) -> bool {
        let Some(timeout) = self.timeout() else { return false };
        let request = self.agent.post(format!("http://{}{path}", self.address));
        request.config().timeout_global(Some(timeout)).build().send_empty().is_ok()
    }

    fn get(&self, path: &str) -> Option<String> {
        let timeout = self.timeout()?;
        let request = self.agent.get(format!("http://{}{path}", self.address));
        let mut response = request.config().timeout_global(Some(timeout)).build().call().ok()?;
        if !response.status().is_success() {
            return None;
        }
        response.body_mut().read_to_string().ok()
    }
}
