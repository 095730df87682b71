//! Which texts of the file may become a header, a part of a URL, a metric label or the name of a
//! cluster.
//!
//! Every such text passes this check. The router checks the model names of clients.

use super::environment::PREFIX;
use super::reader::Reader;
use crate::diagnostics::{Path, Place, is_invisible};
use crate::names::MAX_MODEL_NAME;

/// Bytes of a header's value, at most. Envoy accepts 60 KiB of headers in all; access tokens have 2
/// to 8.
const MAX_HEADER: usize = 16 * 1024;

/// `$NAME` or `${NAME}` where LiteLLM replaces nothing.
pub(crate) const VARIABLE_SYNTAX: &str = "unsupported variable syntax: LiteLLM replaces os.environ/NAME only";

/// What a text is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextKind {
    /// The name of a group, an alias, a model or a tag, in any script: a header, a label and JSON.
    Name,
    /// The value of a header in any script.
    Header,
    /// The value of a header that providers read as ASCII: a key, an organization.
    AsciiHeader,
    /// The user and the password of Redis.
    Opaque,
    /// A part of a host or a path that is built from settings: a region, a project.
    Label,
}

/// Why a text cannot be used, and what to write instead.
pub(crate) type Flaw = (String, &'static str);

const CORRECT: &str = "correct the value";

/// What is wrong with a text, if anything. The message never repeats the text: it may be a
/// credential.
pub(crate) fn flaw(text: &str, kind: TextKind) -> Option<Flaw> {
    if let Some(char) = text.chars().find(|char| is_invisible(*char)) {
        return Some((format!("invalid character: {}", described(char)), CORRECT));
    }
    let most = if kind == TextKind::Name { MAX_MODEL_NAME } else { MAX_HEADER };
    if text.len() > most {
        return Some((format!("longer than {most} bytes"), "shorten it"));
    }
    match kind {
        TextKind::AsciiHeader if !text.is_ascii() => {
            Some(("invalid character: not ASCII".to_owned(), CORRECT))
        }
        TextKind::Label if text.is_empty() || !text.bytes().all(is_label) => {
            let message = "invalid character in a part of a URL".to_owned();
            Some((message, "use letters, digits, -, _, . and :"))
        }
        TextKind::Name | TextKind::Header | TextKind::AsciiHeader => unreplaced(text),
        TextKind::Opaque | TextKind::Label => None,
    }
}

/// A reference to a variable that LiteLLM does not replace.
pub(crate) fn unreplaced(text: &str) -> Option<Flaw> {
    let message = if text.contains("os.environ") || text.contains("os.getenv") {
        "os.environ/NAME is replaced only if it is the whole value"
    } else if text.contains("${") || text.split([' ', '/']).any(is_shell_variable) {
        VARIABLE_SYNTAX
    } else if text.contains("{{") && text.contains("}}") {
        "placeholders in braces are not replaced"
    } else {
        return None;
    };
    Some((message.to_owned(), "use os.environ/NAME as the whole value"))
}

/// `$NAME` in capitals.
fn is_shell_variable(word: &str) -> bool {
    word.strip_prefix('$').is_some_and(|name| {
        name.len() > 1
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    })
}

fn is_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)
}

/// An invisible character in words.
pub(super) fn described(char: char) -> String {
    let code = u32::from(char);
    match char {
        ' ' => "a blank".to_owned(),
        '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => "a line break".to_owned(),
        char if char.is_control() => format!("control character U+{code:04X}"),
        _ => format!("invisible character U+{code:04X}"),
    }
}

impl Reader<'_> {
    /// Whether a text is valid; an error if not.
    pub(crate) fn check_text(&mut self, place: Place, path: &Path<'_>, text: &str, kind: TextKind) -> bool {
        let flaw = flaw(text, kind);
        if let Some((message, advice)) = &flaw {
            self.report.error(place, path, message, advice);
        }
        flaw.is_none()
    }

    /// Whether a text is the name of a header, a token of RFC 9110, 5.6.2; an error if not.
    pub(crate) fn check_header_name(&mut self, place: Place, path: &Path<'_>, text: &str) -> bool {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_name = !text.is_empty() && text.bytes().all(is_token);
        if !is_name {
            self.report.error(place, path, "invalid name of a header", "correct it");
        }
        is_name
    }

    /// Whether a key of a map is a valid name; an error if not. LiteLLM replaces no variables in
    /// keys.
    pub(crate) fn check_key(&mut self, place: Place, path: &Path<'_>, key: &str) -> bool {
        if key.starts_with(PREFIX) {
            self.report.error(place, path, "variables are not replaced in keys", "write the name itself");
            return false;
        }
        self.check_text(place, path, key, TextKind::Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_line_or_cannot_be_seen_is_found() {
        let rows = [
            ("a\nb", "invalid character: a line break"),
            ("a\r", "invalid character: a line break"),
            ("a\u{2028}", "invalid character: a line break"),
            ("a\0", "invalid character: control character U+0000"),
            ("a\tb", "invalid character: control character U+0009"),
            ("a\u{7f}", "invalid character: control character U+007F"),
            ("gpt\u{200b}", "invalid character: invisible character U+200B"),
            ("\u{feff}gpt", "invalid character: invisible character U+FEFF"),
        ];
        for kind in
            [TextKind::Name, TextKind::Header, TextKind::AsciiHeader, TextKind::Opaque, TextKind::Label]
        {
            for (text, message) in rows {
                assert_eq!(flaw(text, kind).map(|flaw| flaw.0).as_deref(), Some(message), "{text:?}");
            }
        }
    }

    #[test]
    fn names_may_be_written_in_any_script_and_keys_in_ascii_alone() {
        for name in ["gpt-4o", "openai/*", "模型", "é", "a b", "می‌خواهم", "x;y=z"] {
            assert_eq!(flaw(name, TextKind::Name), None, "{name}");
            assert_eq!(flaw(name, TextKind::Header), None, "{name}");
        }
        assert!(flaw("sk-é", TextKind::AsciiHeader).is_some());
        assert_eq!(flaw("pässword", TextKind::Opaque), None);
    }

    #[test]
    fn a_length_has_an_end() {
        assert_eq!(flaw(&"n".repeat(1024), TextKind::Name), None);
        assert!(flaw(&"n".repeat(1025), TextKind::Name).is_some());
        assert_eq!(flaw(&"n".repeat(16_384), TextKind::Header), None);
        assert!(flaw(&"n".repeat(16_385), TextKind::AsciiHeader).is_some());
    }

    #[test]
    fn what_goes_into_a_url_is_a_plain_word() {
        for text in ["us-east-1", "my-project", "example.com:my-project", "eu"] {
            assert_eq!(flaw(text, TextKind::Label), None, "{text}");
        }
        for text in ["", "us-east-1/", "a b", "evil.example/#", "a?b", "é"] {
            assert!(flaw(text, TextKind::Label).is_some(), "{text}");
        }
    }

    #[test]
    fn variables_that_nothing_replaces_are_found() {
        for text in [
            "Bearer os.environ/TOKEN", "Bearer ${TOKEN}", "Bearer $TOKEN", "{{ env.TOKEN }}",
            " os.environ/X", "os.environ[\"X\"]", "os.getenv('X')",
        ] {
            assert!(unreplaced(text).is_some(), "{text}");
        }
        for text in ["Bearer sk-1", "costs $5", "pa$sword", "user:$SECRET", "$", "{\"a\":1}", "environ"] {
            assert_eq!(unreplaced(text), None, "{text}");
        }
    }
}
