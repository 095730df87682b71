//! The table: which answer belongs to which class.
//!
//! | class | which answers | the request goes | the deployment |
//! |---|---|---|---|
//! | `invalid_request` | 400, 413, 422 and every 4xx that is not below; an unknown model behind a wildcard | to the client | nothing |
//! | `unsupported_route` | 404, 405, 501 that name no model; a model that does not serve the operation | elsewhere | nothing |
//! | `unknown_reference` | an unknown response, item, file, batch (400, 404) | elsewhere | nothing |
//! | `invalid_deployment` | an unknown or retired model or deployment (400, 404, 410); 421; a redirect | elsewhere | cools at once |
//! | `account` | 401, 402; key, permission, credit, quota or budget in a 400, 403, 412 or 429 | elsewhere | cools at once |
//! | `forbidden` | 403 that does not say why | elsewhere | is counted |
//! | `rate_limit` | 429, 498, 529; a rate limit in a 400, 403 or 5xx; a 503 with Retry-After | anywhere | cools at once, for the hint |
//! | `request_too_large` | 400, 413, 429: this request alone is above a limit per minute | elsewhere | nothing |
//! | `server` | 407 (of a forward proxy), 408, 409, 423 to 425, 499, other 5xx; no answer, no connection, a broken one | anywhere | is counted |
//! | `context_window` | a prompt that is too long (any status but 401, 402, 404, 429) | to `context_window_fallbacks` | nothing |
//! | `content_policy` | a filter (any status but 401, 402, 404, 429) | to `content_policy_fallbacks` | nothing |
//! | `added_parameter` | 400 or 422 about a member that the balancer added | anywhere, without it | nothing |
//! | `client_timeout` | the client's own limit has passed | anywhere | nothing |
//!
//! "Anywhere" is an untried deployment first. A deployment that is alone in its group cools by LiteLLM's rules
//! ([`cooldown`](crate::cooldown)). A code goes before a phrase, a phrase before the status; a body that is not JSON says
//! nothing, so its status decides; but text that names what the balancer added is about that.

use super::codes::{self, Meaning};
use std::time::Duration;

use super::error_body::ErrorBody;
use super::error_class::ErrorClass;
use super::phrases;
use super::spoken::spoken;

/// What the balancer added to the request that was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// `stream_options`, which the client did not send.
    pub stream_options: bool,
}

/// A provider's answer, and what was asked.
#[derive(Clone, Copy, Debug)]
pub struct ProviderError<'a> {
    /// Its HTTP status. Below 300 (an answer that is an error all the same) the body's own status counts, or else its words.
    pub status: u16,
    /// As much of the body as was read.
    pub body: &'a [u8],
    /// `x-amzn-errortype`, with which AWS names an error outside of the body.
    pub error_type: Option<&'a str>,
    /// Whether it says when to come back.
    pub has_retry_after: bool,
    /// Whether the deployment takes the model's name from the request.
    pub is_wildcard: bool,
    /// The model as the client named it: behind a wildcard a client's own word, whatever it says in a message.
    pub model: &'a str,
    /// What the balancer added.
    pub added: Added,
}

/// What a provider's error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// Its class.
    pub class: ErrorClass,
    /// The time to wait that its body names.
    pub retry_after: Option<Duration>,
}

/// Classifies a provider's error: any status, any bytes.
pub fn classify(error: &ProviderError<'_>) -> Classified {
    let mut body = ErrorBody::read(error.body);
    body.codes.extend(error.error_type.map(str::to_ascii_lowercase));
    let model = Some(error.model).filter(|_| error.is_wildcard);
    let messages: Vec<String> = body.messages.iter().map(|message| spoken(message, model)).collect();
    let class = |status| Reading { error, status, body: &body, messages: &messages }.class();
    let class = match (error.status, body.status()) {
        (status @ 300.., _) => class(status),
        (_, Some(own)) => class(own),
        // Its words decide, and where they say nothing, it is as good as a 500.
        (_, None) if codes::names_the_request(&body) => class(400),
        (_, None) => Some(class(400))
            .filter(|class| *class != ErrorClass::InvalidRequest)
            .unwrap_or_else(|| class(500)),
    };
    Classified { class, retry_after: body.retry_after }
}

/// An answer that has been read.
struct Reading<'a> {
    error: &'a ProviderError<'a>,
    status: u16,
    body: &'a ErrorBody,
    /// The body's messages without what they quote.
    messages: &'a [String],
}

