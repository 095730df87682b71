//! Headers as they came over the wire: one buffer, and where each name and value stands in it.

use std::ops::Range;

/// Names (lower case, as Envoy hands them over) and values, in order, repeated names included.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    buffer: Vec<u8>,
    entries: Vec<(Range<usize>, Range<usize>)>,
}

impl Headers {
    /// Takes over a buffer and the places of names and values in it; a place outside of it reads as empty.
    pub fn new(buffer: Vec<u8>, entries: Vec<(Range<usize>, Range<usize>)>) -> Self {
        Self { buffer, entries }
    }

    /// All of them, in order. Bytes that are not UTF-8 make a value read as empty.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.bytes().map(|(name, value)| (text(name), text(value)))
    }

    /// The same as bytes.
    pub fn bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.entries.iter().map(|(name, value)| (self.at(name), self.at(value)))
    }

    /// The first value under a name, which is given in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.bytes().find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| text(value))
    }

    fn at(&self, place: &Range<usize>) -> &[u8] {
        self.buffer.get(place.clone()).unwrap_or_default()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

impl Headers {
    /// Empty, with room for so many bytes and so many headers.
    pub fn with_capacity(bytes: usize, headers: usize) -> Self {
        Self { buffer: Vec::with_capacity(bytes), entries: Vec::with_capacity(headers) }
    }

    /// Adds a header at the end.
    pub fn push(&mut self, name: &str, value: &str) {
        self.push_parts(name, &[value]);
    }

    /// Adds a header whose value comes in pieces.
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
    fn a_place_outside_of_the_buffer_reads_as_empty() {
        let headers = Headers::new(b"host".to_vec(), vec![(0..4, 3..99)]);
        assert_eq!(headers.get("host"), Some(""));
    }
}
