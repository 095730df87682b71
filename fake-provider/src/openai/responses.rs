//! The responses API: the object, and the events that build it up.

use serde_json::{Value, json};

use super::chat::split;
use super::tools::{self, Call};
use super::{CREATED, typed, words};
use crate::answer::Usage;
use crate::received::Received;

pub(super) fn response(request: &Received, usage: Usage) -> Value {
    let item = match call(request) {
        Some(call) => call_item(request, &call, &call.arguments, "completed"),
        None => message_item(request, &[text_part(&said(request))], "completed"),
    };
    let output: Vec<Value> = reasoning(request).into_iter().chain([item]).collect();
    whole(request, &output, Some(usage))
}

/// The id of the response to this request.
pub(super) fn id(request: &Received) -> String {
    format!("resp_{}", request.number)
}

/// The conversation that a request names, by its id or by an object that has it.
pub(super) fn conversation(body: &Value) -> Option<&str> {
    let conversation = &body["conversation"];
    conversation.as_str().or_else(|| conversation["id"].as_str())
}

/// How all encrypted content of this deployment begins.
pub(super) fn encryption(request: &Received) -> String {
    format!("gAAAAAB{}", request.name)
}

/// The item that takes the place of a conversation.
pub(super) fn compaction(request: &Received, usage: Usage) -> Value {
    let item = json!({
        "type": "compaction", "id": format!("cmp_{}", request.number), "created_by": request.name,
        "encrypted_content": encrypted(request),
    });
    json!({
        "id": id(request), "object": "response.compaction", "created_at": CREATED, "output": [item],
        "context_compression": "enabled", "usage": counted(usage),
    })
}

/// The tokens of an input.
pub(super) fn input_tokens(usage: Usage) -> Value {
    json!({"object": "response.input_tokens", "input_tokens": usage.input_output()["input_tokens"]})
}

fn encrypted(request: &Received) -> String {
    format!("{}{:064}", encryption(request), request.number)
}

/// The reasoning of a model that is asked for it, encrypted for a client that asks for that.
fn reasoning(request: &Received) -> Option<Value> {
    let body = request.json();
    let mut item = json!({"type": "reasoning", "id": format!("rs_{}", request.number), "summary": []});
    let is_encrypted = body["include"].to_string().contains("reasoning.encrypted_content");
    if is_encrypted {
        item["encrypted_content"] = json!(encrypted(request));
    }
    (is_encrypted || body["reasoning"].is_object()).then_some(item)
}

/// A response that is done where its usage is known.
fn whole(request: &Received, output: &[Value], usage: Option<Usage>) -> Value {
    let body = request.json();
    let conversation = conversation(&body).map(|id| json!({"id": id}));
    json!({
        "conversation": conversation, "id": id(request), "object": "response", "created_at": CREATED, "model": request.model(),
        "status": if usage.is_some() { "completed" } else { "in_progress" }, "error": null, "incomplete_details": null,
        "instructions": body["instructions"], "metadata": {"served_by": request.name}, "output": output,
        "parallel_tool_calls": true, "previous_response_id": body["previous_response_id"], "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto",
        "tools": body["tools"].as_array().cloned().unwrap_or_default(), "usage": usage.map(counted),
    })
}

fn counted(usage: Usage) -> Value {
    let mut json = usage.input_output();
    json["input_tokens_details"] = json!({"cached_tokens": 0});
    json["output_tokens_details"] = json!({"reasoning_tokens": 0});
    json
}

pub(super) fn events(request: &Received, events: usize, usage: Usage) -> Vec<Vec<u8>> {
    let mut all = vec![
        ("response.created", json!({"response": whole(request, &[], None)})),
        ("response.in_progress", json!({"response": whole(request, &[], None)})),
    ];
    let reasoning = reasoning(request);
    if let Some(item) = &reasoning {
        all.extend([opened(item), closed(item)]);
    }
    let item = match call(request) {
        Some(call) => call_events(&mut all, request, &call),
        None => message_events(&mut all, request, events),
    };
    let output: Vec<Value> = reasoning.into_iter().chain([item]).collect();
    all.push(("response.completed", json!({"response": whole(request, &output, Some(usage))})));
    let numbered = all.into_iter().enumerate();
    numbered
        .map(|(number, (kind, mut value))| {
            value["sequence_number"] = json!(number);
            format!("event: {kind}\ndata: {}\n\n", typed(kind, value)).into_bytes()
        })
        .collect()
}

type Named = (&'static str, Value);

fn message_events(all: &mut Vec<Named>, request: &Received, events: usize) -> Value {
    let pieces: Vec<String> = match schema(request) {
        None => (0..events).map(|n| format!("{n} from {} ", request.name)).collect(),
        Some(_) => split(&said(request)).to_vec(),
    };
    let text = pieces.concat();
    let item = message_item(request, &[text_part(&text)], "completed");
    let place = json!({"item_id": item["id"], "output_index": 0, "content_index": 0});
    all.push(opened(&message_item(request, &[], "in_progress")));
    all.push(("response.content_part.added", with(&place, "part", text_part(""))));
    let logged = with(&place, "logprobs", json!([]));
    all.extend(
        pieces.into_iter().map(|piece| ("response.output_text.delta", with(&logged, "delta", json!(piece)))),
    );
    all.push(("response.output_text.done", with(&logged, "text", json!(text))));
    all.push(("response.content_part.done", with(&place, "part", text_part(&text))));
    all.push(closed(&item));
    item
}

fn call_events(all: &mut Vec<Named>, request: &Received, call: &Call) -> Value {
    let item = call_item(request, call, &call.arguments, "completed");
    let place = json!({"item_id": item["id"], "output_index": 0});
    all.push(opened(&call_item(request, call, "", "in_progress")));
    let halves = split(&call.arguments).map(|piece| with(&place, "delta", json!(piece)));
    all.extend(halves.map(|value| ("response.function_call_arguments.delta", value)));
    let done = with(&with(&place, "arguments", json!(call.arguments)), "name", json!(call.name));
    all.push(("response.function_call_arguments.done", done));
    all.push(closed(&item));
    item
}

fn opened(item: &Value) -> Named {
    ("response.output_item.added", json!({"output_index": 0, "item": item}))
}

fn closed(item: &Value) -> Named {
    ("response.output_item.done", json!({"output_index": 0, "item": item}))
}

fn with(place: &Value, key: &str, value: Value) -> Value {
    let mut all = place.clone();
    all[key] = value;
    all
}

fn message_item(request: &Received, content: &[Value], status: &str) -> Value {
    let id = format!("msg_{}", request.number);
    json!({"type": "message", "id": id, "status": status, "role": "assistant", "content": content})
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn call_item(request: &Received, call: &Call, arguments: &str, status: &str) -> Value {
    let id = format!("fc_{}", request.number);
    json!({"type": "function_call", "id": id, "call_id": call.id, "name": call.name, "arguments": arguments, "status": status})
}

/// What the last item of the input tells, if it is what a function gave back.
fn told(request: &Received) -> Option<String> {
    let body = request.json();
    let last = body["input"].as_array()?.last()?;
    (last["type"] == "function_call_output").then(|| last["output"].as_str().unwrap_or_default().to_owned())
}

fn call(request: &Received) -> Option<Call> {
    tools::call(request, told(request).is_some())
}

fn said(request: &Received) -> String {
    words(request, schema(request).as_ref(), told(request).as_deref())
}

fn schema(request: &Received) -> Option<Value> {
    let format = &request.json()["text"]["format"];
    (format["type"] == "json_schema").then(|| format["schema"].clone())
}
