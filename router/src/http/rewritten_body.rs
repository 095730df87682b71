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

/// What turns the body that a deployment got into the client's again. Large pieces are in both, so
/// they are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// The length of the deployment's body.
    sent: usize,
    body: OriginalBody,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum OriginalBody {
    /// That of the deployment.
    Same,
    /// Another.
    Whole(Vec<u8>),
    /// Pieces of its own, each followed by a range of the deployment's body.
    Pieces(Vec<(Vec<u8>, Range<usize>)>),
}

impl Original {
    /// Of a client's body, in place of which the deployment got `new`, if that is another.
    pub fn new(client: Vec<u8>, new: Option<&RewrittenBody>) -> Self {
        let sent = new.map_or(client.len(), RewrittenBody::length);
        let body = match new {
            None => OriginalBody::Same,
            Some(new) => match new.own_pieces(&client) {
                Some(pieces) => OriginalBody::Pieces(pieces),
                None => OriginalBody::Whole(client),
            },
        };
        Self { sent, body }
    }

    /// Bytes that it keeps.
    pub fn kept(&self) -> usize {
        match &self.body {
            OriginalBody::Same => 0,
            OriginalBody::Whole(body) => body.len(),
            OriginalBody::Pieces(pieces) => pieces.iter().map(|(own, _)| own.len()).sum(),
        }
    }

    /// The client's body in pieces, made from the deployment's. `None` if `sent` is not that.
    pub fn pieces<'a>(&'a self, sent: &'a [u8]) -> Option<Vec<&'a [u8]>> {
        if sent.len() != self.sent {
            return None;
        }
        match &self.body {
            OriginalBody::Same => Some(vec![sent]),
            OriginalBody::Whole(body) => Some(vec![body]),
            OriginalBody::Pieces(pieces) => {
                let mut all = Vec::with_capacity(pieces.len().saturating_mul(2));
                for (own, range) in pieces {
                    all.push(own.as_slice());
                    all.push(sent.get(range.clone())?);
                }
                Some(all)
            }
        }
    }
}

impl RewrittenBody {
    /// What the client's body has between the pieces that are in both, each with the range of the
    /// piece that follows in this body. `None` where nothing large is in both once and in order.
    fn own_pieces(&self, client: &[u8]) -> Option<Vec<(Vec<u8>, Range<usize>)>> {
        let mut pieces = Vec::with_capacity(self.kept.len().saturating_add(1));
        let (mut at, mut before) = (0_usize, 0_usize);
        for Kept { at: new_bytes, range } in &self.kept {
            let start = new_bytes.saturating_add(before);
            before = before.saturating_add(range.len());
            pieces.push((client.get(at..range.start)?.to_vec(), start..start.saturating_add(range.len())));
            at = range.end;
        }
        pieces.push((client.get(at..)?.to_vec(), 0..0));
        (!self.kept.is_empty()).then_some(pieces)
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
        range_in(self.client, piece)
    }
}

/// The range of a piece in these bytes, if it is a part of them and not equal bytes elsewhere.
pub fn range_in(bytes: &[u8], piece: &[u8]) -> Option<Range<usize>> {
    let start = piece.as_ptr().addr().checked_sub(bytes.as_ptr().addr())?;
    let end = start.checked_add(piece.len())?;
    (end <= bytes.len()).then_some(start..end)
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

    /// The client's body again, and the bytes that were kept for it.
    fn restored(client: &[u8], body: &RewrittenBody) -> (Vec<u8>, usize) {
        let original = Original::new(client.to_vec(), Some(body));
        let kept = original.kept();
        let sent = body.joined(client);
        assert_eq!(original.pieces(&sent[1..]), None, "a body that is not the one that was sent");
        (original.pieces(&sent).map(|pieces| pieces.concat()).unwrap_or_default(), kept)
    }

    #[test]
    fn the_clients_body_can_be_restored_without_a_copy_of_its_large_pieces() {
        let client = [vec![b'a'; 100], vec![b'b'; MIN_KEPT], vec![b'c'; 100], vec![b'd'; MIN_KEPT]].concat();
        let mut writer = BodyWriter::new(&client, 0);
        writer.write(&[b"new", &client[100..100 + MIN_KEPT], b"end", &client[200 + MIN_KEPT..]]);
        let body = writer.finish();
        assert_eq!(restored(&client, &body), (client, 200));
    }

    #[test]
    fn a_client_body_without_large_pieces_in_order_is_kept_whole() {
        let client = [vec![b'a'; MIN_KEPT], vec![b'b'; MIN_KEPT]].concat();
        let (first, second) = client.split_at(MIN_KEPT);
        for pieces in [&[second, first][..], &[first, first], &[b"small"]] {
            let mut writer = BodyWriter::new(&client, 0);
            writer.write(pieces);
            let body = writer.finish();
            assert_eq!(restored(&client, &body), (client.clone(), client.len()));
        }
    }

    #[test]
    fn a_body_that_was_sent_as_it_came_is_the_clients() {
        let original = Original::new(b"{}".to_vec(), None);
        assert_eq!(original.pieces(b"{}"), Some(vec![b"{}".as_slice()]));
        assert_eq!(original.pieces(b""), None);
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
