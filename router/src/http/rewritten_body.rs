//! A body that goes out in place of the client's: what is new in it, and where pieces of the client's own stand between.
//!
//! A VM never gives memory back. So a prompt or a file of megabytes is not copied: Envoy gets it from where it lies.

use std::ops::Range;

/// Pieces below this are copied, because a call of the host for each of them would cost more.
const LARGE: usize = 16 * 1024;

/// A body as pieces. Most have one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RewrittenBody {
    bytes: Vec<u8>,
    kept: Vec<Kept>,
}

/// A piece of the client's body.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    /// How many of the new bytes go in front of it.
    at: usize,
    place: Range<usize>,
}

impl RewrittenBody {
    /// Its length in bytes.
    pub fn length(&self) -> usize {
        self.kept.iter().map(|kept| kept.place.len()).fold(self.bytes.len(), usize::saturating_add)
    }

    /// Its pieces in order; `old` is the body that it was made from. The first has new bytes.
    pub fn pieces<'a>(&'a self, old: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let ends = self.kept.iter().map(|kept| kept.at).chain([self.bytes.len()]);
        let starts = [0].into_iter().chain(self.kept.iter().map(|kept| kept.at));
        let new = starts.zip(ends).map(|(start, end)| self.bytes.get(start..end).unwrap_or_default());
        let kept = self.kept.iter().map(|kept| old.get(kept.place.clone()).unwrap_or_default());
        new.zip(kept.map(Some).chain([None])).flat_map(|(new, kept)| [Some(new), kept]).flatten()
    }

    /// All of it in one piece.
    pub fn joined(&self, old: &[u8]) -> Vec<u8> {
        self.pieces(old).collect::<Vec<_>>().concat()
    }
}

impl From<Vec<u8>> for RewrittenBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, kept: Vec::new() }
    }
}

/// A [`RewrittenBody`] in the making.
#[derive(Debug)]
pub struct BodyWriter<'a> {
    old: &'a [u8],
    body: RewrittenBody,
}

impl<'a> BodyWriter<'a> {
    /// Starts a body that is made from `old`, with room for so many new bytes.
    pub fn new(old: &'a [u8], capacity: usize) -> Self {
        Self { old, body: RewrittenBody::from(Vec::with_capacity(capacity)) }
    }

    /// Whether nothing was written so far.
    pub fn is_empty(&self) -> bool {
        self.body.bytes.is_empty() && self.body.kept.is_empty()
    }

    /// Adds bytes at the end. Large ones that lie in the old body are not copied.
    pub fn write(&mut self, pieces: &[&[u8]]) {
        for piece in pieces {
            match self.place(piece) {
                Some(place) => self.body.kept.push(Kept { at: self.body.bytes.len(), place }),
                None => self.body.bytes.extend_from_slice(piece),
            }
        }
    }

    /// The body.
    pub fn finish(self) -> RewrittenBody {
        self.body
    }

    /// Where a large piece lies in the old body, if it does.
    fn place(&self, piece: &[u8]) -> Option<Range<usize>> {
        if piece.len() < LARGE {
            return None;
        }
        let start = piece.as_ptr().addr().checked_sub(self.old.as_ptr().addr())?;
        let end = start.checked_add(piece.len())?;
        (end <= self.old.len()).then_some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pieces_of_the_old_body_stay_where_they_are() {
        let old = [vec![b'a'; LARGE], vec![b'b'; LARGE], vec![b'c'; 100]].concat();
        let mut writer = BodyWriter::new(&old, 0);
        assert!(writer.is_empty());
        writer.write(&[b"one", &old[..LARGE], &old[LARGE..2 * LARGE], b"two", &old[2 * LARGE..], b"three"]);
        let body = writer.finish();
        assert_eq!(body.bytes.len(), "onetwothree".len() + 100);
        let expected = [b"one", &old[..2 * LARGE], b"two", &old[2 * LARGE..], b"three"].concat();
        assert_eq!(body.joined(&old), expected);
        assert_eq!(body.length(), expected.len());
        assert_eq!(body.pieces(&old).next(), Some(b"one".as_slice()));
    }

    #[test]
    fn large_pieces_from_elsewhere_are_copied() {
        let (old, other) = (vec![b'a'; 2 * LARGE], vec![b'b'; LARGE]);
        let mut writer = BodyWriter::new(&old, 0);
        writer.write(&[&other]);
        assert_eq!(writer.finish(), RewrittenBody::from(other));
    }

    #[test]
    fn a_small_body_is_one_piece() {
        let old = b"{\"a\":1}";
        let mut writer = BodyWriter::new(old, 16);
        writer.write(&[b"{", &old[1..]]);
        assert_eq!(writer.finish().pieces(old).collect::<Vec<_>>(), [b"{\"a\":1}"]);
    }
}
