//! The top level of a JSON object. Values stay as they are: a prompt is neither parsed nor copied.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::cursor::{self, Cursor};
use super::string_or_raw;

/// The most members of a body. Real requests have fewer than fifty. Each is compared with what the
/// deployment sets, so without a bound a hostile body could occupy a worker.
const MAX_MEMBERS: usize = 1000;

/// A member of an object, its value in the client's own text.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// The name without escapes; as it was written, where half a surrogate pair in it has no text.
    pub key: Cow<'a, str>,
    /// The name as JSON text, with its quotes.
    pub written: &'a str,
    /// The value as JSON text.
    pub value: &'a str,
    /// Whether the value is the string `developer`, written like that, or holds it other than as a
    /// name.
    pub has_developer: bool,
}

/// The members of an object in their order. Of repeated ones only the last is kept, which is the
/// one that providers read.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    members: Vec<Member<'a>>,
    differs: bool,
}

/// Why a body is not an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAnObject {
    /// Not JSON, or truncated; with the parser's message.
    Malformed(String),
    /// JSON, but a list or a scalar.
    OtherJson,
}

impl<'a> Object<'a> {
    /// Reads a whole body of any depth. A byte order mark in front of it is skipped.
    ///
    /// # Errors
    /// [`NotAnObject`], also for bytes that are not UTF-8 and for more than 1000 members.
    pub fn parse(body: &'a [u8]) -> Result<Self, NotAnObject> {
        #[cfg(test)]
        count_read(body.len());
        if let Some(rest) = body.strip_prefix("\u{feff}".as_bytes()) {
            return Ok(Self { differs: true, ..Self::parse_unmarked(rest)? });
        }
        Self::parse_unmarked(body)
    }

    fn parse_unmarked(body: &'a [u8]) -> Result<Self, NotAnObject> {
        if is_wide(body) {
            return Err(NotAnObject::Malformed("the body is UTF-16 or UTF-32: send UTF-8".to_owned()));
        }
        let text = std::str::from_utf8(body).map_err(|error| {
            let valid = error.valid_up_to();
            NotAnObject::Malformed(format!("the body is not UTF-8 behind its first {valid} bytes"))
        })?;
        let members = members_up_to(MAX_MEMBERS, text).ok_or_else(|| error_of(text))?;
        let differs = has_repeated(&members);
        Ok(Self { members: if differs { last_of_each(members) } else { members }, differs })
    }

    /// The members in their order.
    pub fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// Whether the text has more than the members: repeated ones, or a byte order mark.
    pub fn differs_from_its_text(&self) -> bool {
        self.differs
    }

    /// The text of a member's value.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.members.iter().find(|member| member.key == key).map(|member| member.value)
    }

    /// The same, unless it is null.
    pub fn present(&self, key: &str) -> Option<&'a str> {
        self.get(key).filter(|value| *value != "null")
    }

    /// Whether a member is `true`.
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some("true")
    }
}

/// Counts bytes of bodies that are read, for the tests of how much work a request is.
#[cfg(test)]
pub fn count_read(bytes: usize) -> usize {
    use std::cell::Cell;
    thread_local! {
        static READ: Cell<usize> = const { Cell::new(0) };
    }
    READ.with(|read| {
        read.set(read.get().saturating_add(bytes));
        read.get()
    })
}

/// Whether a text is UTF-16 or UTF-32, by its byte order mark or a zero beside its first character.
fn is_wide(body: &[u8]) -> bool {
    matches!(body, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, ..] | [_, 0, ..])
}

