//! The top level of a JSON object whose end may still be to come: whether it is an error, decided as early as possible.

use memchr::memchr2;

/// What the members show that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// What a model has made.
    Content,
    /// An error.
    Error,
    /// The whole object, and neither of these.
    End,
    /// Neither so far.
    Unfinished,
    /// Something else than an object.
    NoJson,
}

/// Members that hold what was asked for, when they are not empty.
const CONTENT: [&[u8]; 8] =
    [b"choices", b"data", b"output", b"results", b"text", b"delta", b"item", b"candidates"];

/// Reads the object at the start of the bytes.
pub(super) fn scan(bytes: &[u8]) -> Seen {
    match bytes.split_first() {
        Some((b'{', rest)) => members(rest).unwrap_or(Seen::Unfinished),
        Some(_) => Seen::NoJson,
        None => Seen::Unfinished,
    }
}

/// `None` where the bytes end before the object does.
fn members(mut rest: &[u8]) -> Option<Seen> {
    loop {
        rest = rest.trim_ascii_start();
        let (key, after) = match rest.split_first()? {
            (b'}', _) => return Some(Seen::End),
            (b',', after) => {
                rest = after;
                continue;
            }
            (b'"', after) => string(after)?,
            _ => return Some(Seen::NoJson),
        };
        let value = match after.trim_ascii_start().split_first()? {
            (b':', value) => value.trim_ascii_start(),
            _ => return Some(Seen::NoJson),
        };
        if let Some(seen) = member(key, value)? {
            return Some(seen);
        }
        rest = skipped(value)?;
    }
}

/// What a member shows, the inner `None` being nothing; the outer one where more of its value is needed.
fn member(key: &[u8], value: &[u8]) -> Option<Option<Seen>> {
    Some(match key {
        b"error" | b"errors" => is_filled(value)?.then_some(Seen::Error),
        b"object" | b"type" => names_an_error(value)?.then_some(Seen::Error),
        _ if CONTENT.contains(&key) => is_filled(value)?.then_some(Seen::Content),
        _ => None,
    })
}

/// Whether a value is more than null, false, 0 or nothing in brackets or quotes.
fn is_filled(value: &[u8]) -> Option<bool> {
    let (first, rest) = value.split_first()?;
    Some(match first {
        b'{' | b'[' => !matches!(rest.trim_ascii_start().first()?, b'}' | b']'),
        b'"' => *rest.first()? != b'"',
        first => !matches!(first, b'n' | b'f' | b'0'),
    })
}

fn names_an_error(value: &[u8]) -> Option<bool> {
    match value.split_first()? {
        (b'"', rest) => Some(matches!(string(rest)?.0, b"error" | b"response.failed" | b"response.error")),
        _ => Some(false),
    }
}

/// A string whose first quote is behind us, as it was written, and what follows it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = 0_usize;
    loop {
        end = end.checked_add(memchr2(b'"', b'\\', bytes.get(end..)?)?)?;
        if bytes.get(end) == Some(&b'"') {
            return Some((bytes.get(..end)?, bytes.get(end.checked_add(1)?..)?));
        }
        end = end.checked_add(2)?;
    }
}

/// What follows a value.
fn skipped(value: &[u8]) -> Option<&[u8]> {
    let mut rest = value;
    let mut depth = 0_u32;
    loop {
        let (first, after) = rest.split_first()?;
        match first {
            b'"' => rest = string(after)?.1,
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                rest = after;
            }
            b'}' | b']' if depth == 0 => return Some(rest),
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                rest = after;
            }
            b',' if depth == 0 => return Some(rest),
            _ => {
                rest = after;
                continue;
            }
        }
        if depth == 0 && matches!(first, b'"' | b'}' | b']') {
            return Some(rest);
        }
    }
}
