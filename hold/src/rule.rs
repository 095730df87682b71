//! Which responses are held.

/// Bytes of an error body that are held at most; the edge's filter reads no more of it.
pub const ERROR_BODY: usize = 64 * 1024;

/// Bytes of filler in front of an answer that are held. Providers send empty lines (DeepSeek) or
/// comments (OpenRouter) while a request waits for its turn, and what breaks off behind them has to be
/// held. More of them are passed on: they keep the client's connection alive, too.
pub const FILLER: usize = 64;

/// Milliseconds after its first byte, from which filler is passed on with the next of it.
const FILLER_TIME: u32 = 2_000;

/// What happens to a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is held until there is more of it.
    Hold,
    /// It goes on, and so does the rest of its body.
    Pass,
}

/// Decides about a response of which `held` bytes of the body have arrived; `complete` if these are
/// all. `is_filler` is asked of [`FILLER`] bytes at most.
pub fn decide(
    held: usize,
    complete: bool,
    is_success: impl FnOnce() -> bool,
    is_filler: impl FnOnce() -> bool,
) -> Decision {
    let is_answer = || is_success() && (held > FILLER || !is_filler());
    let has_enough = complete || held > ERROR_BODY || (held > 0 && is_answer());
    if has_enough { Decision::Pass } else { Decision::Hold }
}

/// Whether text is nothing but blanks and comments of an event stream (WHATWG HTML, 9.2.6).
pub fn is_filler(text: impl Iterator<Item = u8>) -> bool {
    let mut is_comment = false;
    for byte in text {
        match byte {
            b'\r' | b'\n' => is_comment = false,
            b':' => is_comment = true,
            _ if !is_comment && !byte.is_ascii_whitespace() => return false,
            _ => {}
        }
    }
    true
}

/// Whether filler that began at a moment may be held for longer. The clock counts milliseconds, starts
/// anew after 2^32 of them, and may be set.
pub fn has_time(since: u32, now: u32) -> bool {
    now.wrapping_sub(since) < FILLER_TIME
}

/// Whether a `:status` is below 300. What is no number is an error.
pub fn is_success(status: &[u8]) -> bool {
    matches!(status, [b'0'..=b'2', _, _])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_held_until_its_first_byte() {
        for (held, complete, expected) in
            [(0, false, Decision::Hold), (1, false, Decision::Pass), (0, true, Decision::Pass)]
        {
            assert_eq!(decide(held, complete, || true, || false), expected, "{held} {complete}");
        }
    }

    #[test]
    fn filler_in_front_of_an_answer_is_held_up_to_a_size() {
        for (held, complete, expected) in [
            (1, false, Decision::Hold),
            (FILLER, false, Decision::Hold),
            (FILLER + 1, false, Decision::Pass),
            (1, true, Decision::Pass),
        ] {
            assert_eq!(decide(held, complete, || true, || true), expected, "{held} {complete}");
        }
    }

    #[test]
    fn blanks_and_comments_are_filler() {
        for (text, expected) in [
            ("\n\r\n \t", true),
            (": OPENROUTER PROCESSING\n\n: OPENROUTER PROC", true),
            (":\r:\r", true),
            (": ping\n\ndata: {}", false),
            ("\n{", false),
            ("data:", false),
            ("", true),
        ] {
            assert_eq!(is_filler(text.bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn filler_is_held_for_two_seconds_and_not_by_a_clock_that_is_set_back() {
        for (since, now, expected) in [
            (5_000, 5_000, true),
            (5_000, 6_999, true),
            (5_000, 7_000, false),
            (u32::MAX, 1_000, true),
            (5_000, 4_999, false),
        ] {
            assert_eq!(has_time(since, now), expected, "{since} {now}");
        }
    }

    #[test]
    fn an_error_is_held_until_it_is_complete_or_too_large_to_be_read() {
        for (held, complete, expected) in [
            (0, false, Decision::Hold),
            (1, false, Decision::Hold),
            (ERROR_BODY, false, Decision::Hold),
            (ERROR_BODY + 1, false, Decision::Pass),
            (0, true, Decision::Pass),
            (1, true, Decision::Pass),
        ] {
            for is_filler in [false, true] {
                assert_eq!(decide(held, complete, || false, || is_filler), expected, "{held} {complete}");
            }
        }
    }

    #[test]
    fn a_status_below_300_is_a_success() {
        for (status, expected) in [
            ("200", true),
            ("299", true),
            ("101", true),
            ("300", false),
            ("503", false),
            ("", false),
            ("2000", false),
        ] {
            assert_eq!(is_success(status.as_bytes()), expected, "{status}");
        }
    }
}
