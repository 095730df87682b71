//! Errors in the middle of a stream. The request cannot be retried by then, but the attempt counts
//! as a failure.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};
use memchr::{memchr2, memrchr2};

use super::top_level::{self, ObjectScan};

/// The data of an error event contains one of these.
const DATA_MARKERS: [&[u8]; 2] = [b"\"error\"", b"\"response.failed\""];
/// Lines that name an error event.
const EVENT_LINES: [&[u8]; 2] = [b"event: error", b"event:error"];

/// What every marker and every such line contains. Made once: most pieces have neither.
static PARTS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new("error"), Finder::new("\"response.failed\"")]);

/// Whether a piece of an event stream has an error event. An event that is cut in two is not found,
/// so that its failure goes uncounted; providers send an error in one piece.
pub fn has_error_event(piece: &[u8]) -> bool {
    if !PARTS.iter().any(|part| part.find(piece).is_some()) {
        return false;
    }
    let is_named = |event: &&[u8]| lines_with(piece, event).any(|line| line.trim_ascii_end() == *event);
    let has_data = |marker: &&[u8]| lines_with(piece, marker).any(|line| is_error_data(line, marker));
    DATA_MARKERS.iter().any(has_data) || EVENT_LINES.iter().any(is_named)
}

/// Every successful response has `"error":null`, which is skipped before anything is parsed.
fn is_error_data(line: &[u8], marker: &[u8]) -> bool {
    let data = line.strip_prefix(b"data:").unwrap_or_default().trim_ascii_start();
    memmem::find_iter(data, marker).any(|at| !is_null(data.get(at..), marker.len()))
        && top_level::scan_whole(data) == ObjectScan::Error
}

fn is_null(rest: Option<&[u8]>, marker: usize) -> bool {
    let after = rest.and_then(|rest| rest.get(marker..)).unwrap_or_default().trim_ascii_start();
    after.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"null"))
}

/// The lines that contain a word, each once.
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
