//! The wait that a provider asks for: `retry-after-ms` (OpenAI, Azure), or `retry-after` in seconds
//! or as a date.

use std::time::{Duration, UNIX_EPOCH};

/// Reads the values of both headers, of which milliseconds have precedence. `now` is the time since
/// the Unix epoch. `None` where neither value is valid, or a date has passed: the provider's clock
/// is behind, or the answer was late, and how long to wait is unknown.
pub fn retry_after(milliseconds: Option<&str>, seconds: Option<&str>, now: Duration) -> Option<Duration> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let wait = |seconds| Duration::try_from_secs_f64(seconds).ok();
    milliseconds.and_then(number).and_then(|ms| wait(ms / 1000.0)).or_else(|| match number(seconds?) {
        Some(seconds) => wait(seconds),
        None => date(seconds?)?.checked_sub(now),
    })
}

/// A date as the time since the Unix epoch.
fn date(text: &str) -> Option<Duration> {
    httpdate::parse_http_date(text.trim()).ok()?.duration_since(UNIX_EPOCH).ok()
}

/// A wait or a time in seconds, rounded up so that the next request is not too early.
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT
    const NOW: Duration = Duration::from_secs(784_111_777);

    #[test]
    fn every_form_of_the_header_is_read() {
        for (ms, seconds, expected) in [
            (None, Some("20"), Some(20_000)),
            (None, Some("0"), Some(0)),
            (None, Some(" 1.5 "), Some(1_500)),
            (Some("250"), Some("1"), Some(250)),
            (Some("soon"), Some("1"), Some(1_000)),
            (None, Some("Sun, 06 Nov 1994 08:49:57 GMT"), Some(20_000)),
            (None, Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0)),
            (None, Some("Sun, 06 Nov 1994 08:49:36 GMT"), None),
            (None, Some("-1"), None),
            (None, Some("NaN"), None),
            (None, Some("1e300"), None),
            (None, Some("tomorrow"), None),
            (None, None, None),
        ] {
            let wait = retry_after(ms, seconds, NOW).map(|wait| wait.as_millis());
            assert_eq!(wait, expected, "{ms:?} {seconds:?}");
        }
    }
}
