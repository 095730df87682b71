//! What Anthropic answers on its Messages routes, as far as a client looks, and as strict about
//! headers and members as its documentation says.

use serde_json::{Value, json};

use crate::answer::Usage;
use crate::openai::tools::fill;
use crate::openai::{Content, greeting, plain, stream};
use crate::received::Received;

const MESSAGES: &str = "/messages";
const COUNT_TOKENS: &str = "/messages/count_tokens";

/// The members that counting tokens takes.
const COUNTED: [&str; 6] = ["messages", "model", "system", "thinking", "tool_choice", "tools"];

/// Whether a request is for one of the routes.
pub(crate) fn serves(request: &Received) -> bool {
    matches!(request.route(), MESSAGES | COUNT_TOKENS)
}

/// What the deployment answers to `request`.
pub(crate) fn content(request: &Received, events: usize, usage: Usage) -> Content {
    if let Some((status, message)) = fault(request) {
        return Content { status, ..plain(&described(status, &message)) };
    }
    if request.route() == COUNT_TOKENS {
        return plain(&json!({"input_tokens": usage.prompt}));
    }
    let blocks = blocks(request, events);
    if request.streams() {
        stream(message_events(request, &blocks, usage))
    } else {
        plain(&message(request, &blocks, usage))
    }
}

/// Anthropic's error object, naming the deployment.
pub(crate) fn error(name: &str, status: u16) -> Value {
    described(status, &format!("{name} says {status}"))
}

fn described(status: u16, message: &str) -> Value {
    let kind = match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"})
}

/// What Anthropic would refuse.
fn fault(request: &Received) -> Option<(u16, String)> {
    let body = request.json();
    let members = body.as_object()?;
    if request.header("x-api-key").is_none() {
        return Some((401, "x-api-key header is required".to_owned()));
    }
    if !request.header("anthropic-version").is_some_and(is_date) {
        return Some((400, "anthropic-version: header is required".to_owned()));
    }
    let required: &[&str] =
        if request.route() == MESSAGES { &["max_tokens", "messages"] } else { &["messages"] };
    if let Some(missing) = required.iter().find(|name| !members.contains_key(**name)) {
        return Some((400, format!("{missing}: Field required")));
    }
    let extra =
        members.keys().find(|name| request.route() == COUNT_TOKENS && !COUNTED.contains(&name.as_str()));
    extra.map(|name| (400, format!("{name}: Extra inputs are not permitted")))
}

/// `2023-06-01`, which versions are.
fn is_date(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// A block of the answer, with the deltas that build it up.
struct Block {
    whole: Value,
    empty: Value,
    deltas: Vec<Value>,
}

fn blocks(request: &Received, events: usize) -> Vec<Block> {
    let body = request.json();
    let thinks = body["thinking"]["type"] == "enabled";
    let thinking = thinks.then(|| Block {
        whole: json!({"type": "thinking", "thinking": "let me see", "signature": "c2ln"}),
        empty: json!({"type": "thinking", "thinking": "", "signature": ""}),
        deltas: vec![
            json!({"type": "thinking_delta", "thinking": "let me see"}),
            json!({"type": "signature_delta", "signature": "c2ln"}),
        ],
    });
    thinking
        .into_iter()
        .chain([call(request, &body).unwrap_or_else(|| text(request, &body, events))])
        .collect()
}

/// The result that the last message has of a tool.
fn result(body: &Value) -> Option<String> {
    let last = body["messages"].as_array()?.last()?;
    let block = last["content"].as_array()?.iter().find(|block| block["type"] == "tool_result")?;
    Some(block["content"].as_str().unwrap_or_default().to_owned())
}

/// A call of the first tool that is offered, unless its result is there already.
fn call(request: &Received, body: &Value) -> Option<Block> {
    let tool = body["tools"].as_array()?.first().filter(|_| result(body).is_none())?;
    let of = |input: Value| json!({"type": "tool_use", "id": format!("toolu_{}", request.number), "name": tool["name"], "input": input});
    let input = fill(&tool["input_schema"], &request.name);
    let json = input.to_string();
    let (first, second) = json.split_at(json.len() / 2);
    let delta = |part: &str| json!({"type": "input_json_delta", "partial_json": part});
    Some(Block {
        whole: of(input),
        empty: of(json!({})),
        deltas: vec![delta(""), delta(first), delta(second)],
    })
}

fn text(request: &Received, body: &Value, events: usize) -> Block {
    let of = |text: &str| json!({"type": "text", "text": text});
    let words = match (request.streams(), result(body)) {
        (_, Some(told)) => vec![format!("{} after {told}", greeting(request))],
        (true, None) => (0..events).map(|n| format!("{n} from {} ", request.name)).collect(),
        (false, None) => vec![greeting(request)],
    };
    let deltas = words.iter().map(|text| json!({"type": "text_delta", "text": text})).collect();
    Block { whole: of(&words.concat()), empty: of(""), deltas }
}

fn stop_reason(blocks: &[Block]) -> &'static str {
    let calls = blocks.iter().any(|block| block.whole["type"] == "tool_use");
    if calls { "tool_use" } else { "end_turn" }
}

/// A message with this much of its answer counted.
fn head(request: &Received, usage: Usage, completion: u64) -> Value {
    json!({
        "id": format!("msg_{}", request.number), "type": "message", "role": "assistant", "model": request.model(),
        "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {
            "input_tokens": usage.prompt, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": completion,
        },
    })
}

fn message(request: &Received, blocks: &[Block], usage: Usage) -> Value {
    let mut message = head(request, usage, usage.completion);
    message["content"] = blocks.iter().map(|block| block.whole.clone()).collect();
    message["stop_reason"] = stop_reason(blocks).into();
    message
}

fn message_events(request: &Received, blocks: &[Block], usage: Usage) -> Vec<Vec<u8>> {
    let mut all =
        vec![json!({"type": "message_start", "message": head(request, usage, 1)}), json!({"type": "ping"})];
    for (index, block) in blocks.iter().enumerate() {
        all.push(json!({"type": "content_block_start", "index": index, "content_block": block.empty}));
        let delta = |delta: &Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        all.extend(block.deltas.iter().map(delta));
        all.push(json!({"type": "content_block_stop", "index": index}));
    }
    let delta = json!({"stop_reason": stop_reason(blocks), "stop_sequence": null});
    all.push(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage.completion}}));
    all.push(json!({"type": "message_stop"}));
    all.iter().map(named).collect()
}

/// An event under the name that its data has, too.
fn named(value: &Value) -> Vec<u8> {
    let kind = value["type"].as_str().unwrap_or_default();
    format!("event: {kind}\ndata: {value}\n\n").into_bytes()
}
