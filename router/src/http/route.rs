//! The route of a request's path, and the model that the path may have.

use std::borrow::Cow;

use llm_balancer_config::Wire;
use percent_encoding::percent_decode_str;

pub use super::response_route::ResponseRoute;

/// The route of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// A deployment serves it; with the model of the path.
    Model(ModelRoute, Option<Cow<'a, str>>),
    /// The deployment that made a response serves it; with the response's id.
    Response(ResponseRoute, &'a str),
    /// `GET /v1/models`
    Models,
    /// `GET /v1/models/{id}`
    ModelById(Cow<'a, str>),
    /// `GET /v1/model/info`
    ModelInfo,
    /// `GET /v1/model_group/info`
    ModelGroupInfo,
    /// `GET /health`
    Health,
    /// `GET /health/liveliness`
    Liveliness,
    /// `GET /health/readiness`
    Readiness,
    /// A path that is not served.
    Unknown,
}

/// A route that deployments serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelRoute {
    /// The path behind a provider's base URL: `/chat/completions`.
    pub suffix: &'static str,
    /// The format of its request body.
    pub body: BodyKind,
    /// Whether `metadata` is the provider's own parameter rather than LiteLLM's (BEHAVIOUR 9.3).
    pub keeps_metadata: bool,
}

/// The format of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// A JSON object. Providers differ in its required members, such as `messages` or `input`, so
    /// only the model is required here.
    Json,
    /// multipart/form-data.
    Multipart,
}

impl ModelRoute {
    /// Its API.
    pub fn wire(self) -> Wire {
        wire(self.suffix)
    }

    /// Whether its requests may refer to responses that were made before.
    pub fn refers_to_responses(self) -> bool {
        is_of_responses(self.suffix)
    }

    /// Whether it counts the tokens of a prompt, without an answer.
    pub fn only_counts(self) -> bool {
        matches!(self.suffix, COUNT_TOKENS | INPUT_TOKENS)
    }
}

/// The route that makes responses. Those about one of them are below it.
pub const RESPONSES: &str = "/responses";

/// Makes encrypted items of a conversation, which take its place.
pub const COMPACT: &str = "/responses/compact";

/// Counts the tokens of a response's input.
pub const INPUT_TOKENS: &str = "/responses/input_tokens";

pub(super) const fn json(suffix: &'static str) -> ModelRoute {
    ModelRoute { suffix, body: BodyKind::Json, keeps_metadata: false }
}

const fn keeping_metadata(suffix: &'static str) -> ModelRoute {
    ModelRoute { suffix, body: BodyKind::Json, keeps_metadata: true }
}

const fn multipart(suffix: &'static str) -> ModelRoute {
    ModelRoute { suffix, body: BodyKind::Multipart, keeps_metadata: false }
}

/// OpenAI's routes that need no translation (BEHAVIOUR 9.1).
pub const MODEL_ROUTES: [ModelRoute; 14] = [
    json("/chat/completions"),
    json("/completions"),
    json("/embeddings"),
    json("/images/generations"),
    multipart("/images/edits"),
    multipart("/images/variations"),
    multipart("/audio/transcriptions"),
    multipart("/audio/translations"),
    json("/audio/speech"),
    json("/moderations"),
    json("/rerank"),
    keeping_metadata(RESPONSES),
    keeping_metadata(COMPACT),
    keeping_metadata(INPUT_TOKENS),
];

/// The routes of Anthropic's Messages, which have no path without `/v1`, as in LiteLLM.
pub const ANTHROPIC_ROUTES: [ModelRoute; 2] = [keeping_metadata(MESSAGES), keeping_metadata(COUNT_TOKENS)];

/// Anthropic's Messages.
pub const MESSAGES: &str = "/messages";

/// Counts the tokens of a prompt, without an answer.
pub const COUNT_TOKENS: &str = "/messages/count_tokens";

/// All routes that deployments serve.
pub fn model_routes() -> impl Iterator<Item = &'static ModelRoute> {
    MODEL_ROUTES.iter().chain(&ANTHROPIC_ROUTES)
}

/// The API of a route, which is spelt as in [`ModelRoute::suffix`].
pub fn wire(route: &str) -> Wire {
    if route.starts_with("/messages") { Wire::Anthropic } else { Wire::OpenAi }
}

/// Whether a route makes a response, or prepares one: its requests may refer to earlier ones.
pub fn is_of_responses(route: &str) -> bool {
    matches!(route, RESPONSES | COMPACT | INPUT_TOKENS)
}

/// A path with single slashes: behind a base URL that ends in a slash there are two. A slash in a
/// model's name is single, or `%2F`.
pub fn merge_slashes(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    Cow::Owned(merged)
}

