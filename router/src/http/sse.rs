//! Server-sent events, split by the standard (WHATWG HTML, 9.2.5 and 9.2.6): LF, CR or CRLF ends a
//! line, an empty line ends an event, and a byte order mark may precede the first line. Every byte
//! is read once, wherever the chunks are cut.

use memchr::memchr2;

/// The byte order mark, which may precede a body.
pub const BOM: &[u8] = b"\xef\xbb\xbf";

/// Splits a stream that arrives in chunks.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    /// The number of bytes of the byte order mark so far; `usize::MAX` behind it.
    bom: usize,
    /// The line has bytes.
    in_line: bool,
    /// The last chunk ended in CR: a next LF is a part of that line break.
    after_cr: bool,
}

/// A part of a stream within one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A byte of the byte order mark.
    Bom,
    /// Text of a line.
    Text(&'a [u8]),
    /// The end of a line.
    LineEnd,
    /// The end of an empty line, which ends an event.
    EventEnd,
    /// The LF behind a CR that ended the last chunk.
    LateLf,
}

impl Splitter {
    /// The next piece of a chunk, and the rest of the chunk; `None` at its end.
    pub fn next<'a>(&mut self, rest: &'a [u8]) -> Option<(Piece<'a>, &'a [u8])> {
        let (first, after) = rest.split_first()?;
        if std::mem::take(&mut self.after_cr) && *first == b'\n' {
            return Some((Piece::LateLf, after));
        }
        if BOM.get(self.bom) == Some(first) {
            self.bom = self.bom.saturating_add(1);
            return Some((Piece::Bom, after));
        }
        let mark = std::mem::replace(&mut self.bom, usize::MAX);
        if let Some(text @ [_, ..]) = BOM.get(..mark).filter(|text| text.len() < BOM.len()) {
            // An incomplete mark is text.
            self.in_line = true;
            return Some((Piece::Text(text), rest));
        }
        Some(match first {
            b'\n' => (self.line_end(), after),
            b'\r' => match after.split_first() {
                Some((b'\n', after)) => (self.line_end(), after),
                _ => {
                    self.after_cr = after.is_empty();
                    (self.line_end(), after)
                }
            },
            _ => {
                let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                let (text, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                self.in_line = true;
                (Piece::Text(text), after)
            }
        })
    }

    /// Whether the next byte begins a line that is not the first of the stream.
    pub fn is_at_start_of_line(&self) -> bool {
        self.bom == usize::MAX && !self.in_line && !self.after_cr
    }

    /// Whether the current line has bytes.
    pub fn in_line(&self) -> bool {
        self.in_line
    }

    fn line_end(&mut self) -> Piece<'static> {
        if std::mem::take(&mut self.in_line) { Piece::LineEnd } else { Piece::EventEnd }
    }
}

/// The first byte of a chunk that is neither a blank nor one of the byte order mark's.
pub fn first_byte(chunk: &[u8]) -> Option<u8> {
    chunk.iter().copied().find(|byte| !byte.is_ascii_whitespace() && !BOM.contains(byte))
}

/// The data of an event: the values of its `data` lines, joined. A byte order mark may precede the
/// stream's first event.
pub fn data(event: &[u8], is_first: bool) -> Vec<u8> {
    let event = event.strip_prefix(BOM).filter(|_| is_first).unwrap_or(event);
    let lines = event.split(|byte| matches!(byte, b'\n' | b'\r'));
    let values = lines.filter_map(|line| line.strip_prefix(b"data:"));
    values.collect::<Vec<_>>().join(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stream with `/` at the end of a line and `|` at the end of an event.
    fn lines(chunks: &[&[u8]]) -> String {
        let mut splitter = Splitter::default();
        let mut out = Vec::new();
        for chunk in chunks {
            let mut rest = *chunk;
            while let Some((piece, after)) = splitter.next(rest) {
                match piece {
                    Piece::Text(text) => out.extend_from_slice(text),
                    Piece::LineEnd => out.push(b'/'),
                    Piece::EventEnd => out.push(b'|'),
                    Piece::Bom | Piece::LateLf => {}
                }
                rest = after;
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn lines_end_as_the_standard_says_wherever_the_stream_is_cut() {
        for (stream, expected) in [
            ("a\n\nb\r\n\r\nc\r\rd", "a/|b/|c/|d"),
            ("a\n\rb", "a/|b"),
            ("a\r\n\rb", "a/|b"),
            ("a\r\n\nb", "a/|b"),
            ("a\r\n\r\n\r\nb", "a/||b"),
            ("a\rb\r\r\n", "a/b/|"),
            ("\u{feff}a\n\n", "a/|"),
            ("\u{feff}\n\n", "||"),
            ("a\u{feff}\n", "a\u{feff}/"),
            ("\n\n\u{feff}\n", "||\u{feff}/"),
            ("\r", "|"),
            ("", ""),
        ] {
            let bytes = stream.as_bytes();
            assert_eq!(lines(&[bytes]), expected, "{stream:?}");
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(lines(&single), expected, "byte by byte: {stream:?}");
            for cut in 0..bytes.len() {
                let (one, two) = bytes.split_at(cut);
                assert_eq!(lines(&[one, two]), expected, "{cut}: {stream:?}");
            }
        }
    }

    #[test]
    fn an_incomplete_mark_is_text() {
        // Not the end of an event: the line has a byte, though it is not UTF-8.
        assert_eq!(lines(&[b"\xef\xbb\n\n"]), "\u{fffd}/|");
        assert_eq!(lines(&[b"\xef", b"a\n\n"]), "\u{fffd}a/|");
    }

    #[test]
    fn several_lines_of_data_are_one_text() {
        assert_eq!(data(b"id: 1\r\ndata: a\rdata:b\n: data: c\ndatax: d\n\n", false), b" a\nb");
        assert_eq!(data("\u{feff}data:a\n\n".as_bytes(), true), b"a");
        assert_eq!(data("\u{feff}data:a\n\n".as_bytes(), false), b"");
        assert_eq!(data(b"data\n\n", true), b"");
    }
}
