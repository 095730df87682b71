//! Envoy's admin port: what it says about itself, and the few things that it does when it is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

/// Envoy's main thread answers, which may be busy with ten thousand clusters.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way to one Envoy. Whatever cannot be had is as good as unknown: Envoy may not be there yet, or not any more.
#[derive(Debug)]
pub struct Admin {
    agent: Agent,
    origin: String,
}

impl Admin {
    /// On this port of loopback.
    pub fn new(port: u16) -> Self {
        let config = Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None);
        Self { agent: config.build().into(), origin: format!("http://127.0.0.1:{port}") }
    }

    /// Whether its listeners listen.
    pub fn is_ready(&self) -> bool {
        self.get("/ready").is_some()
    }

    /// Statistics whose names match, with their values.
    pub fn stats(&self, pattern: &str) -> Option<BTreeMap<String, String>> {
        let escaped =
            pattern.replace('\\', "%5C").replace('|', "%7C").replace('^', "%5E").replace('+', "%2B");
        let text = self.get(&format!("/stats?filter={escaped}"))?;
        let pair = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.trim_matches('"').to_owned()))
        };
        Some(text.lines().filter_map(pair).collect())
    }

    /// A number among the statistics, by its whole name.
    pub fn number(&self, name: &str) -> Option<u64> {
        let pattern = format!("^{}$", name.replace('.', "\\."));
        self.stats(&pattern)?.get(name)?.parse().ok()
    }

    /// Why it has refused a listener, if it has refused one.
    pub fn refused_listener(&self) -> Option<String> {
        let dump = self.get("/config_dump?resource=dynamic_listeners&mask=error_state")?;
        let dump: Value = serde_json::from_str(&dump).ok()?;
        let details =
            |listener: &Value| listener.pointer("/error_state/details")?.as_str().map(str::to_owned);
        dump.get("configs")?.as_array()?.iter().find_map(details)
    }

    /// Asks it to do something; says whether it will.
    pub fn ask(&self, path: &str) -> bool {
        self.agent.post(format!("{}{path}", self.origin)).send_empty().is_ok()
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut response = self.agent.get(format!("{}{path}", self.origin)).call().ok()?;
        response.body_mut().read_to_string().ok()
    }
}
