//! The top level of a JSON body, read without touching what is inside: a prompt stays where it is, uncopied.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Members that an object may have. Real requests have fewer than fifty; each is compared with what the deployment sets,
/// so without an end a hostile body could keep a worker busy.
const MOST: usize = 1000;

/// A member of the body's object. The value is the client's own text, whatever stands in it.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// The name, its escapes resolved.
    pub key: Cow<'a, str>,
    /// The value as JSON text.
    pub value: &'a str,
}

/// The members of an object in the order they were sent, repeated ones included.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    members: Vec<Member<'a>>,
}

/// Why a body is not the object that it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAnObject {
    /// Not JSON, or cut off; with the parser's words.
    Malformed(String),
    /// JSON, but a list or a scalar.
    OtherJson,
}

impl<'a> Object<'a> {
    /// Reads and checks a whole body. Depth is not limited: what is nested is skipped, not visited.
    ///
    /// # Errors
    /// [`NotAnObject`], also for bytes that are not UTF-8.
    pub fn parse(body: &'a [u8]) -> Result<Self, NotAnObject> {
        serde_json::from_slice(body).map_err(|error| match body.trim_ascii_start().first() {
            Some(b'{') | None => NotAnObject::Malformed(error.to_string()),
            Some(_) => match serde_json::from_slice::<&RawValue>(body) {
                Ok(_) => NotAnObject::OtherJson,
                Err(error) => NotAnObject::Malformed(error.to_string()),
            },
        })
    }

    /// The members, in order.
    pub fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// A member's text. Of repeated ones the last, which is the one that providers take as well.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.members.iter().rev().find(|member| member.key == key).map(|member| member.value)
    }

    /// A member that is there and not null.
    pub fn present(&self, key: &str) -> Option<&'a str> {
        self.get(key).filter(|value| *value != "null")
    }

    /// Whether a member is there and `true`.
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some("true")
    }
}

/// The text of a JSON string, or `None` if it is something else.
pub fn string(value: &str) -> Option<Cow<'_, str>> {
    match value.strip_prefix('"')?.strip_suffix('"') {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str(value).ok().map(Cow::Owned),
    }
}

/// A number of things, or `None` if it is something else or negative. JSON knows one kind of number, so 1e3 is one.
pub fn count(value: &str) -> Option<u64> {
    let float =
        |value: &str| value.parse().ok().filter(|number| *number >= 0.0).map(|number: f64| number as u64);
    value.parse().ok().or_else(|| float(value))
}

/// The items of a JSON list as their own text, or `None` if it is something else or has more than `most`.
pub fn list(value: &str, most: usize) -> Option<Vec<&str>> {
    let mut deserializer = serde_json::Deserializer::from_str(value);
    let items = deserializer.deserialize_seq(Items(most)).ok()?;
    deserializer.end().ok().map(|()| items)
}

struct Items(usize);

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<&'de RawValue>()? {
            if items.len() == self.0 {
                return Err(serde::de::Error::custom(format_args!("more than {} items", self.0)));
            }
            items.push(item.get());
        }
        Ok(items)
    }
}

/// A string as JSON text, quotes included.
pub fn quoted(text: &str) -> String {
    // Writing a string into memory cannot fail.
    serde_json::to_string(text).unwrap_or_default()
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(MOST)).map(|members| Object { members })
    }
}

/// The members of a JSON object, however many, or `None` if it is something else. For values that lie inside of a body.
pub fn members(value: &str) -> Option<Vec<Member<'_>>> {
    let mut deserializer = serde_json::Deserializer::from_str(value);
    let members = deserializer.deserialize_map(Members(usize::MAX)).ok()?;
    deserializer.end().ok().map(|()| members)
}

/// With how many there may be.
struct Members(usize);

impl<'de> Visitor<'de> for Members {
    type Value = Vec<Member<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // A chat request has three to eight members.
        let mut members = Vec::with_capacity(8);
        while let Some(Key(key)) = map.next_key()? {
            if members.len() == self.0 {
                return Err(serde::de::Error::custom(format_args!("more than {} members", self.0)));
            }
            let value: &'de RawValue = map.next_value()?;
            members.push(Member { key, value: value.get() });
        }
        Ok(members)
    }
}

struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyText)
    }
}

struct KeyText;

impl<'de> Visitor<'de> for KeyText {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_repeated_members_the_last_counts() {
        let body = br#"{"model":"a","n":1,"mod\u0065l":"b"}"#;
        assert_eq!(Object::parse(body).unwrap().get("model"), Some(r#""b""#));
    }

    #[test]
    fn values_are_left_as_they_were_written() {
        let body = br#" { "messages" : [ {"content": "h\u00e9" } ] , "x":1.50 } "#;
        let object = Object::parse(body).unwrap();
        assert_eq!(object.get("messages"), Some(r#"[ {"content": "h\u00e9" } ]"#));
        assert_eq!(object.get("x"), Some("1.50"));
    }

    #[test]
    fn depth_is_no_reason_to_fall_over() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(Object::parse(deep.as_bytes()).unwrap().members().len(), 1);
    }

    #[test]
    fn what_is_no_object_is_told_apart_from_what_is_no_json() {
        for other in ["[1]", "3", r#""{}""#, "null", " true"] {
            assert_eq!(Object::parse(other.as_bytes()).unwrap_err(), NotAnObject::OtherJson, "{other}");
        }
        for broken in ["", "{", r#"{"a":1"#, r#"{"a":1}x"#, "[1", "{\"a\":\"\u{1}\"}", "nul"] {
            let error = Object::parse(broken.as_bytes()).unwrap_err();
            assert!(matches!(error, NotAnObject::Malformed(_)), "{broken}: {error:?}");
        }
        assert!(Object::parse(b"{\"a\":\"\xff\"}").is_err(), "invalid UTF-8");
    }

    #[test]
    fn a_body_of_endless_members_is_refused() {
        let endless = format!(r#"{{{}"a":1}}"#, r#""b":2,"#.repeat(MOST));
        assert!(matches!(Object::parse(endless.as_bytes()), Err(NotAnObject::Malformed(_))));
    }

    #[test]
    fn a_count_may_be_written_as_a_float_and_is_never_negative() {
        for (text, expected) in [
            ("7", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("7.0", Some(7)),
            ("1e3", Some(1000)),
            ("1e99", Some(u64::MAX)),
            ("-1", None),
            (r#""7""#, None),
            ("null", None),
        ] {
            assert_eq!(count(text), expected, "{text}");
        }
    }

    #[test]
    fn a_list_is_read_item_by_item_up_to_its_bound() {
        assert_eq!(list(r#" [ "a" , {"b": [1]}] "#, 2), Some(vec![r#""a""#, r#"{"b": [1]}"#]));
        assert_eq!(list("[1,2,3]", 2), None);
        for other in ["{}", "[1", "[1]x", "a", ""] {
            assert_eq!(list(other, 2), None, "{other}");
        }
    }

    #[test]
    fn a_string_is_read_with_its_escapes() {
        assert_eq!(string(r#""gpt-4""#).as_deref(), Some("gpt-4"));
        assert_eq!(string(r#""a\"b""#).as_deref(), Some("a\"b"));
        assert_eq!(string("4"), None);
    }
}
