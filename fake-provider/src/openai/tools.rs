//! Calls of functions that a request offers, and values that fit a JSON schema: all that a model
//! does with a schema is fill it in.

use serde_json::{Map, Value, json};

use crate::received::Received;

/// A call of a function.
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    /// JSON, as text.
    pub(crate) arguments: String,
}

/// The call that the request wants: the first function that it offers or the one that it chooses,
/// unless it says none, or has the result already.
pub(crate) fn call(request: &Received, told: bool) -> Option<Call> {
    let body = request.json();
    let choice = &body["tool_choice"];
    if told || choice == "none" {
        return None;
    }
    // Chat keeps a function in a member of its own, the responses API does not.
    let function =
        |tool: &Value| if tool["function"].is_object() { tool["function"].clone() } else { tool.clone() };
    let wanted = function(choice)["name"].as_str().map(str::to_owned);
    let mut offered =
        body["tools"].as_array()?.iter().filter(|tool| tool["type"] == "function").map(function);
    let chosen =
        offered.find(|tool| wanted.as_deref().is_none_or(|name| tool["name"].as_str() == Some(name)))?;
    Some(Call {
        id: format!("call_{}", request.number),
        name: chosen["name"].as_str().unwrap_or_default().to_owned(),
        arguments: fill(&chosen["parameters"], &request.name).to_string(),
    })
}

/// A value that fits the schema; its texts are the name of the deployment.
pub(crate) fn fill(schema: &Value, name: &str) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("string") => json!(name),
        Some("integer" | "number") => json!(7),
        Some("boolean") => json!(true),
        Some("array") => json!([fill(&schema["items"], name)]),
        _ => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            properties
                .map(|(key, property)| (key.clone(), fill(property, name)))
                .collect::<Map<_, _>>()
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fill;
    use serde_json::json;

    #[test]
    fn a_filled_schema_has_every_property_in_its_type() {
        let schema = json!({"type": "object", "properties": {
            "city": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}, "unit": {"enum": ["C", "F"]},
        }});
        assert_eq!(fill(&schema, "paris"), json!({"city": "paris", "days": [7], "unit": "C"}));
    }
}
