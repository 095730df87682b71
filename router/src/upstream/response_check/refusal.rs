//! A refusal of Anthropic's safeguards: an answer of the Messages API without output that ends with
//! `stop_reason: refusal` and `stop_details`. Another model may answer, so that LiteLLM raises a
//! ContentPolicyViolationError, if the request has a fallback for that. A refusal without details is
//! the model's own answer.

use llm_balancer_config::Wire;

use super::FalseSuccess;
use crate::http::json::{self, Object};
use crate::http::reply::{error_body, error_type};
use crate::http::route::MESSAGES;

/// Of the error that a refusal becomes.
const STATUS: u16 = 400;
const CLASS: &str = r#"{"error":{"code":"content_policy_violation"}}"#;

/// The error that a complete answer without output is, or the end of a stream without output.
pub(super) fn refusal(route: &str, data: &[u8]) -> Option<FalseSuccess> {
    if route != MESSAGES {
        return None;
    }
    let answer = Object::parse(data).ok()?;
    let end = match answer.present("delta") {
        Some(delta) => Object::parse(delta.as_bytes()).ok()?,
        None => answer,
    };
    if json::string(end.present("stop_reason")?)? != "refusal" {
        return None;
    }
    let details = Object::parse(end.present("stop_details")?.as_bytes()).ok()?;
    let words = details.present("explanation").and_then(json::string);
    let message = words.as_deref().unwrap_or("The provider's safeguards have refused the request.");
    let body = error_body(Wire::Anthropic, STATUS, (error_type(STATUS), None), None, message);
    Some(FalseSuccess { status: STATUS, body, original: Some(CLASS.to_owned()) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{BodyFormat, CheckResult, HeldResponse, check};
    use super::*;

    const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[],\"stop_reason\":null}}\n\n";
    const DETAILS: &str =
        r#"{"type":"refusal","category":"cyber","explanation":"This request triggered safeguards."}"#;

    fn checked(body: &str, complete: bool, falls_back: bool) -> CheckResult {
        check(&HeldResponse {
            route: MESSAGES,
            status: 200,
            bytes: body.as_bytes(),
            complete,
            pieces: 1,
            held_for: Duration::ZERO,
            header: &|_| None,
            refusal_falls_back: &|| falls_back,
        })
    }

    fn message(stop: &str) -> String {
        format!(r#"{{"id":"m","type":"message","content":[],{stop},"usage":{{"output_tokens":0}}}}"#)
    }

    fn delta(stop: &str) -> String {
        format!(
            "event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{{stop}}},\"usage\":{{}}}}\n\n"
        )
    }

    fn refused(details: &str) -> String {
        format!(r#""stop_reason":"refusal","stop_details":{details}"#)
    }

    #[test]
    fn a_refusal_of_safeguards_is_a_filtered_prompt_if_there_is_a_fallback() {
        let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
        let stop = refused(DETAILS);
        let stream = format!("{START}{ping}{}", delta(&stop));
        for (body, complete, form) in [
            (message(&stop), true, BodyFormat::Other),
            (message(&stop), false, BodyFormat::Other),
            (stream.clone(), false, BodyFormat::EventStream),
            (stream.replace("event: message_delta\n", ""), false, BodyFormat::EventStream),
            (format!("{stream}event: message_stop\ndata: {{}}\n\n"), true, BodyFormat::EventStream),
        ] {
            assert_eq!(checked(&body, complete, false), CheckResult::Genuine(form), "{body}");
            let CheckResult::Failed(found) = checked(&body, complete, true) else { panic!("{body}") };
            assert!(found.status == 400 && found.body.contains("triggered safeguards"), "{found:?}");
        }
    }

    #[test]
    fn a_refusal_in_pieces_waits_for_its_end() {
        let stream = format!("{START}{}", delta(&refused(DETAILS)));
        let nameless = stream.replace("event: message_start\n", "").replace("event: message_delta\n", "");
        for stream in [stream, nameless] {
            for end in 1..stream.len() {
                let start = stream.get(..end).unwrap();
                assert_eq!(checked(start, false, true), CheckResult::Undecided, "{start}");
            }
        }
    }

    #[test]
    fn other_ends_and_refusals_behind_output_are_answers() {
        let block = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{}}\n\n";
        for stop in [r#""stop_reason":"end_turn""#, r#""stop_reason":"refusal""#, &refused("null")] {
            for body in [message(stop), format!("{START}{}", delta(stop))] {
                assert!(matches!(checked(&body, true, true), CheckResult::Genuine(_)), "{body}");
            }
        }
        for body in [
            format!("{START}{block}{}", delta(&refused(DETAILS))),
            message(&refused(DETAILS)).replace("[]", r#"[{"type":"text","text":"I"}]"#),
        ] {
            assert!(matches!(checked(&body, true, true), CheckResult::Genuine(_)), "{body}");
        }
    }
}
