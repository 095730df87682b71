//! A tree from JSON, for a filter that is compiled without YAML.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::tree::{Entry, Node, Value};
use crate::diagnostics::Place;

/// The tree, every node on line 1. The program that wrote the text has reported all mistakes, and
/// wrote each key once.
///
/// # Errors
/// Text that is not JSON, with the line.
pub(crate) fn parse_json(text: &[u8]) -> Result<Node, serde_json::Error> {
    serde_json::from_slice(text)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(ValueVisitor)?;
        Ok(Self { place: Place::FIRST_LINE, value })
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, is_on: bool) -> Result<Value, E> {
        Ok(Value::Bool(is_on))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or_else(|_| Value::Text(number.to_string()), Value::Int))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, node)) = members.next_entry()? {
            entries.push(Entry { key, place: Place::FIRST_LINE, node });
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::Report;
    use crate::yaml::{decode, encode, json_document, parse};

    /// The tree without lines.
    fn tree(yaml: &str) -> Node {
        decode(&encode(&parse(0, yaml, &mut Report::new("a.yaml")).unwrap())).unwrap().unwrap()
    }

    #[test]
    fn a_document_in_json_has_the_tree_of_the_yaml() {
        let yaml = "
model_list:
- {model_name: \"a\\u2028b\\u0001 é 😀\", rpm: 10, weight: 0.5, empty: {}, none: ~, text: \"1\", big: 1.0e+300}
- [yes, No, -3, 99999999999999999999, 1e3, 0x10, 1:30, 2001-01-01]
router_settings: {z: [], a: ''}
last: 7
";
        let tree = tree(yaml);
        let json = json_document(tree.entries().unwrap());
        assert_eq!(parse_json(json.as_bytes()).unwrap(), tree, "{json}");
        assert_eq!(json.lines().count(), 8, "one line for each deployment: {json}");
    }

    #[test]
    fn numbers_that_json_lacks_are_texts_that_mean_them() {
        let json = json_document(tree("a: [.inf, -.inf, .nan]").entries().unwrap());
        assert!(json.contains("\".inf\",\n\"-.inf\",\n\".nan\""), "{json}");
    }

    #[test]
    fn text_that_is_not_json_is_refused_with_its_line() {
        let error = parse_json(b"{\n\"a\": b}").unwrap_err();
        assert_eq!(error.line(), 2, "{error}");
    }
}
