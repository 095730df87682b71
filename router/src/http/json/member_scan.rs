//! Finds members of JSON in a text that arrives in pieces: a document, or the data of server-sent
//! events. Nothing is copied: a string becomes a hash on its way.

use memchr::memchr2;

use super::unescape::{Unescape, Unescaped};
use crate::hash::Hasher;

/// The longest name that is compared.
const NAME: usize = 24;

/// Open objects and lists whose names are known, at most: the outermost.
const PATH: usize = 4;

/// A member of one of the names: a string, or the end of an object or a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which of the names it has.
    pub name: &'static str,
    /// Open objects and lists around it; 1 at the top level.
    pub depth: u32,
    /// Which of the names those have, the outermost first; empty for another name or none. Only the
    /// first `depth` count.
    pub path: [&'static str; PATH],
    /// The hash of the first bytes of the string, however that is escaped; `None` for an end.
    pub hash: Option<u64>,
}

/// Finds the members of some names.
#[derive(Clone, Debug)]
pub struct MemberScan {
    names: &'static [&'static str],
    /// Bytes of a value's text that are hashed, at most.
    most: usize,
    depth: u32,
    path: [&'static str; PATH],
    position: Position,
}

/// Where the next byte is.
#[derive(Clone, Copy, Debug)]
enum Position {
    /// Outside of strings.
    Outside,
    /// In a string that may be a name: its first bytes, and how many there are.
    Name([u8; NAME], usize),
    /// In a string that is none of the names; behind a backslash or not.
    Other { is_escaped: bool },
    /// Behind one of the names; behind its colon or not.
    Behind(&'static str, bool),
    /// In its value.
    Value(&'static str, ValueHash),
}

/// The hash of a value so far.
#[derive(Clone, Copy, Debug)]
struct ValueHash {
    unescape: Unescape,
    hash: Hasher,
    /// Bytes that are hashed yet, at most.
    left: usize,
}

impl ValueHash {
    fn add(mut self, text: &[u8]) -> Self {
        let text = text.get(..self.left).unwrap_or(text);
        self.hash.add(text);
        self.left = self.left.saturating_sub(text.len());
        self
    }
}

impl MemberScan {
    /// Finds members of these names, of at most 24 bytes, and hashes so many bytes of each value.
    pub fn new(names: &'static [&'static str], most: usize) -> Self {
        Self { names, most, depth: 0, path: [""; PATH], position: Position::Outside }
    }

    /// Reads the next piece, and passes on what it completes.
    pub fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(Found)) {
        let mut rest = piece;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            // A line end in a string is no JSON: the next value starts anew.
            let is_inside = !matches!(self.position, Position::Outside | Position::Behind(..));
            if matches!(byte, b'\n' | b'\r') && is_inside {
                (self.depth, self.position) = (0, Position::Outside);
                continue;
            }
            self.position = match self.position {
                // Most strings are plain, and all in one piece.
                Position::Outside if *byte == b'"' && self.depth > 0 => match plain_string(rest) {
                    Some((text, after)) => {
                        rest = after;
                        self.behind_string(text)
                    }
                    None => Position::Name([0; NAME], 0),
                },
                Position::Outside => self.outside(*byte, "", found),
                Position::Name(name, length) => self.name(*byte, name, length),
                Position::Other { is_escaped: true } => Position::Other { is_escaped: false },
                Position::Other { .. } => match byte {
                    b'"' => Position::Outside,
                    b'\\' => Position::Other { is_escaped: true },
                    _ => {
                        rest = skip_text(rest);
                        self.position
                    }
                },
                Position::Behind(name, has_colon) => self.behind(*byte, name, has_colon, found),
                Position::Value(name, mut value) => match value.unescape.next(*byte) {
                    Unescaped::End => self.end(name, value.hash, found),
                    _ if value.left == 0 => self.end_early(name, value.hash, *byte, found),
                    Unescaped::Nothing => Position::Value(name, value),
                    Unescaped::Byte(byte) => Position::Value(name, value.add(&[byte])),
                    Unescaped::Char(char) => {
                        Position::Value(name, value.add(char.encode_utf8(&mut [0; 4]).as_bytes()))
                    }
                },
            };
        }
    }

    /// `name` is that of the value which may begin here.
    fn outside(&mut self, byte: u8, name: &'static str, found: &mut dyn FnMut(Found)) -> Position {
        match byte {
            b'{' | b'[' => {
                if let Some(place) = self.path.get_mut(self.depth as usize) {
                    *place = name;
                }
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                match self.path.get(self.depth as usize) {
                    None | Some(&"") => {}
                    Some(name) => self.pass_on(name, None, found),
                }
            }
            // Between documents, and in the other fields of events, any byte is skipped.
            b'"' if self.depth > 0 => return Position::Name([0; NAME], 0),
            _ => {}
        }
        Position::Outside
    }

    fn name(&self, byte: u8, mut name: [u8; NAME], length: usize) -> Position {
        match (byte, name.get_mut(length)) {
            (b'"', _) => self.behind_string(name.get(..length).unwrap_or_default()),
            (b'\\', _) => Position::Other { is_escaped: true },
            (_, Some(place)) => {
                *place = byte;
                Position::Name(name, length.saturating_add(1))
            }
            (_, None) => Position::Other { is_escaped: false },
        }
    }

    /// Behind a string that is a name or not.
    fn behind_string(&self, text: &[u8]) -> Position {
        let known = self.names.iter().find(|known| known.as_bytes() == text);
        known.map_or(Position::Outside, |known| Position::Behind(known, false))
    }

    fn behind(
        &mut self,
        byte: u8,
        name: &'static str,
        has_colon: bool,
        found: &mut dyn FnMut(Found),
    ) -> Position {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => Position::Behind(name, has_colon),
            b':' if !has_colon => Position::Behind(name, true),
            b'"' if has_colon => {
                let value =
                    ValueHash { unescape: Unescape::default(), hash: Hasher::new(0), left: self.most };
                Position::Value(name, value)
            }
            _ => self.outside(byte, if has_colon { name } else { "" }, found),
        }
    }

    fn end(&self, name: &'static str, hash: Hasher, found: &mut dyn FnMut(Found)) -> Position {
        self.pass_on(name, Some(hash.finish()), found);
        Position::Outside
    }

    fn pass_on(&self, name: &'static str, hash: Option<u64>, found: &mut dyn FnMut(Found)) {
        found(Found { name, depth: self.depth, path: self.path, hash });
    }

    /// The rest of a value is not hashed.
    fn end_early(
        &self,
        name: &'static str,
        hash: Hasher,
        byte: u8,
        found: &mut dyn FnMut(Found),
    ) -> Position {
        self.end(name, hash, found);
        Position::Other { is_escaped: byte == b'\\' }
    }
}

