//! A provider's error body, by its JSON members: the provider's words, and not those that it
//! repeats.
//!
//! Read are `code`, `type`, `status`, `reason` and their like as codes, `message`, `detail`, `msg`
//! and their like as messages, `param`, `loc` and `field` as names of parameters, `retryDelay`
//! (Google's RetryInfo) and `retry_after` as a time to wait; the same again in `error`, `errors`,
//! `innererror`, `details`, `metadata` and in JSON that is written into a string. All other members
//! (`input`, `ctx`, `flagged_input`, ..) are not, but for the name `stream_options`.

use std::borrow::Cow;
use std::time::Duration;

use super::{codes, own_words, unquoted};
use crate::http::json::{self, Object};

/// Objects within objects, JSON in strings included. The deepest known is OpenRouter's.
const MAX_DEPTH: u32 = 6;
/// Items of a list, and codes or messages in all.
const MAX_ITEMS: usize = 16;
/// Bytes of a code, at most.
const MAX_CODE: usize = 96;

/// Bytes of a text that is a message, at most.
const MAX_TEXT: usize = 1000;

/// An error body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// Error codes and types in lower case, numbers included.
    pub codes: Vec<String>,
    /// Messages.
    pub messages: Vec<String>,
    /// Names of the request's parameters, in lower case.
    pub params: Vec<String>,
    /// The longest wait that it names.
    pub retry_after: Option<Duration>,
    /// The outermost HTTP status, with its depth.
    status: Option<(u32, u16)>,
}

/// What a member of an error says.
#[derive(Clone, Copy)]
enum ErrorField {
    Code,
    Message,
    Param,
    /// Seconds: a number, or as protobuf writes them: `"34s"`, `"1.5s"`.
    RetryAfter,
    /// Another error, or a list of them.
    Error,
}

/// The members that are read, in lower case.
const MEMBERS: [(ErrorField, &str); 5] = [
    (ErrorField::Code, "code type status status_code reason error_type error_code errcode __type quotaid"),
    (
        ErrorField::Message,
        "message detail msg title error_message error_msg errmsg error_description status_msg",
    ),
    (ErrorField::Param, "param loc field"),
    (ErrorField::RetryAfter, "retrydelay retry_after retry_after_seconds"),
    (
        ErrorField::Error,
        "error errors innererror inner_error details violations metadata raw base_resp x_groq \
         provider_specific_fields external_model_message external_model_error",
    ),
];

impl ErrorField {
    fn of(key: &str) -> Option<Self> {
        let is_known = |known: &str| known.eq_ignore_ascii_case(key);
        MEMBERS.iter().find(|(_, keys)| keys.split_ascii_whitespace().any(is_known)).map(|(field, _)| *field)
    }
}

impl ErrorBody {
    /// Reads a body: JSON, the first event of a stream, or a text of several words. A page, JSON that
    /// is cut off, and what is not UTF-8 are empty.
    pub fn read(body: &[u8]) -> Self {
        let mut read = Self::default();
        let text = std::str::from_utf8(body).unwrap_or_default().trim_start_matches('\u{feff}').trim();
        let text = event_data(text).unwrap_or(text);
        match text.as_bytes().first() {
            Some(b'{' | b'[' | b'"') => read.value(text, 0),
            Some(b'<') | None => {}
            Some(_) if text.len() <= MAX_TEXT && text.contains(char::is_whitespace) => read.message(text, 0),
            Some(_) => {}
        }
        read
    }

    /// The HTTP status that the body itself names, from 400 to 599. A gateway may repeat the error of
    /// another server within its own: the outermost counts, and of several there the lowest.
    pub fn status(&self) -> Option<u16> {
        self.status.map(|(_, status)| status)
    }

    /// The HTTP status that fits the error: the one that it names, or else that of its codes.
    pub fn fitting_status(&self) -> Option<u16> {
        self.status().or_else(|| codes::status(self))
    }

    /// Whether the status that fits follows from this code alone.
    pub fn follows_from(&self, code: &str) -> bool {
        let mut alone = Self::default();
        alone.code(&json::quoted(code), 0);
        !alone.codes.is_empty() && alone.fitting_status() == self.fitting_status()
    }

