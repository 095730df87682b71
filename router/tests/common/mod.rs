//! A world for stories: a configuration, a client, and providers that answer as they are told. It plays the edge and
//! the filter: it sends each attempt, hands over its outcome, and keeps the retry_state in between.

#![allow(dead_code, reason = "each story file uses its own part")]
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{max_edge_retries, read};
use llm_balancer_router::AccessLogEntry;
use llm_balancer_router::Change;
use llm_balancer_router::Failure;
use llm_balancer_router::Headers;
use llm_balancer_router::Moment;
use llm_balancer_router::Reply;
use llm_balancer_router::Request;
use llm_balancer_router::SplitMix;
use llm_balancer_router::Usage;
use llm_balancer_router::testing::Memory;
use llm_balancer_router::{
    Arrival, ErrorResponse, ResponseSummary, Router, Sending, Step, StreamEnd, Verdict,
};
use llm_balancer_router::{Attempt, RetryState};

/// How a provider answers one attempt.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Ok,
    /// An answer that took so many tokens, prompt and completion.
    Used(u64, u64),
    /// An answer that comes after so many milliseconds, with one completion token.
    After(u64),
    /// An answer that begins after so many milliseconds, and does not say what it took.
    BeginsAfter(u64),
    /// The client goes away before the answer.
    Left,
    Status(u16),
    /// A 429 that asks to stay away for so many seconds.
    SlowDown(u64),
    /// A status with what its body says.
    Says(u16, &'static str),
    Refused,
    TooSlow,
    /// The connection breaks after the headers.
    Broken,
    /// The connection was kept, and ends so many milliseconds after the send, without an answer.
    DeadConnection(u64),
    /// The answer begins, and then a time limit passes.
    Stalls,
    /// The answer begins, and then breaks off.
    BreaksOff,
}

/// What became of a request.
#[derive(Debug, Default)]
pub struct RequestResult {
    pub status: u16,
    /// Ids of the deployments that were called, in order.
    pub called: Vec<String>,
    /// Seconds waited before each retry.
    pub waits: Vec<f64>,
    /// Headers of the answer that name the deployment.
    pub headers: Vec<(String, String)>,
    /// Our own body, if we answered.
    pub body: String,
    /// The last request that a provider got.
    pub sent: Option<Sent>,
}

#[derive(Debug)]
pub struct Sent {
    pub headers: Headers,
    pub body: String,
}

impl RequestResult {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Sent {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_default()
    }
}

/// A configuration, served by one worker; [`World::beside`] adds another.
pub struct World {
    pub router: Router,
    pub now: Duration,
    pub store: Arc<Memory>,
    /// The access log.
    pub lines: Vec<serde_json::Value>,
    yaml: String,
    random: SplitMix,
}

/// The turn of a minute, in 2025.
pub const NOON: Duration = Duration::from_secs(29_000_000 * 60);

pub const CHAT: &str = "/v1/chat/completions";

impl World {
    /// Starts from the file that a user would have.
    pub fn of(yaml: &str) -> Self {
        Self::worker(yaml, 1, Arc::default(), NOON)
    }

    /// Another worker of the same Envoy.
    pub fn beside(&self, vm: u32) -> Self {
        Self::worker(&self.yaml, vm, Arc::clone(&self.store), self.now)
    }

    /// The same worker after a reload of the configuration.
    pub fn reloaded(&self, yaml: &str) -> Self {
        Self::worker(yaml, 1, Arc::clone(&self.store), self.now)
    }

    fn worker(yaml: &str, vm: u32, store: Arc<Memory>, now: Duration) -> Self {
        let reading = read("config.yaml", yaml, &|_| None);
        let Some(config) = reading.config else { panic!("{:#?}", reading.findings) };
        let router = Router::new(config, vm);
        router.open(&*store);
        let fingerprint =
            yaml.bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        router.announce(None, fingerprint, u64::from(vm) ^ fingerprint, &*store);
        let random = SplitMix::new(41 + u64::from(vm));
        Self { router, now, store, lines: Vec::new(), yaml: yaml.to_owned(), random }
    }

    /// Time goes by.
    pub fn wait(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
        self.router.beat(self.now, &*self.store);
    }

