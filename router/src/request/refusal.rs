//! The closed list of errors that the router answers with, each with LiteLLM's status and words.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::Wire;

use crate::http::auth::Unauthorized;
use crate::http::json;
use crate::http::multipart::InvalidForm;
use crate::http::reply::{Reply, error_type};
use crate::http::route::wire;
use crate::http::text::shortened;
use crate::request::mock::Mock;
use crate::request::unavailable::Unavailable;
use crate::request::unresolved::Unresolved;

/// Why a request is not served. Statuses and messages: BEHAVIOUR 2.4, 5.5 and 9.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No master key.
    Unauthorized(Unauthorized),
    /// A path that is not served.
    NoSuchRoute {
        /// Method and path.
        asked: String,
        /// Scheme and host under which the client reaches this server.
        origin: String,
        /// The route that the client probably meant.
        meant: Option<&'static str>,
    },
    /// A request for a WebSocket.
    Upgrade,
    /// A served path with another method than this one, which it needs.
    WrongMethod(&'static str),
    /// `GET /v1/models/{id}` for a name that is not listed.
    NoSuchModel(String),
    /// A response that no deployment has stored.
    NoSuchResponse(String),
    /// A body above the limit, in bytes.
    TooLarge(u64),
    /// A compressed body that the edge did not unpack.
    Encoded(String),
    /// A body that is not JSON, and the parser's message.
    Malformed(String),
    /// JSON that is not an object.
    NotAnObject,
    /// A body that is not multipart/form-data, is cut off, or has a part that two parsers may read
    /// differently.
    NotAForm(InvalidForm),
    /// A request without a body.
    NoBody,
    /// `model` is a number, a list, and so on.
    ModelNotAString,
    /// The model's name, if the request has one, leads to no deployment; and the route.
    Unresolved(Option<String>, Unresolved, &'static str),
    /// The model is in the configuration, but none of its deployments can be served, for this
    /// reason.
    Skipped(String, String),
    /// No provider of the model's deployments has the route.
    NotServed {
        /// The model, as the client named it.
        model: String,
        /// The route.
        route: &'static str,
        /// The id and the provider of the first deployment.
        deployment: (Arc<str>, String),
    },
    /// No deployment of the model speaks the API of the route, which is this one; and a route of the
    /// other API.
    OtherWire(String, Wire, &'static str),
    /// A parameter with an invalid value, and what it must be.
    Parameter(String, &'static str),
    /// `mock_testing_*` without permission by the configuration.
    MockTestingOff(String),
    /// A mock error for this model, after which no retry or fallback serves the request.
    Mock(Mock, String),
    /// The request's tags admit no deployment of the group.
    Tags {
        /// The group.
        model: String,
        /// The request's tags.
        tags: Vec<String>,
    },
    /// The prompt, which takes about so many tokens, is longer than the context of every deployment of
    /// the group, the longest of which has so many.
    TooLong {
        /// The group.
        model: String,
        /// Tokens of the prompt.
        prompt: u64,
        /// Tokens of the longest context.
        context: u64,
    },
    /// No deployment of the group may serve.
    Unavailable(Unavailable),
    /// No deployment could be reached.
    NoConnection,
    /// The provider answered with a redirect of this status, to this place.
    Redirected(u16, Option<String>),
    /// The provider's answer is invalid, and has no error that the client could get.
    NoAnswer {
        /// The status for the client.
        status: u16,
        /// The provider's status.
        provider_status: u16,
        /// What was wrong with its body.
        body: &'static str,
    },
    /// The provider did not answer in this time.
    TimedOut(Duration),
    /// What the client sent is lost: the filter's VM was replaced after the first attempt.
    Lost,
}

impl Refusal {
    /// HTTP status, OpenAI's error type, the parameter it is about, and the message for a client of
    /// this API.
    fn parts(&self, client: Wire) -> (u16, &'static str, Option<&str>, String) {
        const INVALID: &str = "invalid_request_error";
        match self {
            Self::Unauthorized(why) => {
                let why = match why {
                    Unauthorized::NoKey => "No api key passed in.",
                    Unauthorized::WrongKey => "Invalid api key passed in.",
                };
                (401, "auth_error", None, format!("Authentication Error, {why}"))
            }
            Self::NoSuchRoute { asked, origin, meant } => {
                (404, INVALID, None, not_found((shown(asked), shown(origin)), *meant, client))
            }
            Self::Upgrade => {
                let message = "WebSockets are not served: use HTTP, with \"stream\": true for events.";
                (426, INVALID, None, message.into())
            }
            Self::WrongMethod(method) => (405, INVALID, None, format!("Method Not Allowed: use {method}.")),
            Self::NoSuchModel(id) => (
                404,
                INVALID,
                Some("model"),
                format!("The model `{}` does not exist or is not accessible", shown(id)),
            ),
            // OpenAI's words.
            Self::NoSuchResponse(id) => {
                (404, INVALID, None, format!("Response with id '{}' not found.", shown(id)))
            }
            Self::TooLarge(limit) => {
                (413, INVALID, None, format!("The request body is larger than {limit} bytes."))
            }
            Self::Encoded(encoding) => {
                // Codex compresses when it is logged in with ChatGPT.
                const CODEX: &str = " (Codex: -c features.enable_request_compression=false)";
                let hint = if encoding == "zstd" { CODEX } else { "" };
                let encoding = shown(encoding);
                let message =
                    format!("Content-Encoding {encoding} is not supported: send the body as it is{hint}.");
                (415, INVALID, None, message)
            }
            Self::Malformed(why) => {
                (400, INVALID, Some("request_body"), format!("Invalid JSON payload: {why}"))
            }
            Self::NotAnObject => {
                (400, INVALID, Some("request_body"), "Invalid JSON payload: expected an object".into())
            }
            Self::NotAForm(why) => (400, INVALID, Some("request_body"), format!("Invalid form: {why}.")),
            Self::NoBody => {
                (400, INVALID, Some("request_body"), "Invalid JSON payload: the body is empty".into())
            }
            Self::ModelNotAString => {
                (400, "bad_request_error", Some("model"), "'model' must be a string.".into())
            }
            Self::Unresolved(model, why, route) => (400, INVALID, None, why.message(model.as_deref(), route)),
            Self::Skipped(model, why) => {
                let model = shown(model);
                let message =
                    format!("The model `{model}` is configured, but its deployments were skipped: {why}.");
                (404, INVALID, Some("model"), message)
            }
            // OpenAI's own status for a model that another route serves.
            Self::NotServed { model, route, deployment: (id, provider) } => {
                let model = shown(model);
                let message = format!(
                    "The model `{model}` does not serve {route}: the provider {provider} of its deployment {id} has no such route."
                );
                (404, INVALID, Some("model"), message)
            }
            Self::OtherWire(model, wire, instead) => {
                let (openais, anthropics) = ("OpenAI's API", "Anthropic's Messages API");
                let (asked, other) =
                    if *wire == Wire::Anthropic { (anthropics, openais) } else { (openais, anthropics) };
                let model = shown(model);
                let message = format!(
                    "The model `{model}` has no deployment that serves {asked}: request it by {other}, at /v1{instead}."
                );
                (400, INVALID, Some("model"), message)
            }
            Self::Parameter(name, expected) => {
                (400, INVALID, Some(name), format!("'{name}' must be {expected}."))
            }
            Self::MockTestingOff(name) => {
                let message = format!(
                    "'{name}' is disabled by general_settings.dangerously_allow_mock_testing_request_params."
                );
                (400, INVALID, Some(name), message)
            }
            Self::Mock(mock, model) => {
                let (status, kind, aim) = match mock {
                    Mock::RateLimit => (429, "throttling_error", "a rate limit error"),
                    Mock::Fallbacks => (500, "internal_server_error", "a fallback"),
                    Mock::ContextWindow => (400, INVALID, "a context window fallback"),
                    Mock::ContentPolicy => (400, INVALID, "a content policy fallback"),
                };
                let model = shown(model);
                (status, kind, None, format!("This is a mock exception for model={model}, to trigger {aim}."))
            }
            Self::Tags { model, tags } => {
                // As Python writes a list.
                let tags: Vec<String> = tags.iter().map(|tag| format!("'{tag}'")).collect();
                let message = format!(
                    "Not allowed to access model due to tags configuration. Passed model={} and tags=[{}]",
                    shown(model),
                    shown(&tags.join(", "))
                );
                (401, "internal_server_error", None, message)
            }
            Self::TooLong { model, prompt, context } => {
                let model = shown(model);
                let message = format!(
                    "The model `{model}` takes at most {context} input tokens, but the prompt has about {prompt}. Shorten it, or use a model with a longer context."
                );
                (400, INVALID, None, message)
            }
            Self::Unavailable(group) if group.all_cooling => {
                (429, "all_deployments_in_cooldown", None, group.message())
            }
            Self::Unavailable(group) => (429, "rate_limit_error", None, group.message()),
            Self::NoConnection => (500, "internal_server_error", None, "Connection error.".into()),
            Self::Redirected(status, location) => {
                let to = location.as_ref().map_or_else(String::new, |to| format!(", to {to}"));
                let message = format!(
                    "The provider answered with a redirect, status {status}{to}. Redirects are not followed: set api_base to the final address."
                );
                (502, "internal_server_error", None, message)
            }
            Self::NoAnswer { status, provider_status, body } => {
                let message = format!("The provider answered with status {provider_status} and {body}.");
                (*status, error_type(*status), None, message)
            }
            Self::TimedOut(limit) => {
                let message = format!("Request timed out: no answer within {}.", seconds(*limit));
                (408, "timeout_error", None, message)
            }
            Self::Lost => {
                let message = "The balancer could not serve the request; please try again.";
                (503, "internal_server_error", None, message.into())
            }
        }
    }

    /// The reason in metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unauthorized(_) => "unauthorized",
            Self::NoSuchRoute { .. } | Self::WrongMethod(_) | Self::Upgrade => "unsupported_route",
            Self::NotServed { .. } | Self::OtherWire(..) => "unsupported_route",
            Self::NoSuchModel(_) | Self::Unresolved(..) | Self::Skipped(..) => "unknown_model",
            Self::NoSuchResponse(_) => "unknown_response",
            Self::TooLarge(_) => "body_too_large",
            Self::Encoded(_) | Self::Malformed(_) | Self::NotAnObject | Self::NotAForm(_) | Self::NoBody => {
                "malformed"
            }
            Self::ModelNotAString | Self::Parameter(..) | Self::MockTestingOff(_) => "invalid_parameter",
            Self::Mock(..) => "mock",
            Self::Tags { .. } => "tag_mismatch",
            Self::TooLong { .. } => "context_window",
            Self::Unavailable(group) if group.all_cooling => "cooling_down",
            Self::Unavailable(_) => "over_limit",
            Self::NoConnection
            | Self::Redirected(..)
            | Self::NoAnswer { .. }
            | Self::TimedOut(_)
            | Self::Lost => "upstream_unavailable",
        }
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        self.parts(Wire::OpenAi).0
    }

    /// The answer to a client of this API.
    pub fn reply(&self, wire: Wire) -> Reply {
        let (status, kind, param, message) = self.parts(wire);
        // OpenAI's clients know this error by its code.
        let code = matches!(self, Self::TooLong { .. }).then_some("context_length_exceeded");
        let reply = Reply::error(wire, status, (kind, code), param, &message);
        let headers = match self {
            Self::WrongMethod(method) => vec![("allow", (*method).to_owned())],
            Self::Unavailable(group) => vec![("retry-after", group.seconds().to_string())],
            Self::Mock(Mock::RateLimit, _) => vec![("retry-after", "1".to_owned())],
            // Without the second header, Claude Code repeats a 401 ten times, for minutes.
            Self::Unauthorized(_) => {
                vec![("www-authenticate", "Bearer".to_owned()), ("x-should-retry", "false".to_owned())]
            }
            _ => Vec::new(),
        };
        Reply { headers, ..reply }
    }
}

/// Characters of a client's text in a message at most: enough to recognise it.
const SHOWN: usize = 200;

pub(super) fn shown(name: &str) -> Cow<'_, str> {
    shortened(name, SHOWN)
}

