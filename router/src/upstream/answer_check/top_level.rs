//! The top level of a JSON object whose end may still be to come: whether it is an error, decided as early as possible.

use memchr::memchr2;

/// What the members show that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Snapshot {
    /// What a model has made.
    Content,
    /// An error.
    Error,
    /// The whole object, and neither of these.
    StreamEnd,
    /// Neither so far.
    Unfinished,
    /// Something else than an object.
    NoJson,
}

/// Members that hold what was asked for, when they are not empty.
const CONTENT: [&[u8]; 8] =
    [b"choices", b"data", b"output", b"results", b"text", b"delta", b"item", b"candidates"];

/// Objects that hold an error within an answer, and the member that tells: Groq's chunks, MiniMax's answers.
const ENVELOPES: [(&[u8], &[u8]); 2] = [(b"x_groq", b"error"), (b"base_resp", b"status_code")];
/// Objects within an error that are looked into.
const DEEPEST: u32 = 4;

/// Reads the object at the start of the bytes, up to the first member that decides.
pub(super) fn scan(bytes: &[u8]) -> Snapshot {
    read(bytes, |_| true)
}

/// Reads the object, or the first one of a list, to its end: an error counts wherever it stands.
pub(super) fn scan_whole(bytes: &[u8]) -> Snapshot {
    let first = bytes.strip_prefix(b"[").map_or(bytes, <[u8]>::trim_ascii_start);
    let mut has_content = false;
    let seen = read(first, |seen| {
        has_content |= seen == Snapshot::Content;
        seen == Snapshot::Error
    });
    if has_content && seen != Snapshot::Error { Snapshot::Content } else { seen }
}

fn read(bytes: &[u8], decides: impl FnMut(Snapshot) -> bool) -> Snapshot {
    match bytes.split_first() {
        Some((b'{', rest)) => members(rest, decides).unwrap_or(Snapshot::Unfinished),
        Some(_) => Snapshot::NoJson,
        None => Snapshot::Unfinished,
    }
}

/// `None` where the bytes end before the object does.
fn members(mut rest: &[u8], mut decides: impl FnMut(Snapshot) -> bool) -> Option<Snapshot> {
    loop {
        let (key, value) = match next(rest)? {
            Next::Member(key, value) => (key, value),
            Next::StreamEnd => return Some(Snapshot::StreamEnd),
            Next::NoJson => return Some(Snapshot::NoJson),
        };
        if let Some(seen) = member(key, value)?.filter(|seen| decides(*seen)) {
            return Some(seen);
        }
        rest = skipped(value)?;
    }
}

/// What comes next in an object.
enum Next<'a> {
    /// A key, and everything from its value on.
    Member(&'a [u8], &'a [u8]),
    StreamEnd,
    NoJson,
}

fn next(rest: &[u8]) -> Option<Next<'_>> {
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix(b",").map_or(rest, <[u8]>::trim_ascii_start);
    let (key, after) = match rest.split_first()? {
        (b'}', _) => return Some(Next::StreamEnd),
        (b'"', after) => string(after)?,
        _ => return Some(Next::NoJson),
    };
    Some(match after.trim_ascii_start().split_first()? {
        (b':', value) => Next::Member(key, value.trim_ascii_start()),
        _ => Next::NoJson,
    })
}

/// What a member shows, the inner `None` being nothing; the outer one where more of its value is needed.
fn member(key: &[u8], value: &[u8]) -> Option<Option<Snapshot>> {
    Some(match key {
        b"error" | b"errors" => says_something(value, 0)?.then_some(Snapshot::Error),
        b"object" | b"type" => names_an_error(value)?.then_some(Snapshot::Error),
        _ if CONTENT.contains(&key) => is_filled(value)?.then_some(Snapshot::Content),
        _ => match ENVELOPES.iter().find(|(envelope, _)| *envelope == key) {
            Some((_, tells)) => has(value, |key, value| match key == *tells {
                true => is_filled(value),
                false => Some(false),
            })?
            .then_some(Snapshot::Error),
            None => None,
        },
    })
}

/// Whether an error is one: some servers send `{"code": 0, "message": ""}` with what went well.
fn says_something(value: &[u8], depth: u32) -> Option<bool> {
    match value.first()? {
        b'{' if depth < DEEPEST => has(value, |_, value| says_something(value, depth.saturating_add(1))),
        _ => is_filled(value),
    }
}

/// Whether a member of an object is what is sought.
fn has(object: &[u8], mut is_sought: impl FnMut(&[u8], &[u8]) -> Option<bool>) -> Option<bool> {
    let Some(mut rest) = object.strip_prefix(b"{") else { return Some(false) };
    while let Next::Member(key, value) = next(rest)? {
        if is_sought(key, value)? {
            return Some(true);
        }
        rest = skipped(value)?;
    }
    Some(false)
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
