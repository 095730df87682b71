//! A body that replaces the client's: new bytes, with pieces of the client's own body between them.
//!
//! A VM never releases memory, so a prompt or a file of megabytes is not copied: Envoy gets it from
//! the client's body.

use std::ops::Range;

/// Pieces of fewer bytes are copied, which costs less than a host call for each.
const MIN_KEPT: usize = 16 * 1024;

/// A body in pieces, of which most bodies have one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RewrittenBody {
    bytes: Vec<u8>,
    kept: Vec<Kept>,
}

/// A piece of the client's body.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    /// The number of new bytes in front of it.
    at: usize,
    /// Its bytes in the client's body.
    range: Range<usize>,
}

impl RewrittenBody {
    /// Its length in bytes.
    pub fn length(&self) -> usize {
        self.kept.iter().map(|kept| kept.range.len()).fold(self.bytes.len(), usize::saturating_add)
    }

    /// The pieces in order, the first of new bytes. `client` is the client's body.
    pub fn pieces<'a>(&'a self, client: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let ends = self.kept.iter().map(|kept| kept.at).chain([self.bytes.len()]);
        let starts = [0].into_iter().chain(self.kept.iter().map(|kept| kept.at));
        let new = starts.zip(ends).map(|(start, end)| self.bytes.get(start..end).unwrap_or_default());
        let kept = self.kept.iter().map(|kept| client.get(kept.range.clone()).unwrap_or_default());
        new.zip(kept.map(Some).chain([None])).flat_map(|(new, kept)| [Some(new), kept]).flatten()
    }

    /// The whole body in one piece.
    pub fn joined(&self, client: &[u8]) -> Vec<u8> {
        self.pieces(client).collect::<Vec<_>>().concat()
    }
}

impl From<Vec<u8>> for RewrittenBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, kept: Vec::new() }
    }
}

/// Writes a [`RewrittenBody`].
#[derive(Debug)]
pub struct BodyWriter<'a> {
    client: &'a [u8],
    body: RewrittenBody,
}

impl<'a> BodyWriter<'a> {
    /// Starts a body from the client's, with room for `capacity` new bytes.
    pub fn new(client: &'a [u8], capacity: usize) -> Self {
        Self { client, body: RewrittenBody::from(Vec::with_capacity(capacity)) }
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.body.bytes.is_empty() && self.body.kept.is_empty()
    }

    /// Appends bytes. Large pieces of the client's body are not copied.
    pub fn write(&mut self, pieces: &[&[u8]]) {
        for piece in pieces {
            match self.range_of(piece) {
                Some(range) => self.body.kept.push(Kept { at: self.body.bytes.len(), range }),
                None => self.body.bytes.extend_from_slice(piece),
            }
        }
    }

    /// The body.
    pub fn finish(self) -> RewrittenBody {
        self.body
    }

    /// The range of a large piece in the client's body, if it is a part of that.
    fn range_of(&self, piece: &[u8]) -> Option<Range<usize>> {
        if piece.len() < MIN_KEPT {
            return None;
        }
        let start = piece.as_ptr().addr().checked_sub(self.client.as_ptr().addr())?;
        let end = start.checked_add(piece.len())?;
        (end <= self.client.len()).then_some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pieces_of_the_clients_body_are_not_copied() {
        let client = [vec![b'a'; MIN_KEPT], vec![b'b'; MIN_KEPT], vec![b'c'; 100]].concat();
        let mut writer = BodyWriter::new(&client, 0);
        assert!(writer.is_empty());
        writer.write(&[
            b"one",
            &client[..MIN_KEPT],
            &client[MIN_KEPT..2 * MIN_KEPT],
            b"two",
            &client[2 * MIN_KEPT..],
            b"three",
        ]);
        let body = writer.finish();
        assert_eq!(body.bytes.len(), "onetwothree".len() + 100);
        let expected = [b"one", &client[..2 * MIN_KEPT], b"two", &client[2 * MIN_KEPT..], b"three"].concat();
        assert_eq!(body.joined(&client), expected);
        assert_eq!(body.length(), expected.len());
        assert_eq!(body.pieces(&client).next(), Some(b"one".as_slice()));
    }

    #[test]
    fn large_pieces_from_elsewhere_are_copied() {
        let (client, other) = (vec![b'a'; 2 * MIN_KEPT], vec![b'b'; MIN_KEPT]);
        let mut writer = BodyWriter::new(&client, 0);
        writer.write(&[&other]);
        assert_eq!(writer.finish(), RewrittenBody::from(other));
    }

    #[test]
    fn a_small_body_is_one_piece() {
        let client = b"{\"a\":1}";
        let mut writer = BodyWriter::new(client, 16);
        writer.write(&[b"{", &client[1..]]);
        assert_eq!(writer.finish().pieces(client).collect::<Vec<_>>(), [b"{\"a\":1}"]);
    }
}
