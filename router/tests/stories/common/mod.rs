//! The world of a story: a configuration, a client, and providers that answer as the story says.

mod edge;
mod response;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::read;
use llm_balancer_router::health::ToProbe;
use llm_balancer_router::testing::Record;
use llm_balancer_router::{
    Arrival, Attempt, Change, ErrorResponse, Failure, Moment, Reply, ResponseSummary, RetryState, Router,
    SplitMix, Step, Store, StreamEnd, Usage, Verdict,
};

pub use response::{Answer, ClientResponse, Sent};
pub use store::CountingStore;

/// The turn of a minute, in 2025.
pub const NOON: Duration = Duration::from_secs(29_000_000 * 60);

pub const CHAT: &str = "/v1/chat/completions";

/// A configuration, served by one worker; [`World::beside`] adds another.
pub struct World {
    pub router: Router,
    pub now: Duration,
    pub store: Arc<CountingStore>,
    /// The access log.
    pub lines: Vec<serde_json::Value>,
    yaml: String,
    random: SplitMix,
}

impl World {
    /// Starts a worker with a user's file.
    pub fn of(yaml: &str) -> Self {
        Self::worker(yaml, 1, Arc::default(), NOON)
    }

    /// Starts several workers of one Envoy.
    pub fn workers(yaml: &str, count: u32) -> Vec<Self> {
        let first = Self::of(yaml);
        let others: Vec<Self> = (2..=count).map(|vm| first.beside(vm)).collect();
        std::iter::once(first).chain(others).collect()
    }

    /// Another worker of the same Envoy.
    pub fn beside(&self, vm: u32) -> Self {
        Self::worker(&self.yaml, vm, Arc::clone(&self.store), self.now)
    }

    /// The same worker after a reload of the configuration.
    pub fn reloaded(&self, yaml: &str) -> Self {
        Self::worker(yaml, 1, Arc::clone(&self.store), self.now)
    }

    fn worker(yaml: &str, vm: u32, store: Arc<CountingStore>, now: Duration) -> Self {
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

    /// Time passes, with a heartbeat at its end.
    pub fn wait(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
        self.router.beat(self.now, &*self.store);
    }

    /// A chat request with further members, each as `"name":value`.
    pub fn chat(&mut self, model: &str, members: &str, answer: impl FnMut(&str) -> Answer) -> ClientResponse {
        self.post(CHAT, &[], chat_body(model, members).as_bytes(), answer)
    }

    /// The reply to a GET request.
    pub fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[])
    }

    /// What a GET request with these headers is answered.
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let headers = [&[(":method", "GET"), (":path", path)], headers].concat().into_iter().collect();
        match self.router.on_request_headers(&headers, true) {
            Arrival::Reply(reply, _) => reply,
            other => panic!("{other:?}"),
        }
    }

    /// What a GET request for `/health` probes.
    pub fn to_probe(&self, path: &str) -> ToProbe {
        let headers = [(":method", "GET"), (":path", path)].into_iter().collect();
        match self.router.on_request_headers(&headers, true) {
            Arrival::Probe(probe) => probe,
            other => panic!("{other:?}"),
        }
    }

    /// Begins a chat request, which stays in flight.
    pub fn begin(&mut self, model: &str, members: &str) -> Result<Attempt, Reply> {
        self.attempt_again(model, members, None)
    }

    /// Begins the next attempt of a chat request.
    pub fn attempt_again(
        &mut self,
        model: &str,
        members: &str,
        retry_state: Option<Box<RetryState>>,
    ) -> Result<Attempt, Reply> {
        let headers = [(":method", "POST"), (":path", CHAT)].into_iter().collect();
        let Arrival::Hold(request) = self.router.on_request_headers(&headers, false) else {
            panic!("not held")
        };
        let body = chat_body(model, members);
        let mut moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
        let retry_state = retry_state.map(|state| *state);
        match self.router.on_request_body(&request, body.as_bytes(), retry_state, &mut moment) {
            Step::Send(sending) => Ok(sending.attempt),
            Step::AwaitRedis(..) => panic!("there is no Redis"),
            Step::Reply(reply, entry) => {
                self.log(*entry, &headers);
                Err(reply)
            }
        }
    }

    /// Has a request that was begun fail; the state for its retry, after the wait.
    pub fn fail(&mut self, attempt: Attempt, status: u16, body: &str) -> Box<RetryState> {
        let failure = Failure::Provider { status, retry_after: None };
        let error = || ErrorResponse { body: body.into(), ..ErrorResponse::default() };
        let mut moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
        match self.router.on_attempt_failed(attempt, failure, &error, &mut moment) {
            Verdict::Retry(retry_state, wait) => {
                self.now += wait;
                retry_state
            }
            other => panic!("no retry: {other:?}"),
        }
    }

    /// Ends a request that was begun.
    pub fn end(&mut self, attempt: Attempt, tokens: Option<u64>) {
        let usage = tokens.map(|total| Usage { prompt: 0, completion: total, total });
        let end = StreamEnd::Complete;
        let summary = ResponseSummary {
            status: 200,
            first_byte: Some(self.now),
            usage,
            end,
            ..ResponseSummary::default()
        };
        let moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
        drop(self.router.on_response_end(attempt, summary, &moment));
    }

    /// The client of a request that was begun disconnects.
    pub fn disconnect(&mut self, attempt: Attempt) {
        let moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
        drop(self.router.on_client_disconnect(attempt, &moment));
    }

    /// The id of an attempt's deployment.
    pub fn id(&self, attempt: &Attempt) -> String {
        self.router.deployment(attempt.deployment).unwrap().id.to_string()
    }

    /// The record of a deployment.
    pub fn record(&self, id: &str) -> Record {
        let (bytes, _) = self.store.get(&format!("d/{id}")).unwrap();
        llm_balancer_router::testing::decode::<Record>(&bytes).unwrap()
    }

    /// The metrics since the last call, by the names of their series.
    pub fn counted(&mut self) -> BTreeMap<String, Vec<Change>> {
        let mut counted = BTreeMap::<_, Vec<Change>>::new();
        self.router.flush(self.now, &*self.store, &mut |name, change| {
            let name = name.strip_prefix("llm_balancer_").expect("our prefix");
            counted.entry(name.to_owned()).or_default().push(change);
        });
        counted
    }
}

fn chat_body(model: &str, members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    format!(r#"{{"model":"{model}","messages":[]{comma}{members}}}"#)
}

/// A model_list of deployments of group `g` with these ids, each with further litellm_params.
pub fn group(ids: &[&str], params: &str) -> String {
    format!("model_list:\n{}", items(ids, params))
}

/// The items of such a list.
pub fn items(ids: &[&str], params: &str) -> String {
    items_of("g", ids, params)
}

/// The items of another group.
pub fn items_of(group: &str, ids: &[&str], params: &str) -> String {
    let item = |id: &&str| {
        format!(
            "- model_name: {group}\n  litellm_params: {{model: openai/m, api_base: 'http://{id}.test/v1', api_key: k{params}}}\n  model_info: {{id: {id}}}\n"
        )
    };
    ids.iter().map(item).collect()
}
