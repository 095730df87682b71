//! Answers that no provider gave, and the shape of errors in OpenAI's and in Anthropic's API.

use llm_balancer_config::Wire;

use crate::http::json::quoted;

/// The name of the header.
pub const RETRY_AFTER: &str = "retry-after";

/// An answer to the client that no provider gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `None` for JSON. A provider's own error, kept for the client, may have another one.
    pub content_type: Option<String>,
    /// Besides content-type.
    pub headers: Vec<(&'static str, String)>,
    /// JSON, unless `content_type` says otherwise.
    pub body: String,
}

impl Reply {
    /// A JSON answer with status 200.
    pub fn ok(body: String) -> Self {
        Self { status: 200, content_type: None, headers: Vec::new(), body }
    }

    /// An error in the shape of an API. See [`error_body`].
    pub fn error(
        wire: Wire,
        status: u16,
        kind: (&str, Option<&str>),
        param: Option<&str>,
        message: &str,
    ) -> Self {
        let body = error_body(wire, status, kind, param, message);
        Self { status, content_type: None, headers: Vec::new(), body }
    }

    /// The seconds of its retry-after.
    pub fn retry_after(&self) -> Option<u64> {
        self.headers.iter().find(|(name, _)| *name == RETRY_AFTER)?.1.parse().ok()
    }

    /// Lowers its retry-after, if it has one, to these seconds: what another group says.
    pub fn retry_sooner(&mut self, seconds: Option<u64>) {
        let sooner = seconds.zip(self.retry_after()).filter(|(other, own)| *other > 0 && other < own);
        let Some((seconds, own)) = sooner else { return };
        self.headers.retain(|(name, _)| *name != RETRY_AFTER && *name != "retry-after-ms");
        self.headers.push((RETRY_AFTER, seconds.to_string()));
        let words = |seconds: u64| format!("Try again in {seconds} seconds");
        self.body = self.body.replacen(&words(own), &words(seconds), 1);
    }

    /// Sets headers, in place of those that it has under their names.
    pub fn replace_headers(&mut self, headers: Vec<(&'static str, String)>) {
        self.headers.retain(|(name, _)| !headers.iter().any(|(new, _)| new == name));
        self.headers.extend(headers);
    }
}

/// An error in the shape of an API. `kind` is OpenAI's type and code, which is the status if it is
/// `None`, and `param` the parameter that the error is about; Anthropic has one type for each status,
/// and its own ids of requests.
pub fn error_body(
    wire: Wire,
    status: u16,
    (kind, code): (&str, Option<&str>),
    param: Option<&str>,
    message: &str,
) -> String {
    let message = quoted(message);
    if wire == Wire::Anthropic {
        let kind = anthropic_type(status);
        return format!(
            r#"{{"type":"error","error":{{"type":"{kind}","message":{message}}},"request_id":null}}"#
        );
    }
    let param = param.map_or_else(|| "null".to_owned(), quoted);
    let kind = quoted(kind);
    let code = quoted(&code.map_or_else(|| status.to_string(), str::to_owned));
    format!(r#"{{"error":{{"message":{message},"type":{kind},"param":{param},"code":{code}}}}}"#)
}

/// Anthropic's type of an error with this status.
fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

/// OpenAI's type of an error with this status.
pub fn error_type(status: u16) -> &'static str {
    match status {
        401 => "auth_error",
        408 | 504 => "timeout_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "internal_server_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_openais_shape_and_a_code_that_is_a_string() {
        let body = error_body(Wire::OpenAi, 401, (error_type(401), None), None, "No \"key\"\n");
        let expected =
            r#"{"error":{"message":"No \"key\"\n","type":"auth_error","param":null,"code":"401"}}"#;
        assert_eq!(body, expected);
    }

    #[test]
    fn an_error_has_anthropics_shape_and_the_type_of_its_status() {
        for (status, kind) in [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (404, "not_found_error"),
            (405, "invalid_request_error"),
            (408, "timeout_error"),
            (413, "request_too_large"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (502, "api_error"),
            (529, "overloaded_error"),
        ] {
            let body =
                error_body(Wire::Anthropic, status, ("auth_error", None), Some("model"), "No \"key\"\n");
            let expected = format!(
                r#"{{"type":"error","error":{{"type":"{kind}","message":"No \"key\"\n"}},"request_id":null}}"#
            );
            assert_eq!(body, expected);
        }
    }
}
