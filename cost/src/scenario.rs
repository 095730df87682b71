//! What is measured: a configuration, and one request with its answer.

use serde_json::{Value, json};

use crate::tally::Tally;
use crate::vm::{Passed, Sent, Vm};

/// Chunks of a streamed answer, without those of usage and end.
const CHUNKS: usize = 300;

/// Requests before a tick. Each deployment needs 32 successes before a worker collects them
/// instead of writing each.
const WARM_UP: usize = 150;

/// A request that succeeds at its first attempt, to a group of three deployments without Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A body and an answer of 1 KB.
    Chat,
    /// The same, where deployments have rpm and tpm.
    Limits,
    /// The same as [`Scenario::Chat`] with a body of 100 KB.
    Large,
    /// A stream whose usage the client asked for.
    ClientUsage,
    /// A stream with a tpm: only the router asked for its usage.
    RouterUsage,
    /// A stream whose usage neither the client nor the router asked for.
    NoUsage,
    /// The timer of a second in which ten chats were served.
    Tick,
}

impl Scenario {
    /// In the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Chat,
        Self::Limits,
        Self::Large,
        Self::ClientUsage,
        Self::RouterUsage,
        Self::NoUsage,
        Self::Tick,
    ];

    /// The name, a word for a column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Limits => "limits",
            Self::Large => "100-KB",
            Self::ClientUsage => "sse-asked",
            Self::RouterUsage => "sse-tpm",
            Self::NoUsage => "sse-plain",
            Self::Tick => "tick",
        }
    }

    /// The costs of one request of a worker that has served some before.
    pub fn measure(self, code: &[u8]) -> Tally {
        let mut vm = Vm::start(code, &self.configuration());
        for _ in 0..2 {
            (0..WARM_UP).for_each(|_| drop(self.exchange(&mut vm, 1)));
            vm.tick();
        }
        (0..10).for_each(|_| drop(self.exchange(&mut vm, 1)));
        let before = vm.instructions_by_function();
        let mut tally = match self {
            Self::Tick => vm.tick(),
            _ => self.exchange(&mut vm, CHUNKS).tally,
        };
        for ((name, before), (_, after)) in before.into_iter().zip(vm.instructions_by_function()) {
            *tally.functions.entry(name).or_default() += after - before;
        }
        tally
    }

    /// One request; `chunks` are those of a streamed answer.
    fn exchange(self, vm: &mut Vm, chunks: usize) -> Passed {
        let response = self.response(chunks);
        let length = response.pieces.concat().len();
        let passed = vm.exchange(self.request(), response);
        self.check(&passed, length);
        passed
    }

    /// A request that fails would be cheap.
    fn check(self, passed: &Passed, answer: usize) {
        let (headers, body) = &passed.request;
        let cluster = headers.iter().find(|(name, _)| name == b"x-llm-cluster");
        assert!(cluster.is_some_and(|(_, value)| !value.is_empty()), "a deployment was selected");
        let body: Value = serde_json::from_slice(body).expect("the provider gets JSON");
        assert!(body["model"].as_str().is_some_and(|model| model.starts_with("provider-")), "{body}");
        let usage = !body["stream_options"]["include_usage"].is_null();
        assert_eq!(usage, matches!(self, Self::ClientUsage | Self::RouterUsage), "{body}");
        let hidden = if self == Self::RouterUsage { usage_event().len() } else { 0 };
        assert_eq!(passed.response.1.len() + hidden, answer, "the answer passes");
        let line: Value = serde_json::from_slice(&passed.log_line).expect("the log has a line of JSON");
        assert_eq!(line["outcome"], "success", "{line}");
    }

    fn configuration(self) -> String {
        let limits = match self {
            Self::Limits => json!({"rpm": 100_000_000, "tpm": 1_000_000_000}),
            Self::RouterUsage => json!({"tpm": 1_000_000_000}),
            _ => json!({}),
        };
        let deployment = |i: usize| {
            let mut params = json!({
                "model": format!("openai/provider-{i}"),
                "api_base": "http://127.0.0.1:23999/v1",
                "api_key": format!("sk-{i}"),
            });
            let params_map = params.as_object_mut().expect("an object");
            params_map.extend(limits.as_object().expect("an object").clone());
            json!({"model_name": "group", "litellm_params": params, "model_info": {"id": format!("deployment-{i}")}})
        };
        // JSON is YAML.
        json!({
            "model_list": [deployment(0), deployment(1), deployment(2)],
            "router_settings": {"routing_strategy": "simple-shuffle", "num_retries": 2},
            "general_settings": {"master_key": "sk-1234"},
        })
        .to_string()
    }

    fn is_stream(self) -> bool {
        matches!(self, Self::ClientUsage | Self::RouterUsage | Self::NoUsage)
    }

    /// As it leaves the edge, in one piece.
    fn request(self) -> Sent {
        let size = if self == Self::Large { 100 * 1024 } else { 1024 };
        let messages = [
            json!({"role": "system", "content": "You are a helpful assistant."}),
            json!({"role": "user", "content": "x".repeat(size - 160)}),
        ];
        let mut body = json!({"model": "group", "messages": messages, "temperature": 0.2});
        if self.is_stream() {
            body["stream"] = true.into();
        }
        if self == Self::ClientUsage {
            body["stream_options"] = json!({"include_usage": true});
        }
        let body = body.to_string().into_bytes();
        let length = body.len().to_string();
        let headers = [
            (":authority", "127.0.0.1:4000"),
            (":path", "/v1/chat/completions"),
            (":method", "POST"),
            (":scheme", "http"),
            ("content-type", "application/json"),
            ("authorization", "Bearer sk-1234"),
            ("content-length", &length),
            ("x-forwarded-proto", "http"),
            ("x-request-id", "26ac9e88-7f20-4f31-a609-2ab11724ea9c"),
            ("x-envoy-attempt-count", "1"),
            ("x-llm-client", "127.0.0.1"),
            ("x-envoy-internal", "true"),
        ];
        Sent { headers: owned(&headers), pieces: vec![body] }
    }

    /// As it comes from the provider: a piece for each event of a stream.
    fn response(self, chunks: usize) -> Sent {
        if !self.is_stream() {
            let body = answer();
            let length = body.len().to_string();
            let headers = [
                (":status", "200"),
                ("content-type", "application/json"),
                ("content-length", &length),
                ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
                ("x-envoy-upstream-service-time", "1"),
            ];
            return Sent { headers: owned(&headers), pieces: vec![body] };
        }
        let headers = [
            (":status", "200"),
            ("content-type", "text/event-stream"),
            ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("x-envoy-upstream-service-time", "1"),
        ];
        let mut pieces = vec![chunk(); chunks];
        pieces.extend((self != Self::NoUsage).then(usage_event));
        pieces.push(b"data: [DONE]\n\n".into());
        Sent { headers: owned(&headers), pieces }
    }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn answer() -> Vec<u8> {
    let message = json!({"role": "assistant", "content": "hello ".repeat(120)});
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-3.5-turbo-0125",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 120, "total_tokens": 140},
    })
    .to_string()
    .into_bytes()
}

fn event(choices: Value, usage: Option<Value>) -> Vec<u8> {
    let mut event = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000,
        "model": "gpt-3.5-turbo-0125", "choices": choices,
    });
    if let Some(usage) = usage {
        event["usage"] = usage;
    }
    format!("data: {event}\n\n").into_bytes()
}

fn chunk() -> Vec<u8> {
    event(json!([{"index": 0, "delta": {"content": "hello "}, "finish_reason": null}]), None)
}

fn usage_event() -> Vec<u8> {
    event(
        json!([]),
        Some(json!({"prompt_tokens": 20, "completion_tokens": CHUNKS, "total_tokens": 20 + CHUNKS})),
    )
}