/// A string without escapes that ends in this piece, from behind its first quote on, and what
/// follows it.
fn plain_string(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (text, after) = rest.split_at_checked(memchr2(b'"', b'\\', rest)?)?;
    let after = after.strip_prefix(b"\"")?;
    memchr2(b'\n', b'\r', text).is_none().then_some((text, after))
}

/// From the next byte of a string on that means something.
fn skip_text(rest: &[u8]) -> &[u8] {
    let end = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    let (text, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
    match memchr2(b'\n', b'\r', text) {
        Some(line_end) => rest.get(line_end..).unwrap_or_default(),
        None => after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(&'static str, u32, u64)> {
        let mut scan = MemberScan::new(&["id", "encrypted_content"], 8);
        let mut all = Vec::new();
        for piece in pieces {
            scan.feed(piece, &mut |found| all.extend(found.hash.map(|hash| (found.name, found.depth, hash))));
        }
        all
    }

    fn hash(text: &str) -> u64 {
        hash_of(text.as_bytes())
    }

    fn hash_of(bytes: &[u8]) -> u64 {
        crate::hash::hash(bytes)
    }

    #[test]
    fn members_are_found_at_their_depth() {
        for (text, expected) in [
            (r#"{"id":"a"}"#, vec![("id", 1, hash("a"))]),
            (r#"{ "object" : "x" , "id" : "a" }"#, vec![("id", 1, hash("a"))]),
            (r#"{"list":[{"id":"b"}],"id":"a"}"#, vec![("id", 3, hash("b")), ("id", 1, hash("a"))]),
            (r#"{"id":7,"id":null,"id":{"id":"x"}}"#, vec![("id", 2, hash("x"))]),
            (r#"{"x":"id","y":"\"id\":\"z\"","ids":"q","i":"d"}"#, vec![]),
            (r#"{"x\"id":"a","id\\":"b"}"#, vec![]),
            (
                r#"{"encrypted_content":"12345678901234\\\"x","id":"a"}"#,
                vec![("encrypted_content", 1, hash("12345678")), ("id", 1, hash("a"))],
            ),
            (r#"{"encrypted_content":"12345678"}"#, vec![("encrypted_content", 1, hash("12345678"))]),
            (r#"{"id":"\"a\/\u002b\\"}"#, vec![("id", 1, hash("\"a/+\\"))]),
            (r#"{"id":"1234567\u00e9\"","id":"1234567é"}"#, vec![("id", 1, hash_of(b"1234567\xc3")); 2]),
            (r#""id":"a""#, vec![]),
            (
                "event: \"id\":\ndata: {\"type\":\"t\",\"response\":{\"id\":\"a\"}}\n\n",
                vec![("id", 2, hash("a"))],
            ),
            ("data: {\"cut\":[{\"off\n\ndata: {\"id\":\"a\"}\n\n", vec![("id", 1, hash("a"))]),
        ] {
            assert_eq!(found([text.as_bytes()]), expected, "{text}");
            assert_eq!(found(text.as_bytes().chunks(1)), expected, "{text}");
            assert_eq!(found(text.as_bytes().chunks(3)), expected, "{text}");
        }
    }

    #[test]
    fn what_is_around_a_member_has_a_name_and_an_end() {
        let text = r#"{"a":{"id":"1"},"x":{"b":[{"id":"2"}]},"b":[],"a":[{"b":{"id":"4"}}]}"#;
        let expected = ["a/id", "/a ends", "/b//id", "/b ends", "/b ends", "a//b/id", "a//b ends", "/a ends"];
        for size in [1, 3, 1000] {
            let mut scan = MemberScan::new(&["id", "a", "b"], 8);
            let mut all = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                scan.feed(piece, &mut |found| {
                    let around = found.path.get(1..found.depth as usize).unwrap_or_default().join("/");
                    let end = if found.hash.is_none() { " ends" } else { "" };
                    all.push(format!("{around}/{}{end}", found.name));
                });
            }
            assert_eq!(all, expected, "{size}");
        }
    }

    #[test]
    fn a_long_text_is_skipped_and_read_no_further() {
        let text = format!(r#"{{"text":"{}","id":"a"}}"#, "word \\\" ".repeat(10_000));
        assert_eq!(found([text.as_bytes()]), [("id", 1, hash("a"))]);
        assert_eq!(found(text.as_bytes().chunks(7)), [("id", 1, hash("a"))]);
    }
}
