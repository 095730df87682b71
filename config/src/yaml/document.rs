//! A tree as a YAML document, and a value as JSON.

use std::fmt::Write;

use super::python;
use super::tree::{Entry, Value};
use super::write::{Style, write};

/// A document that reads back as the same tree, for a configuration from several files. Flow style, one line for each entry of the top two
/// levels, so that a person can still find a place in it.
pub(crate) fn document(entries: &[Entry]) -> String {
    let mut out = String::from("{\n");
    for entry in entries {
        text(&entry.key, &mut out);
        out.push_str(": ");
        match &entry.node.value {
            Value::List(items) => {
                out.push_str("[\n");
                for item in items {
                    write(&item.value, &FLOW, &mut out);
                    out.push_str(",\n");
                }
                out.push(']');
            }
            value => write(value, &FLOW, &mut out),
        }
        out.push_str(",\n");
    }
    out.push_str("}\n");
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
