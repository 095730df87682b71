//! An error under a success status: the status that it should have had, and its body for the
//! client.

use std::borrow::Cow;

use llm_balancer_config::Wire;

use super::events::MAX_CHOICES;
use crate::failure::ErrorBody;
use crate::http::json::{self, Object};
use crate::http::reply::{error_body, error_type};
use crate::request::refusal::Refusal;

/// An error under a success status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FalseSuccess {
    /// The status that fits the error's code or type; 502 where neither is known.
    pub status: u16,
    /// The error, in the shape of the request's API unless the provider's is a common one.
    pub body: String,
    /// The error as the provider sent it, where `body` has another shape and perhaps another code: it
    /// decides about the class.
    pub original: Option<String>,
}

/// Where neither code nor type is known.
const UNKNOWN: u16 = 502;

impl FalseSuccess {
    /// For a body that cannot go to the client; `body` describes it.
    pub(in crate::upstream) fn without_message(wire: Wire, provider_status: u16, body: &'static str) -> Self {
        let reply = Refusal::NoAnswer { status: UNKNOWN, provider_status, body }.reply(wire);
        Self { status: reply.status, body: reply.body, original: None }
    }

    /// The error in a JSON body or in the data of an event.
    pub(super) fn from_json(wire: Wire, data: &[u8]) -> Self {
        let data = String::from_utf8_lossy(data);
        let data = unwrapped(data.trim());
        let read = ErrorBody::read(data.as_bytes());
        let status = read.fitting_status().unwrap_or(UNKNOWN);
        if has_message(&data) {
            return Self { status, body: data.into_owned(), original: None };
        }
        let body = reshaped(wire, &read, &data, status);
        Self { status, body, original: Some(data.into_owned()) }
    }
}

/// The Responses API has the error within the failed response, and OpenRouter within the choice.
fn unwrapped(data: &str) -> Cow<'_, str> {
    let error = Object::parse(data.as_bytes())
        .ok()
        .filter(|event| event.present("error").is_none())
        .and_then(|event| {
            let first_choice = || json::list(event.present("choices")?, MAX_CHOICES)?.into_iter().next();
            let failed = Object::parse(event.present("response").or_else(first_choice)?.as_bytes()).ok()?;
            Some(format!(r#"{{"error":{}}}"#, failed.present("error")?))
        });
    error.map_or(Cow::Borrowed(data), Cow::Owned)
}

/// Whether an error would have words of the provider.
pub(super) fn names_a_message(data: &[u8]) -> bool {
    !ErrorBody::read(data).messages.is_empty()
}

/// Whether it has the shape of both APIs already: `{"error": {"message": ..}}`.
fn has_message(data: &str) -> bool {
    let message = || {
        let body = Object::parse(data.as_bytes()).ok()?;
        let error = Object::parse(body.present("error")?.as_bytes()).ok()?;
        json::string(error.present("message")?).map(|_| ())
    };
    message().is_some()
}

/// The error in the shape of an API, with the provider's own code and parameter, which clients read.
fn reshaped(wire: Wire, read: &ErrorBody, data: &str, status: u16) -> String {
    const MAX_CHARS: usize = 2000;
    let message = match read.messages.first() {
        Some(message) => message.as_str(),
        None if data.is_empty() => "The provider sent an error without a message.",
        None => data,
    };
    let message: String = message.chars().take(MAX_CHARS).collect();
    let object = Object::parse(data.as_bytes()).ok();
    let own = |key| object.as_ref()?.present(key).and_then(json::string);
    let code = own("code").filter(|code| read.follows_from(code));
    // OpenAI's type of these is the code.
    let kind = code.as_deref().filter(|code| status >= 500 || *code == "insufficient_quota");
    let kind = (kind.unwrap_or_else(|| error_type(status)), code.as_deref());
    error_body(wire, status, kind, own("param").as_deref(), &message)
}
