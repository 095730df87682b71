//! A tree as text, in the notations with lists as `[a, b]` and maps as `{key: value}`.

use super::python;
use super::tree::Value;

/// What differs between the notations.
pub(super) struct Style {
    pub(super) null: &'static str,
    pub(super) comma: &'static str,
    pub(super) colon: &'static str,
    pub(super) bools: [&'static str; 2],
    pub(super) float: fn(f64) -> String,
    pub(super) text: fn(&str, &mut String),
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

/// Appends a value.
pub(super) fn write(value: &Value, style: &Style, out: &mut String) {
    let [off, on] = style.bools;
    match value {
        Value::Null => out.push_str(style.null),
        Value::Bool(is_on) => out.push_str(if *is_on { on } else { off }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&(style.float)(*number)),
        Value::Text(text) => (style.text)(text, out),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { style.comma });
                write(&item.value, style, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, entry) in entries.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { style.comma });
                (style.text)(&entry.key, out);
                out.push_str(style.colon);
                write(&entry.node.value, style, out);
            }
            out.push('}');
        }
    }
}
