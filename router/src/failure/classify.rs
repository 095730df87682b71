//! The table of responses and classes.
//!
//! | class | responses | the request goes | the deployment |
//! |---|---|---|---|
//! | `invalid_request` | 400, 413, 422 and every 4xx that is not below; an unknown model behind a wildcard | to the next `order`, a fallback or the client | nothing |
//! | `unsupported_route` | 404, 405, 410, 501 that name no model; a model that does not serve the operation, or not this organization; an unknown `anthropic-beta` | elsewhere | nothing |
//! | `unknown_reference` | an unknown response, item, file, batch (400, 404) | elsewhere | nothing |
//! | `invalid_deployment` | an unknown or retired model or deployment (400, 404, 410); a 410 without a message; 421; a redirect | elsewhere | cools at once |
//! | `account` | 401, 402 (of every request); key, permission, credit, quota or budget in a 400, 403, 412 or 429 | elsewhere | cools at once |
//! | `forbidden` | 403 without a reason | elsewhere | is counted |
//! | `rate_limit` | 429, 498, 529; a rate limit in a 400, 403 or 5xx; a 503 with Retry-After | anywhere | cools at once, for the hint |
//! | `request_too_large` | 400, 402, 413, 429: this request alone is above a limit per minute or the credit, or too long for the account | elsewhere | nothing |
//! | `server` | 407 (of a forward proxy), 408, 409, 423 to 425, 499, other 5xx; a model that did not load (400); no answer, no connection, a broken one | anywhere | is counted |
//! | `context_window` | a prompt that is too long (any status but 401, 402, 404, 429) | to `context_window_fallbacks` | nothing |
//! | `content_policy` | a filter (any status but 401, 402, 404, 429) | to `content_policy_fallbacks` | nothing |
//! | `added_parameter` | 400, 422, .. about a parameter that the router added | anywhere, without it | nothing |
//! | `client_timeout` | the client's own limit has passed | anywhere | nothing |
//!
//! "Anywhere" is an untried deployment first. The only deployment of a group cools down by
//! LiteLLM's rules ([`cooldown`](super::cooldown)). A code decides before a phrase, and a phrase
//! before the status. In a 400 or 422, whose message may repeat the request, a phrase that makes a
//! deployment cool down has to begin the message ([`own_words`](super::own_words)). Of a page,
//! truncated JSON or a single word, only the status decides, unless it names the parameter that the
//! router added.

use super::codes::{self, Meaning};
use std::time::Duration;

use super::error_body::ErrorBody;
use super::error_class::ErrorClass;
use super::named_wait::named_wait;
use super::phrases;
use super::unquoted::{AfterUrl, unquoted};

/// A provider's error response, and the request.
#[derive(Clone, Copy, Debug)]
pub struct ProviderError<'a> {
    /// Its HTTP status. Below 300, for an error under a status of success, the body decides.
    pub status: u16,
    /// The body, up to the length that the filter reads.
    pub body: &'a [u8],
    /// `x-amzn-errortype`, in which AWS has the error's type.
    pub error_type: Option<&'a str>,
    /// Whether it has a retry-after.
    pub has_retry_after: bool,
    /// Whether the model of the deployment is a wildcard, so that the client names the provider's
    /// model.
    pub is_wildcard: bool,
    /// The model that the client requested. Of a wildcard deployment, messages may repeat it.
    pub model: &'a str,
    /// Whether the router added `stream_options` or a member of it.
    pub adds_stream_options: bool,
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
    // Under a status of success, that of the body counts.
    let status = if error.status < 300 { body.fitting_status() } else { Some(error.status) };
    let may_quote = matches!(status, Some(400 | 422));
    let after_url = if may_quote { AfterUrl::Skip } else { AfterUrl::Read };
    let unquoted = |message: &String| unquoted(message, model, after_url);
    let messages: Vec<String> = body.messages.iter().map(unquoted).collect();
    let class = |status| ParsedError { error, status, body: &body, messages: &messages }.class();
    let class = match (error.status, body.status(), codes::status(&body)) {
        (status @ 300.., ..) | (_, Some(status), _) | (_, _, Some(status @ ..500)) => class(status),
        // Codes and phrases decide. Without any, it is the server's.
        (.., status) => Some(class(400))
            .filter(|class| *class != ErrorClass::InvalidRequest)
            .unwrap_or_else(|| class(status.unwrap_or(500))),
    };
    let in_words = || messages.iter().filter_map(|message| named_wait(message)).max();
    // A request that is wrong in itself may have put the words there.
    let retry_after = match class {
        ErrorClass::RateLimit if !may_quote => body.retry_after.or_else(in_words),
        _ => body.retry_after,
    };
    Classified { class, retry_after }
}