impl Reading<'_> {
    fn class(&self) -> ErrorClass {
        match self.status {
            400 | 422 if self.is_about_what_was_added() => ErrorClass::AddedParameter,
            300..=399 => ErrorClass::InvalidDeployment,
            401 | 403 if self.error.is_wildcard && self.says(Meaning::Model) => ErrorClass::InvalidRequest,
            401 | 402 => ErrorClass::Account,
            // Of a forward proxy on the way to a provider without TLS: as a tunnel that does not come about.
            407 => ErrorClass::Server,
            404 | 405 | 501 => self.missing(),
            429 => self.limited(),
            _ => self.special().unwrap_or_else(|| self.ordinary()),
        }
    }

    /// By code, or else by phrase.
    fn says(&self, meaning: Meaning) -> bool {
        codes::has(self.body, meaning) || phrases::says(self.messages, meaning)
    }

    /// A long prompt or a filtered one. A code decides alone: a message beside it may hold words of the other, or of the client.
    fn special(&self) -> Option<ErrorClass> {
        let code = |meaning| codes::has(self.body, meaning);
        let phrase = |meaning| phrases::says(self.messages, meaning);
        match () {
            () if code(Meaning::Policy) => Some(ErrorClass::ContentPolicy),
            () if code(Meaning::Context) => Some(ErrorClass::ContextWindow),
            () if code(Meaning::Parameter) || code(Meaning::Model) || code(Meaning::Reference) => None,
            () if self.is_too_large() => Some(ErrorClass::RequestTooLarge),
            () if phrase(Meaning::Context) => Some(ErrorClass::ContextWindow),
            () if phrase(Meaning::Policy) => Some(ErrorClass::ContentPolicy),
            () => None,
        }
    }

    /// What is not there: a thing of the request's, the model, or the route.
    fn missing(&self) -> ErrorClass {
        match () {
            () if self.says(Meaning::Reference) => ErrorClass::UnknownReference,
            () if self.says(Meaning::Operation) => ErrorClass::UnsupportedRoute,
            () if self.status == 404 && self.names_the_model() => self.model(),
            () if self.says(Meaning::Account) => ErrorClass::Account,
            () => ErrorClass::UnsupportedRoute,
        }
    }

    fn limited(&self) -> ErrorClass {
        let code = |meaning| codes::has(self.body, meaning);
        // Gemini says "check your plan and billing" of limits per minute, too; what ends with the day has "PerDay" in its id.
        let is_google =
            code(Meaning::Limit) && self.body.codes.iter().any(|code| code == "resource_exhausted");
        let is_daily = self.body.codes.iter().any(|code| code.contains("perday"));
        match () {
            () if code(Meaning::Account) => ErrorClass::Account,
            () if self.is_too_large() => ErrorClass::RequestTooLarge,
            () if is_google && !is_daily => ErrorClass::RateLimit,
            () if is_daily || phrases::says(self.messages, Meaning::Account) => ErrorClass::Account,
            () => ErrorClass::RateLimit,
        }
    }

    /// Everything that is neither missing nor limited by its status, and no special fallback's.
    fn ordinary(&self) -> ErrorClass {
        let says = |meaning| self.says(meaning);
        match self.status {
            500.. => self.broken(),
            // The request's own servers of tools (MCP) fail with 424.
            408 | 409 | 423..=425 | 499 if !codes::has(self.body, Meaning::Parameter) => ErrorClass::Server,
            498 => ErrorClass::RateLimit,
            410 => self.model(),
            421 => ErrorClass::InvalidDeployment,
            413 => ErrorClass::InvalidRequest,
            _ if codes::has(self.body, Meaning::Parameter) => ErrorClass::InvalidRequest,
            _ if says(Meaning::Reference) || self.is_lost_response() => ErrorClass::UnknownReference,
            _ if says(Meaning::Operation) => ErrorClass::UnsupportedRoute,
            _ if says(Meaning::Account) => ErrorClass::Account,
            _ if says(Meaning::Limit) => ErrorClass::RateLimit,
            403 if says(Meaning::Model) || self.lacks_permission() => ErrorClass::Account,
            403 => ErrorClass::Forbidden,
            _ if says(Meaning::Model) => self.model(),
            _ => ErrorClass::InvalidRequest,
        }
    }

    /// 5xx. Proxies pass on others' limits so, and Google its own.
    fn broken(&self) -> ErrorClass {
        let has_hint = self.status == 503 && self.error.has_retry_after;
        match self.status == 529 || has_hint || codes::has(self.body, Meaning::Limit) {
            true => ErrorClass::RateLimit,
            false => ErrorClass::Server,
        }
    }

    /// Behind a wildcard the model's name is the request's own, so it says nothing about the deployment; nor does a model that
    /// another parameter names (`tools[0].model`).
    fn model(&self) -> ErrorClass {
        let mut params = self.body.params.iter().filter(|param| *param != "none").peekable();
        let is_anothers = params.peek().is_some() && params.all(|param| param != "model");
        if self.error.is_wildcard || is_anothers {
            ErrorClass::InvalidRequest
        } else {
            ErrorClass::InvalidDeployment
        }
    }

    /// In a 403 these words suffice, in a code or in a message.
    fn lacks_permission(&self) -> bool {
        phrases::says_no_permission(&self.body.codes) || phrases::says_no_permission(self.messages)
    }

    fn names_the_model(&self) -> bool {
        self.says(Meaning::Model) || phrases::says_unknown_model(self.messages)
    }

    /// OpenAI's answer to a response's id that another organization made.
    fn is_lost_response(&self) -> bool {
        let is_lost =
            |message: &String| message.to_ascii_lowercase().starts_with("invalid `previous_response_id`");
        self.body.messages.iter().any(is_lost)
    }

    /// Groq's 413, and OpenAI's 429 "Request too large": no wait helps, and smaller requests are served.
    fn is_too_large(&self) -> bool {
        matches!(self.status, 400 | 413 | 429) && phrases::says_too_large(self.messages)
    }

    fn is_about_what_was_added(&self) -> bool {
        const NAMES: [&str; 3] = ["stream_options", "stream options", "include_usage"];
        let names = |text: &str| {
            let text = text.to_ascii_lowercase();
            NAMES.iter().any(|name| text.contains(name))
        };
        // Some frameworks refuse unknown members in plain text.
        let is_text = || !matches!(self.error.body.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
        let is_in_text = || is_text() && names(&String::from_utf8_lossy(self.error.body));
        self.error.added.stream_options
            && (self.body.params.iter().any(|name| names(name))
                || self.body.messages.iter().any(|message| names(message))
                || is_in_text())
    }
}
