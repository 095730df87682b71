//! A Lua script and the name that Redis gives it.
//!
//! A pipeline has the text of a script once, and then its name: Redis has stored it by then. A script
//! that an earlier pipeline has sent may be gone.
//!
//! What is sent lacks comments and most spaces. Lines keep their numbers, which Redis names in errors.

/// A script.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) text: &'static [u8],
    /// The SHA-1 of the text in hexadecimal digits.
    pub(super) name: [u8; 40],
}

impl Script {
    pub(super) const fn new(text: &'static [u8]) -> Self {
        Self { text, name: hexadecimal(sha1(text)) }
    }
}

/// The script in a file.
macro_rules! script {
    ($file:literal) => {{
        const FILE: &[u8] = include_bytes!($file);
        const TEXT: [u8; $crate::fleet::script::compact::<0>(FILE).1] =
            $crate::fleet::script::compact(FILE).0;
        $crate::fleet::script::Script::new(&TEXT)
    }};
}
pub(super) use script;

/// A text without the lines that are comments, and without the spaces outside of quotes that nothing
/// needs, as far as it fits into so many bytes, and how many it has.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "what fails does not compile")]
pub(super) const fn compact<const LENGTH: usize>(text: &[u8]) -> ([u8; LENGTH], usize) {
    let (mut compact, mut length, mut at) = ([0; LENGTH], 0, 0);
    let (mut last, mut is_quoted, mut is_comment) = (b'\n', false, false);
    while at < text.len() {
        let byte = text[at];
        let next = if at + 1 < text.len() { text[at + 1] } else { b'\n' };
        is_comment = byte != b'\n' && (is_comment || last == b'\n' && byte == b'-' && next == b'-');
        let is_needed = byte != b' ' || is_quoted || is_separated(last, next);
        assert!(
            is_comment || byte != b'"' && byte != b'\\' && !(is_quoted && byte == b'\n'),
            "not read here"
        );
        if is_needed && !is_comment {
            is_quoted = is_quoted != (byte == b'\'');
            if length < LENGTH {
                compact[length] = byte;
            }
            length += 1;
            last = byte;
        }
        at += 1;
    }
    (compact, length)
}

/// Whether two bytes are of one word, number or comment without a space between them.
const fn is_separated(last: u8, next: u8) -> bool {
    const fn is_of_a_word(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || byte == b'_'
    }
    is_of_a_word(last) && (is_of_a_word(next) || next == b'.') || last == b'-' && next == b'-'
}

/// The name of a script with this text.
#[cfg(feature = "testing")]
pub fn script_name(text: &[u8]) -> Vec<u8> {
    hexadecimal(sha1(text)).into()
}

/// RFC 3174. Computed by the compiler, so that the filter has no code for it.
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "what fails does not compile"
)]
const fn sha1(text: &[u8]) -> [u32; 5] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let blocks = (text.len() + 8) / 64 + 1;
    let mut block = 0;
    while block < blocks {
        let mut words = [0_u32; 80];
        let mut at = 0;
        while at < 64 {
            let place = block * 64 + at;
            let byte = if place < text.len() {
                text[place]
            } else if place == text.len() {
                0x80
            } else if block == blocks - 1 && at >= 56 {
                ((text.len() as u64 * 8) >> (8 * (63 - at))) as u8
            } else {
                0
            };
            words[at / 4] |= (byte as u32) << (24 - 8 * (at % 4));
            at += 1;
        }
        at = 16;
        while at < 80 {
            words[at] = (words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1);
            at += 1;
        }
        state = rounds(state, &words);
        block += 1;
    }
    state
}

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "what fails does not compile")]
const fn rounds(state: [u32; 5], words: &[u32; 80]) -> [u32; 5] {
    let [mut a, mut b, mut c, mut d, mut e] = state;
    let mut at = 0;
    while at < 80 {
        let (mixed, constant) = match at / 20 {
            0 => ((b & c) | (!b & d), 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6_u32),
        };
        let next = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e);
        let next = next.wrapping_add(constant).wrapping_add(words[at]);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        at += 1;
    }
    let [f, g, h, i, j] = state;
    [a.wrapping_add(f), b.wrapping_add(g), c.wrapping_add(h), d.wrapping_add(i), e.wrapping_add(j)]
}

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "what fails does not compile")]
const fn hexadecimal(state: [u32; 5]) -> [u8; 40] {
    let mut digits = [0; 40];
    let mut at = 0;
    while at < 40 {
        let nibble = (state[at / 8] >> (28 - 4 * (at % 8))) & 15;
        digits[at] = b"0123456789abcdef"[nibble as usize];
        at += 1;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_sent_without_comments_and_spaces_and_with_the_same_lines() {
        for (text, sent) in [
            (
                "-- Why.\nif a - 1 then\n  -- What.\n\n    b = '--'\nend\n--",
                "\nif a-1 then\n\n\nb='--'\nend\n",
            ),
            ("local a, b = 'x - y' .. c, { 1 .. d }", "local a,b='x - y'..c,{1 ..d}"),
            ("return a - -1, 'it' == b and 'c d'", "return a- -1,'it'==b and'c d'"),
        ] {
            let (compact, length) = compact::<100>(text.as_bytes());
            assert_eq!(std::str::from_utf8(&compact[..length]).unwrap(), sent);
        }
    }

    #[test]
    fn a_script_has_the_name_that_redis_gives_it() {
        // RFC 3174, section 7.3; the third text fills a block but for its length.
        let long = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        for (text, name) in [
            (&b""[..], "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (long, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
        ] {
            assert_eq!(hexadecimal(sha1(text)), name.as_bytes(), "{name}");
        }
    }
}