/// Why a body is not an object of at most [`MAX_MEMBERS`].
fn error_of(body: &str) -> NotAnObject {
    let mut deserializer = serde_json::Deserializer::from_str(body);
    // An object is read as one, for the message about what is wrong between its members.
    let is_object = body.trim_ascii_start().starts_with('{');
    let read = if is_object {
        deserializer.deserialize_map(Entries)
    } else {
        deserializer.deserialize_ignored_any(IgnoredAny).map(|IgnoredAny| ())
    };
    match read.and_then(|()| deserializer.end()) {
        Err(error) => NotAnObject::Malformed(error.to_string()),
        Ok(()) if is_object => NotAnObject::Malformed(format!("more than {MAX_MEMBERS} members")),
        Ok(()) => NotAnObject::OtherJson,
    }
}

/// Reads the members of an object.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Calls `each` with every member of an object of any size, repeated ones included, and keeps none.
/// `None` for another value, whose first members may have been passed on.
pub fn for_each_member<'a>(value: &'a str, mut each: impl FnMut(Member<'a>)) -> Option<()> {
    cursor::items(value, *b"{}", usize::MAX, |cursor| member(cursor).map(&mut each)).map(|_| ())
}

fn members_up_to(max: usize, text: &str) -> Option<Vec<Member<'_>>> {
    cursor::items(text, *b"{}", max, member)
}

fn member<'a>(cursor: &mut Cursor<'a>) -> Option<Member<'a>> {
    let (written, value) = (cursor.name()?, cursor.value()?);
    // The raw name of half a surrogate pair is not one of those known here.
    Some(Member { key: string_or_raw(written), written, value, has_developer: cursor.has_developer() })
}

/// Up to so many members are compared with each other, without a set. Real requests have fewer.
const FEW_MEMBERS: usize = 32;

fn has_repeated(members: &[Member<'_>]) -> bool {
    if members.len() > FEW_MEMBERS {
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
    fn of_repeated_members_the_last_counts() {
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
    fn a_byte_order_mark_is_not_part_of_the_object() {
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
    fn a_body_in_utf_16_or_utf_32_is_named_as_such() {
        for body in [b"\xff\xfe{\0}\0".as_slice(), b"\xfe\xff\0{\0}", b"{\0}\0", b"\0{\0}", b"\0\0\0{"] {
            let Err(NotAnObject::Malformed(why)) = Object::parse(body) else { panic!("{body:?}") };
            assert!(why.contains("UTF-8"), "{why}");
        }
    }

    #[test]
    fn values_are_left_as_they_were_written() {
        let body = br#" { "messages" : [ {"content": "h\u00e9" } ] , "x":1.50 } "#;
        let object = Object::parse(body).unwrap();
        assert_eq!(object.get("messages"), Some(r#"[ {"content": "h\u00e9" } ]"#));
        assert_eq!(object.get("x"), Some("1.50"));
    }

    #[test]
    fn a_body_of_any_depth_is_read() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(Object::parse(deep.as_bytes()).unwrap().members().len(), 1);
    }

    #[test]
    fn other_json_is_distinguished_from_what_is_not_json() {
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
    fn what_is_wrong_with_an_object_is_said_with_its_place() {
        for (body, message) in [
            (r#"{"model":"g",}"#, "trailing comma at line 1 column 14"),
            (r#"{"model":"g" "n":1}"#, "expected `,` or `}` at line 1 column 14"),
            (r#"{"model" "g"}"#, "expected `:` at line 1 column 10"),
            ("{\n\"messages\": [{,}]}", "key must be a string at line 2 column 15"),
            (r#"{"a":1,"#, "EOF while parsing a value at line 1 column 7"),
            (r#"{"a":01}"#, "invalid number at line 1 column 7"),
            (r#"{"a":1} {}"#, "trailing characters at line 1 column 9"),
        ] {
            let error = Object::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error, NotAnObject::Malformed(message.to_owned()), "{body}");
        }
    }

    #[test]
    fn a_body_of_endless_members_is_refused() {
        let endless = format!(r#"{{{}"a":1}}"#, r#""b":2,"#.repeat(MAX_MEMBERS));
        assert!(matches!(Object::parse(endless.as_bytes()), Err(NotAnObject::Malformed(_))));
    }
}
