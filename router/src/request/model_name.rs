//! The one check of names of models that clients send: each goes into response headers, forms and
//! labels.

use llm_balancer_config::names::MAX_MODEL_NAME;

/// What a name must be, for the message.
pub const MUST_BE: &str = "a string of at most 1,024 bytes without control characters";

/// Whether a name can be sent in a header and in a form.
pub fn is_sendable(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_MODEL_NAME && !name.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::is_sendable;

    #[test]
    fn a_name_breaks_no_line_and_has_an_end() {
        assert!(is_sendable("openai/gpt-4o") && is_sendable("模型") && is_sendable(&"n".repeat(1024)));
        for name in ["", "a\nb", "a\r", "a\0", "a\u{85}", &"n".repeat(1025)] {
            assert!(!is_sendable(name), "{name:?}");
        }
    }
}
