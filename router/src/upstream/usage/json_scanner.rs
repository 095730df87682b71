//! Finds `usage` in a text of JSON that arrives in pieces, without parsing anything else.

use memchr::{memchr, memchr2, memchr3};

use super::Counts;

/// The longest `usage` object in bytes. Real ones have less than one thousand, with all details of
/// every provider.
pub(super) const MAX_USAGE_BYTES: usize = 8 * 1024;

const NAME: &[u8] = b"usage";

/// How deep `usage` may be: at the top level of a document, below an object of it as in an event of
/// the responses API, or in one of the choices, where Moonshot has it.
const DEPTHS: std::ops::RangeInclusive<u32> = 1..=3;

/// Finds `usage` at the top level of a document, or up to two levels below.
#[derive(Clone, Debug, Default)]
pub(super) struct JsonScanner {
    /// Open objects and lists. At 0, between documents, any byte is skipped.
    depth: u32,
    position: Position,
    /// The `usage` object that is being read.
    capture: Option<Capture>,
    found: Option<Counts>,
    /// It has read what is not JSON.
    was_reset: bool,
}

/// A `usage` object that is incomplete.
#[derive(Clone, Debug)]
struct Capture {
    /// The depth inside of it.
    depth: u32,
    /// Its bytes in earlier pieces; `None` above [`MAX_USAGE_BYTES`].
    bytes: Option<Vec<u8>>,
}

/// Where the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    /// Outside of strings.
    #[default]
    Outside,
    /// In a string; with the number of bytes of [`NAME`] that match so far, if all did.
    Text(Option<usize>),
    /// In a string, behind a backslash.
    Escape,
    /// Behind `"usage"`: before a colon it is a name, else it was a value.
    Name,
    /// Behind `"usage":`
    Colon,
}

impl JsonScanner {
    /// The counts so far.
    pub(super) fn found(&self) -> Option<Counts> {
        self.found
    }

    /// Whether a next value begins as the first one did.
    pub(super) fn is_at_start(&self) -> bool {
        self.depth == 0 && self.position == Position::Outside && self.capture.is_none()
    }

    /// Whether the text ends within an object or a list. Of what is not JSON, that is not known.
    pub(super) fn is_unfinished(&self) -> bool {
        self.depth > 0 && !self.was_reset
    }

    #[cfg(test)]
    pub(super) fn is_capturing(&self) -> bool {
        self.capture.is_some()
    }

    /// Reads the next piece of a text.
    pub(super) fn feed(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        // Begins where the captured object does, or the chunk.
        let mut object = chunk;
        loop {
            let step = match self.position {
                Position::Outside => self.outside(rest, &mut object),
                Position::Text(spelt) => self.text(rest, spelt),
                Position::Escape => self.escape(rest),
                Position::Name | Position::Colon => self.name(rest, &mut object),
            };
            match step {
                Some(after) => rest = after,
                None => break,
            }
        }
        if let Some(capture) = &mut self.capture {
            capture.add(object);
        }
    }

    /// Skips to the next mark, and past it.
    fn outside<'a>(&mut self, rest: &'a [u8], object: &mut &'a [u8]) -> Option<&'a [u8]> {
        let at = match self.depth {
            0 => memchr2(b'{', b'[', rest)?,
            _ => rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']'))?,
        };
        let (mark, after) = rest.get(at..)?.split_first()?;
        match mark {
            b'"' => self.position = Position::Text(DEPTHS.contains(&self.depth).then_some(0)),
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            _ => self.close(object, after),
        }
        Some(after)
    }

    /// Skips to the end of a string, or to what interrupts it.
    fn text<'a>(&mut self, rest: &'a [u8], spelt: Option<usize>) -> Option<&'a [u8]> {
        let end = end_of_text(rest);
        let text = end.map_or(Some(rest), |end| rest.get(..end))?;
        let spelt = spelt.filter(|spelt| NAME.get(*spelt..).is_some_and(|name| name.starts_with(text)));
        let spelt = spelt.and_then(|spelt| spelt.checked_add(text.len()));
        self.position = Position::Text(spelt);
        let (mark, after) = rest.get(end?..)?.split_first()?;
        match mark {
            b'"' if spelt == Some(NAME.len()) && self.capture.is_none() => self.position = Position::Name,
            b'"' => self.position = Position::Outside,
            b'\\' => self.position = Position::Escape,
            _ => self.reset(),
        }
        Some(after)
    }

    /// Skips the byte behind a backslash.
    fn escape<'a>(&mut self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let (byte, after) = rest.split_first()?;
        self.position = Position::Text(None);
        if matches!(byte, b'\r' | b'\n') {
            self.reset();
        }
        Some(after)
    }

    /// Reads on behind `"usage"` until an object begins, or something else does.
    fn name<'a>(&mut self, rest: &'a [u8], object: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (byte, after) = rest.split_first()?;
        match (self.position, byte) {
            (_, b' ' | b'\t' | b'\r' | b'\n') => {}
            (Position::Name, b':') => self.position = Position::Colon,
            (Position::Colon, b'{') => {
                self.position = Position::Outside;
                self.depth = self.depth.saturating_add(1);
                self.capture = Some(Capture { depth: self.depth, bytes: Some(Vec::new()) });
                *object = rest;
            }
            _ => {
                self.position = Position::Outside;
                return Some(rest);
            }
        }
        Some(after)
    }

    fn close(&mut self, object: &[u8], after: &[u8]) {
        if let Some(capture) = self.capture.take_if(|capture| capture.depth == self.depth) {
            let last = object.len().checked_sub(after.len()).and_then(|length| object.get(..length));
            let found = capture.read(last.unwrap_or_default());
            self.found = found.map(|found| found.or(self.found.unwrap_or_default())).or(self.found);
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// Starts anew with the next value: at the end of an event, or where the text is not JSON.
    pub(super) fn reset(&mut self) {
        self.depth = 0;
        self.position = Position::Outside;
        self.capture = None;
        self.was_reset = true;
    }
}

/// Where a string ends, or what interrupts it is. Most strings are names of a few bytes.
fn end_of_text(rest: &[u8]) -> Option<usize> {
    const SHORT: usize = 16;
    let (short, long) = rest.split_at_checked(SHORT).unwrap_or((rest, &[]));
    let end = short.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\r'));
    end.or_else(|| {
        let end = memchr3(b'"', b'\\', b'\n', long);
        let text = end.map_or(long, |end| long.get(..end).unwrap_or_default());
        memchr(b'\r', text).or(end)?.checked_add(SHORT)
    })
}

impl Capture {
    /// Keeps a piece of an object that continues in the next one.
    fn add(&mut self, piece: &[u8]) {
        let bytes =
            self.bytes.take().filter(|bytes| bytes.len().saturating_add(piece.len()) <= MAX_USAGE_BYTES);
        self.bytes = bytes.map(|mut bytes| {
            bytes.extend_from_slice(piece);
            bytes
        });
    }

    /// Reads the object, of which this is the last piece.
    fn read(mut self, last: &[u8]) -> Option<Counts> {
        if self.bytes.as_ref().is_some_and(Vec::is_empty) {
            return Some(last).filter(|whole| whole.len() <= MAX_USAGE_BYTES).and_then(Counts::parse);
        }
        self.add(last);
        self.bytes.as_deref().and_then(Counts::parse)
    }
}
