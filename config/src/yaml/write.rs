//! A tree as text, in the notations with lists as `[a, b]` and maps as `{key: value}`.

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
