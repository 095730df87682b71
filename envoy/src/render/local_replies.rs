//! Envoy's own errors, in OpenAI's JSON as all others.

use serde_json::{Value, json};

use super::message::{typed, with};

/// Statuses of the edge and their messages. The status is the error's code too.
const MESSAGES: &[(u16, &str)] = &[
    (400, "The request is not valid HTTP."),
    (403, "WebSockets are not served: use HTTP, with 'stream': true for events."),
    (404, "There is nothing to connect to."),
    (408, "The request did not arrive in time."),
    (413, "The request body is too large."),
    (426, "HTTP/1.1 or HTTP/2 is needed."),
    (431, "The request headers are too large."),
    (502, "The answer broke off or is not valid HTTP."),
    (503, "The balancer could not serve the request; please try again."),
    (504, "No answer arrived in time."),
];

/// Envoy's status for an upgrade that is not allowed, and for what [`https_without_tls`] selects.
const UPGRADE: u16 = 403;
/// Sent instead: clients take 403 for a bad key. RFC 9110 wants the header `upgrade` too, which
/// Envoy removes from every answer.
const UPGRADE_REQUIRED: u16 = 426;

/// `first` are mappers that take precedence.
pub(super) fn local_replies(first: &[Value]) -> Value {
    let own_words = MESSAGES.iter().map(|(status, _)| {
        let mapper = in_own_words(*status);
        with(mapper, "status_code", (*status == UPGRADE).then(|| UPGRADE_REQUIRED.into()))
    });
    // A route that answers itself has its own words: `serve` adds one when it drains.
    let direct = json!({
        "filter": selected("response.code_details == 'direct_response'"),
        "body_format_override": body_format("internal_server_error"),
    });
    let first = first.iter().cloned().chain([direct, https_without_tls()]);
    // All others with Envoy's message, plain text without quotes.
    let mappers: Vec<_> = first.chain(own_words).chain([mapper("GE", 500)]).collect();
    json!({"mappers": mappers, "body_format": body_format(INVALID)})
}

/// Of a client that takes the port for a forward proxy, `GET https://..`: Envoy's 403.
fn https_without_tls() -> Value {
    json!({
        "filter": selected("response.code_details == 'http1.https_url_on_plaintext_connection'"),
        "status_code": 400,
        "body": {"inline_string": "This port has no TLS: send an http:// URL, or a path."},
    })
}

/// Selects local replies by an expression of CEL.
pub(super) fn selected(expression: &str) -> Value {
    json!({"extension_filter": {
        "name": "envoy.access_loggers.extension_filters.cel",
        "typed_config": typed(
            "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            json!({"expression": expression}),
        ),
    }})
}

/// The words for one status, where a mapper that takes precedence would have others.
pub(super) fn in_own_words(status: u16) -> Value {
    with(mapper("EQ", status), "body", Some(json!({"inline_string": text_of(status)})))
}

fn text_of(status: u16) -> &'static str {
    MESSAGES.iter().find(|(own, _)| *own == status).map_or("", |(_, text)| text)
}

/// OpenAI's type of most client errors.
const INVALID: &str = "invalid_request_error";

fn kind(status: u16) -> &'static str {
    match status {
        408 | 504 => "timeout_error",
        400..=499 => INVALID,
        _ => "internal_server_error",
    }
}

fn mapper(op: &str, status: u16) -> Value {
    let value = json!({"default_value": status, "runtime_key": format!("edge.local_reply_{status}")});
    let mapper = json!({"filter": {"status_code_filter": {"comparison": {"op": op, "value": value}}}});
    let kind = kind(status);
    with(mapper, "body_format_override", (kind != INVALID).then(|| body_format(kind)))
}

/// The body of a status, for an answer with any other.
pub(super) fn body_of(status: u16) -> Value {
    let text = text_of(status);
    let body = format!(
        r#"{{"error":{{"message":"{text}","type":"{}","param":null,"code":"%RESPONSE_CODE%"}}}}"#,
        kind(status)
    );
    json!({"text_format_source": {"inline_string": body}, "content_type": "application/json"})
}

/// The body of an error with the words of what answers.
fn body_format(kind: &str) -> Value {
    let body = format!(
        r#"{{"error":{{"message":"%LOCAL_REPLY_BODY%","type":"{kind}","param":null,"code":"%RESPONSE_CODE%"}}}}"#
    );
    json!({"text_format_source": {"inline_string": body}, "content_type": "application/json"})
}
