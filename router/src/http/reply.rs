//! Answers that no provider gave, and the shape of OpenAI's errors.

use crate::http::json::quoted;

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

    /// An error in OpenAI's shape. `param` is the parameter that it is about.
    pub fn error(status: u16, kind: &str, param: Option<&str>, message: &str) -> Self {
        let body = error_body(status, kind, param, message);
        Self { status, content_type: None, headers: Vec::new(), body }
    }

    /// Sets headers, in place of those that it has under their names.
    pub fn replace_headers(&mut self, headers: Vec<(&'static str, String)>) {
        self.headers.retain(|(name, _)| !headers.iter().any(|(new, _)| new == name));
        self.headers.extend(headers);
    }
}

/// OpenAI's error object, whose code is a string.
pub fn error_body(status: u16, kind: &str, param: Option<&str>, message: &str) -> String {
    let param = param.map_or_else(|| "null".to_owned(), quoted);
    let message = quoted(message);
    format!(r#"{{"error":{{"message":{message},"type":"{kind}","param":{param},"code":"{status}"}}}}"#)
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
        let body = error_body(401, error_type(401), None, "No \"key\"\n");
        let expected =
            r#"{"error":{"message":"No \"key\"\n","type":"auth_error","param":null,"code":"401"}}"#;
        assert_eq!(body, expected);
    }
}
