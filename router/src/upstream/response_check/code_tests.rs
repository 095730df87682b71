//! Codes of errors under status 200: the status and the class that follow from them.

use super::tests::{checked, failed};
use super::{CheckResult, FalseSuccess};
use crate::failure::{ErrorClass, ProviderError, classify};

/// Of the Responses API, from OpenAI's own list and from Codex, and of others.
const CODES: [(&str, u16, ErrorClass); 39] = [
    ("server_error", 500, ErrorClass::Server),
    ("rate_limit_exceeded", 429, ErrorClass::RateLimit),
    ("insufficient_quota", 429, ErrorClass::Account),
    ("invalid_prompt", 400, ErrorClass::InvalidRequest),
    ("data_residency_mismatch", 400, ErrorClass::UnsupportedRoute),
    ("bio_policy", 400, ErrorClass::ContentPolicy),
    ("cyber_policy", 400, ErrorClass::ContentPolicy),
    ("misalignment_policy_violation", 400, ErrorClass::ContentPolicy),
    ("content_policy_violation", 400, ErrorClass::ContentPolicy),
    ("moderation_blocked", 400, ErrorClass::ContentPolicy),
    ("image_content_policy_violation", 400, ErrorClass::ContentPolicy),
    ("vector_store_timeout", 504, ErrorClass::Server),
    ("invalid_image", 400, ErrorClass::InvalidRequest),
    ("invalid_image_format", 400, ErrorClass::InvalidRequest),
    ("invalid_base64_image", 400, ErrorClass::InvalidRequest),
    ("invalid_image_url", 400, ErrorClass::InvalidRequest),
    ("invalid_image_mode", 400, ErrorClass::InvalidRequest),
    ("image_too_large", 400, ErrorClass::InvalidRequest),
    ("image_too_small", 400, ErrorClass::InvalidRequest),
    ("image_parse_error", 400, ErrorClass::InvalidRequest),
    ("image_file_too_large", 400, ErrorClass::InvalidRequest),
    ("image_file_not_found", 400, ErrorClass::InvalidRequest),
    ("unsupported_image_media_type", 400, ErrorClass::InvalidRequest),
    ("empty_image_file", 400, ErrorClass::InvalidRequest),
    ("failed_to_download_image", 400, ErrorClass::InvalidRequest),
    ("image_generation_user_error", 400, ErrorClass::InvalidRequest),
    ("unprocessable_entity_error", 422, ErrorClass::InvalidRequest),
    ("request_too_large", 413, ErrorClass::InvalidRequest),
    ("context_length_exceeded", 400, ErrorClass::ContextWindow),
    ("not_found_error", 404, ErrorClass::UnsupportedRoute),
    ("model_not_found", 404, ErrorClass::InvalidDeployment),
    ("previous_response_not_found", 404, ErrorClass::UnknownReference),
    ("permission_error", 403, ErrorClass::Account),
    ("usage_limit_reached", 429, ErrorClass::Account),
    ("usage_not_included", 429, ErrorClass::Account),
    ("slow_down", 503, ErrorClass::RateLimit),
    ("server_is_overloaded", 529, ErrorClass::RateLimit),
    ("internal_error", 500, ErrorClass::Server),
    ("unheard_of", 502, ErrorClass::Server),
];

/// The forms of an error with this code.
fn forms(code: &str) -> [String; 6] {
    let error = format!(r#"{{"code":"{code}","message":"m"}}"#);
    let response = format!(r#"{{"id":"r","status":"failed","error":{error},"output":[]}}"#);
    let created =
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"error\":null}}\n\n";
    [
        format!(
            "{created}event: response.failed\ndata: {{\"type\":\"response.failed\",\"response\":{response}}}\n\n"
        ),
        response,
        format!("data: {{\"error\":{{\"type\":\"{code}\",\"message\":\"m\"}}}}\n\n"),
        format!("event: error\ndata: {{\"type\":\"error\",\"error\":{error}}}\n\n"),
        format!(
            "event: error\ndata: {{\"type\":\"error\",\"code\":\"{code}\",\"message\":\"m\",\"param\":null,\"sequence_number\":3}}\n\n"
        ),
        format!(r#"{{"error":"m","code":"{code}"}}"#),
    ]
}

#[test]
fn the_status_and_the_class_of_an_error_follow_from_one_code() {
    for (code, status, class) in CODES {
        for form in forms(code) {
            let found = checked("/responses", &[], form.as_bytes(), true);
            assert_eq!(failed(found.clone(), &form).0, status, "{form}");
            let CheckResult::Failed(FalseSuccess { body, original, .. }) = found else { panic!("{form}") };
            let body = original.unwrap_or(body);
            let error = ProviderError {
                status: 200,
                body: body.as_bytes(),
                error_type: None,
                has_retry_after: false,
                is_wildcard: false,
                model: "",
                adds_stream_options: false,
            };
            assert_eq!(classify(&error).class, class, "{form}");
        }
    }
}

#[test]
fn an_error_that_lacks_the_apis_shape_keeps_its_code_and_its_parameter() {
    const QUOTA: &str = "insufficient_quota";
    const OVERLOADED: &str = "server_is_overloaded";
    for (error, kind, code, param) in [
        (
            r#"{"type":"error","code":"context_length_exceeded","message":"m","param":"input"}"#,
            "invalid_request_error",
            "context_length_exceeded",
            Some("input"),
        ),
        (r#"{"type":"error","code":"insufficient_quota","message":"m","param":null}"#, QUOTA, QUOTA, None),
        (r#"{"type":"error","code":"server_is_overloaded","message":"m"}"#, OVERLOADED, OVERLOADED, None),
        (r#"{"error":"m","code":"model_not_found"}"#, "invalid_request_error", "model_not_found", None),
        (r#"{"error":"m","code":"Throttling.\"Rate\""}"#, "rate_limit_error", "Throttling.\"Rate\"", None),
        // The status decides about the class, so it stays where it does not follow from the code.
        (r#"{"error":"m","code":"E17","status":404}"#, "invalid_request_error", "404", None),
        (r#"{"error":"m","code":""}"#, "internal_server_error", "502", None),
        (r#"{"error":"m"}"#, "internal_server_error", "502", None),
    ] {
        let (_, found) = failed(checked("/chat/completions", &[], error.as_bytes(), true), error);
        let found = (found["type"].as_str(), found["code"].as_str(), found["param"].as_str());
        assert_eq!(found, (Some(kind), Some(code), param), "{error}");
    }
}
