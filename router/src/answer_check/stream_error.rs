//! Errors in the middle of a stream. Nothing can be tried again then, but the attempt was no success.

use memchr::{memchr2, memmem, memrchr2};

use super::top_level::{self, Seen};

/// Whether a piece of a stream of events holds one that is an error. An event that is cut in two is not read, which costs a
/// failure that goes uncounted; providers send an error as one piece.
pub fn tells_of_an_error(piece: &[u8]) -> bool {
    [b"\"error\"".as_slice(), b"\"response.failed\""].iter().any(|word| {
        memmem::find_iter(piece, word)
            .any(|at| !is_null(piece.get(at..), word.len()) && is_in_an_error(piece, at))
    }) || memmem::find_iter(piece, b"event: error").any(|at| is_line(piece, at, b"event: error"))
}

/// `"error":null` is in every response that goes well.
fn is_null(rest: Option<&[u8]>, word: usize) -> bool {
    let after = rest.and_then(|rest| rest.get(word..)).unwrap_or_default().trim_ascii_start();
    after.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"null"))
}

fn is_in_an_error(piece: &[u8], at: usize) -> bool {
    let data = line_at(piece, at).strip_prefix(b"data:").unwrap_or_default();
    top_level::scan(data.trim_ascii_start()) == Seen::Error
}

fn is_line(piece: &[u8], at: usize, expected: &[u8]) -> bool {
    line_at(piece, at).trim_ascii_end() == expected
}

/// The line around a place.
fn line_at(piece: &[u8], at: usize) -> &[u8] {
    let (before, after) = piece.split_at_checked(at).unwrap_or_default();
    let start = memrchr2(b'\n', b'\r', before).map_or(0, |end| end.saturating_add(1));
    let end = memchr2(b'\n', b'\r', after).unwrap_or(after.len());
    piece.get(start..at.saturating_add(end)).unwrap_or_default()
}
