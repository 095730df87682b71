use super::tests::{chat, failed};
use super::*;

fn chunk(choice: &str) -> String {
    format!("data: {{\"id\":\"g\",\"choices\":[{choice}]}}\n\n")
}

/// OpenRouter's error of the provider behind it.
#[test]
fn a_first_choice_that_has_failed_is_an_error_and_not_an_answer() {
    for (choice, status, message) in [
        (
            r#"{"index":0,"message":{"role":"assistant","content":"","refusal":null},"finish_reason":"error","native_finish_reason":null,"error":{"code":502,"message":"m"}}"#,
            502,
            Some("m"),
        ),
        (
            r#"{"error":{"code":429,"message":"m"},"index":0,"delta":{"role":"assistant","content":""}}"#,
            429,
            Some("m"),
        ),
        (r#"{"message":{"content":"half of"},"error":{"code":504,"message":"m"}}"#, 504, Some("m")),
        (r#"{"text":"","finish_reason":"error","error":"m"}"#, 502, Some("m")),
        // Without an error, the answer as a whole is the message.
        (r#"{"index":0,"message":{"role":"assistant","content":null},"finish_reason":"error"}"#, 502, None),
        (r#"{"finish_reason":"error","index":0,"delta":{}}"#, 502, None),
    ] {
        let body = format!(r#"{{"id":"g","choices":[{choice},{{"message":{{"content":"hi"}}}}]}}"#);
        for text in [body, chunk(choice), format!(": OPENROUTER PROCESSING\n\n{}", chunk(choice))] {
            let (found, error) = failed(chat(&text), &text);
            assert_eq!(found, status, "{text}");
            assert!(message.is_none_or(|message| error["message"] == message), "{text}: {error}");
        }
        assert!(
            error_event("/chat/completions", chunk(choice).as_bytes()).is_some(),
            "in the middle of a stream: {choice}"
        );
    }
}

#[test]
fn a_choice_with_output_and_one_whose_error_is_empty_are_an_answer() {
    for choice in [
        r#"{"message":{"content":"hi"},"finish_reason":"error"}"#,
        r#"{"delta":{"content":"hi"},"finish_reason":"error"}"#,
        r#"{"delta":{"tool_calls":[{"index":0}]},"finish_reason":"error"}"#,
        r#"{"text":"hi","finish_reason":"error"}"#,
        r#"{"message":{"content":""},"finish_reason":"stop","error":null}"#,
        r#"{"message":{"content":""},"finish_reason":"length","error":{"code":0,"message":""}}"#,
        r#"{"message":{"content":"hi"}},{"finish_reason":"error","error":{"code":502}}"#,
        r#""error""#,
    ] {
        for text in [format!(r#"{{"id":"g","choices":[{choice}]}}"#), chunk(choice)] {
            assert!(matches!(chat(&text), CheckResult::Genuine(_)), "{text}");
        }
        assert!(error_event("/chat/completions", chunk(choice).as_bytes()).is_none(), "{choice}");
    }
}

/// MiniMax has a name beside the role.
#[test]
fn a_reason_that_says_that_the_provider_failed_is_an_error_where_there_is_no_output() {
    for (reason, is_error) in [
        ("error", true),
        ("ERROR", true),
        ("abort", true),
        ("network_error", true),
        ("insufficient_system_resource", true),
        ("stop", false),
        ("length", false),
        ("content_filter", false),
        ("sensitive", false),
        ("errors", false),
    ] {
        let silent = r#"{"role":"assistant","content":"","name":"MiniMax AI","audio_content":""}"#;
        let json = format!(
            r#"{{"id":"g","choices":[{{"index":0,"message":{silent},"finish_reason":"{reason}"}}],"usage":{{"total_tokens":3}}}}"#
        );
        let role = chunk(&format!(r#"{{"index":0,"delta":{silent},"finish_reason":null}}"#));
        let end = chunk(&format!(r#"{{"finish_reason":"{reason}","index":0,"delta":{{"content":""}}}}"#));
        let text = chunk(&format!(r#"{{"text":"","index":0,"finish_reason":"{reason}"}}"#));
        for body in [json, end.clone(), format!("{role}{end}data: [DONE]\n\n"), text] {
            assert_eq!(matches!(chat(&body), CheckResult::Failed(_)), is_error, "{body}");
        }
    }
}