/// The path behind a base.
fn below<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    path.strip_prefix(base).filter(|rest| rest.starts_with('/'))
}

impl<'a> Route<'a> {
    /// The route of a path without a query and with single slashes. A first `/v1` is optional, as
    /// in LiteLLM. Azure's clients have `/openai` or `/openai/v1` in front.
    pub fn parse(path: &'a str) -> Self {
        let path = path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path);
        let versioned = below(path, "/v1");
        let path = versioned.unwrap_or(path);
        if let Some(path) = below(path, "/openai") {
            return Self::parse_azure(below(path, "/v1").unwrap_or(path));
        }
        match path {
            "/models" => Self::Models,
            "/model/info" => Self::ModelInfo,
            "/model_group/info" => Self::ModelGroupInfo,
            "/health" => Self::Health,
            "/health/liveliness" | "/health/liveness" => Self::Liveliness,
            "/health/readiness" => Self::Readiness,
            _ => match Self::parse_model_route(path) {
                Self::Unknown if versioned.is_some() => Self::parse_anthropic(path),
                route => route,
            },
        }
    }

    fn parse_anthropic(path: &str) -> Self {
        let route = ANTHROPIC_ROUTES.iter().find(|route| route.suffix == path);
        route.map_or(Self::Unknown, |route| Self::Model(*route, None))
    }

    /// Azure has OpenAI's routes, optionally behind `/deployments/{model}`.
    fn parse_azure(path: &'a str) -> Self {
        match (path, path.strip_prefix("/deployments/")) {
            ("/models", _) => Self::Models,
            (_, Some(rest)) => Self::parse_with_model(rest),
            _ => Self::parse_model_route(path),
        }
    }

    fn parse_model_route(path: &'a str) -> Self {
        // Cohere's clients ask for version 2.
        let path = if path == "/v2/rerank" { "/rerank" } else { path };
        if let Some(route) = MODEL_ROUTES.iter().find(|route| route.suffix == path) {
            return Self::Model(*route, None);
        }
        if let Some((route, id)) = ResponseRoute::parse(path) {
            return Self::Response(route, id);
        }
        if let Some(id) = path.strip_prefix("/models/") {
            return Self::ModelById(percent_decoded(id));
        }
        path.strip_prefix("/engines/").map_or(Self::Unknown, Self::parse_with_model)
    }

    /// `{model}/chat/completions`. The longest suffix counts: `/chat/completions` before
    /// `/completions`.
    fn parse_with_model(rest: &'a str) -> Self {
        let named = MODEL_ROUTES.iter().filter_map(|route| Some((route, rest.strip_suffix(route.suffix)?)));
        match named.filter(|(_, model)| !model.is_empty()).max_by_key(|(route, _)| route.suffix.len()) {
            Some((route, model)) => Self::Model(*route, Some(percent_decoded(model))),
            None => Self::Unknown,
        }
    }

    /// A route to suggest for a path that is not served: one at its end, or in front of a `/v1`
    /// there.
    pub fn suggestion(path: &str) -> Option<&'static str> {
        let path = path.trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path);
        let routes = model_routes().map(|route| route.suffix).filter(|suffix| path.ends_with(suffix));
        routes.max_by_key(|suffix| suffix.len())
    }

    /// The API whose errors a client of the route reads.
    pub fn wire(&self) -> Wire {
        match self {
            Self::Model(route, _) => route.wire(),
            _ => Wire::OpenAi,
        }
    }

    /// Whether it has a method of this name.
    pub fn has_method(&self, method: &str) -> bool {
        match self {
            Self::Response(route, _) => route.method(method).is_some(),
            Self::Model(..) => method == "POST",
            _ => matches!(method, "GET" | "HEAD"),
        }
    }

    /// The methods of the route, for a client that sent another.
    pub fn methods(&self) -> &'static str {
        match self {
            Self::Model(..) | Self::Response(ResponseRoute::Cancel, _) => "POST",
            Self::Response(ResponseRoute::Response, _) => "GET, DELETE",
            _ => "GET",
        }
    }

    /// Whether it is served without a key, as an orchestrator's probes need it.
    pub fn is_public(&self) -> bool {
        matches!(self, Self::Liveliness | Self::Readiness)
    }
}

/// The value of a query parameter, decoded; `None` where it is absent or empty.
pub fn query_value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(percent_decoded(value)).filter(|value| !value.is_empty())
}

