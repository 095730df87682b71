//! JSON, read by serde_json one level at a time, with the texts as they are written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name; as it is written where it has no text (half a surrogate pair).
    pub name: String,
    /// The text of its name, with quotes.
    pub written: &'a str,
    /// The text of its value.
    pub value: &'a str,
}

/// All members of an object in their order, repeated ones included; `None` for any other bytes.
pub fn members(bytes: &[u8]) -> Option<Vec<Member<'_>>> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(serde_json::from_str::<Pairs<'_>>(text).ok()?.0)
}

/// Of repeated members the last.
pub fn last_of_each<'a>(members: &[Member<'a>]) -> Vec<Member<'a>> {
    let is_last = |(place, member): &(usize, &Member<'_>)| {
        members.iter().skip(place + 1).all(|later| later.name != member.name)
    };
    members.iter().enumerate().filter(is_last).map(|(_, member)| member.clone()).collect()
}

/// The value of the last member of a name.
pub fn last<'a>(members: &[Member<'a>], name: &str) -> Option<&'a str> {
    members.iter().rev().find(|member| member.name == name).map(|member| member.value)
}

/// Whether the bytes are one JSON value of any depth.
pub fn is_valid(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

struct Pairs<'a>(Vec<Member<'a>>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let written = key.get();
            let name = serde_json::from_str(written).unwrap_or_else(|_| written.to_owned());
            members.push(Member { name, written, value: value.get() });
        }
        Ok(Pairs(members))
    }
}
