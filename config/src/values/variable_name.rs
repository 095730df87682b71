//! What follows `os.environ/` should be the name of a variable. Where it is a pasted key, no message
//! may repeat it.

use super::text::described;
use crate::diagnostics::is_invisible;

/// Lengths from which a mixture of digits and lower-case letters is taken for a key.
const LONG: usize = 20;

/// Why a name has no value, and what to do about it.
pub(super) fn unset(name: &str) -> (String, &'static str) {
    let is_unseen = |char: &char| is_invisible(*char) || char.is_whitespace();
    if let Some(char) = name.chars().find(is_unseen) {
        let message = format!("the name of the environment variable contains {}", described(char));
        return (message, "write the name again, without it");
    }
    if is_likely(name) {
        return (format!("environment variable {name} is not set"), "set it, or remove the key");
    }
    let message = "the text after os.environ/ does not look like the name of a variable, and none is set";
    (message.to_owned(), "write the name of a variable that holds the value, not the value itself")
}

/// Whether a text looks like the name of a variable, and not like a key.
pub(super) fn is_likely(name: &str) -> bool {
    let any = |is: fn(&u8) -> bool| name.bytes().any(|byte| is(&byte));
    let is_like_a_key = name.len() >= LONG && any(u8::is_ascii_digit) && any(u8::is_ascii_lowercase);
    let is_of_names = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && !is_like_a_key && name.bytes().all(is_of_names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_key_is_not_printed() {
        for key in [
            "sk-proj-REAL",
            "gsk_8fGh2Kd93jsLw02Ka8Xq",
            "AIzaSyD4mN0pQ1rS2tU3vW4xY5z",
            "0123456789abcdef0123456789abcdef",
            "Bearer-x",
            "",
        ] {
            let (message, _) = unset(key);
            assert!(!is_likely(key) && (key.is_empty() || !message.contains(key)), "{message}");
        }
    }

    #[test]
    fn names_of_variables_are_printed() {
        for name in ["OPENAI_API_KEY", "KEY", "openai_key_2", "AZURE_OPENAI_KEY_OF_REGION_2", "_x"] {
            assert!(is_likely(name) && unset(name).0.contains(name), "{name}");
        }
    }

    #[test]
    fn an_invisible_character_in_a_name_is_described() {
        for (name, expected) in [
            ("OPENAI\u{a0}KEY", "invisible character U+00A0"),
            ("KEY\u{200b}", "invisible character U+200B"),
            ("MY KEY", "a blank"),
        ] {
            assert!(unset(name).0.ends_with(expected), "{}", unset(name).0);
        }
    }
}