/// Text of a URL.
pub(crate) fn percent_decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model_of(path: &str) -> Option<(&'static str, Option<String>)> {
        match Route::parse(path) {
            Route::Model(route, model) => Some((route.suffix, model.map(Cow::into_owned))),
            _ => None,
        }
    }

    #[test]
    fn every_route_is_served_with_and_without_v1() {
        for route in MODEL_ROUTES {
            assert_eq!(model_of(route.suffix), Some((route.suffix, None)));
            assert_eq!(model_of(&format!("/v1{}", route.suffix)), Some((route.suffix, None)));
        }
        assert_eq!(Route::parse("/v1/models/"), Route::Models);
        assert_eq!(Route::parse("/v1beta/models"), Route::Unknown);
        assert_eq!(Route::parse("/"), Route::Unknown);
    }

    #[test]
    fn anthropics_routes_are_served_under_v1_alone() {
        for route in ANTHROPIC_ROUTES {
            let suffix = route.suffix;
            assert_eq!(model_of(&format!("/v1{suffix}")), Some((suffix, None)));
            assert_eq!(wire(suffix), Wire::Anthropic);
            for path in [suffix.to_owned(), format!("/openai/v1{suffix}"), format!("/v1/engines/a{suffix}")] {
                assert_eq!(Route::parse(&path), Route::Unknown, "{path}");
                assert_eq!(Route::suggestion(&path), Some(suffix), "{path}");
            }
        }
        assert_eq!(Route::parse("/v1/messages/batches"), Route::Unknown);
        assert!(MODEL_ROUTES.iter().all(|route| route.wire() == Wire::OpenAi));
    }

    #[test]
    fn a_path_may_have_the_model_with_its_slashes() {
        let chat = "/chat/completions";
        for (path, model) in [
            ("/openai/deployments/gpt-4/chat/completions", "gpt-4"),
            ("/engines/openai%2Fgpt-4/chat/completions", "openai/gpt-4"),
            ("/engines/openai/gpt-4/chat/completions", "openai/gpt-4"),
            ("/v1/engines/a/chat/completions", "a"),
        ] {
            assert_eq!(model_of(path), Some((chat, Some(model.to_owned()))), "{path}");
        }
        assert_eq!(model_of("/engines/a/completions"), Some(("/completions", Some("a".to_owned()))));
        assert_eq!(Route::parse("/engines//completions"), Route::Unknown);
    }

    #[test]
    fn azures_clients_are_served_under_each_of_their_base_urls() {
        for route in MODEL_ROUTES {
            let suffix = route.suffix;
            for base in ["/openai", "/openai/v1", "/v1/openai"] {
                assert_eq!(model_of(&format!("{base}{suffix}")), Some((suffix, None)), "{base}");
            }
            let addressed = format!("/openai/deployments/meta%2Fllama{suffix}");
            assert_eq!(model_of(&addressed), Some((suffix, Some("meta/llama".to_owned()))));
        }
        assert_eq!(Route::parse("/openai/models"), Route::Models);
        assert_eq!(Route::parse("/openai/v1/models"), Route::Models);
        assert_eq!(Route::parse("/openai/v1/models/gpt"), Route::ModelById("gpt".into()));
        for unknown in
            ["/openai", "/openai/v1", "/openai/health", "/openai/deployments", "/openai/deployments/a"]
        {
            assert_eq!(Route::parse(unknown), Route::Unknown, "{unknown}");
        }
    }

    #[test]
    fn repeated_slashes_count_once() {
        for path in [
            "//v1/chat/completions", "/v1//chat/completions", "/v1/chat/completions//",
            "/v1/chat/completions/",
        ] {
            assert_eq!(model_of(&merge_slashes(path)), Some(("/chat/completions", None)), "{path}");
        }
        assert!(matches!(merge_slashes("/v1/models"), Cow::Borrowed(_)));
    }

    #[test]
    fn reranking_is_served_under_coheres_path_too() {
        for path in ["/rerank", "/v1/rerank", "/v2/rerank"] {
            assert_eq!(model_of(path), Some(("/rerank", None)), "{path}");
        }
    }

    #[test]
    fn a_known_route_is_suggested_for_an_unknown_path() {
        for (path, suggestion) in [
            ("/v1/v1/chat/completions", Some("/chat/completions")),
            ("/chat/completions/v1", Some("/chat/completions")),
            ("/api/v1/completions/", Some("/completions")),
            ("/v1/responses/resp_1/output", None),
            ("/v1", None),
            ("/", None),
        ] {
            assert_eq!(Route::parse(path), Route::Unknown, "{path}");
            assert_eq!(Route::suggestion(path), suggestion, "{path}");
        }
    }

    #[test]
    fn a_query_parameter_is_found_by_its_whole_name() {
        assert_eq!(query_value("amodel=x&model=fb%2F1", "model").as_deref(), Some("fb/1"));
        assert_eq!(query_value("model=", "model"), None);
    }
}
