//! Moves over JSON text from value to value (RFC 8259) and builds nothing. It accepts what serde_json
//! accepts.

/// Bytes that are looked at together.
const WORD: usize = 8;
/// Words in a block, and its bytes, which vector instructions look at.
const WORDS: usize = 8;
const BLOCK: usize = WORDS * WORD;

/// A string that is noticed while values are passed. To look for it again would cost as much as to
/// read them.
const NOTICED: &[u8] = b"developer\"";

/// The items between these brackets, which are all of the text: at most `max`. `None` for anything
/// else.
pub(super) fn items<'a, T>(
    text: &'a str,
    brackets: [u8; 2],
    max: usize,
    mut item: impl FnMut(&mut Cursor<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    let mut cursor = Cursor::new(text);
    // A chat request has three to eight members.
    let mut items = Vec::with_capacity(8);
    let mut has_item = cursor.open(brackets)?;
    while has_item {
        let item = item(&mut cursor)?;
        (items.len() < max).then(|| items.push(item))?;
        has_item = cursor.next_item(brackets[1])?;
    }
    cursor.is_at_end().then_some(items)
}

/// A place in JSON text.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    /// What follows, from a token on.
    rest: &'a [u8],
    /// What closes the open lists and objects of a value. A body may have any depth.
    closers: Vec<u8>,
    /// Whether [`NOTICED`] is in the last value.
    has_noticed: bool,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, rest: skip_space(text.as_bytes()), closers: Vec::new(), has_noticed: false }
    }

    /// Whether nothing is left.
    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Moves over an opening bracket, and over the closing one if nothing is between them
    /// (`Some(false)`).
    fn open(&mut self, [opener, closer]: [u8; 2]) -> Option<bool> {
        self.rest = skip(self.rest, opener)?;
        let behind = skip(self.rest, closer);
        self.rest = behind.unwrap_or(self.rest);
        Some(behind.is_none())
    }

    /// Moves over what follows an item: a comma (`Some(true)`) or this closing bracket.
    fn next_item(&mut self, closer: u8) -> Option<bool> {
        let next = skip(self.rest, b',');
        self.rest = next.or_else(|| skip(self.rest, closer))?;
        Some(next.is_some())
    }

    /// Moves over the name of a member and the colon behind it. The name has its quotes.
    pub(super) fn name(&mut self) -> Option<&'a str> {
        let behind = skip_string(self.rest.strip_prefix(b"\"")?)?;
        let name = self.text_until(behind);
        self.rest = skip(skip_space(behind), b':')?;
        name
    }

    /// Moves over a value of any depth. `None` where there is none.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        self.closers.clear();
        self.has_noticed = false;
        let behind = skip_value(self.rest, &mut self.closers, &mut self.has_noticed)?;
        let value = self.text_until(behind);
        self.rest = skip_space(behind);
        value
    }

    /// Whether the last value is the string `developer`, or holds it other than as a name.
    pub(super) fn has_developer(&self) -> bool {
        self.has_noticed
    }

    /// The text from here to another place.
    fn text_until(&self, place: &[u8]) -> Option<&'a str> {
        let at = |rest: &[u8]| self.text.len().checked_sub(rest.len());
        self.text.get(at(self.rest)?..at(place)?)
    }
}

/// What follows a value.
fn skip_value<'a>(mut rest: &'a [u8], closers: &mut Vec<u8>, has_noticed: &mut bool) -> Option<&'a [u8]> {
    loop {
        let (first, behind) = rest.split_first()?;
        let end = match first {
            b'{' | b'[' => {
                let (closer, inside) = (first.wrapping_add(2), skip_space(behind));
                match inside.split_first()? {
                    (next, behind) if *next == closer => behind,
                    _ => {
                        closers.push(closer);
                        rest = if closer == b'}' { skip_name(inside)? } else { inside };
                        continue;
                    }
                }
            }
            b'"' => {
                let end = skip_string(behind)?;
                let length = behind.len().saturating_sub(end.len());
                *has_noticed |= length == NOTICED.len() && behind.starts_with(NOTICED);
                end
            }
            b't' => rest.strip_prefix(b"true")?,
            b'f' => rest.strip_prefix(b"false")?,
            b'n' => rest.strip_prefix(b"null")?,
            _ => skip_number(rest)?,
        };
        match skip_to_next(end, closers)? {
            AfterItem::NextItem(next) => rest = next,
            AfterItem::ValueEnd(behind) => return Some(behind),
        }
    }
}

/// What follows an item and what ends with it.
enum AfterItem<'a> {
    NextItem(&'a [u8]),
    /// The end of the outermost value.
    ValueEnd(&'a [u8]),
}

/// Closes the lists and objects that end behind an item, and moves to the next one.
fn skip_to_next<'a>(mut rest: &'a [u8], closers: &mut Vec<u8>) -> Option<AfterItem<'a>> {
    while let Some(closer) = closers.last().copied() {
        let (next, behind) = skip_space(rest).split_first()?;
        if *next == b',' {
            let item = skip_space(behind);
            return Some(AfterItem::NextItem(if closer == b'}' { skip_name(item)? } else { item }));
        }
        if *next != closer {
            return None;
        }
        closers.pop();
        rest = behind;
    }
    Some(AfterItem::ValueEnd(rest))
}

/// The value behind a name.
fn skip_name(rest: &[u8]) -> Option<&[u8]> {
    skip(skip_space(skip_string(rest.strip_prefix(b"\"")?)?), b':')
}

/// What follows a byte, if that comes next.
fn skip(rest: &[u8], byte: u8) -> Option<&[u8]> {
    let (first, behind) = rest.split_first()?;
    (*first == byte).then(|| skip_space(behind))
}

fn skip_space(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', behind @ ..] = rest {
        rest = behind;
    }
    rest
}