    fn value(&mut self, text: &str, depth: u32) {
        if depth > MAX_DEPTH {
            return;
        }
        match text.as_bytes().first() {
            Some(b'{') => self.object(text, depth),
            Some(b'[') => {
                for item in json::list(text, MAX_ITEMS).unwrap_or_default() {
                    self.value(item, depth.saturating_add(1));
                }
            }
            Some(b'"') => {
                if let Some(text) = json::string(text) {
                    self.message(&text, depth);
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, text: &str, depth: u32) {
        let Ok(object) = Object::parse(text.as_bytes()) else { return };
        for member in object.members() {
            match ErrorField::of(&member.key) {
                Some(ErrorField::Code) => self.code(member.value, depth),
                Some(ErrorField::Param) => self.param(member.value),
                Some(ErrorField::RetryAfter) => {
                    self.retry_after = self.retry_after.max(seconds(member.value))
                }
                Some(ErrorField::Error) => {
                    self.bare_code(member.value, depth);
                    self.value(member.value, depth.saturating_add(1));
                }
                Some(ErrorField::Message) => self.value(member.value, depth.saturating_add(1)),
                // Some servers list errors by parameter: {"details": {"stream_options": [..]}}.
                None if member.key == "stream_options" => self.add_param(&member.key),
                None => {}
            }
        }
    }

    fn code(&mut self, value: &str, depth: u32) {
        let code = json::string_or_raw(value);
        // An object or a list starts with a bracket; a sentence holds spaces.
        let is_word =
            !code.is_empty() && code != "null" && code.len() < MAX_CODE && !code.starts_with(['{', '[']);
        if is_word && self.codes.len() < MAX_ITEMS {
            let status = code.parse().ok().filter(|status| (400..600).contains(status));
            let named = status.map(|status| (depth, status));
            self.status = self.status.into_iter().chain(named).min();
            self.codes.push(code.to_ascii_lowercase());
        }
    }

    /// Some providers have a code in place of an object: {"error": "invalid_api_key"}.
    fn bare_code(&mut self, value: &str, depth: u32) {
        if value.starts_with('"') && !value.contains(char::is_whitespace) {
            self.code(value, depth);
        }
    }

    fn param(&mut self, value: &str) {
        let names = json::list(value, MAX_ITEMS).unwrap_or_else(|| vec![value]);
        names.into_iter().filter_map(json::string).for_each(|name| self.add_param(&name));
    }

    fn add_param(&mut self, name: &str) {
        if self.params.len() < MAX_ITEMS && name.len() < MAX_CODE {
            self.params.push(name.to_ascii_lowercase());
        }
    }

    /// A message, and the error that it repeats: `OpenAIException - {"error": {..}}`.
    fn message(&mut self, text: &str, depth: u32) {
        let (own, inner) = match text.find('{') {
            Some(start) => embedded(text, start),
            None => (text, None),
        };
        if let Some(inner) = inner {
            self.value(&inner, depth.saturating_add(1));
        }
        if self.messages.len() < MAX_ITEMS && !own.trim().is_empty() {
            self.messages.push(own.to_owned());
        }
    }
}

/// The data of the first event, where a text is events.
fn event_data(text: &str) -> Option<&str> {
    if !["data:", "event:", "id:", ":"].iter().any(|start| text.starts_with(start)) {
        return None;
    }
    text.lines().find_map(|line| line.strip_prefix("data:")).map(str::trim)
}

/// A finite number of seconds that is not negative.
fn seconds(value: &str) -> Option<Duration> {
    let text = json::string_or_raw(value);
    let seconds: f64 = text.strip_suffix('s').unwrap_or(&text).parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Splits a message before another server's error, which is JSON or as Python prints it:
/// `OpenAIException - {..}`. After other words, and as the name of a member that is refused, an object
/// may be the client's.
fn embedded(text: &str, start: usize) -> (&str, Option<Cow<'_, str>>) {
    let end = text.rfind('}').map_or(start, |end| end.saturating_add(1));
    let (Some(own), Some(object)) = (text.get(..start), text.get(start..end)) else { return (text, None) };
    let lead = own.trim_end_matches("b'").trim_end();
    let is_led = lead.is_empty() || lead.ends_with('-') && own_words::are_own(&lead.to_ascii_lowercase());
    if !is_led || text.get(end..).is_some_and(unquoted::names_a_member) {
        return (text, None);
    }
    if Object::parse(object.as_bytes()).is_ok() {
        return (own, Some(Cow::Borrowed(object)));
    }
    match python_message(object) {
        Some(message) => (own, Some(Cow::Owned(json::quoted(message)))),
        None => (text, None),
    }
}

/// The message of `{'error': {'message': "..", ..}}`. A later one may repeat the request.
fn python_message(object: &str) -> Option<&str> {
    let object = object.strip_prefix("{'error': ").unwrap_or(object);
    let message = object.strip_prefix("{'message': ")?;
    let quote = message.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let message = message.strip_prefix(quote)?;
    message.get(..message.find(quote)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> ErrorBody {
        ErrorBody::read(body.as_bytes())
    }

    #[test]
    fn every_shape_of_an_error_is_read() {
        for (body, codes, messages) in [
            (r#"{"error":{"message":"m","type":"T","param":null,"code":"c"}}"#, &["t", "c"][..], &["m"][..]),
            (r#"{"type":"error","error":{"type":"t","message":"m"}}"#, &["error", "t"], &["m"]),
            (r#"[{"error":{"code":400,"message":"m","status":"S"}}]"#, &["400", "s"], &["m"]),
            (r#"{"object":"error","message":"m","code":400}"#, &["400"], &["m"]),
            (r#"{"Message":"m one"}"#, &[], &["m one"]),
            ("404 page not found\n", &[], &["404 page not found"]),
            ("event: error\ndata: {\"error\":{\"message\":\"m\",\"type\":\"t\"}}\n\n", &["t"], &["m"]),
            ("data: m one\n\ndata: [DONE]\n\n", &[], &["m one"]),
            ("<html>m</html>", &[], &[]),
            ("[DONE", &[], &[]),
            (r#"{"error":"m one"}"#, &[], &["m one"]),
            (r#"{"error":"invalid_api_key"}"#, &["invalid_api_key"], &["invalid_api_key"]),
            (r#"{"detail":"Not Found"}"#, &[], &["Not Found"]),
            (r#"{"detail":[{"type":"t","loc":["body"],"msg":"m one","input":"no"}]}"#, &["t"], &["m one"]),
            (r#"{"error":{"error":{"message":"m one"}}}"#, &[], &["m one"]),
            (
                r#"{"error":{"message":"m one","metadata":{"raw":"{\"error\":{\"message\":\"m two\"}}"}}}"#,
                &[],
                &["m one", "m two"],
            ),
            (
                r#"{"error":{"message":"AException - b'{\"error\":{\"message\":\"m two\"}}'"}}"#,
                &[],
                &["m two", "AException - b'"],
            ),
            (
                r#"{"type":"about:blank","status":404,"title":"Not Found","detail":"m one"}"#,
                &["about:blank", "404"],
                &["Not Found", "m one"],
            ),
        ] {
            let read = read(body);
            assert_eq!(
                (read.codes, read.messages),
                (
                    codes.iter().map(ToString::to_string).collect(),
                    messages.iter().map(ToString::to_string).collect()
                ),
                "{body}"
            );
        }
    }

    #[test]
    fn a_body_that_is_no_error_is_empty() {
        for body in [
            "", "null", "3", "[]", "{}", "<html> m", "{\"error\": ", "{\"input\":\"m\"}", "error",
            "data: {\"er ",
        ] {
            assert_eq!(read(body), ErrorBody::default(), "{body}");
        }
        assert_eq!(ErrorBody::read(b"{\"error\":\"\xff\"}"), ErrorBody::default());
    }

    #[test]
    fn an_object_in_the_middle_of_a_sentence_is_not_read() {
        let read = read(r#"{"error":"cannot parse: {\"code\":\"content_filter\"}"}"#);
        assert_eq!(read.codes, [""; 0]);
    }

    #[test]
    fn the_body_may_name_its_own_status() {
        assert_eq!(read(r#"{"error":{"code":429}}"#).status(), Some(429));
        assert_eq!(read(r#"{"error":{"code":"503"}}"#).status(), Some(503));
        assert_eq!(read(r#"{"error":{"code":"3051"}}"#).status(), None);
    }

    #[test]
    fn what_a_body_names_twice_does_not_depend_on_the_order() {
        for (one, other) in
            [(r#""status":502"#, r#""innererror":{"status":429}"#), (r#""code":502"#, r#""status":503"#)]
        {
            for members in [format!("{one},{other}"), format!("{other},{one}")] {
                assert_eq!(read(&format!(r#"{{"error":{{{members}}}}}"#)).status(), Some(502), "{members}");
            }
        }
        let (short, long) = (r#""retry_after":1"#, r#""details":[{"retryDelay":"7s"}]"#);
        for members in [format!("{short},{long}"), format!("{long},{short}")] {
            assert_eq!(
                read(&format!("{{{members}}}")).retry_after,
                Some(Duration::from_secs(7)),
                "{members}"
            );
        }
    }

    #[test]
    fn the_body_may_say_how_long_to_wait() {
        let google = r#"[{"error":{"code":429,"details":[{"@type":"..QuotaFailure"},{"@type":"..RetryInfo","retryDelay":"34.5s"}]}}]"#;
        assert_eq!(read(google).retry_after, Some(Duration::from_millis(34_500)));
        assert_eq!(
            read(r#"{"message":"slow down","retry_after":2}"#).retry_after,
            Some(Duration::from_secs(2))
        );
        for odd in [r#""soon""#, "-1", "1e300", r#""NaNs""#, "null", "[]"] {
            assert_eq!(read(&format!(r#"{{"error":{{"retryDelay":{odd}}}}}"#)).retry_after, None, "{odd}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = format!("{}{}", r#"{"error":"#.repeat(20_000), "}".repeat(20_000));
        assert_eq!(read(&deep), ErrorBody::default());
        let list = |item: &str| format!("[{}]", [item; MAX_ITEMS].join(","));
        let many = list(&format!(r#"{{"errors":{}}}"#, list(r#"{"message":"m"}"#)));
        assert_eq!(read(&many).messages.len(), MAX_ITEMS);
    }
}
