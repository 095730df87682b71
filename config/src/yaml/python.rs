//! How Python writes a value: `str`, `repr` and `json.dumps`, which LiteLLM's deployment ids are
//! made of.

use std::fmt::Write;

use super::tree::Value;
use super::write::{Style, write};

const REPR: Style =
    Style { null: "None", bools: ["False", "True"], comma: ", ", colon: ": ", float, text: text_repr };
const DUMPS: Style = Style {
    null: "null",
    bools: ["false", "true"],
    comma: ", ",
    colon: ": ",
    float: dumps_float,
    text: dumps_text,
};

/// `str(value)`
pub(crate) fn str(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Text(text) => out.push_str(text),
        _ => write(value, &REPR, &mut out),
    }
    out
}

/// The same of a value that is not used again.
pub(super) fn into_str(value: Value) -> String {
    match value {
        Value::Text(text) => text,
        value => str(&value),
    }
}

/// What LiteLLM hashes: `json.dumps(value)` of a map, `str(value)` of anything else. `dumps` writes
/// ASCII only.
pub(crate) fn hashed(value: &Value) -> String {
    if !matches!(value, Value::Map(_)) {
        return str(value);
    }
    let mut out = String::new();
    write(value, &DUMPS, &mut out);
    out
}

/// `repr(float)`: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
pub(super) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    // serde_json has the same digits, and an exponent below 1e-5. core's take 15 KB of the filter.
    let text = serde_json::to_string(&number).unwrap_or_default();
    if let Some((mantissa, exponent)) = text.split_once('e') {
        let (sign, digits) = exponent.strip_prefix('-').map_or(("+", exponent), |digits| ("-", digits));
        let digits = digits.trim_start_matches('+');
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    match text.split_once("0.0000") {
        Some((sign, digits)) if matches!(sign, "" | "-") && !digits.is_empty() => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            format!("{sign}{first}{point}{rest}e-05")
        }
        _ => text,
    }
}

/// Single quotes unless the text has some and no double ones.
fn text_repr(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for char in text.chars() {
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if char == quote => {
                out.push('\\');
                out.push(char);
            }
            _ if is_printable(char) => out.push(char),
            _ => escape(char, out),
        }
    }
    out.push(quote);
}

fn escape(char: char, out: &mut String) {
    let code = u32::from(char);
    // Writing to a String cannot fail.
    let _ = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// `str.isprintable` for most characters: controls, format characters, separators and private use
/// are not printable. Unassigned code points, which are not printable in Python, are here.
fn is_printable(char: char) -> bool {
    !char.is_control()
        && !matches!(u32::from(char),
            0xa0 | 0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x1680 | 0x180e | 0x2000..=0x200f
            | 0x2028..=0x202f | 0x205f..=0x206f | 0x3000 | 0xe000..=0xf8ff | 0xfeff | 0xfff9..=0xfffb
            | 0xe0000..=0xe0fff | 0xf0000..=0x10ffff)
}

fn dumps_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    float(number)
}

fn dumps_text(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(char),
            _ => {
                let mut units = [0; 2];
                for unit in char.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row was printed by Python 3.11.
    #[test]
    fn floats_are_written_as_python_writes_them() {
        let rows = [
            (0.5, "0.5"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1e22, "1e+22"),
            (1.234e300, "1.234e+300"),
            (0.1, "0.1"),
            (6e-7, "6e-07"),
            (123456.789, "123456.789"),
        ];
        for (number, expected) in rows {
            assert_eq!(float(number), expected);
        }
    }

    #[test]
    fn text_in_lists_is_quoted_as_python_quotes_it() {
        let rows = [
            ("a", "'a'"),
            ("it's", "\"it's\""),
            ("it's \"so\"", "'it\\'s \"so\"'"),
            ("a\nb\\", "'a\\nb\\\\'"),
            ("é\u{a0}\u{7}\u{2028}", "'é\\xa0\\x07\\u2028'"),
        ];
        for (text, expected) in rows {
            let mut out = String::new();
            text_repr(text, &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn json_text_is_ascii_alone() {
        let mut out = String::new();
        dumps_text("é😀\u{7f}\u{1}\"", &mut out);
        assert_eq!(out, "\"\\u00e9\\ud83d\\ude00\\u007f\\u0001\\\"\"");
    }
}
