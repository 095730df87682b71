//! What a text of the file may hold before it becomes a header, a part of a path or a query, a label of a metric or the
//! name of a cluster. Every such text passes this check, and the client's model names have their own in the router.

use crate::diagnostics::report::Path;
use crate::values::environment::PREFIX;
use crate::values::reader::Reader;
use crate::yaml::tree::Place;

/// Bytes of a name, of a model, an id or a tag, at most: names become labels, and a label has to fit into a header.
const MAX_NAME: usize = 1024;
/// Bytes of a header's value, at most. Envoy takes 60 KiB of headers in all; access tokens have 2 to 8.
const MAX_HEADER: usize = 16 * 1024;

/// What a text becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// A name in any script: of a group, an alias, a model, a tag. It becomes a header, a label and JSON.
    Name,
    /// The value of a header in any script.
    Header,
    /// The value of a header that no provider reads in other letters: a key, an organization.
    AsciiHeader,
    /// What Redis alone reads: its user and its password.
    Opaque,
    /// A part of a host or of a path that is put together from settings: a region, a project.
    Label,
}

/// Why a text cannot be used, and what to do about it.
pub type Flaw = (String, &'static str);

const CORRECT: &str = "correct the value";

/// What is wrong with a text, if anything is. The message never repeats the text, which may be a credential.
pub fn flaw(text: &str, kind: TextKind) -> Option<Flaw> {
    if let Some(char) = text.chars().find(|char| is_invisible(*char)) {
        return Some((format!("holds {}", described(char)), CORRECT));
    }
    let most = if kind == TextKind::Name { MAX_NAME } else { MAX_HEADER };
    if text.len() > most {
        return Some((format!("is longer than {most} bytes"), "shorten it"));
    }
    match kind {
        TextKind::AsciiHeader if !text.is_ascii() => {
            Some(("holds a character that is not ASCII".to_owned(), CORRECT))
        }
        TextKind::Label if text.is_empty() || !text.bytes().all(is_label) => {
            let message = "is no name that can stand in a URL".to_owned();
            Some((message, "use letters, digits, -, _, . and :"))
        }
        TextKind::Name | TextKind::Header | TextKind::AsciiHeader => unreplaced(text),
        TextKind::Opaque | TextKind::Label => None,
    }
}

/// A reference to a variable that LiteLLM does not replace, and so is sent as it is written.
pub fn unreplaced(text: &str) -> Option<Flaw> {
    let message = if text.contains("os.environ") || text.contains("os.getenv") {
        "holds os.environ or os.getenv inside of a text, where it is not replaced by the variable"
    } else if text.contains("${") || text.split([' ', '/']).any(is_shell_variable) {
        "is not replaced by a variable: LiteLLM knows os.environ/ only"
    } else if text.contains("{{") && text.contains("}}") {
        "holds a placeholder in braces, which is not replaced"
    } else {
        return None;
    };
    Some((message.to_owned(), "write os.environ/NAME alone, and put the whole text into that variable"))
}

/// `$NAME` in capitals, as shells write variables.
fn is_shell_variable(word: &str) -> bool {
    word.strip_prefix('$').is_some_and(|name| {
        name.len() > 1
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    })
}

fn is_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)
}

/// Characters without a shape of their own: they break a line, or make two names look alike. Joiners (U+200C, U+200D)
/// are letters of some scripts.
fn is_invisible(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{fff9}'..='\u{fffb}')
}

fn described(char: char) -> String {
    let code = u32::from(char);
    match char {
        '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => "a line break".to_owned(),
        char if char.is_control() => format!("the control character U+{code:04X}"),
        _ => format!("the invisible character U+{code:04X}"),
    }
}

/// A text for people to read on one line: what is invisible in it is written as an escape, and its end is left out where
/// it is long.
pub fn on_one_line(text: &str, most: usize) -> String {
    let mut out = String::new();
    for char in text.chars() {
        if out.len() >= most {
            out.push_str("..");
            break;
        }
        if is_invisible(char) {
            out.extend(char.escape_default());
        } else {
            out.push(char);
        }
    }
    out
}

impl Reader<'_> {
    /// Whether a text fits what it becomes; if not, it is refused.
    pub fn check_text(&mut self, place: Place, path: &Path<'_>, text: &str, kind: TextKind) -> bool {
        let flaw = flaw(text, kind);
        if let Some((message, advice)) = &flaw {
            self.report.refuse(place, path, message, advice);
        }
        flaw.is_none()
    }

    /// Whether a key of a map fits as a name. LiteLLM replaces no variables there.
    pub fn check_key(&mut self, place: Place, path: &Path<'_>, key: &str) -> bool {
        if key.starts_with(PREFIX) {
            let message = "is a key, where variables are not replaced";
            self.report.refuse(place, path, message, "write the name itself");
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
            ("a\nb", "holds a line break"),
            ("a\r", "holds a line break"),
            ("a\u{2028}", "holds a line break"),
            ("a\0", "holds the control character U+0000"),
            ("a\tb", "holds the control character U+0009"),
            ("a\u{7f}", "holds the control character U+007F"),
            ("gpt\u{200b}", "holds the invisible character U+200B"),
            ("\u{feff}gpt", "holds the invisible character U+FEFF"),
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
            "Bearer os.environ/TOKEN",
            "Bearer ${TOKEN}",
            "Bearer $TOKEN",
            "{{ env.TOKEN }}",
            " os.environ/X",
            "os.environ[\"X\"]",
            "os.getenv('X')",
        ] {
            assert!(unreplaced(text).is_some(), "{text}");
        }
        for text in ["Bearer sk-1", "costs $5", "pa$sword", "user:$SECRET", "$", "{\"a\":1}", "environ"] {
            assert_eq!(unreplaced(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_is_shown_on_one_line() {
        assert_eq!(on_one_line("a\nb\u{1b}[31m", 100), "a\\nb\\u{1b}[31m");
        assert_eq!(on_one_line("abcdef", 3), "abc..");
    }
}