/// `60 seconds`, `0.5 seconds`, `1 second`
fn seconds(limit: Duration) -> String {
    match limit.subsec_nanos() {
        0 if limit.as_secs() == 1 => "1 second".to_owned(),
        0 => format!("{} seconds", limit.as_secs()),
        _ => format!("{} seconds", json::number(limit.as_secs_f64())),
    }
}

fn not_found((asked, origin): (Cow<'_, str>, Cow<'_, str>), meant: Option<&str>, client: Wire) -> String {
    // Anthropic's clients add the version themselves.
    let is_anthropics = client == Wire::Anthropic || meant.map(wire) == Some(Wire::Anthropic);
    let version = if is_anthropics { "" } else { "/v1" };
    let base =
        format!("Not Found: {asked} is not served here. The base URL for clients is {origin}{version}");
    match meant {
        Some(route) => format!("{base}, and this route is {origin}/v1{route}."),
        None => format!("{base}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_the_key_gets_openais_error() {
        let reply = Refusal::Unauthorized(Unauthorized::NoKey).reply(Wire::OpenAi);
        let expected = r#"{"error":{"message":"Authentication Error, No api key passed in.","type":"auth_error","param":null,"code":"401"}}"#;
        assert_eq!((reply.status, reply.body.as_str()), (401, expected));
        assert_eq!(
            reply.headers,
            [("www-authenticate", "Bearer".to_owned()), ("x-should-retry", "false".to_owned())]
        );
    }

    #[test]
    fn a_megabyte_of_a_client_is_not_sent_back_whole() {
        let name = "é".repeat(500_000);
        let encoded = Refusal::Encoded(name.clone());
        for refusal in [encoded, Refusal::Unresolved(Some(name), Unresolved::Unknown, "/embeddings")] {
            let reply = refusal.reply(Wire::OpenAi);
            assert!(reply.body.len() < 1000, "{} bytes", reply.body.len());
        }
    }

    #[test]
    fn tags_that_admit_no_deployment_are_named_up_to_a_length() {
        let refusal = |tags: &[&str]| Refusal::Tags {
            model: "g".into(),
            tags: tags.iter().map(|&tag| tag.into()).collect(),
        };
        let reply = refusal(&["a", "b"]).reply(Wire::OpenAi);
        let expected =
            "Not allowed to access model due to tags configuration. Passed model=g and tags=['a', 'b']";
        assert_eq!(reply.status, 401);
        assert!(reply.body.contains(expected), "{}", reply.body);
        let reply = refusal(&[&"a".repeat(1_000_000), "b"]).reply(Wire::OpenAi);
        assert!(reply.body.len() < 1000, "{} bytes", reply.body.len());
    }

    #[test]
    fn a_timeout_names_its_seconds() {
        for (millis, expected) in [(1000, "1 second."), (500, "0.5 seconds."), (60_000, "60 seconds.")] {
            let reply = Refusal::TimedOut(Duration::from_millis(millis)).reply(Wire::OpenAi);
            let expected = format!("no answer within {expected}");
            assert!(reply.body.contains(&expected), "{}", reply.body);
        }
    }

    #[test]
    fn what_the_client_sent_cannot_break_the_json() {
        let reply = Refusal::Unresolved(Some("a\"\n\\".into()), Unresolved::Unknown, "/embeddings")
            .reply(Wire::OpenAi);
        let json: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        let message = json["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("/embeddings: Invalid model name passed in model=a\"\n\\."), "{message}");
    }
}
