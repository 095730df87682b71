//! Headers of a request or response: one buffer, and the range of each name and value in it.

use std::borrow::Cow;
use std::ops::Range;

/// Names, in lower case as Envoy passes them, and values: in order, repeated names included.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    buffer: Vec<u8>,
    entries: Vec<(Range<usize>, Range<usize>)>,
}

impl Headers {
    /// From a buffer and the ranges of names and values in it. A range outside of it reads as
    /// empty.
    pub fn new(buffer: Vec<u8>, entries: Vec<(Range<usize>, Range<usize>)>) -> Self {
        Self { buffer, entries }
    }

    /// Bytes of all names and values.
    pub fn size(&self) -> usize {
        self.buffer.len()
    }

    /// All headers in order. Names and values that are not UTF-8 read as empty.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.bytes().map(|(name, value)| (utf8_or_empty(name), utf8_or_empty(value)))
    }

    /// All headers in order, as bytes.
    pub fn bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.entries.iter().map(|(name, value)| (self.at(name), self.at(value)))
    }

    /// The first value of a name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let is_called =
            |(key, _): &&(Range<usize>, _)| key.len() == name.len() && self.at(key) == name.as_bytes();
        self.entries.iter().find(is_called).map(|(_, value)| utf8_or_empty(self.at(value)))
    }

    fn at(&self, range: &Range<usize>) -> &[u8] {
        self.buffer.get(range.clone()).unwrap_or_default()
    }

    /// No headers, with room for this many bytes and headers.
    pub fn with_capacity(bytes: usize, headers: usize) -> Self {
        Self { buffer: Vec::with_capacity(bytes), entries: Vec::with_capacity(headers) }
    }

    /// Appends a header.
    pub fn push(&mut self, name: &str, value: &str) {
        self.push_parts(name, &[value]);
    }

    /// Appends a header whose value is the concatenation of these.
    pub fn push_parts(&mut self, name: &str, value: &[&str]) {
        let name = self.write(&[name]);
        let value = self.write(value);
        self.entries.push((name, value));
    }

    fn write(&mut self, pieces: &[&str]) -> Range<usize> {
        let start = self.buffer.len();
        for piece in pieces {
            self.buffer.extend_from_slice(piece.as_bytes());
        }
        start..self.buffer.len()
    }
}

/// A name or a value; empty where it is not UTF-8.
pub(crate) fn utf8_or_empty(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// UTF-8, or else Latin-1, in which many clients write what is not ASCII.
pub(crate) fn utf8_or_latin1(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.push(name, value);
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_repeated_headers_counts() {
        let headers: Headers = [("accept", "a"), ("accept", "b")].into_iter().collect();
        assert_eq!(headers.get("accept"), Some("a"));
        assert_eq!(headers.get("host"), None);
    }

    #[test]
    fn a_range_outside_of_the_buffer_reads_as_empty() {
        let headers = Headers::new(b"host".to_vec(), vec![(0..4, 3..99)]);
        assert_eq!(headers.get("host"), Some(""));
    }
}
