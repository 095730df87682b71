//! Clusters as binary protocol buffers: Envoy reads ten thousand of them in a seventh of the time
//! that it takes for JSON (docs/decisions/reload.md).
//!
//! The encoder translates the messages that this crate renders as JSON, by the tables in
//! `messages`, and refuses every field that they do not have.

mod messages;

use messages::{ANY_TYPES, FieldType, Message};
use serde_json::Value;

/// A message as the bytes of a `google.protobuf.Any`, by its `@type`.
fn typed(message: &Value) -> Result<Vec<u8>, String> {
    let url = message.get("@type").and_then(Value::as_str).ok_or("a message without @type")?;
    any(url.trim_start_matches(PREFIX), message)
}

const PREFIX: &str = "type.googleapis.com/";

/// A message of this type as the bytes of a `google.protobuf.Any`.
pub(super) fn any(name: &str, message: &Value) -> Result<Vec<u8>, String> {
    let (_, fields) =
        ANY_TYPES.iter().find(|(known, _)| *known == name).ok_or_else(|| format!("unknown type {name}"))?;
    let mut any = Vec::new();
    put_bytes(&mut any, 1, format!("{PREFIX}{name}").as_bytes());
    put_bytes(&mut any, 2, &encode(fields, message)?);
    Ok(any)
}

/// A `DiscoveryResponse` with these resources, each the bytes of an `Any`.
pub(crate) fn discovery_response(version: &str, resources: &[&[u8]]) -> Vec<u8> {
    let mut response = Vec::new();
    put_bytes(&mut response, 1, version.as_bytes());
    for resource in resources {
        put_bytes(&mut response, 2, resource);
    }
    response
}

fn encode(fields: Message, value: &Value) -> Result<Vec<u8>, String> {
    let members = value.as_object().ok_or_else(|| format!("expected a message, found {value}"))?;
    let mut out = Vec::new();
    for (name, value) in members.iter().filter(|(name, _)| *name != "@type") {
        let (_, number, field_type) =
            fields.iter().find(|(known, ..)| known == name).ok_or_else(|| format!("unknown field {name}"))?;
        match (value, field_type) {
            (Value::Array(items), _) => {
                items.iter().try_for_each(|item| put(&mut out, *number, *field_type, item))?;
            }
            (Value::Object(entries), FieldType::AnyMap | FieldType::StructMap) => {
                for (key, value) in entries {
                    put_bytes(&mut out, *number, &map_entry(key, *field_type, value)?);
                }
            }
            _ => put(&mut out, *number, *field_type, value)?,
        }
    }
    Ok(out)
}

/// An entry of a map from text.
fn map_entry(key: &str, field_type: FieldType, value: &Value) -> Result<Vec<u8>, String> {
    let mut entry = Vec::new();
    put_bytes(&mut entry, 1, key.as_bytes());
    let value = if matches!(field_type, FieldType::AnyMap) { typed(value)? } else { text_struct(value)? };
    put_bytes(&mut entry, 2, &value);
    Ok(entry)
}

/// A `google.protobuf.Struct` whose values are texts.
fn text_struct(value: &Value) -> Result<Vec<u8>, String> {
    const STRING_VALUE: u64 = 3;
    let mut fields = Vec::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        let (mut entry, mut wrapped) = (Vec::new(), Vec::new());
        put_bytes(&mut wrapped, STRING_VALUE, string(value)?.as_bytes());
        put_bytes(&mut entry, 1, key.as_bytes());
        put_bytes(&mut entry, 2, &wrapped);
        put_bytes(&mut fields, 1, &entry);
    }
    Ok(fields)
}

fn put(out: &mut Vec<u8>, field: u64, field_type: FieldType, value: &Value) -> Result<(), String> {
    match field_type {
        FieldType::Text => put_bytes(out, field, string(value)?.as_bytes()),
        FieldType::Bool => put_number(out, field, u64::from(value == &Value::Bool(true))),
        FieldType::Number => put_number(out, field, number(value)?),
        FieldType::Enum(names) => {
            let name = string(value)?;
            let (_, number) = names
                .iter()
                .find(|(known, _)| *known == name)
                .ok_or_else(|| format!("unknown value {name}"))?;
            put_number(out, field, *number);
        }
        FieldType::BoolValue => {
            let mut wrapped = Vec::new();
            put(&mut wrapped, 1, FieldType::Bool, value)?;
            put_bytes(out, field, &wrapped);
        }
        FieldType::UInt32Value => {
            let mut wrapped = Vec::new();
            put_number(&mut wrapped, 1, number(value)?);
            put_bytes(out, field, &wrapped);
        }
        FieldType::Duration => put_bytes(out, field, &duration(string(value)?)?),
        FieldType::Message(fields) => put_bytes(out, field, &encode(fields, value)?),
        FieldType::Any => put_bytes(out, field, &typed(value)?),
        FieldType::AnyMap | FieldType::StructMap => return Err(format!("expected a map, found {value}")),
    }
    Ok(())
}

fn string(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("expected a string, found {value}"))
}

fn number(value: &Value) -> Result<u64, String> {
    value.as_u64().ok_or_else(|| format!("expected a non-negative integer, found {value}"))
}

/// `5s`, `0.5s`
fn duration(text: &str) -> Result<Vec<u8>, String> {
    let seconds = text.strip_suffix('s').and_then(|digits| digits.parse().ok());
    let time = seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
    let time = time.ok_or_else(|| format!("expected a duration, found {text}"))?;
    let mut out = Vec::new();
    put_number(&mut out, 1, time.as_secs());
    put_number(&mut out, 2, time.subsec_nanos().into());
    Ok(out)
}

/// Leaves out 0, the default of every field.
fn put_number(out: &mut Vec<u8>, field: u64, number: u64) {
    if number != 0 {
        put_varint(out, field << 3);
        put_varint(out, number);
    }
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    const LENGTH_DELIMITED: u64 = 2;
    put_varint(out, field << 3 | LENGTH_DELIMITED);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Seven bits in each byte, the lowest first; the highest bit is set in all but the last.
fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The expected bytes are those of `protoc --encode`.
    #[test]
    fn a_message_is_encoded_as_protoc_does() {
        let cluster = json!({
            "name": "a",
            "connect_timeout": "0.5s",
            "circuit_breakers": {"thresholds": [{"max_retries": 1_000_000}]},
        });
        let bytes = encode(messages::CLUSTER, &cluster).unwrap();
        let hex = data_encoding::HEXLOWER.encode(&bytes);
        assert_eq!(hex, "0a016122061080cab5ee0152080a062a0408c0843d");
    }

    #[test]
    fn what_the_tables_do_not_have_is_refused() {
        let cluster = |value| any("envoy.config.cluster.v3.Cluster", &value).unwrap_err();
        assert_eq!(cluster(json!({"nam": "a"})), "unknown field nam");
        assert_eq!(cluster(json!({"name": 1})), "expected a string, found 1");
        assert_eq!(cluster(json!({"connect_timeout": "5m"})), "expected a duration, found 5m");
        let socket = |value| cluster(json!({"transport_socket": {"typed_config": value}}));
        assert_eq!(socket(json!({})), "a message without @type");
        assert_eq!(socket(json!({"@type": "type.googleapis.com/a.B"})), "unknown type a.B");
    }
}
