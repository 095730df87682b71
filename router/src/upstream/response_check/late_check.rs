//! What comes behind blank lines, which keep a connection alive (DeepSeek, OpenRouter), or events
//! before any output, and these have passed. The client gets it, whatever it is, but an error is no
//! success of the deployment.

use super::{BodyFormat, CheckResult, HeldResponse, check};

/// The check of a body that has passed before it showed what it is.
#[derive(Debug, Default)]
pub struct LateCheck {
    /// What has come behind blanks.
    text: Vec<u8>,
    pieces: u32,
}

impl LateCheck {
    /// Checks the next piece of the body. Any result but [`CheckResult::Undecided`] is the last.
    pub fn feed(&mut self, next: &HeldResponse<'_>) -> CheckResult {
        if self.text.is_empty() && next.bytes.trim_ascii().is_empty() && !next.complete {
            return CheckResult::Undecided;
        }
        self.text.extend_from_slice(next.bytes);
        self.pieces = self.pieces.saturating_add(1);
        let mut result = check(&HeldResponse { bytes: &self.text, pieces: self.pieces, ..*next });
        match result {
            CheckResult::Undecided => return result,
            // It is given up.
            CheckResult::Genuine(BodyFormat::Unknown) => {
                result = CheckResult::Genuine(BodyFormat::EventStream)
            }
            _ => {}
        }
        *self = Self::default();
        result
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::FalseSuccess;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const ERROR: &str = r#"{"error":{"message":"Provider returned error","code":502}}"#;
    const ANSWER: &str = r#"{"id":"c","choices":[{"message":{"content":"hi"}}]}"#;

    fn response(bytes: &str, complete: bool) -> HeldResponse<'_> {
        HeldResponse {
            route: "/chat/completions",
            status: 200,
            bytes: bytes.as_bytes(),
            complete,
            pieces: 1,
            held_for: Duration::ZERO,
            header: &|_| None,
            refusal_falls_back: &|| false,
        }
    }

    const ROLE: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n";
    const OUTPUT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";

    /// The result of a body in these pieces behind blanks, of which the last ends it.
    fn result(pieces: &[&str]) -> CheckResult {
        let mut late = LateCheck::default();
        for _ in 0..1000 {
            assert_eq!(late.feed(&response("\n", false)), CheckResult::Undecided);
        }
        assert!(late.text.is_empty(), "blanks are not kept");
        let (last, others) = pieces.split_last().unwrap();
        let pieces = others.iter().map(|piece| (piece, false)).chain([(last, true)]);
        let mut results = pieces.map(|(piece, is_last)| late.feed(&response(piece, is_last)));
        results.find(|result| *result != CheckResult::Undecided).unwrap_or(CheckResult::Undecided)
    }

    #[test]
    fn blanks_for_too_long_leave_open_what_the_body_is() {
        for blanks in ["\n", " \r\n", "\u{feff}", "\u{feff}\n"] {
            let held = HeldResponse { held_for: HOUR, ..response(blanks, false) };
            assert_eq!(check(&held), CheckResult::Genuine(BodyFormat::Unknown), "{blanks:?}");
        }
        for (begun, expected) in [
            (": PROCESSING\n\n", BodyFormat::Unknown),
            (ROLE, BodyFormat::Unknown),
            (OUTPUT, BodyFormat::EventStream),
            ("{", BodyFormat::Other),
        ] {
            let held = HeldResponse { held_for: HOUR, ..response(begun, false) };
            assert_eq!(check(&held), CheckResult::Genuine(expected), "{begun:?}");
        }
    }

    #[test]
    fn a_stream_whose_preamble_has_passed_is_an_answer_with_its_first_output() {
        let late = |pieces: &[&str]| {
            let mut late = LateCheck::default();
            let results = pieces.iter().map(|piece| late.feed(&response(piece, false)));
            results.last().unwrap()
        };
        let stream = CheckResult::Genuine(BodyFormat::EventStream);
        let (start, rest) = OUTPUT.split_at(4);
        let output: &[&[&str]] = &[&[ROLE, OUTPUT], &[": hi\n", "\n", OUTPUT], &[ROLE, start, rest]];
        for pieces in output {
            assert_eq!(late(pieces), stream, "{pieces:?}");
        }
        let error = "data: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n";
        for last in ["data: [DONE]\n\n", error, "data: null\n\n"] {
            assert!(matches!(late(&[ROLE, last]), CheckResult::Failed(_)), "{last}");
        }
        assert!(matches!(result(&[ROLE]), CheckResult::Failed(_)));
        let endless = [": hi\n\n"; 100];
        assert_eq!(late(&endless[..60]), CheckResult::Undecided);
        assert_eq!(late(&endless[..65]), stream, "it is given up");
    }

    #[test]
    fn an_error_behind_blanks_is_the_error_that_it_is_without_them() {
        for body in [
            ERROR,
            "data: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n",
            "<html>Bad gateway</html>",
            "upstream timed out",
            r#"{"id":"c","choi"#,
            "null",
            "",
        ] {
            let CheckResult::Failed(expected) = check(&response(body, true)) else { panic!("{body}") };
            let (start, rest) = body.split_at(body.len() / 2);
            for pieces in [&[body][..], &["\n", body], &[start, rest], &[body, "\n"], &[body, "\n", ""]] {
                assert_eq!(result(pieces), CheckResult::Failed(expected.clone()), "{pieces:?}");
            }
        }
        assert_eq!(
            result(&[ERROR]),
            CheckResult::Failed(FalseSuccess { status: 502, body: ERROR.to_owned(), original: None })
        );
    }

    #[test]
    fn an_answer_behind_blanks_is_one_and_is_read_on_in_its_format() {
        assert_eq!(result(&[ANSWER]), CheckResult::Genuine(BodyFormat::Other));
        assert_eq!(result(&["\n{\"id\":", "1,\"choices\":[{}]}"]), CheckResult::Genuine(BodyFormat::Other));
        assert_eq!(result(&[OUTPUT, "data: [DONE]\n\n"]), CheckResult::Genuine(BodyFormat::EventStream));
        assert_eq!(result(&[": PROCESSING\n\n", OUTPUT]), CheckResult::Genuine(BodyFormat::EventStream));
    }

    #[test]
    fn no_more_is_kept_than_is_held_before_the_first_byte() {
        let mut late = LateCheck::default();
        let long = "x".repeat(10_000);
        assert_eq!(late.feed(&response(&format!("{{\"x\":\"{long}"), false)), CheckResult::Undecided);
        assert_eq!(late.feed(&response(&long, false)), CheckResult::Genuine(BodyFormat::Other));
        assert!(late.text.is_empty());
    }
}
