//! Undoes the escapes of a JSON string that is read byte by byte (RFC 8259, section 7).

/// A string behind its first quote.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unescape {
    /// Bytes of the current escape so far: the backslash, `u`, and digits of its code.
    length: u8,
    code: u32,
    /// The first code of a character that takes two, or 0.
    high: u32,
}

/// What a byte means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unescaped {
    /// A part of an escape.
    Nothing,
    /// A byte of the text, which is UTF-8.
    Byte(u8),
    /// A character, whose code it completes. What half of a pair becomes does not matter: such a string
    /// is no text.
    Char(char),
    /// The string ends.
    End,
}

impl Unescape {
    /// Reads the next byte.
    pub fn next(&mut self, byte: u8) -> Unescaped {
        let length = std::mem::take(&mut self.length);
        match (length, byte) {
            (0, b'"') => return Unescaped::End,
            (0, b'\\') => self.length = 1,
            (1, b'u') => self.length = 2,
            (0, _) => return Unescaped::Byte(byte),
            (1, _) => return Unescaped::Byte(control(byte)),
            (_, _) => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.code = ((self.code << 4) | digit) & 0xFFFF;
                if length == 5 {
                    return self.character();
                }
                self.length = length.saturating_add(1);
            }
        }
        Unescaped::Nothing
    }

    fn character(&mut self) -> Unescaped {
        let (code, high) = (self.code, std::mem::take(&mut self.high));
        if let 0xD800..0xDC00 = code {
            self.high = code;
            return Unescaped::Nothing;
        }
        // UTF-16: 0x10000, and ten bits of each code behind 0xD800 and 0xDC00.
        let pair = (high << 10).wrapping_add(code).wrapping_sub(0x035F_DC00);
        let char = char::from_u32(if high == 0 { code } else { pair });
        Unescaped::Char(char.unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

/// What the letter behind a backslash stands for; quotes, slashes and backslashes for themselves.
fn control(letter: u8) -> u8 {
    match letter {
        b'b' => 0x08,
        b'f' => 0x0C,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a string behind its first quote, and what is left behind its last one.
    fn text(string: &str) -> (String, usize) {
        let (mut unescape, mut text, mut bytes) = (Unescape::default(), Vec::new(), string.bytes());
        while let Some(byte) = bytes.next() {
            match unescape.next(byte) {
                Unescaped::Nothing => {}
                Unescaped::Byte(byte) => text.push(byte),
                Unescaped::Char(char) => text.extend_from_slice(char.to_string().as_bytes()),
                Unescaped::End => return (String::from_utf8(text).unwrap(), bytes.len()),
            }
        }
        panic!("{string} does not end")
    }

    #[test]
    fn every_escape_is_read_as_serde_json_reads_it() {
        for string in [
            r#""""#,
            r#""plain é 🦀""#,
            r#""\"\\\/\b\f\n\r\t""#,
            r#""a\u002Bb\u002fc\u00e9\u20AC""#,
            r#""\ud83e\udd80\uD83E\uDD80x""#,
            r#""\\u002b\\""#,
        ] {
            let expected: String = serde_json::from_str(string).unwrap();
            assert_eq!(text(string.strip_prefix('"').unwrap()), (expected, 0), "{string}");
        }
    }

    #[test]
    fn what_is_no_text_ends_where_the_string_ends() {
        for string in [r#"\ud83e""#, r#"\udd80x""#, r#"\ud83e\u0041\ud83ey""#, r#"\x""#, r#"\uzzzz""#] {
            assert_eq!(text(string).1, 0, "{string}");
        }
    }
}
