//! Texts of a file, printed on one line.

/// A text on one line: invisible characters are escaped, and the end is left out above `most`
/// bytes.
pub(super) fn on_one_line(text: &str, most: usize) -> String {
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

/// Whether a character has no shape of its own: it breaks a line, or makes two names look alike.
/// Joiners (U+200C, U+200D) are letters of some scripts.
pub(crate) fn is_invisible(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_printed_on_one_line() {
        assert_eq!(on_one_line("a\nb\u{1b}[31m", 100), "a\\nb\\u{1b}[31m");
        assert_eq!(on_one_line("abcdef", 3), "abc..");
    }
}
