//! A tree as a YAML document, and a value as JSON.

use std::fmt::Write;

use super::python;
use super::tree::{Entry, Value};
use super::write::{Style, write};

/// A document that reads back as the same tree, for a configuration from several files. Flow style,
/// one line for each entry of the top two levels, so that a person can still find a place in it.
pub(crate) fn document(entries: &[Entry]) -> String {
    by_lines(entries, &FLOW)
}

/// The same in JSON, which is YAML too. Numbers that JSON lacks are texts, which mean the same where
/// a number is expected.
pub(crate) fn json_document(entries: &[Entry]) -> String {
    let float = |number: f64| {
        let text = float(number);
        if number.is_finite() { text } else { format!("\"{text}\"") }
    };
    by_lines(entries, &Style { float, ..FLOW })
}

fn by_lines(entries: &[Entry], style: &Style) -> String {
    let mut out = String::from("{");
    for (index, entry) in entries.iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        text(&entry.key, &mut out);
        out.push_str(": ");
        match &entry.node.value {
            Value::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "\n" } else { ",\n" });
                    write(&item.value, style, &mut out);
                }
                out.push_str("\n]");
            }
            value => write(value, style, &mut out),
        }
    }
    out.push_str("\n}\n");
    out
}

/// A value as compact JSON. Non-finite floats, which JSON does not have, become `null`.
pub(crate) fn json(value: &Value) -> String {
    let float = |number: f64| if number.is_finite() { python::float(number) } else { "null".to_owned() };
    // A string cannot fail.
    let text = |text: &str, out: &mut String| out.push_str(&serde_json::to_string(text).unwrap_or_default());
    let compact = Style { null: "null", bools: ["false", "true"], comma: ",", colon: ":", float, text };
    let mut out = String::new();
    write(value, &compact, &mut out);
    out
}

const FLOW: Style = Style { null: "null", bools: ["false", "true"], comma: ", ", colon: ": ", float, text };

/// With a point, and an exponent with its sign: YAML 1.1 reads anything else as text.
fn float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    let text = python::float(number);
    match text.split_once('e') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0e{exponent}"),
        _ => text.replace("inf", ".inf"),
    }
}

/// In double quotes. Escapes what JSON escapes, and what YAML does not count as printable.
fn text(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\0'..' '
            | '\u{7f}'..='\u{a0}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    out.push('"');
}
