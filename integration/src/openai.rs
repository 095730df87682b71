//! What OpenAI answers on each of its routes, as far as a client looks; every answer names the deployment that served.

use serde_json::{Value, json};

use crate::Received;
use crate::answer::Usage;

/// The event that ends a stream.
pub const DONE: &str = "data: [DONE]\n\n";

/// A plain answer, or the events of a stream.
pub(crate) struct Content {
    pub(crate) content_type: &'static str,
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) streaming: bool,
    pub(crate) status: u16,
}

/// What the deployment answers to `request`.
pub(crate) fn content(request: &Received, events: usize, usage: Usage) -> Content {
    let route = request.route();
    let answer = match route {
        "/chat/completions" if request.streams() => return stream(chat_events(request, events, usage)),
        "/completions" if request.streams() => return stream(completion_events(request, events, usage)),
        "/responses" if request.streams() => return stream(response_events(request, events, usage)),
        "/chat/completions" => chat(request, usage),
        "/completions" => completion(request, usage),
        "/embeddings" => embeddings(request, usage),
        "/images/generations" | "/images/edits" | "/images/variations" => images(request),
        "/audio/transcriptions" | "/audio/translations" => json!({"text": greeting(request)}),
        "/audio/speech" => return binary(request),
        "/moderations" => moderation(request),
        "/responses" => response(request, usage),
        "/models" => {
            json!({"object": "list", "data": [{"id": "a-model", "object": "model", "created": 1, "owned_by": request.name}]})
        }
        _ => return Content { status: 404, ..plain(error(&request.name, 404)) },
    };
    plain(answer)
}

/// OpenAI's error object.
pub(crate) fn error(name: &str, status: u16) -> Value {
    let code = match status {
        429 => "rate_limit_exceeded",
        401 => "invalid_api_key",
        _ => "server_says_no",
    };
    json!({"error": {"message": format!("{name} says {status}"), "type": "provider_error", "param": null, "code": code}})
}

fn plain(value: Value) -> Content {
    let bytes = value.to_string().into_bytes();
    let half = bytes.len() / 2;
    let pieces = vec![bytes[..half].to_vec(), bytes[half..].to_vec()];
    Content { content_type: "application/json", pieces, streaming: false, status: 200 }
}

fn stream(pieces: Vec<Vec<u8>>) -> Content {
    Content { content_type: "text/event-stream; charset=utf-8", pieces, streaming: true, status: 200 }
}

/// Not text: every byte value, behind an ID3 tag that names the deployment.
fn binary(request: &Received) -> Content {
    let pieces = vec![format!("ID3{}", request.name).into_bytes(), (0..=255).collect()];
    Content { content_type: "audio/mpeg", pieces, streaming: false, status: 200 }
}

fn greeting(request: &Received) -> String {
    format!("hi from {}", request.name)
}

impl Usage {
    fn total(self) -> u64 {
        self.prompt + self.completion
    }

    fn json(self) -> Value {
        json!({"prompt_tokens": self.prompt, "completion_tokens": self.completion, "total_tokens": self.total()})
    }
}

fn chat(request: &Received, usage: Usage) -> Value {
    json!({
        "id": format!("chatcmpl-{}", request.number), "object": "chat.completion", "created": 1_700_000_000, "model": request.model(),
        "system_fingerprint": request.name,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": greeting(request)}, "logprobs": null, "finish_reason": "stop"}],
        "usage": usage.json(),
    })
}

fn completion(request: &Received, usage: Usage) -> Value {
    json!({
        "id": format!("cmpl-{}", request.number), "object": "text_completion", "created": 1_700_000_000, "model": request.model(),
        "system_fingerprint": request.name,
        "choices": [{"index": 0, "text": greeting(request), "logprobs": null, "finish_reason": "stop"}], "usage": usage.json(),
    })
}

fn embeddings(request: &Received, usage: Usage) -> Value {
    json!({
        "object": "list", "model": request.model(), "served_by": request.name,
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 1.0]}],
        "usage": {"prompt_tokens": usage.prompt, "total_tokens": usage.prompt},
    })
}

fn images(request: &Received) -> Value {
    json!({"created": 1_700_000_000, "data": [{"url": format!("https://images.example/{}.png", request.name)}]})
}

fn moderation(request: &Received) -> Value {
    json!({
        "id": format!("modr-{}", request.name), "model": request.model(),
        "results": [{"flagged": false, "categories": {"violence": false}, "category_scores": {"violence": 0.001}}],
    })
}

fn response(request: &Received, usage: Usage) -> Value {
    json!({
        "id": format!("resp_{}", request.number), "object": "response", "created_at": 1_700_000_000, "status": "completed", "model": request.model(),
        "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": greeting(request), "annotations": []}]}],
        "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
        "usage": {"input_tokens": usage.prompt, "output_tokens": usage.completion, "total_tokens": usage.total()},
    })
}

fn event(value: &Value) -> Vec<u8> {
    format!("data: {value}\n\n").into_bytes()
}

/// The event behind the last choice, for those who ask for it.
fn usage_event(request: &Received, object: &str, usage: Usage) -> Option<Vec<u8>> {
    let told = json!({
        "id": format!("chatcmpl-{}", request.number), "object": object, "created": 1_700_000_000, "model": request.model(),
        "system_fingerprint": request.name, "choices": [], "usage": usage.json(),
    });
    request.asks_usage().then(|| event(&told))
}

fn chat_events(request: &Received, events: usize, usage: Usage) -> Vec<Vec<u8>> {
    let chunk = |delta: Value, reason: Value| {
        json!({
            "id": format!("chatcmpl-{}", request.number), "object": "chat.completion.chunk", "created": 1_700_000_000, "model": request.model(),
            "system_fingerprint": request.name, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        })
    };
    let mut all: Vec<_> = (0..events)
        .map(|n| event(&chunk(json!({"content": format!("{n} from {} ", request.name)}), Value::Null)))
        .collect();
    all.push(event(&chunk(json!({}), json!("stop"))));
    all.extend(usage_event(request, "chat.completion.chunk", usage));
    all.push(DONE.into());
    all
}

fn completion_events(request: &Received, events: usize, usage: Usage) -> Vec<Vec<u8>> {
    let chunk = |n| {
        json!({
            "id": format!("cmpl-{}", request.number), "object": "text_completion", "created": 1_700_000_000, "model": request.model(),
            "system_fingerprint": request.name, "choices": [{"index": 0, "text": format!("{n} from {} ", request.name), "finish_reason": null}],
        })
    };
    let mut all: Vec<_> = (0..events).map(|n| event(&chunk(n))).collect();
    all.extend(usage_event(request, "text_completion", usage));
    all.push(DONE.into());
    all
}

fn response_events(request: &Received, events: usize, usage: Usage) -> Vec<Vec<u8>> {
    let named = |kind: &str, mut value: Value| {
        value["type"] = json!(kind);
        format!("event: {kind}\ndata: {value}\n\n").into_bytes()
    };
    let mut all =
        vec![named("response.created", json!({"sequence_number": 0, "response": response(request, usage)}))];
    all.extend((0..events).map(|n| {
        let delta = format!("{n} from {} ", request.name);
        named("response.output_text.delta", json!({"sequence_number": n + 1, "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": delta, "logprobs": []}))
    }));
    all.push(named(
        "response.completed",
        json!({"sequence_number": events + 1, "response": response(request, usage)}),
    ));
    all
}