    /// Begins a chat request that stays in flight until it is handed back.
    pub fn begin(&mut self, model: &str, members: &str) -> Result<Attempt, Reply> {
        let comma = if members.is_empty() { "" } else { "," };
        let body = format!(r#"{{"model":"{model}","messages":[]{comma}{members}}}"#);
        let all = [(":method", "POST"), (":path", CHAT)].into_iter().collect();
        let Arrival::Hold(request) = self.router.on_request_headers(&all, false) else { panic!("not held") };
        let mut moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
        match self.router.on_request_body(&request, body.as_bytes(), None, &mut moment) {
            Step::Send(sending) => Ok(sending.attempt),
            Step::AcquireLease(_) => panic!("there is no Redis"),
            Step::Reply(reply, _) => Err(reply),
        }
    }

    /// Ends a request that was begun.
    pub fn end(&mut self, attempt: Attempt, tokens: Option<u64>) {
        let usage = tokens.map(|total| Usage { prompt: 0, completion: total, total });
        let ended =
            ResponseSummary { status: 200, first_byte: Some(self.now), usage, end: StreamEnd::Complete };
        let moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
        drop(self.router.on_response_end(attempt, ended, &moment));
    }

    /// The client of a request that was begun goes away.
    pub fn disconnect(&mut self, attempt: Attempt) {
        let moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
        drop(self.router.on_client_disconnect(attempt, &moment));
    }

    pub fn id(&self, attempt: &Attempt) -> String {
        self.router.deployment(attempt.deployment).unwrap().id.to_string()
    }

    /// A chat request with further members, each as `"name":value`.
    pub fn chat(&mut self, model: &str, members: &str, answer: impl FnMut(&str) -> Answer) -> RequestResult {
        let comma = if members.is_empty() { "" } else { "," };
        let body = format!(r#"{{"model":"{model}","messages":[]{comma}{members}}}"#);
        self.post(CHAT, &[], body.as_bytes(), answer)
    }

    pub fn get(&self, path: &str) -> Reply {
        match self
            .router
            .on_request_headers(&[(":method", "GET"), (":path", path)].into_iter().collect(), true)
        {
            Arrival::Reply(reply, _) => reply,
            other => panic!("{other:?}"),
        }
    }

    pub fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        mut answer: impl FnMut(&str) -> Answer,
    ) -> RequestResult {
        let all = [(":method", "POST"), (":path", path)].into_iter().chain(headers.iter().copied()).collect();
        let request = match self.router.on_request_headers(&all, false) {
            Arrival::Hold(request) => request,
            Arrival::Reply(reply, entry) => {
                self.record(*entry.expect("a refusal is logged"), &all);
                return RequestResult::default().answered_by(reply);
            }
            Arrival::Probe(_) => panic!("a probe"),
        };
        let mut told = RequestResult::default();
        let mut retry_state: Option<RetryState> = None;
        // As strict as the edge: so many attempts, and then the last answer is the client's, whatever it is.
        for sends in 1..=max_edge_retries(self.router.config()) + 1 {
            if let Some(retry_state) = &mut retry_state {
                retry_state.edge_attempts = sends;
            }
            match self.attempt(&request, body, retry_state.take(), &mut answer, &mut told) {
                Next::Again(next) => retry_state = Some(*next),
                Next::Over(entry) => {
                    self.record(*entry, &all);
                    return told;
                }
            }
        }
        panic!("the edge makes no further attempt: {told:?}");
    }

    fn record(&mut self, entry: AccessLogEntry, headers: &Headers) {
        let line = self.router.record_request(entry, headers, self.now).expect("a line");
        self.lines.push(serde_json::from_str(&line).expect("a line is JSON"));
    }

    /// What has been counted since this was last asked, by the names of its series.
    pub fn counted(&mut self) -> BTreeMap<String, Vec<Change>> {
        let mut counted = BTreeMap::<_, Vec<Change>>::new();
        self.router.flush(self.now, &*self.store, &mut |name, change| {
            let name = name.strip_prefix("llm_balancer_").expect("our prefix");
            counted.entry(name.to_owned()).or_default().push(change);
        });
        counted
    }

    fn attempt(
        &mut self,
        request: &Request,
        body: &[u8],
        retry_state: Option<RetryState>,
        answer: &mut dyn FnMut(&str) -> Answer,
        told: &mut RequestResult,
    ) -> Next {
        let mut moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
        let sending = match self.router.on_request_body(request, body, retry_state, &mut moment) {
            Step::Send(sending) => *sending,
            Step::AcquireLease(_) => panic!("there is no Redis"),
            Step::Reply(reply, entry) => {
                *told = std::mem::take(told).answered_by(reply);
                return Next::Over(entry);
            }
        };
        let Sending { headers, body: new_body, attempt } = sending;
        let new_body = new_body.map_or_else(|| body.to_vec(), |new| new.joined(body));
        told.sent = Some(Sent { headers, body: String::from_utf8_lossy(&new_body).into_owned() });
        let id = self.router.deployment(attempt.deployment).unwrap().id.to_string();
        told.called.push(id.clone());
        let headers = self.router.response_headers(&attempt);
        told.headers = headers.map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
        let provider = |status, retry_after| Failure::Provider { status, retry_after };
        let usage = |prompt, completion| Some(Usage { prompt, completion, total: prompt + completion });
        let mut served = |world: &mut Self, attempt, milliseconds, usage, end| {
            told.status = 200;
            world.served(attempt, milliseconds, usage, end)
        };
        match answer(&id) {
            Answer::Ok => served(self, attempt, 0, None, StreamEnd::Complete),
            Answer::Used(prompt, completion) => {
                served(self, attempt, 0, usage(prompt, completion), StreamEnd::Complete)
            }
            Answer::After(milliseconds) => {
                served(self, attempt, milliseconds, usage(0, 1), StreamEnd::Complete)
            }
            Answer::BeginsAfter(milliseconds) => {
                served(self, attempt, milliseconds, None, StreamEnd::Complete)
            }
            Answer::Stalls => served(self, attempt, 0, None, StreamEnd::TimedOut),
            Answer::BreaksOff => served(self, attempt, 0, None, StreamEnd::Interrupted),
            Answer::Left => {
                let moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
                Next::Over(Box::new(self.router.on_client_disconnect(attempt, &moment)))
            }
            Answer::Broken => {
                let mut moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
                Next::Again(Box::new(self.router.on_reset(attempt, Failure::Broken, &mut moment)))
            }
            Answer::Status(status) => self.failed(attempt, provider(status, None), status, told),
            Answer::Says(status, body) => {
                told.body = body.to_owned();
                self.failed(attempt, provider(status, None), status, told)
            }
            Answer::SlowDown(seconds) => {
                let wait = Some(Duration::from_secs(seconds));
                self.failed(attempt, provider(429, wait), 429, told)
            }
            Answer::DeadConnection(milliseconds) => {
                self.now += Duration::from_millis(milliseconds);
                let attempt = Attempt { is_on_reused_connection: true, ..attempt };
                self.failed(attempt, Failure::Broken, 0, told)
            }
            Answer::Refused => self.failed(attempt, Failure::NoConnection, 0, told),
            Answer::TooSlow => self.failed(attempt, Failure::TimedOut, 0, told),
        }
    }

    fn served(&mut self, attempt: Attempt, milliseconds: u64, usage: Option<Usage>, end: StreamEnd) -> Next {
        self.now += Duration::from_millis(milliseconds);
        let moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
        let summary = ResponseSummary { status: 200, first_byte: Some(self.now), usage, end };
        Next::Over(Box::new(self.router.on_response_end(attempt, summary, &moment)))
    }

    fn failed(&mut self, attempt: Attempt, failure: Failure, status: u16, told: &mut RequestResult) -> Next {
        let mut moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
        let body = std::mem::take(&mut told.body);
        let said = || ErrorResponse { body: body.clone().into_bytes(), ..ErrorResponse::default() };
        match self.router.on_attempt_failed(attempt, failure, &said, &mut moment) {
            Verdict::Retry(retry_state, wait) => {
                self.now += wait;
                told.waits.push(wait.as_secs_f64());
                Next::Again(retry_state)
            }
            Verdict::Relay(names, entry) => {
                told.headers = names.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                told.status = status;
                told.body = body;
                Next::Over(entry)
            }
            Verdict::Reply(reply, entry) => {
                *told = std::mem::take(told).answered_by(reply);
                Next::Over(entry)
            }
        }
    }
}

enum Next {
    Again(Box<RetryState>),
    Over(Box<AccessLogEntry>),
}

impl RequestResult {
    fn answered_by(mut self, reply: Reply) -> Self {
        self.status = reply.status;
        self.body = reply.body;
        self.headers = reply.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self
    }
}

/// Deployments of group `g` with these ids, each with further lines of litellm_params.
pub fn group(ids: &[&str], params: &str) -> String {
    let item = |id: &&str| {
        format!(
            "- model_name: g\n  litellm_params: {{model: openai/m, api_base: 'http://{id}.test/v1', api_key: k{params}}}\n  model_info: {{id: {id}}}\n"
        )
    };
    format!("model_list:\n{}", ids.iter().map(item).collect::<String>())
}
