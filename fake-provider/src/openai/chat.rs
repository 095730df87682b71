//! Chat and text completions, plain and as events, with the calls of tools.

use serde_json::{Value, json};

use super::tools::{self, Call};
use super::{CREATED, DONE, event, greeting, words};
use crate::answer::Usage;
use crate::received::Received;

pub(super) fn chat(request: &Received, usage: Usage) -> Value {
    let (message, reason) = match call(request) {
        Some(call) => (
            json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [tool_call(&call)]}),
            "tool_calls",
        ),
        None => (json!({"role": "assistant", "content": said(request), "refusal": null}), "stop"),
    };
    json!({
        "id": id(request), "object": "chat.completion", "created": CREATED, "model": request.model(), "system_fingerprint": request.name,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason}],
        "usage": usage.json(),
    })
}

pub(super) fn completion(request: &Received, usage: Usage) -> Value {
    json!({
        "id": format!("cmpl-{}", request.number), "object": "text_completion", "created": CREATED, "model": request.model(),
        "system_fingerprint": request.name,
        "choices": [{"index": 0, "text": greeting(request), "logprobs": null, "finish_reason": "stop"}], "usage": usage.json(),
    })
}

pub(super) fn chat_events(request: &Received, events: usize, usage: Usage) -> Vec<Vec<u8>> {
    let chunk = |delta: Value, reason: Value| {
        event(&json!({
            "id": id(request), "object": "chat.completion.chunk", "created": CREATED, "model": request.model(),
            "system_fingerprint": request.name, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }))
    };
    let (deltas, reason) = match call(request) {
        Some(call) => (call_deltas(&call), "tool_calls"),
        None => (text_deltas(request, events), "stop"),
    };
    let mut all: Vec<_> = deltas.into_iter().map(|delta| chunk(delta, Value::Null)).collect();
    all.push(chunk(json!({}), json!(reason)));
    all.extend(usage_event(request, "chat.completion.chunk", usage));
    all.push(DONE.into());
    all
}

pub(super) fn completion_events(request: &Received, events: usize, usage: Usage) -> Vec<Vec<u8>> {
    let chunk = |n| {
        json!({
            "id": format!("cmpl-{}", request.number), "object": "text_completion", "created": CREATED, "model": request.model(),
            "system_fingerprint": request.name, "choices": [{"index": 0, "text": format!("{n} from {} ", request.name), "finish_reason": null}],
        })
    };
    let mut all: Vec<_> = (0..events).map(|n| event(&chunk(n))).collect();
    all.extend(usage_event(request, "text_completion", usage));
    all.push(DONE.into());
    all
}

fn id(request: &Received) -> String {
    format!("chatcmpl-{}", request.number)
}

/// What the last message tells, if a tool sent it.
fn told(request: &Received) -> Option<String> {
    let body = request.json();
    let last = body["messages"].as_array()?.last()?;
    (last["role"] == "tool").then(|| last["content"].as_str().unwrap_or_default().to_owned())
}

fn call(request: &Received) -> Option<Call> {
    tools::call(request, told(request).is_some())
}

fn said(request: &Received) -> String {
    words(request, schema(request).as_ref(), told(request).as_deref())
}

fn schema(request: &Received) -> Option<Value> {
    let format = &request.json()["response_format"];
    (format["type"] == "json_schema").then(|| format["json_schema"]["schema"].clone())
}

fn tool_call(call: &Call) -> Value {
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
}

/// As many pieces as there are events, or what the schema wants in two.
fn text_deltas(request: &Received, events: usize) -> Vec<Value> {
    let pieces = match schema(request) {
        None => (0..events).map(|n| format!("{n} from {} ", request.name)).collect(),
        Some(_) => split(&said(request)).to_vec(),
    };
    let deltas = pieces.into_iter().enumerate();
    deltas
        .map(
            |(n, text)| {
                if n == 0 { json!({"role": "assistant", "content": text}) } else { json!({"content": text}) }
            },
        )
        .collect()
}

/// The name first, and then its arguments in two pieces, which no client can read by itself.
fn call_deltas(call: &Call) -> Vec<Value> {
    let piece = |text: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]});
    let mut first = tool_call(call);
    first["index"] = json!(0);
    first["function"]["arguments"] = json!("");
    let mut all = vec![json!({"role": "assistant", "content": null, "tool_calls": [first]})];
    all.extend(split(&call.arguments).iter().map(|text| piece(text)));
    all
}

/// Two halves.
pub(super) fn split(text: &str) -> [String; 2] {
    let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
    [first.to_owned(), second.to_owned()]
}

/// The event behind the last choice, for those who ask for it.
fn usage_event(request: &Received, object: &str, usage: Usage) -> Option<Vec<u8>> {
    let told = json!({
        "id": id(request), "object": object, "created": CREATED, "model": request.model(),
        "system_fingerprint": request.name, "choices": [], "usage": usage.json(),
    });
    request.asks_usage().then(|| event(&told))
}
