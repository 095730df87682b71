//! Values of `model_info` that listings show as they are written, although clients expect another
//! type.

use crate::diagnostics::ADVISES;
use crate::values::{Reader, Section, found};
use crate::yaml::Value;

use super::params::is_price;

/// Warns of what clients of the listings, and `enable_pre_call_checks`, cannot use.
pub(super) fn warn(reader: &mut Reader<'_>, info: &Section<'_>) {
    if !ADVISES {
        return;
    }
    for entry in info.entries {
        let value = &entry.node.value;
        let key = entry.key.as_str();
        let (expected, is_expected) = match key {
            // These are errors if they are no numbers: cost-based-routing reads them.
            "input_cost_per_token" | "output_cost_per_token" => continue,
            "max_tokens" | "max_input_tokens" | "max_output_tokens" => {
                ("a whole number", matches!(value, Value::Int(0..)))
            }
            "mode" => ("a word such as chat", matches!(value, Value::Text(_))),
            _ if is_price(key) => ("a number", is_number(value)),
            _ => continue,
        };
        if is_expected || *value == Value::Null {
            continue;
        }
        let effect = match key {
            "max_input_tokens" => ", and enable_pre_call_checks does not compare it",
            _ => "",
        };
        let message =
            format!("expected {expected}, found {}: it is shown as it is{effect}", found(&entry.node));
        reader.report.warn(entry.place, &info.path.key(key), &message, "correct it");
    }
}

/// `1e-6` is text in YAML 1.1, and LiteLLM converts it.
fn is_number(value: &Value) -> bool {
    match value {
        Value::Int(_) | Value::Float(_) => true,
        Value::Text(text) => text.trim().parse::<f64>().is_ok_and(f64::is_finite),
        _ => false,
    }
}
