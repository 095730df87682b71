//! A JSON object without the member that every answer of its route has: `{}`, `{"choices":null}`,
//! `{"detail":"Not Found"}`. LiteLLM raises an error for most of them.

use crate::http::json::Object;
use crate::http::route::{MESSAGES, RESPONSES};

/// Routes, what of an answer each needs at least one of, and how an object without is called. The
/// first of a route's members is that of its API; the others are those of Cohere, Ollama, llama.cpp,
/// Baidu, Vertex AI and MLflow under the same path. A background response may have an id alone.
const ANSWERS: [(&str, &[&str], &str); 5] = [
    (
        "/chat/completions",
        &["choices", "message", "messages", "response", "result", "predictions"],
        WITHOUT_CHOICES,
    ),
    ("/completions", &["choices", "content", "response", "result", "predictions"], WITHOUT_CHOICES),
    ("/embeddings", &["data", "embeddings", "embedding", "predictions"], "JSON without data"),
    (MESSAGES, &["content"], "JSON without content"),
    (RESPONSES, &["output", "id"], "JSON without output"),
];

const WITHOUT_CHOICES: &str = "JSON without choices";
/// In other servers' bodies these are a text, and in errors as well.
const TEXTS: [&str; 4] = ["response", "result", "content", "id"];

/// Alone, they name an answer that the client asks for later, as xAI's deferred chats do.
const LATER: [&str; 2] = ["request_id", "id"];
/// Beside them, the state of such an answer (Zhipu).
const STATE: &str = "task_status";

/// How a complete object is called that is no answer of this route.
pub(super) fn missing_answer(route: &str, text: &[u8]) -> Option<&'static str> {
    let (_, members, name) = ANSWERS.iter().find(|(of, ..)| *of == route)?;
    let object = Object::parse(text).ok()?;
    let has = |member: &&str| {
        let is_text = TEXTS.contains(member);
        object.present(member).is_some_and(|value| is_text || value.starts_with(['[', '{']))
    };
    let is_deferred = || {
        matches!(object.members(), [only] if LATER.contains(&&*only.key)) || object.present(STATE).is_some()
    };
    (!members.iter().any(has) && !is_deferred()).then_some(*name)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{checked, failed};
    use super::super::{CheckResult, PASSES};

    #[test]
    fn an_object_without_an_answer_is_a_failure() {
        for (route, body, words) in [
            (
                "/chat/completions",
                r#"{"id":"c","object":"chat.completion","choices":null,"usage":{}}"#,
                "JSON without choices",
            ),
            (
                "/chat/completions",
                r#"{"id":"c","created":1,"model":"m","usage":{"total_tokens":3}}"#,
                "JSON without choices",
            ),
            ("/chat/completions", "{}", "JSON without choices"),
            ("/chat/completions", r#"{"detail":"Not Found"}"#, "Not Found"),
            ("/chat/completions", r#"{"status":"error","message":"upstream exploded"}"#, "upstream exploded"),
            ("/completions", r#"{"message":"ok"}"#, "ok"),
            ("/embeddings", r#"{"object":"list","model":"m"}"#, "JSON without data"),
            ("/messages", r#"{"id":"msg_1","type":"message","content":null}"#, "JSON without content"),
            ("/responses", r#"{"status":"ok"}"#, "JSON without output"),
        ] {
            for complete in [true, false] {
                let (status, error) = failed(checked(route, &[], body.as_bytes(), complete), body);
                let message = error["message"].as_str().unwrap_or_default();
                assert!(status == 502 && message.contains(words), "{route} {body}: {status} {message}");
            }
        }
    }

    #[test]
    fn a_short_or_an_unusual_answer_is_one() {
        let long = format!(r#"{{"id":"{}","usage":{{}}"#, "x".repeat(20_000));
        for (route, body) in [
            ("/chat/completions", r#"{"id":"c","choices":[],"usage":{}}"#),
            ("/chat/completions", r#"{"id":"c","message":{"role":"assistant","content":[]}}"#),
            (
                "/chat/completions",
                r#"{"model":"m","message":{"role":"assistant","content":"hi"},"done":true}"#,
            ),
            ("/chat/completions", r#"{"output":{"choices":[]},"request_id":"r"}"#),
            ("/chat/completions", r#"{"request_id":"r"}"#),
            ("/chat/completions", "[]"),
            ("/completions", r#"{"model":"m","response":"hi"}"#),
            ("/completions", r#"{"content":"hi","stop":true}"#),
            ("/completions", r#"{"content":"","stop":true}"#),
            ("/chat/completions", r#"{"id":"as-1","object":"chat.completion","result":""}"#),
            ("/chat/completions", r#"{"id":"1","request_id":"2","model":"m","task_status":"PROCESSING"}"#),
            ("/embeddings", r#"{"object":"list","data":[]}"#),
            ("/embeddings", r#"{"embeddings":[[0.5]]}"#),
            ("/embeddings", "[[0.5]]"),
            ("/messages", r#"{"id":"msg_1","content":[],"stop_reason":"end_turn"}"#),
            ("/messages/count_tokens", r#"{"input_tokens":3}"#),
            ("/responses", r#"{"id":"resp_1","status":"queued"}"#),
            ("/responses", r#"{"output":[]}"#),
            ("/responses/input_tokens", r#"{"input_tokens":3}"#),
            ("/rerank", r#"{"id":"r","meta":{}}"#),
            ("/moderations", "{}"),
        ] {
            assert_eq!(checked(route, &[], body.as_bytes(), true), PASSES, "{route} {body}");
        }
        assert_eq!(checked("/chat/completions", &[], long.as_bytes(), false), PASSES, "it is not held");
        let binary = [("content-type", "application/octet-stream")];
        assert_eq!(checked("/embeddings", &binary, b"{}", true), PASSES);
    }

    #[test]
    fn an_object_that_is_not_complete_is_held() {
        let begun = br#"{"id":"c","choices":null"#;
        assert_eq!(checked("/chat/completions", &[], begun, false), CheckResult::Undecided);
    }
}
