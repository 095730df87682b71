//! The time to wait that a message names. In a stream, OpenAI has it nowhere else.

use std::time::Duration;

/// OpenAI, Groq: "Please try again in 1m26.4s". Moonshot: "after 21 seconds". Azure: "Please retry after 6
/// seconds". Gemini: "Please retry in 34.07s". GitHub: "Please wait 42 seconds". In lower case.
const LEADS: [&str; 5] = ["try again in ", "try again after ", "retry after ", "retry in ", "please wait "];

/// The longest wait that words alone name: OpenAI's 200 requests per day are free again after 7m12s.
/// Words about whole days are no reason to send nothing before: a request then asks again.
const LONGEST: Duration = Duration::from_secs(600);

/// The wait in a message that is [unquoted](super::unquoted), in whole seconds, rounded up, and at most
/// ten minutes.
pub(super) fn named_wait(message: &str) -> Option<Duration> {
    let wait = LEADS.iter().find_map(|lead| duration(message.split_once(lead)?.1))?;
    Some(wait.min(LONGEST))
}

/// Numbers, each with its unit. None and zero name no time.
fn duration(mut text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    while let Some((more, rest)) = seconds_and_rest(text) {
        seconds += more;
        text = rest.trim_start();
    }
    Duration::try_from_secs_f64(seconds.ceil()).ok().filter(|wait| !wait.is_zero())
}

/// The seconds of a number with its unit, and what follows.
fn seconds_and_rest(text: &str) -> Option<(f64, &str)> {
    let (number, rest) = split(text, |c| c.is_ascii_digit() || c == '.')?;
    let (unit, rest) = split(rest.trim_start(), |c| c.is_ascii_alphabetic())?;
    let scale = match unit {
        "ms" | "milliseconds" => 0.001,
        "s" | "sec" | "second" | "seconds" => 1.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86400.0,
        _ => return None,
    };
    Some((number.parse::<f64>().ok()? * scale, rest))
}

/// The characters of a kind at the start, and the others.
fn split(text: &str, is_of_kind: fn(char) -> bool) -> Option<(&str, &str)> {
    text.split_at_checked(text.find(|c| !is_of_kind(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_may_name_the_time_to_wait() {
        for (message, seconds) in [
            (
                "limit 30000, used 29000. please try again in 11.054s. visit https://x to learn more.",
                Some(12),
            ),
            ("please try again in 20ms.", Some(1)),
            ("please try again in 1m26.4s. visit", Some(87)),
            ("please try again in 6m0s.", Some(360)),
            ("please try again in 7m12s", Some(432)),
            ("please try again in 1h2m3s", Some(600)),
            ("please retry in 12h3m44.5s.", Some(600)),
            ("try again in 2 minutes", Some(120)),
            ("please retry after 6 seconds. please go here: https://x", Some(6)),
            ("please retry after 1 second.", Some(1)),
            ("please retry after some time, or try again in 3s", Some(3)),
            // Moonshot, GitHub, Gemini.
            ("request reached organization max rpm: 3, please try again after 21 seconds", Some(21)),
            ("rate limit of 15 per 60s exceeded. please wait 42 seconds before retrying.", Some(42)),
            ("resource has been exhausted. please retry in 34.07s.", Some(35)),
            ("too many tokens, please wait before trying again.", None),
            ("please try again in 0s", None),
            ("please try again in §", None),
            ("please try again in 5 requests", None),
            ("please try again in 5", None),
            ("please try again in ..s", None),
            ("please try again later", None),
            ("try again in ", None),
        ] {
            assert_eq!(named_wait(message), seconds.map(Duration::from_secs), "{message}");
        }
        let long = format!("try again in {}d", "9".repeat(400));
        assert_eq!(named_wait(&long), None);
    }
}
