//! Numbers in headers, bodies and forms.

use std::time::Duration;

use crate::request::refusal::Refusal;

/// Longer times are cut to this, which no attempt lasts.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

/// A whole number of zero or more: `2`, `"2"`, `2.0`, `2e0`. Anything above `u32::MAX` is cut to
/// that.
///
/// # Errors
/// A [`Refusal`] for anything else.
pub fn count(name: &str, text: &str) -> Result<u32, Refusal> {
    let whole = number(text).filter(|number| number.fract() == 0.0 || number.is_infinite());
    // `as` cuts a float to the range.
    whole.map(|number| number as u32).ok_or_else(|| Refusal::Parameter(name.to_owned(), "a whole number"))
}

/// A time in seconds; zero counts as unset, as in LiteLLM, so that the configuration's time holds.
///
/// # Errors
/// A [`Refusal`] for anything but a number of zero or more.
pub fn seconds(name: &str, text: &str) -> Result<Option<Duration>, Refusal> {
    let Some(seconds) = number(text) else {
        return Err(Refusal::Parameter(name.to_owned(), "a number of seconds"));
    };
    let limit = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST);
    Ok(Some(limit).filter(|limit| !limit.is_zero()))
}

/// A number of zero or more, in quotes or without. JSON has no largest number: one that is too
/// large for a float is infinite.
fn number(text: &str) -> Option<f64> {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim();
    // Rust also parses `inf` and `nan`.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number: f64 = text.parse().ok().filter(|_| is_plain)?;
    (number >= 0.0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_whole_number_however_it_is_written() {
        for (text, expected) in [
            ("2", Some(2)),
            ("2.0", Some(2)),
            ("1e0", Some(1)),
            ("2E0", Some(2)),
            ("10", Some(10)),
            ("1.50e1", Some(15)),
            ("\"2\"", Some(2)),
            ("\" 2 \"", Some(2)),
            ("-0", Some(0)),
            ("0.0", Some(0)),
            ("4294967296", Some(u32::MAX)),
            ("1e400", Some(u32::MAX)),
            ("2.5", None),
            ("1e-1", None),
            ("-1", None),
            ("", None),
            ("\"\"", None),
            ("\"", None),
            ("\"\"2\"\"", None),
            ("many", None),
            ("true", None),
            ("NaN", None),
            ("inf", None),
            ("Infinity", None),
            ("[2]", None),
            ("0x2", None),
        ] {
            assert_eq!(count("num_retries", text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn seconds_have_an_end_that_every_header_can_hold() {
        for (text, expected) in [
            ("0.5", Some(Some(Duration::from_millis(500)))),
            ("\"2\"", Some(Some(Duration::from_secs(2)))),
            ("1e1", Some(Some(Duration::from_secs(10)))),
            ("0", Some(None)),
            ("-0.0", Some(None)),
            ("1e-30", Some(None)),
            ("1e19", Some(Some(LONGEST))),
            ("1e20", Some(Some(LONGEST))),
            ("1e400", Some(Some(LONGEST))),
            ("-1", None),
            ("NaN", None),
            ("infinity", None),
            ("soon", None),
            ("null", None),
        ] {
            assert_eq!(seconds("timeout", text).ok(), expected, "{text}");
        }
    }
}
