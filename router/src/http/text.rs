//! Texts of clients, in what others read.

use std::borrow::Cow;

/// The first `most` characters of a text, with two dots behind them if there are more.
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_behind_a_character_and_never_within_one() {
        for (text, expected) in
            [("", ""), ("abc", "abc"), ("abcd", "abc.."), ("ééé", "ééé"), ("éééé", "ééé..")]
        {
            assert_eq!(shortened(text, 3), expected);
        }
    }
}
