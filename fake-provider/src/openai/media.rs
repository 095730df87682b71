//! Embeddings, images and sound.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::{CREATED, Content, event, greeting, plain, stream, typed, whole};
use crate::answer::Usage;
use crate::received::Received;

/// One for each input, told apart by its third number; in base64 where the request asks for it, as
/// OpenAI's clients do unasked.
pub(super) fn embeddings(request: &Received, usage: Usage) -> Value {
    let body = request.json();
    let inputs = body["input"].as_array().filter(|inputs| inputs.iter().any(|input| !input.is_number()));
    let data: Vec<_> = (0..inputs.map_or(1, Vec::len))
        .map(|index| {
            let vector = [0.25, -0.5, 1.0 + index as f32];
            let packed = || BASE64.encode(&vector.map(f32::to_le_bytes).concat());
            let embedding = if body["encoding_format"] == "base64" { json!(packed()) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    json!({
        "object": "list", "model": request.model(), "served_by": request.name, "data": data,
        "usage": {"prompt_tokens": usage.prompt, "total_tokens": usage.prompt},
    })
}

/// The documents in reverse, with the id of the deployment, in the shape that vLLM, Jina and Cohere
/// share.
pub(super) fn reranking(request: &Received, usage: Usage) -> Value {
    let count = request.json()["documents"].as_array().map_or(0, Vec::len);
    let result = |index: usize| json!({"index": index, "relevance_score": index as f64 / count as f64});
    let results: Vec<_> = (0..count).rev().map(result).collect();
    json!({
        "id": format!("rerank-{}", request.name), "model": request.model(), "results": results,
        "usage": {"total_tokens": usage.total()},
    })
}

/// As many as are asked for, as addresses or as bytes, with the prompt as it arrived.
pub(super) fn images(request: &Received) -> Value {
    let count = said(request, "n").and_then(|count| count.parse().ok()).unwrap_or(1_usize);
    let mut image = match said(request, "response_format").as_deref() {
        Some("b64_json") => {
            json!({"b64_json": BASE64.encode(format!("\u{89}PNG {}", request.name).as_bytes())})
        }
        _ => json!({"url": format!("https://images.example/{}.png", request.name)}),
    };
    image["revised_prompt"] = json!(said(request, "prompt"));
    json!({"created": CREATED, "data": vec![image; count]})
}

/// In the format that is asked for; as events where the form asks for a stream.
pub(super) fn transcription(request: &Received, events: usize, usage: Usage) -> Content {
    let text = greeting(request);
    if request.streams() {
        return stream(transcript_events(request, events, usage));
    }
    match request.field("response_format").as_deref() {
        Some("text") => whole("text/plain; charset=utf-8", format!("{text}\n").into_bytes()),
        Some("srt") => whole(
            "text/plain; charset=utf-8",
            format!("1\n00:00:00,000 --> 00:00:01,500\n{text}\n\n").into_bytes(),
        ),
        Some("verbose_json") => plain(&json!({
            "task": "transcribe", "language": "english", "duration": 1.5, "text": text, "usage": {"type": "duration", "seconds": 2},
            "segments": [{"id": 0, "seek": 0, "start": 0.0, "end": 1.5, "text": text, "tokens": [1, 2], "temperature": 0.0,
                "avg_logprob": -0.25, "compression_ratio": 1.0, "no_speech_prob": 0.01}],
        })),
        _ => plain(&json!({"text": text, "usage": usage.heard()})),
    }
}

fn transcript_events(request: &Received, events: usize, usage: Usage) -> Vec<Vec<u8>> {
    let pieces: Vec<_> = (0..events).map(|n| format!("{n} from {} ", request.name)).collect();
    let delta =
        |piece: &String| event(&typed("transcript.text.delta", json!({"delta": piece, "logprobs": []})));
    let mut all: Vec<_> = pieces.iter().map(delta).collect();
    let done = json!({"text": pieces.concat(), "usage": usage.heard()});
    all.push(event(&typed("transcript.text.done", done)));
    all
}

/// Not text: every byte value, behind an ID3 tag that names the deployment.
pub(super) fn speech(request: &Received) -> Content {
    let content_type = match request.json()["response_format"].as_str() {
        Some("wav") => "audio/wav",
        Some("opus") => "audio/opus",
        _ => "audio/mpeg",
    };
    let pieces = vec![format!("ID3{}", request.name).into_bytes(), (0..=255).collect()];
    Content { content_type, pieces, streaming: false, status: 200 }
}

/// A member of the JSON, or a field of the form.
fn said(request: &Received, name: &str) -> Option<String> {
    match &request.json()[name] {
        Value::Null => request.field(name),
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
