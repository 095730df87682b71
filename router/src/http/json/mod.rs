//! The top level of a JSON body, read without touching what is inside: a prompt stays where it is, uncopied.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Members that an object may have. Real requests have fewer than fifty; each is compared with what the deployment sets,
/// so without an end a hostile body could keep a worker busy.
const MOST: usize = 1000;

/// A member of the body's object. The value is the client's own text, whatever stands in it.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// The name, its escapes resolved; as it was written, where half a surrogate pair in it has no text.
    pub key: Cow<'a, str>,
    /// The name as JSON text, quotes included.
    pub written: &'a str,
    /// The value as JSON text.
    pub value: &'a str,
}

/// The members of an object in the order they were sent. Of repeated ones the last stands for all, as it does for
/// providers.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    members: Vec<Member<'a>>,
    /// The text holds more than these members.
    differs: bool,
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
    /// [`NotAnObject`], also for bytes that are not UTF-8. A byte order mark in front of UTF-8 is skipped.
    pub fn parse(body: &'a [u8]) -> Result<Self, NotAnObject> {
        if let Some(rest) = body.strip_prefix("\u{feff}".as_bytes()) {
            return Ok(Self { differs: true, ..Self::parse_unmarked(rest)? });
        }
        Self::parse_unmarked(body)
    }

    fn parse_unmarked(body: &'a [u8]) -> Result<Self, NotAnObject> {
        if is_wide(body) {
            return Err(NotAnObject::Malformed("the body is UTF-16 or UTF-32: send UTF-8".to_owned()));
        }
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

    /// Whether the text holds more than the members: repeated ones, or a byte order mark.
    pub fn differs_from_its_text(&self) -> bool {
        self.differs
    }

    /// A member's text.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.members.iter().find(|member| member.key == key).map(|member| member.value)
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

/// Whether text is in two or four bytes for each character: a byte order mark, or a zero beside the first character.
fn is_wide(body: &[u8]) -> bool {
    matches!(body, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, ..] | [_, 0, ..])
}

/// The name of a member as readers that ignore case have it, Go's among them: the letters that fold to ASCII ones are
/// those, and all are small.
pub fn fold_case(name: &str) -> Cow<'_, str> {
    let folds = |byte: u8| byte.is_ascii_uppercase() || !byte.is_ascii();
    if !name.bytes().any(folds) {
        return Cow::Borrowed(name);
    }
    let fold = |character: char| match character {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        other => other.to_ascii_lowercase(),
    };
    Cow::Owned(name.chars().map(fold).collect())
}

/// The text of a JSON string, or `None` if it is something else.
pub fn string(value: &str) -> Option<Cow<'_, str>> {
    match value.strip_prefix('"')?.strip_suffix('"') {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str(value).ok().map(Cow::Owned),
    }
}

/// A number of things, or `None` if it is something else or negative. JSON knows one kind of number, so 1e3 is one.
pub fn uint(value: &str) -> Option<u64> {
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
        let members = deserializer.deserialize_map(Members(MOST))?;
        let differs = has_repeated(&members);
        Ok(Object { members: if differs { last_of_each(members) } else { members }, differs })
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
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            if members.len() == self.0 {
                return Err(serde::de::Error::custom(format_args!("more than {} members", self.0)));
            }
            let value: &'de RawValue = map.next_value()?;
            members.push(Member { key: name(key.get()), written: key.get(), value: value.get() });
        }
        Ok(members)
    }
}

/// A name without its quotes and escapes. Half a surrogate pair is valid JSON and no text: such a name stays as it is
/// written, which is the name of nothing that is known here.
fn name(written: &str) -> Cow<'_, str> {
    string(written).unwrap_or(Cow::Borrowed(written))
}

/// Members up to which all are compared with one another: a real request has fewer, and needs no set.
const FEW: usize = 32;

fn has_repeated(members: &[Member<'_>]) -> bool {
    if members.len() > FEW {
        let mut seen = HashSet::with_capacity(members.len());
        return !members.iter().all(|member| seen.insert(&*member.key));
    }
    let mut rest = members;
    while let Some((first, behind)) = rest.split_first() {
        if behind.iter().any(|other| other.key == first.key) {
            return true;
        }
        rest = behind;
    }
    false
}

fn last_of_each(mut members: Vec<Member<'_>>) -> Vec<Member<'_>> {
    let mut seen = HashSet::with_capacity(members.len());
    members.reverse();
    members.retain(|member| seen.insert(member.key.clone()));
    members.reverse();
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_repeated_members_the_last_stands_for_all() {
        let body = br#"{"model":"a","n":1,"mod\u0065l":"b"}"#;
        let object = Object::parse(body).unwrap();
        assert_eq!(object.get("model"), Some(r#""b""#));
        assert_eq!(
            object.members().iter().map(|member| member.written).collect::<Vec<_>>(),
            [r#""n""#, r#""mod\u0065l""#]
        );
        assert!(object.differs_from_its_text());
        let many = (0..500).map(|n| format!(r#""k{n}":{n},"#)).collect::<String>();
        let twice = Object::parse(format!(r#"{{{many}{many}"a":1}}"#).leak().as_bytes());
        assert!(matches!(twice, Err(NotAnObject::Malformed(_))), "repeated ones count as well");
        let once = format!(r#"{{{many}"k7":"last"}}"#);
        let object = Object::parse(once.as_bytes()).unwrap();
        assert_eq!((object.members().len(), object.get("k7")), (500, Some(r#""last""#)));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_object() {
        let object = Object::parse("\u{feff}{\"a\":1}".as_bytes()).unwrap();
        assert_eq!(object.get("a"), Some("1"));
        assert!(object.differs_from_its_text());
        assert!(Object::parse("\u{feff}\u{feff}{}".as_bytes()).is_err());
    }

    #[test]
    fn half_a_surrogate_pair_is_a_name_like_any_other() {
        let body = br#"{"\ud800":1,"a\udc00":"\ud800","model":"g"}"#;
        let object = Object::parse(body).unwrap();
        assert_eq!(object.get("model"), Some(r#""g""#));
        assert_eq!(object.members().len(), 3);
    }

    #[test]
    fn wide_characters_are_named_for_what_they_are() {
        for body in [b"\xff\xfe{\0}\0".as_slice(), b"\xfe\xff\0{\0}", b"{\0}\0", b"\0{\0}", b"\0\0\0{"] {
            let Err(NotAnObject::Malformed(why)) = Object::parse(body) else { panic!("{body:?}") };
            assert!(why.contains("UTF-8"), "{why}");
        }
    }

    #[test]
    fn names_fold_as_they_do_for_readers_that_ignore_case() {
        for (name, fold) in [
            ("model", "model"),
            ("Model", "model"),
            ("mOdEl", "model"),
            ("\u{17f}tream", "stream"),
            ("to\u{212a}en", "token"),
            ("é", "é"),
        ] {
            assert_eq!(fold_case(name), fold);
        }
        assert!(matches!(fold_case("max_tokens"), Cow::Borrowed(_)));
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
            assert_eq!(uint(text), expected, "{text}");
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
