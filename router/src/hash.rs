//! Hashes on which all workers, instances and builds agree; the standard library's may change with
//! its version. Not against collisions on purpose: those that a client makes steer requests with the
//! same key alone.

/// An odd constant: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A hash of bytes that arrive in pieces. Where one piece ends does not matter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hasher {
    state: u64,
    /// Bytes that do not fill a word yet.
    tail: [u8; 8],
    /// All bytes so far.
    length: u64,
}

impl Hasher {
    /// A hash that begins with a number, so that hashes of different things differ.
    pub fn new(seed: u64) -> Self {
        Self { state: mix(seed ^ GOLDEN), tail: [0; 8], length: 0 }
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        let filled = (self.length % 8) as usize;
        self.length = self.length.wrapping_add(bytes.len() as u64);
        let mut rest = bytes;
        if filled > 0 {
            let (head, behind) = rest.split_at(rest.len().min(8_usize.saturating_sub(filled)));
            self.tail.iter_mut().skip(filled).zip(head).for_each(|(to, from)| *to = *from);
            if filled.saturating_add(head.len()) < 8 {
                return;
            }
            self.word(u64::from_le_bytes(self.tail));
            rest = behind;
        }
        let (words, behind) = rest.as_chunks::<8>();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        self.tail.iter_mut().zip(behind).for_each(|(to, from)| *to = *from);
    }

    fn word(&mut self, word: u64) {
        let state = (self.state.rotate_left(23) ^ word).wrapping_mul(GOLDEN);
        // Else the highest bit of a word would be worth one bit of the next word.
        self.state = state ^ (state >> 29);
    }

    /// Adds bytes, and marks their end: `ab` and `c` is not `a` and `bc`.
    pub fn add_field(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.add(&(bytes.len() as u64).to_le_bytes());
    }

    /// The hash of all bytes so far.
    pub fn finish(mut self) -> u64 {
        let filled = (self.length % 8) as usize;
        self.tail.iter_mut().skip(filled).for_each(|byte| *byte = 0);
        self.word(u64::from_le_bytes(self.tail));
        mix(self.state ^ self.length)
    }
}

/// The hash of bytes.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = Hasher::new(0);
    hasher.add(bytes);
    hasher.finish()
}

/// A number whose bits all depend on all bits of this one, different for different ones
/// (the finalizer of SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn builds_agree_on_a_hash() {
        assert_eq!(hash(b""), 582_416_137_708_809_747);
        assert_eq!(hash(b"deployment"), 18_320_904_554_309_440_709);
    }

    #[test]
    fn where_a_piece_ends_does_not_matter() {
        let text: Vec<u8> = (0..100).collect();
        for first in 0..text.len() {
            for second in first..text.len() {
                let mut hasher = Hasher::new(0);
                for piece in [&text[..first], &text[first..second], &text[second..]] {
                    hasher.add(piece);
                }
                assert_eq!(hasher.finish(), hash(&text), "{first}, {second}");
            }
        }
    }

    #[test]
    fn fields_are_told_apart() {
        let fields = |fields: &[&str]| {
            let mut hasher = Hasher::new(0);
            fields.iter().for_each(|field| hasher.add_field(field.as_bytes()));
            hasher.finish()
        };
        assert_ne!(fields(&["ab", "c"]), fields(&["a", "bc"]));
        assert_ne!(fields(&["ab"]), fields(&["ab", ""]));
    }

    #[test]
    fn similar_texts_have_different_hashes() {
        let mut hashes = HashSet::new();
        for length in 0..64 {
            let zeros = vec![0; length];
            assert!(hashes.insert(hash(&zeros)), "{length} zeros");
            for place in 0..length {
                for bit in 0..8 {
                    let mut text = zeros.clone();
                    text[place] ^= 1 << bit;
                    assert!(hashes.insert(hash(&text)), "bit {bit} of byte {place} of {length}");
                }
            }
        }
    }
}
