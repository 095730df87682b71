//! The top level of a JSON object that may be incomplete: whether it is an error, decided as early
//! as possible.

use memchr::memchr2;

use crate::upstream::finish_reason;

/// What the members so far show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectScan {
    /// Output of a model.
    Content,
    /// An error.
    Error,
    /// Neither of these, and the object is complete.
    Neither,
    /// Neither of these so far.
    Unfinished,
    /// Not an object.
    NotJson,
}

/// Members that are model output unless they are empty.
const CONTENT: [&[u8]; 9] =
    [b"choices", b"content", b"data", b"output", b"results", b"text", b"delta", b"item", b"candidates"];

/// Objects in an answer that may hold an error, and the member that says so: Groq's chunks,
/// MiniMax's answers.
const ENVELOPES: [(&[u8], &[u8]); 2] = [(b"x_groq", b"error"), (b"base_resp", b"status_code")];
/// Members of a message that are none of its output. MiniMax sends a name.
pub(super) const LABELS: [&[u8]; 2] = [b"role", b"name"];
/// Levels of objects within an error that are read.
const MAX_DEPTH: u32 = 4;

/// Reads the object at the start of the bytes, up to the first member that decides.
pub(super) fn scan(bytes: &[u8]) -> ObjectScan {
    read(bytes, |_| true)
}

/// Reads the object, or the first one of a list, to its end: an error counts wherever it is.
pub(super) fn scan_whole(bytes: &[u8]) -> ObjectScan {
    let first = bytes.strip_prefix(b"[").map_or(bytes, <[u8]>::trim_ascii_start);
    let mut has_content = false;
    let seen = read(first, |seen| {
        has_content |= seen == ObjectScan::Content;
        seen == ObjectScan::Error
    });
    if has_content && seen != ObjectScan::Error { ObjectScan::Content } else { seen }
}

fn read(bytes: &[u8], decides: impl FnMut(ObjectScan) -> bool) -> ObjectScan {
    match bytes.split_first() {
        Some((b'{', rest)) => members(rest, decides).unwrap_or(ObjectScan::Unfinished),
        Some(_) => ObjectScan::NotJson,
        None => ObjectScan::Unfinished,
    }
}

/// `None` where the bytes end before the object does.
fn members(mut rest: &[u8], mut decides: impl FnMut(ObjectScan) -> bool) -> Option<ObjectScan> {
    loop {
        let (key, value) = match next(rest)? {
            Next::Member(key, value) => (key, value),
            Next::End => return Some(ObjectScan::Neither),
            Next::NotJson => return Some(ObjectScan::NotJson),
        };
        if let Some(seen) = member(key, value)?.filter(|seen| decides(*seen)) {
            return Some(seen);
        }
        rest = skipped(value)?;
    }
}

/// The next thing in an object.
enum Next<'a> {
    /// A key, and the text from its value on.
    Member(&'a [u8], &'a [u8]),
    End,
    NotJson,
}

fn next(rest: &[u8]) -> Option<Next<'_>> {
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix(b",").map_or(rest, <[u8]>::trim_ascii_start);
    let (key, after) = match rest.split_first()? {
        (b'}', _) => return Some(Next::End),
        (b'"', after) => string(after)?,
        _ => return Some(Next::NotJson),
    };
    Some(match after.trim_ascii_start().split_first()? {
        (b':', value) => Next::Member(key, value.trim_ascii_start()),
        _ => Next::NotJson,
    })
}

/// What a member shows, if anything; the outer `None` where more of its value is needed.
fn member(key: &[u8], value: &[u8]) -> Option<Option<ObjectScan>> {
    Some(match key {
        b"error" | b"errors" => is_error_value(value, 0)?.then_some(ObjectScan::Error),
        b"object" | b"type" => names_an_error(value)?.then_some(ObjectScan::Error),
        b"choices" if first_has_failed(value) == Some(true) => Some(ObjectScan::Error),
        _ if CONTENT.contains(&key) => is_filled(value)?.then_some(ObjectScan::Content),
        _ => {
            let Some((_, marker)) = ENVELOPES.iter().find(|(envelope, _)| *envelope == key) else {
                return Some(None);
            };
            let mut is_error =
                |key: &[u8], value: &[u8]| if key == *marker { is_filled(value) } else { Some(false) };
            any_member(value, &mut is_error)?.then_some(ObjectScan::Error)
        }
    })
}

/// Whether the first choice is none, as OpenRouter says it: by an error in it, or by ending without
/// output in a failure.
fn first_has_failed(choices: &[u8]) -> Option<bool> {
    let choice = choices.strip_prefix(b"[")?.trim_ascii_start();
    let (mut ends_in_error, mut has_output) = (false, false);
    let has_error = any_member(choice, &mut |key, value| {
        match key {
            b"error" => return is_error_value(value, 0),
            b"finish_reason" => ends_in_error = text(value)?.is_some_and(finish_reason::is_failure),
            b"text" => has_output |= is_filled(value)?,
            b"message" | b"delta" => {
                has_output |=
                    any_member(value, &mut |key, value| Some(!LABELS.contains(&key) && is_filled(value)?))?;
            }
            _ => {}
        }
        Some(false)
    })?;
    Some(has_error || (ends_in_error && !has_output))
}

/// Whether an error is one: some servers send `{"code": 0, "message": ""}` with every success.
fn is_error_value(value: &[u8], depth: u32) -> Option<bool> {
    match value.first()? {
        b'{' if depth < MAX_DEPTH => {
            any_member(value, &mut |_, value| is_error_value(value, depth.saturating_add(1)))
        }
        _ => is_filled(value),
    }
}

/// Whether a key and the text from its value on match; `None` where more of the value is needed.
type Matches<'a> = dyn FnMut(&[u8], &[u8]) -> Option<bool> + 'a;

/// Whether any member of an object matches.
fn any_member(object: &[u8], matches: &mut Matches<'_>) -> Option<bool> {
    let Some(mut rest) = object.strip_prefix(b"{") else { return Some(false) };
    while let Next::Member(key, value) = next(rest)? {
        if matches(key, value)? {
            return Some(true);
        }
        rest = skipped(value)?;
    }
    Some(false)
}

/// Whether a value is other than null, false, 0, an empty list, object or string.
fn is_filled(value: &[u8]) -> Option<bool> {
    let (first, rest) = value.split_first()?;
    Some(match first {
        b'{' | b'[' => !matches!(rest.trim_ascii_start().first()?, b'}' | b']'),
        b'"' => *rest.first()? != b'"',
        first => !matches!(first, b'n' | b'f' | b'0'),
    })
}

fn names_an_error(value: &[u8]) -> Option<bool> {
    Some(matches!(text(value)?, Some(b"error" | b"response.failed" | b"response.error")))
}

/// The raw text of a value, if it is one; the outer `None` where more of it is needed.
fn text(value: &[u8]) -> Option<Option<&[u8]>> {
    Some(match value.split_first()? {
        (b'"', rest) => Some(string(rest)?.0),
        _ => None,
    })
}

/// The raw text of a string up to its closing quote, and what follows; the opening quote has been
/// read.
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

/// The text behind a value.
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
