//! What an error says that came with a success status: the status it should have had, and its words for the client.

use std::borrow::Cow;

use crate::failure::ErrorBody;
use crate::http::json::{self, Object};
use crate::http::reply::{error_body, error_type};
use crate::request::refusal::Refusal;

/// An error under a success status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FalseSuccess {
    /// The status that says so; 502 where the provider does not tell what is wrong.
    pub status: u16,
    /// OpenAI's error object.
    pub body: String,
}

/// Where nothing is known.
const UNKNOWN: u16 = 502;

/// Statuses by what codes and types hold, without underscores. The first that fits counts.
const STATUSES: [(u16, &[&str]); 12] = [
    (
        429,
        &[
            "ratelimit",
            "toomanyrequests",
            "resourceexhausted",
            "throttl",
            "insufficientquota",
            "quotaexceeded",
        ],
    ),
    (529, &["overloaded"]),
    (401, &["authentication", "unauthenticated", "unauthorized", "invalidapikey"]),
    (402, &["billing", "payment", "credit", "insufficientbalance"]),
    (403, &["permission", "forbidden"]),
    (404, &["notfound"]),
    (413, &["requesttoolarge"]),
    (504, &["timeout", "deadline"]),
    (503, &["unavailable"]),
    (
        400,
        &[
            "invalidrequest",
            "invalidargument",
            "badrequest",
            "contextlength",
            "contentpolicy",
            "contentfilter",
            "invalidprompt",
            "validation",
        ],
    ),
    (500, &["servererror", "apierror", "internal"]),
    (UNKNOWN, &["badgateway"]),
];

impl FalseSuccess {
    /// A body that says nothing which could be passed on; what it was, in words.
    pub(super) fn without_words(provider_status: u16, body: &'static str) -> Self {
        let reply = Refusal::NoAnswer { status: UNKNOWN, provider_status, body }.reply();
        Self { status: reply.status, body: reply.body }
    }

    /// The error in a JSON body or in the data of an event.
    pub(super) fn of_json(data: &[u8]) -> Self {
        let data = String::from_utf8_lossy(data);
        let data = unwrapped(data.trim());
        let read = ErrorBody::read(data.as_bytes());
        let status = read.status().or_else(|| status_of(&read.codes)).unwrap_or(UNKNOWN);
        let body = if is_openais(&data) { data.into_owned() } else { written(&read, &data, status) };
        Self { status, body }
    }
}

/// Responses put the error into the response that failed.
fn unwrapped(data: &str) -> Cow<'_, str> {
    let error = Object::parse(data.as_bytes())
        .ok()
        .filter(|event| event.present("error").is_none())
        .and_then(|event| {
            let response = Object::parse(event.present("response")?.as_bytes()).ok()?;
            Some(format!(r#"{{"error":{}}}"#, response.present("error")?))
        });
    error.map_or(Cow::Borrowed(data), Cow::Owned)
}

fn status_of(codes: &[String]) -> Option<u16> {
    let plain = |code: &String| code.replace(['_', '-', '.', ' '], "");
    let codes: Vec<String> = codes.iter().map(plain).collect();
    let fits = |words: &[&str]| codes.iter().any(|code| words.iter().any(|word| code.contains(word)));
    STATUSES.iter().find(|(_, words)| fits(words)).map(|(status, _)| *status)
}

/// Whether it can go to a client of OpenAI's as it is: `{"error": {"message": ..}}`.
fn is_openais(data: &str) -> bool {
    let message = || {
        let body = Object::parse(data.as_bytes()).ok()?;
        let error = Object::parse(body.present("error")?.as_bytes()).ok()?;
        json::string(error.present("message")?).map(|_| ())
    };
    message().is_some()
}

/// The same in OpenAI's shape.
fn written(read: &ErrorBody, data: &str, status: u16) -> String {
    const LONGEST: usize = 2000;
    let message = match read.messages.first() {
        Some(message) => message.as_str(),
        None if data.is_empty() => "The provider sent an error without a message.",
        None => data,
    };
    let message: String = message.chars().take(LONGEST).collect();
    error_body(status, error_type(status), None, &message)
}
