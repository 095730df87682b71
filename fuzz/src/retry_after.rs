//! `retry-after` and `retry-after-ms`: any text is read or is no wait; decimals are read as exact
//! arithmetic has them, and a date is as far away as it says, or no wait once it has passed.

use std::time::{Duration, UNIX_EPOCH};

use arbitrary::Unstructured;
use llm_balancer_router::retry_after;

/// From 1970 to 9999, in seconds.
const LAST_DATE: u64 = 253_402_300_799;

/// Two numbers of eight bytes, the time now and that of a date, and then the text of both headers,
/// in two lines.
pub fn retry_after_header(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let (Ok(now), Ok(then)) = (u.int_in_range(0..=LAST_DATE), u.int_in_range(0..=LAST_DATE)) else { return };
    let now = Duration::from_secs(now);
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(then));
    let until = Duration::from_secs(then).checked_sub(now);
    assert_eq!(retry_after(None, Some(&date), now), until, "{date}");

    let text = String::from_utf8_lossy(u.take_rest());
    let (first, second) = text.split_once('\n').unwrap_or((&text, ""));
    let both = retry_after(Some(first), Some(second), now);
    let (milliseconds, seconds) = (retry_after(Some(first), None, now), retry_after(None, Some(second), now));
    assert_eq!(both, milliseconds.or(seconds), "{first:?} {second:?}");
    if let Some(exact) = nanoseconds(second, 9) {
        is_about(seconds, exact, second);
    }
    if let Some(exact) = nanoseconds(first, 6) {
        is_about(milliseconds, exact, first);
    }
}

/// A plain decimal of up to 15 digits, times ten to this power; `None` for any other text.
fn nanoseconds(text: &str, power: usize) -> Option<u128> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let is_decimal = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = !whole.is_empty() && is_decimal(whole) && is_decimal(fraction);
    if !is_plain || whole.len() + fraction.len() > 15 {
        return None;
    }
    format!("{whole}{fraction:0<power$.power$}").parse().ok()
}

/// As exact as a float is.
fn is_about(wait: Option<Duration>, exact: u128, text: &str) {
    let wait = wait.unwrap_or_else(|| panic!("no wait of {text:?}")).as_nanos();
    assert!(wait.abs_diff(exact) <= 1 + exact / (1 << 50), "{wait} ns of {text:?}");
}