/// A response whose body was read.
struct ParsedError<'a> {
    error: &'a ProviderError<'a>,
    status: u16,
    body: &'a ErrorBody,
    /// The body's messages, [unquoted](super::unquoted).
    messages: &'a [String],
}

impl ParsedError<'_> {
    fn class(&self) -> ErrorClass {
        match self.status {
            300..=399 => ErrorClass::InvalidDeployment,
            // Whatever the status: some servers have 404 or 500 for an unknown field.
            400 | 403..=406 | 415..=428 | 500 | 501 if self.is_about_added_parameter() => {
                ErrorClass::AddedParameter
            }
            401 | 403 if self.error.is_wildcard && self.says(Meaning::Model) => ErrorClass::InvalidRequest,
            402 if self.is_too_large() => ErrorClass::RequestTooLarge,
            401 | 402 => ErrorClass::Account,
            // Of a forward proxy. Where the provider has TLS, the same is a failed tunnel.
            407 => ErrorClass::Server,
            404 | 405 | 501 => self.missing(),
            429 => self.limited(),
            _ => self.special().unwrap_or_else(|| self.ordinary()),
        }
    }

    /// Whether it has a code or a phrase of this meaning.
    fn says(&self, meaning: Meaning) -> bool {
        codes::has(self.body, meaning) || phrases::says(self.messages, meaning)
    }

    /// A prompt that is too long or filtered. A code decides alone: the message may have the
    /// other's words, or the client's.
    fn special(&self) -> Option<ErrorClass> {
        let code = |meaning| codes::has(self.body, meaning);
        let phrase = |meaning| phrases::says(self.messages, meaning);
        if code(Meaning::Policy) {
            Some(ErrorClass::ContentPolicy)
        } else if code(Meaning::Context) {
            Some(ErrorClass::ContextWindow)
        } else if code(Meaning::Parameter) || code(Meaning::Model) || code(Meaning::Reference) {
            None
        } else if self.is_too_large() {
            Some(ErrorClass::RequestTooLarge)
        } else if code(Meaning::Limit) {
            // Bedrock's throttling says "Too many tokens".
            None
        } else if phrase(Meaning::Context) {
            Some(ErrorClass::ContextWindow)
        } else if phrase(Meaning::Policy) {
            Some(ErrorClass::ContentPolicy)
        } else {
            None
        }
    }

    /// What does not exist: a thing that the request names, the model, or the route.
    fn missing(&self) -> ErrorClass {
        if self.says(Meaning::Reference) {
            ErrorClass::UnknownReference
        } else if self.says(Meaning::Operation) {
            ErrorClass::UnsupportedRoute
        } else if self.status == 404 && self.names_the_model() {
            self.model()
        } else if self.says(Meaning::Account) {
            ErrorClass::Account
        } else {
            ErrorClass::UnsupportedRoute
        }
    }

    fn limited(&self) -> ErrorClass {
        let code = |meaning| codes::has(self.body, meaning);
        // Gemini writes "check your plan and billing" also for limits per minute. Limits per day
        // have "PerDay" in the id.
        let is_google =
            code(Meaning::Limit) && self.body.codes.iter().any(|code| code == "resource_exhausted");
        let is_daily = self.body.codes.iter().any(|code| code.contains("perday"));
        if code(Meaning::Account) {
            ErrorClass::Account
        } else if self.is_too_large() {
            ErrorClass::RequestTooLarge
        } else if is_google && !is_daily {
            ErrorClass::RateLimit
        } else if is_daily || phrases::says(self.messages, Meaning::Account) {
            ErrorClass::Account
        } else {
            ErrorClass::RateLimit
        }
    }

    /// Whether it has a code or a phrase of this meaning that counts against the deployment. Where the
    /// request may be wrong in itself, a phrase has to begin the message.
    fn blames(&self, meaning: Meaning) -> bool {
        if matches!(self.status, 400 | 422) {
            codes::has(self.body, meaning) || phrases::begins(self.messages, meaning)
        } else {
            self.says(meaning)
        }
    }

    /// All that is neither missing nor limited by its status, and has no fallbacks of its own.
    fn ordinary(&self) -> ErrorClass {
        let says = |meaning| self.says(meaning);
        let blames = |meaning| self.blames(meaning);
        match self.status {
            500.. => self.server_error(),
            // 424: a tool server (MCP) that the request names has failed.
            408 | 409 | 423..=425 | 499 if !codes::has(self.body, Meaning::Parameter) => ErrorClass::Server,
            498 => ErrorClass::RateLimit,
            410 if self.is_about_a_model() => self.model(),
            421 => ErrorClass::InvalidDeployment,
            413 => ErrorClass::InvalidRequest,
            _ if codes::has(self.body, Meaning::Parameter) && !self.is_unverified() => {
                ErrorClass::InvalidRequest
            }
            _ if says(Meaning::Reference) || self.is_lost_response() => ErrorClass::UnknownReference,
            _ if says(Meaning::Operation) => ErrorClass::UnsupportedRoute,
            _ if blames(Meaning::Account) || self.is_refused_by_bedrock() => ErrorClass::Account,
            _ if blames(Meaning::Limit) => ErrorClass::RateLimit,
            403 if says(Meaning::Model) || self.lacks_permission() => ErrorClass::Account,
            403 => ErrorClass::Forbidden,
            _ if blames(Meaning::Model) => self.model(),
            _ if blames(Meaning::Server) => ErrorClass::Server,
            410 => ErrorClass::UnsupportedRoute,
            _ => ErrorClass::InvalidRequest,
        }
    }

    /// 5xx, which proxies and Google also send for rate limits.
    fn server_error(&self) -> ErrorClass {
        let has_hint = self.status == 503 && self.error.has_retry_after;
        if self.status == 529 || has_hint || codes::has(self.body, Meaning::Limit) {
            ErrorClass::RateLimit
        } else {
            ErrorClass::Server
        }
    }

    /// An unknown model. It is the request's, if the deployment is a wildcard or if another
    /// parameter names the model (`tools[0].model`).
    fn model(&self) -> ErrorClass {
        let mut params = self.body.params.iter().filter(|param| !matches!(&***param, "none" | "")).peekable();
        let is_anothers = params.peek().is_some() && params.all(|param| param != "model");
        if self.error.is_wildcard || is_anothers {
            ErrorClass::InvalidRequest
        } else {
            ErrorClass::InvalidDeployment
        }
    }

    /// For a 403 these words are enough, in a code or in a message.
    fn lacks_permission(&self) -> bool {
        phrases::says_no_permission(&self.body.codes) || phrases::says_no_permission(self.messages)
    }

    fn names_the_model(&self) -> bool {
        self.says(Meaning::Model) || phrases::says_unknown_model(self.messages)
    }

    /// Whether a 410 is about a model, or about nothing. xAI has that status for a parameter.
    fn is_about_a_model(&self) -> bool {
        self.messages.is_empty() || self.names_the_model() || self.any_message(|text| text.contains("model"))
    }

    /// OpenAI has the code of a parameter where an organization may not stream a model.
    fn is_unverified(&self) -> bool {
        self.any_message(|text| text.contains("organization must be verified"))
    }

    /// The whole message for an account that may not use Bedrock.
    fn is_refused_by_bedrock(&self) -> bool {
        self.status == 400 && self.any_message(|text| text == "operation not allowed")
    }

    fn any_message(&self, is_it: fn(&str) -> bool) -> bool {
        self.messages.iter().any(|text| is_it(text))
    }

    /// OpenAI's response to the id of another organization's response.
    fn is_lost_response(&self) -> bool {
        let is_lost =
            |message: &String| message.to_ascii_lowercase().starts_with("invalid `previous_response_id`");
        self.body.messages.iter().any(is_lost)
    }

    /// Groq's 413, OpenAI's 429 "Request too large", OpenRouter's 402 "can only afford 1200": the
    /// request fails after any wait, and smaller ones do not.
    fn is_too_large(&self) -> bool {
        matches!(self.status, 400 | 402 | 413 | 429) && phrases::says_too_large(self.messages)
    }

    fn is_about_added_parameter(&self) -> bool {
        const NAMES: [&str; 3] = ["stream_options", "stream options", "include_usage"];
        let names = |text: &str| {
            let text = text.to_ascii_lowercase();
            NAMES.iter().any(|name| text.contains(name))
        };
        // Some frameworks refuse unknown parameters in plain text.
        let is_text = || !matches!(self.error.body.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
        let is_in_text = || is_text() && names(&String::from_utf8_lossy(self.error.body));
        self.error.adds_stream_options
            && (self.body.params.iter().any(|name| names(name))
                || self.body.messages.iter().any(|message| names(message))
                || is_in_text())
    }
}
