//! The event that tells a stream's usage, and which only we asked for, is withheld with every line
//! breaks and chunks it comes in.

use std::time::Duration;

use llm_balancer_integration::{Answer, World, item, minute};
use serde_json::json;

const TEXT: &str = r#"data: {"choices":[{"delta":{"content":"hi"}}],"usage":null}"#;
const MISSING: &str = r#"data: {"object":"chat.completion.chunk","usage":{"total_tokens":250}}"#;
const NULL: &str = r#"data: {"choices":null,"usage":{"total_tokens":250}}"#;
const USAGE: &str =
    r#"data: {"choices":[],"usage":{"prompt_tokens":200,"completion_tokens":50,"total_tokens":250}}"#;

#[tokio::test]
async fn the_usage_is_withheld_and_counted_whatever_line_breaks_it_stands_between() {
    let world = World::new(&format!("model_list:\n{}", item("limited", "paris", ", tpm: 1000"))).await;
    minute::with_room_for(Duration::from_secs(15)).await;
    let body = json!({"model": "limited", "stream": true, "messages": [], "max_tokens": 10});
    let streams = [
        (format!("{TEXT}\n\r{USAGE}\r\n\rdata: [DONE]\n\n"), format!("{TEXT}\n\rdata: [DONE]\n\n")),
        (format!("{TEXT}\r\r{USAGE}\r\n\r\ndata: [DONE]\r\r"), format!("{TEXT}\r\rdata: [DONE]\r\r")),
        (format!("\u{feff}{USAGE}\r\n\ndata: [DONE]\n\n"), "data: [DONE]\n\n".to_owned()),
        (
            format!("{TEXT}\n\ndata: {{\"choices\":[\ndata: ],\"usage\":{{\"total_tokens\":250}}}}\n\n"),
            format!("{TEXT}\n\n"),
        ),
    ];
    for (sent, expected) in streams {
        let bytes = sent.as_bytes();
        let pieces: Vec<Vec<u8>> = match bytes.len() % 2 {
            0 => bytes.chunks(1).map(<[u8]>::to_vec).collect(),
            _ => bytes.chunks(40).map(<[u8]>::to_vec).collect(),
        };
        world.provider.script("paris", [Answer::pieces(pieces).header("content-type", "Text/Event-Stream")]);
        let mut events = world.stream("/v1/chat/completions", &body).await;
        assert_eq!(events.status, 200, "{sent:?}");
        assert_eq!(events.rest().await, expected, "{sent:?}");
    }
    // 250 each.
    world.post("/v1/chat/completions", &body).await.error(429);
}

#[tokio::test]
async fn the_usage_is_withheld_whatever_the_type_of_the_answer_and_wherever_its_choices_are() {
    let world = World::new(&format!("model_list:\n{}", item("limited", "paris", ", tpm: 100000"))).await;
    let body = json!({"model": "limited", "stream": true, "messages": [], "max_tokens": 10});
    for content_type in ["text/event-stream", "text/plain", "application/json", "application/x-ndjson"] {
        for usage in [USAGE, NULL, MISSING] {
            // With its length, which becomes another one.
            let sent = format!("{TEXT}\n\n{usage}\n\ndata: [DONE]\n\n");
            world.provider.script("paris", [Answer::bytes(sent).header("content-type", content_type)]);
            let mut events = world.stream("/v1/chat/completions", &body).await;
            let expected = format!("{TEXT}\n\ndata: [DONE]\n\n");
            assert_eq!(events.rest().await, expected, "{content_type} {usage}");
        }
    }
}
