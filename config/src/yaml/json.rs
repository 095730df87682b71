//! JSON text of a tree: compact for request bodies, and as one document for a configuration of several files.

use std::fmt::Write;

use crate::yaml::python;
use crate::yaml::tree::{Entry, Value};

/// Compact JSON. What JSON cannot say (`.nan`, `.inf`) becomes `null`.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, Dialect::Json, &mut out);
    out
}

/// A JSON string with its quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::new();
    write_text(text, &mut out);
    out
}

/// A document that is YAML and reads back as the same tree. Flow style, one line for each entry of the top
/// two levels, so that a person can still find a place in it.
pub fn document(entries: &[Entry]) -> String {
    let mut out = String::from("{\n");
    for entry in entries {
        write_text(&entry.key, &mut out);
        out.push_str(": ");
        match &entry.node.value {
            Value::List(items) => {
                out.push_str("[\n");
                for item in items {
                    write_value(&item.value, Dialect::Yaml, &mut out);
                    out.push_str(",\n");
                }
                out.push(']');
            }
            value => write_value(value, Dialect::Yaml, &mut out),
        }
        out.push_str(",\n");
    }
    out.push_str("}\n");
    out
}

#[derive(Clone, Copy)]
enum Dialect {
    Json,
    /// Floats keep a point, and an exponent its sign, or YAML 1.1 would read text.
    Yaml,
}

fn write_value(value: &Value, dialect: Dialect, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(on) => out.push_str(if *on { "true" } else { "false" }),
        Value::Int(number) => python::int(*number, out),
        Value::Float(number) => write_float(*number, dialect, out),
        Value::Text(text) => write_text(text, out),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(index, dialect, out);
                write_value(&item.value, dialect, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, entry) in entries.iter().enumerate() {
                separate(index, dialect, out);
                write_text(&entry.key, out);
                out.push_str(match dialect {
                    Dialect::Json => ":",
                    Dialect::Yaml => ": ",
                });
                write_value(&entry.node.value, dialect, out);
            }
            out.push('}');
        }
    }
}

fn separate(index: usize, dialect: Dialect, out: &mut String) {
    match (index, dialect) {
        (0, _) => {}
        (_, Dialect::Json) => out.push(','),
        (_, Dialect::Yaml) => out.push_str(", "),
    }
}

fn write_float(number: f64, dialect: Dialect, out: &mut String) {
    if !number.is_finite() {
        out.push_str(match dialect {
            Dialect::Json => "null",
            Dialect::Yaml if number.is_nan() => ".nan",
            Dialect::Yaml if number > 0.0 => ".inf",
            Dialect::Yaml => "-.inf",
        });
        return;
    }
    let text = python::float(number);
    match text.split_once('e') {
        Some((mantissa, exponent)) if matches!(dialect, Dialect::Yaml) && !mantissa.contains('.') => {
            let _ = write!(out, "{mantissa}.0e{exponent}");
        }
        _ => out.push_str(&text),
    }
}

/// Escapes what JSON must and what YAML does not count as printable.
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..=' '
            | '\u{7f}'..='\u{a0}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}'
                if char != ' ' =>
            {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    out.push('"');
}
