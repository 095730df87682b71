//! What OpenAI answers on each of its routes, as far as a client looks; every answer names the
//! deployment that served.

mod chat;
mod media;
mod responses;
pub(crate) mod stored;
pub(crate) mod tools;

use serde_json::{Value, json};

use crate::answer::Usage;
use crate::received::Received;

/// The event that ends a stream.
pub const DONE: &str = "data: [DONE]\n\n";

/// When everything was made: seconds since 1970.
const CREATED: u64 = 1_700_000_000;

/// A plain answer, or the events of a stream.
pub(crate) struct Content {
    pub(crate) content_type: &'static str,
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) streaming: bool,
    pub(crate) status: u16,
}

/// What the deployment answers to `request`.
pub(crate) fn content(request: &Received, events: usize, usage: Usage) -> Content {
    let streams = request.streams();
    let answer = match request.route() {
        "/chat/completions" if streams => return stream(chat::chat_events(request, events, usage)),
        "/completions" if streams => return stream(chat::completion_events(request, events, usage)),
        "/responses" if streams => return stream(responses::events(request, events, usage)),
        "/chat/completions" => chat::chat(request, usage),
        "/completions" => chat::completion(request, usage),
        "/responses" => responses::response(request, usage),
        "/responses/compact" => responses::compaction(request, usage),
        "/responses/input_tokens" => responses::input_tokens(usage),
        "/embeddings" => media::embeddings(request, usage),
        "/images/generations" | "/images/edits" | "/images/variations" => media::images(request),
        "/audio/transcriptions" | "/audio/translations" => {
            return media::transcription(request, events, usage);
        }
        "/audio/speech" => return media::speech(request),
        "/moderations" => moderation(request),
        "/rerank" => media::reranking(request, usage),
        "/models" => {
            json!({"object": "list", "data": [{"id": "a-model", "object": "model", "created": 1, "owned_by": request.name}]})
        }
        _ => return Content { status: 404, ..plain(&error(&request.name, 404)) },
    };
    plain(&answer)
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

/// A JSON answer.
pub(crate) fn plain(value: &Value) -> Content {
    whole("application/json", value.to_string().into_bytes())
}

/// In two pieces, so that an answer can break in the middle.
fn whole(content_type: &'static str, mut bytes: Vec<u8>) -> Content {
    let second = bytes.split_off(bytes.len() / 2);
    Content { content_type, pieces: vec![bytes, second], streaming: false, status: 200 }
}

/// A stream of events.
pub(crate) fn stream(pieces: Vec<Vec<u8>>) -> Content {
    Content { content_type: "text/event-stream; charset=utf-8", pieces, streaming: true, status: 200 }
}

/// An event of a stream, without a name.
fn event(value: &Value) -> Vec<u8> {
    format!("data: {value}\n\n").into_bytes()
}

/// An event of a stream whose type is in its data, too; only the responses API repeats it in front.
fn typed(kind: &str, mut value: Value) -> Value {
    value["type"] = json!(kind);
    value
}

/// What an assistant says: who it is, or what the asked-for schema wants to hear.
fn words(request: &Received, schema: Option<&Value>, told: Option<&str>) -> String {
    match (schema, told) {
        (Some(schema), _) => tools::fill(schema, &request.name).to_string(),
        (None, Some(told)) => format!("{} after {told}", greeting(request)),
        (None, None) => greeting(request),
    }
}

/// What an assistant says of itself.
pub(crate) fn greeting(request: &Received) -> String {
    format!("hi from {}", request.name)
}

impl Usage {
    fn total(self) -> u64 {
        self.prompt + self.completion
    }

    /// As chat, completions and embeddings count.
    fn json(self) -> Value {
        json!({"prompt_tokens": self.prompt, "completion_tokens": self.completion, "total_tokens": self.total()})
    }

    /// As the newer routes count.
    fn input_output(self) -> Value {
        json!({"input_tokens": self.prompt, "output_tokens": self.completion, "total_tokens": self.total()})
    }

    /// As transcriptions count, which tell sound from text.
    fn heard(self) -> Value {
        let mut json = typed("tokens", self.input_output());
        json["input_token_details"] = json!({"audio_tokens": self.prompt, "text_tokens": 0});
        json
    }
}

fn moderation(request: &Received) -> Value {
    json!({
        "id": format!("modr-{}", request.name), "model": request.model(),
        "results": [{"flagged": false, "categories": {"violence": false}, "category_scores": {"violence": 0.001}}],
    })
}
