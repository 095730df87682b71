//! JSON read without a document tree: objects by their members, and values in their own text.

mod cursor;
pub mod member_scan;
mod object;
mod object_text;
mod unescape;

use std::borrow::Cow;

use memchr::memchr;
#[cfg(test)]
pub use object::count_read;
pub use object::{Member, NotAnObject, Object, for_each_member};
pub use object_text::ObjectText;

use self::cursor::Cursor;

/// A name as case-insensitive readers, such as Go's, compare it: in lower case, and with the two
/// other letters that fold to ASCII ones.
pub fn fold_case(name: &str) -> Cow<'_, str> {
    let folds = |byte: u8| byte.is_ascii_uppercase() || !byte.is_ascii();
    if !name.bytes().any(folds) {
        return Cow::Borrowed(name);
    }
    let fold = |character: char| match character {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        other => other.to_ascii_lowercase(),
    };
    Cow::Owned(name.chars().map(fold).collect())
}

/// The text of a string, or `None` for another value.
pub fn string(value: &str) -> Option<Cow<'_, str>> {
    match value.strip_prefix('"')?.strip_suffix('"') {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str(value).ok().map(Cow::Owned),
    }
}

/// The text of a string, and any other value as it is written. So is a string with half a surrogate
/// pair, which has no text.
pub fn string_or_raw(value: &str) -> Cow<'_, str> {
    string(value).unwrap_or(Cow::Borrowed(value))
}

/// A number that is not negative, or `None` for another value. JSON has one kind of numbers, so 1e3
/// is 1000.
pub fn uint(value: &str) -> Option<u64> {
    let float = || value.parse().ok().filter(|number| *number >= 0.0).map(|number: f64| number as u64);
    value.parse().ok().or_else(float)
}

/// The text of each item of a list of at most `max` items, or `None` for another value.
pub fn list(value: &str, max: usize) -> Option<Vec<&str>> {
    cursor::items(value, *b"[]", max, Cursor::value)
}

/// Calls `each` with the text of every item of a list of any length, and keeps none. `None` for
/// another value, whose first items may have been passed on.
pub fn for_each_item<'a>(value: &'a str, mut each: impl FnMut(&'a str)) -> Option<()> {
    // Items without a size take no memory.
    cursor::items(value, *b"[]", usize::MAX, |cursor| cursor.value().map(&mut each)).map(|_| ())
}

/// Whether a value is a list, of any length.
pub fn is_list(value: &str) -> bool {
    for_each_item(value, |_| ()).is_some()
}

/// Splits what follows an opening quote into the string and what follows its closing one.
pub fn split_string(rest: &str) -> (&str, &str) {
    let mut from = 0;
    while let Some(found) = rest.as_bytes().get(from..).and_then(|rest| memchr(b'"', rest)) {
        let end = from.saturating_add(found);
        let text = rest.get(..end).unwrap_or_default();
        let backslashes = text.bytes().rev().take_while(|byte| *byte == b'\\').count();
        from = end.saturating_add(1);
        if backslashes.is_multiple_of(2) {
            return (text, rest.get(from..).unwrap_or_default());
        }
    }
    (rest, "")
}

/// A finite number in JSON. core's own formatting would be 15 KB more of the filter.
pub fn number(value: f64) -> String {
    serde_json::to_string(&value).unwrap_or_default()
}

/// A text as a JSON string, with its quotes.
pub fn quoted(text: &str) -> String {
    // Writing into memory cannot fail.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_any_length_is_read_item_by_item() {
        let text = format!("[{}]", vec!["[1]"; 100_000].join(" ,"));
        let mut count = 0_usize;
        assert_eq!(for_each_item(&text, |item| count = count.saturating_add(item.len())), Some(()));
        assert_eq!((count, is_list(&text)), (300_000, true));
        for text in ["", "{}", "[1", "[1] 2", "[1,]", "\"[]\""] {
            assert!(!is_list(text), "{text}");
        }
    }

    #[test]
    fn names_fold_as_they_do_for_readers_that_ignore_case() {
        for (name, fold) in [
            ("model", "model"),
            ("Model", "model"),
            ("mOdEl", "model"),
            ("\u{17f}tream", "stream"),
            ("to\u{212a}en", "token"),
            ("é", "é"),
        ] {
            assert_eq!(fold_case(name), fold);
        }
        assert!(matches!(fold_case("max_tokens"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_count_may_be_written_as_a_float_and_is_never_negative() {
        for (text, expected) in [
            ("7", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("7.0", Some(7)),
            ("1e3", Some(1000)),
            ("1e99", Some(u64::MAX)),
            ("-1", None),
            (r#""7""#, None),
            ("null", None),
        ] {
            assert_eq!(uint(text), expected, "{text}");
        }
    }

    #[test]
    fn a_list_is_read_item_by_item_up_to_its_bound() {
        assert_eq!(list(r#" [ "a" , {"b": [1]}] "#, 2), Some(vec![r#""a""#, r#"{"b": [1]}"#]));
        assert_eq!(list("[1,2,3]", 2), None);
        for other in ["{}", "[1", "[1]x", "a", ""] {
            assert_eq!(list(other, 2), None, "{other}");
        }
    }

    #[test]
    fn a_string_is_read_with_its_escapes() {
        assert_eq!(string(r#""gpt-4""#).as_deref(), Some("gpt-4"));
        assert_eq!(string(r#""a\"b""#).as_deref(), Some("a\"b"));
        assert_eq!(string("4"), None);
    }
}