fn skip_number(rest: &[u8]) -> Option<&[u8]> {
    let rest = rest.strip_prefix(b"-").unwrap_or(rest);
    // A number that begins with 0 has no other digit in front of its point.
    let mut rest = match rest {
        [b'0', behind @ ..] => behind,
        _ => skip_digits(rest)?,
    };
    if let [b'.', behind @ ..] = rest {
        rest = skip_digits(behind)?;
    }
    match rest {
        [b'e' | b'E', b'+' | b'-', behind @ ..] | [b'e' | b'E', behind @ ..] => skip_digits(behind),
        _ => Some(rest),
    }
}

/// What follows digits, of which there has to be one.
fn skip_digits(rest: &[u8]) -> Option<&[u8]> {
    let [b'0'..=b'9', rest @ ..] = rest else { return None };
    let mut rest = rest;
    while let [b'0'..=b'9', behind @ ..] = rest {
        rest = behind;
    }
    Some(rest)
}

/// What follows a string, from behind its first quote on.
fn skip_string(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match skip_text(rest) {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', behind @ ..] => behind,
            [b'\\', b'u', behind @ ..] => {
                let (digits, behind) = behind.split_at_checked(4)?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(behind)?
            }
            // A control character, another escape, or the end of the text.
            _ => return None,
        }
    }
}

/// From the next byte on that ends a string, begins an escape, or must not be in one.
fn skip_text(mut rest: &[u8]) -> &[u8] {
    loop {
        // Most strings are short, and blocks pay in long ones.
        let (words, last) = rest.as_chunks::<WORD>();
        for (at, word) in words.iter().take(WORDS).enumerate() {
            let flags = special(*word);
            if flags != 0 {
                let plain = at.saturating_mul(WORD).saturating_add(flags.trailing_zeros() as usize / 8);
                return rest.get(plain..).unwrap_or_default();
            }
        }
        let Some(behind) = rest.get(BLOCK..) else {
            let is_special = |byte: &u8| matches!(byte, ..b' ' | b'"' | b'\\');
            return last.get(last.iter().position(is_special).unwrap_or(last.len())..).unwrap_or_default();
        };
        let plain = behind.as_chunks().0.iter().take_while(|block| is_plain(block)).count();
        rest = behind.get(plain.saturating_mul(BLOCK)..).unwrap_or_default();
    }
}

fn is_plain(block: &[u8; BLOCK]) -> bool {
    block.as_chunks().0.iter().fold(0, |all, word| all | special(*word)) == 0
}

/// Flags, in their highest bits, the bytes that are quotes, backslashes or control characters. Only
/// the lowest flag is exact: a borrow may set those behind it.
fn special(word: [u8; WORD]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let word = u64::from_le_bytes(word);
    let below = |word: u64, least: u8| word.wrapping_sub(ONES.wrapping_mul(u64::from(least))) & !word;
    let is = |byte: u8| below(word ^ ONES.wrapping_mul(u64::from(byte)), 1);
    (below(word, b' ') | is(b'"') | is(b'\\')) & ONES << 7
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    /// The value that is all of the text, but for white space.
    fn whole(text: &str) -> Option<&str> {
        let mut cursor = Cursor::new(text);
        let value = cursor.value()?;
        cursor.is_at_end().then_some(value)
    }

    #[track_caller]
    fn assert_is_as_for_serde_json(text: &str) {
        let is_valid = serde_json::from_str::<IgnoredAny>(text).is_ok();
        let expected = is_valid.then(|| text.trim_matches([' ', '\t', '\r', '\n']));
        assert_eq!(whole(text), expected, "{text:?}");
    }

    #[test]
    fn a_value_is_valid_and_ends_as_serde_json_says() {
        const BYTES: &[u8] = b"{}[]\",:\\ \t\r\n\x00\x0b\x1f\x7f0123e+-.Etfnu/bxAg\xc2";
        for sample in [
            r#" {"a" : [1, -0.5e+10,{"b":null}],"c":{} , "d":[] , "":"" } "#,
            r#"[true,false,null,"\"\\\/\b\f\n\r\t\u00e9\uD83d"," é🦀","0123456789012345678901234567890123456789"]"#,
            "\"\u{1f}\"",
            "-0",
            "00",
            "1.e5",
            "1e",
            "-",
            "tru",
            "nulll",
            "[[[[]]]]",
            "{{}}",
            "",
        ] {
            assert_is_as_for_serde_json(sample);
            for at in 0..sample.len() {
                for byte in BYTES {
                    let (mut other, mut longer) = (sample.as_bytes().to_vec(), sample.as_bytes().to_vec());
                    other[at] = *byte;
                    longer.insert(at, *byte);
                    let shorter = [&sample.as_bytes()[..at], &sample.as_bytes()[at + 1..]].concat();
                    for text in [other, longer, shorter, sample.as_bytes()[..at].to_vec()] {
                        if let Ok(text) = str::from_utf8(&text) {
                            assert_is_as_for_serde_json(text);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_long_string_ends_where_it_ends() {
        for length in 0..3 * BLOCK {
            for at in 0..=length {
                for special in ["\"", "\\", "\\\"", "\\n", "\n", "\u{1f}", "\u{7f}", "é"] {
                    let text = "x".repeat(length);
                    let (before, behind) = text.split_at(at);
                    assert_is_as_for_serde_json(&format!("\"{before}{special}{behind}\""));
                }
            }
        }
    }

    #[test]
    fn a_value_may_have_any_depth() {
        let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
        assert_eq!(whole(&deep), Some(deep.as_str()));
        assert_eq!(whole(deep.strip_prefix("[").unwrap()), None);
        assert_eq!(whole(deep.strip_suffix("]").unwrap()), None);
    }
}
