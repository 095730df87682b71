//! Errors in the middle of a stream. Nothing can be tried again then, but the attempt was no success.

use memchr::{memchr2, memmem, memrchr2};

use super::top_level::{self, Snapshot};

/// One of these is in every event that is an error.
const WORDS: [&[u8]; 2] = [b"\"error\"", b"\"response.failed\""];
const EVENTS: [&[u8]; 2] = [b"event: error", b"event:error"];

/// Whether a piece of a stream of events holds one that is an error. An event that is cut in two is not read, which costs a
/// failure that goes uncounted; providers send an error as one piece.
pub fn tells_of_an_error(piece: &[u8]) -> bool {
    let is_error_event = |event: &&[u8]| lines_with(piece, event).any(|line| line.trim_ascii_end() == *event);
    let is_error_data = |word: &&[u8]| lines_with(piece, word).any(|line| is_an_error(line, word));
    WORDS.iter().any(is_error_data) || EVENTS.iter().any(is_error_event)
}

/// `"error":null` is in every response that goes well.
fn is_an_error(line: &[u8], word: &[u8]) -> bool {
    let data = line.strip_prefix(b"data:").unwrap_or_default().trim_ascii_start();
    memmem::find_iter(data, word).any(|at| !is_null(data.get(at..), word.len()))
        && top_level::scan_whole(data) == Snapshot::Error
}

fn is_null(rest: Option<&[u8]>, word: usize) -> bool {
    let after = rest.and_then(|rest| rest.get(word..)).unwrap_or_default().trim_ascii_start();
    after.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"null"))
}

/// The lines that hold a word, each once, however often they do.
fn lines_with<'a>(piece: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut from = 0_usize;
    std::iter::from_fn(move || {
        let at = memmem::find(piece.get(from..)?, word)?.saturating_add(from);
        let (before, after) = piece.split_at_checked(at)?;
        let start = memrchr2(b'\n', b'\r', before).map_or(0, |end| end.saturating_add(1));
        let end = at.saturating_add(memchr2(b'\n', b'\r', after).unwrap_or(after.len()));
        from = end;
        piece.get(start..end)
    })
}
